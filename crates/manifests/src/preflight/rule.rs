//! The rules of a preflight check, and what they find.

/// One rule. Each looks for one kind of mistake that no other rule looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Exactly one container runs the sidecar.
    Sidecar,
    /// A native sidecar has `restartPolicy: Always`, and no other container of lameduck has it.
    RestartPolicy,
    /// The image has a version tag or a digest.
    Image,
    /// The sidecar accepts its settings.
    Settings,
    /// Every `LAMEDUCK_` variable is a setting, and a string.
    Variables,
    /// An ordinary sidecar does not exit on the SIGTERM that it gets with the hook.
    OnSigterm,
    /// The grace period of pod and sidecar are equal.
    GracePeriod,
    /// The cluster autoscaler does not shorten the grace period.
    Autoscaler,
    /// The containers that carry streams have a preStop hook that waits for lameduck.
    Hook,
    /// The hook calls the path that waits.
    HookPath,
    /// The hook calls the sidecar's port.
    HookPort,
    /// The hook calls this pod, without TLS.
    HookAddress,
    /// The hook carries the token.
    HookToken,
    /// The sidecar's own container has no hook that starts a drain.
    SidecarHook,
    /// The hook's command exists in the container that runs it.
    Binary,
    /// The startup probe does not wait for the main container.
    StartupProbe,
    /// The readiness probe takes the pod out of rotation.
    ReadinessProbe,
    /// The kubelet notices before the signal that the pod is unready.
    ReadinessDelay,
    /// Nothing restarts the sidecar during a drain.
    LivenessProbe,
    /// A failed probe of the main container leaves the whole grace period.
    ProbeGracePeriod,
    /// The sidecar sees the target.
    PidNamespace,
    /// The sidecar may signal the target.
    Uid,
    /// The sidecar may read which sockets belong to the target.
    Gid,
    /// The sidecar's port is free, and reachable from the node.
    Port,
    /// The kubelet can call the hook although the pod has no address of its own.
    HostNetwork,
    /// The sidecar does not lower the pod's `QoS` class.
    Resources,
    /// `kubectl describe` shows why the sidecar refused a setting.
    TerminationMessage,
}

impl Rule {
    /// Every rule, in the order of the report.
    pub const ALL: [Self; 27] = [
        Self::Sidecar,
        Self::RestartPolicy,
        Self::Image,
        Self::Settings,
        Self::Variables,
        Self::OnSigterm,
        Self::GracePeriod,
        Self::Autoscaler,
        Self::Hook,
        Self::HookPath,
        Self::HookPort,
        Self::HookAddress,
        Self::HookToken,
        Self::SidecarHook,
        Self::Binary,
        Self::StartupProbe,
        Self::ReadinessProbe,
        Self::ReadinessDelay,
        Self::LivenessProbe,
        Self::ProbeGracePeriod,
        Self::PidNamespace,
        Self::Uid,
        Self::Gid,
        Self::Port,
        Self::HostNetwork,
        Self::Resources,
        Self::TerminationMessage,
    ];

    /// The name in reports, which stays the same from version to version.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sidecar => "sidecar",
            Self::RestartPolicy => "restart_policy",
            Self::Image => "image",
            Self::Settings => "settings",
            Self::Variables => "variables",
            Self::OnSigterm => "on_sigterm",
            Self::GracePeriod => "grace_period",
            Self::Autoscaler => "autoscaler",
            Self::Hook => "hook",
            Self::HookPath => "hook_path",
            Self::HookPort => "hook_port",
            Self::HookAddress => "hook_address",
            Self::HookToken => "hook_token",
            Self::SidecarHook => "sidecar_hook",
            Self::Binary => "binary",
            Self::StartupProbe => "startup_probe",
            Self::ReadinessProbe => "readiness_probe",
            Self::ReadinessDelay => "readiness_delay",
            Self::LivenessProbe => "liveness_probe",
            Self::ProbeGracePeriod => "probe_grace_period",
            Self::PidNamespace => "pid_namespace",
            Self::Uid => "uid",
            Self::Gid => "gid",
            Self::Port => "port",
            Self::HostNetwork => "host_network",
            Self::Resources => "resources",
            Self::TerminationMessage => "termination_message",
        }
    }
}

/// What a rule found at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The result.
    pub evaluation: Evaluation,
    /// What the manifest says.
    pub detail: String,
}

/// The result of a rule at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluation {
    /// The manifest is right.
    Pass,
    /// The manifest does not say it, or it does not matter here.
    Skip,
    /// A drain works, but not always as expected.
    Warn {
        /// What to change.
        fix: String,
    },
    /// A drain would fail or cut streams, or the pod would not start.
    Fail {
        /// What to change.
        fix: String,
    },
}

/// An evaluation with its detail, before the rule is added.
pub(super) type Evaluated = (Evaluation, String);

pub(super) fn pass(detail: impl Into<String>) -> Evaluated {
    (Evaluation::Pass, detail.into())
}

pub(super) fn skip(detail: impl Into<String>) -> Evaluated {
    (Evaluation::Skip, detail.into())
}

pub(super) fn warn(detail: impl Into<String>, fix: impl Into<String>) -> Evaluated {
    (Evaluation::Warn { fix: fix.into() }, detail.into())
}

pub(super) fn fail(detail: impl Into<String>, fix: impl Into<String>) -> Evaluated {
    (Evaluation::Fail { fix: fix.into() }, detail.into())
}
