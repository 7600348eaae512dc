//! A request to `lameduck inject`, and its result.

/// The largest uid that Kubernetes accepts.
pub const MAX_UID: u32 = i32::MAX.unsigned_abs();

/// The name of the sidecar's container, volume and port, by which a later run finds them.
pub const SIDECAR_NAME: &str = "lameduck";

/// What to inject, and where.
#[derive(Clone, Debug)]
pub struct Request {
    /// The containers that get the hook.
    pub selector: ContainerSelector,
    /// How lameduck runs in the pod.
    pub mode: Mode,
    /// The sidecar's image.
    pub image: String,
    /// The settings from the command line.
    pub settings: Vec<Setting>,
    /// The grace period for pod and sidecar, in seconds; `None` keeps the pod's.
    pub grace_period: Option<u64>,
    /// The main container's uid, for manifests that do not set it.
    pub run_as_user: Option<u32>,
    /// The port that the sidecar listens on.
    pub port: u16,
}

impl Request {
    /// Whether the sidecar sends the target a signal.
    pub(crate) fn sends_signal(&self) -> bool {
        let is_none = |value: &String| value.trim().eq_ignore_ascii_case("none");
        !self.settings.iter().any(|setting| setting.flag == "signal" && setting.values.iter().all(is_none))
    }
}

/// How users select containers.
#[derive(Clone, Debug, Default)]
pub struct ContainerSelector {
    /// Workloads as `KIND/NAME`; all if empty.
    pub workloads: Vec<String>,
    /// The main container's name.
    pub container: Option<String>,
    /// Further containers that get the hook.
    pub also_hook: Vec<String>,
    /// The program that the main container runs, if its name is not given.
    pub program: Option<String>,
    /// The last path component of images that run this program.
    pub image: Option<&'static str>,
}

/// How lameduck runs in a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As a native sidecar: an init container that always restarts (Kubernetes 1.29 or later).
    Native,
    /// As an ordinary container.
    Classic,
    /// Without a sidecar: the preStop hook runs the whole drain inside the main container.
    Standalone,
}

/// A setting of the sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The flag's name, without the leading dashes.
    pub flag: String,
    /// The environment variable of the same setting.
    pub variable: String,
    /// The values, in order.
    pub values: Vec<String>,
}

/// Edited manifests, and messages for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The manifests.
    pub text: String,
    /// What was changed and what was left unchanged, one line each.
    pub messages: Vec<String>,
}

/// Checks that the sidecar would start with its settings and this grace period, in seconds; the error names the setting
/// that does not fit.
pub type SettingsCheck<'a> = &'a dyn Fn(u64) -> Result<(), String>;
