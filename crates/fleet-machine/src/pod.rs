//! What the API server shows of a pod.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use lameduck_machine::time::Time;

use crate::record::OutcomeRecord;

/// The uid of a pod. It is never used again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodUid(pub String);

/// Which pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodRef {
    /// Its uid.
    pub uid: PodUid,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What a pod belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The name of the workload: of the Deployment, the StatefulSet and so on; of the pod itself if it has no owner.
    pub workload: String,
    /// The object that creates and removes the pod; `None` if nothing does.
    pub controller: Option<ControllerRef>,
    /// Whether that object removes pods by their deletion cost.
    pub sorts_by_cost: bool,
}

/// The object that creates and removes a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerRef {
    /// Its API version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// The phase of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodPhase {
    /// Pending, Running or Unknown: the pod is not over.
    Alive,
    /// Succeeded or Failed.
    Finished,
}

/// A pod as the API server shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Which pod.
    pub pod: PodRef,
    /// What it belongs to.
    pub owner: Owner,
    /// Its phase.
    pub phase: PodPhase,
    /// Its address.
    pub ip: Option<IpAddr>,
    /// When the kubelet accepted it (`status.startTime`).
    pub started_at: Option<Time>,
    /// `spec.terminationGracePeriodSeconds`. The sidecar has the same number as its own setting.
    pub grace_period: Duration,
    /// Its deletion, if it is terminating.
    pub deletion: Option<Deletion>,
    /// The annotations that concern us.
    pub annotations: Annotations,
    /// The sidecar's container.
    pub sidecar: Sidecar,
    /// The extended resources that its containers request, such as `nvidia.com/gpu`.
    pub devices: BTreeMap<String, u64>,
}

/// The deletion of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// `metadata.deletionGracePeriodSeconds`.
    pub grace_period: Duration,
    /// When the pod must be gone by the stamp of the API server, whose clock may differ from ours.
    pub stamp: Time,
}

/// The annotations that concern us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// The deletion cost as a ReplicaSet reads it. Anyone may have written it.
    pub cost: Option<i32>,
    /// Whether Karpenter says that it manages the deletion cost.
    pub karpenter_manages_cost: bool,
    /// The annotations that belong to our field manager.
    pub own: Keys,
}

/// A set of annotations that we write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// `controller.kubernetes.io/pod-deletion-cost`.
    pub cost: Option<i32>,
    /// `cluster-autoscaler.kubernetes.io/safe-to-evict: "false"`.
    pub not_safe_to_evict: bool,
    /// `karpenter.sh/do-not-disrupt`.
    pub do_not_disrupt: Option<DoNotDisrupt>,
}

/// The value of `karpenter.sh/do-not-disrupt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoNotDisrupt {
    /// `"true"`: until it is removed.
    Always,
    /// A duration from the start of the pod. Karpenter reads it since 1.12.
    SinceStart(Duration),
}

/// The name of an annotation that we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The deletion cost.
    Cost,
    /// Whether the cluster autoscaler may evict the pod.
    SafeToEvict,
    /// Whether Karpenter may disrupt the pod.
    DoNotDisrupt,
}

impl Key {
    /// Every key.
    pub const ALL: [Self; 3] = [Self::Cost, Self::SafeToEvict, Self::DoNotDisrupt];

    /// The annotation's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cost => "controller.kubernetes.io/pod-deletion-cost",
            Self::SafeToEvict => "cluster-autoscaler.kubernetes.io/safe-to-evict",
            Self::DoNotDisrupt => "karpenter.sh/do-not-disrupt",
        }
    }
}

impl Keys {
    /// The same set without a key.
    #[must_use]
    pub const fn without(mut self, key: Key) -> Self {
        match key {
            Key::Cost => self.cost = None,
            Key::SafeToEvict => self.not_safe_to_evict = false,
            Key::DoNotDisrupt => self.do_not_disrupt = None,
        }
        self
    }

    /// The annotations and their values.
    #[must_use]
    pub fn values(self) -> Vec<(Key, String)> {
        let cost = self.cost.map(|cost| (Key::Cost, cost.to_string()));
        let safe = self.not_safe_to_evict.then(|| (Key::SafeToEvict, "false".to_owned()));
        let disrupt = self.do_not_disrupt.map(|value| (Key::DoNotDisrupt, value.to_string()));
        [cost, safe, disrupt].into_iter().flatten().collect()
    }
}

impl fmt::Display for DoNotDisrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => write!(f, "true"),
            // Go's time.ParseDuration reads it.
            Self::SinceStart(duration) => write!(f, "{}s", duration.as_secs()),
        }
    }
}

/// The sidecar's container, as the pod's status shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// Its state.
    pub state: SidecarState,
    /// The record in the termination message of its life before this one.
    pub earlier_record: Option<OutcomeRecord>,
}

/// The state of the sidecar's container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SidecarState {
    /// It is not running, or its state is not known yet.
    Waiting,
    /// It is running.
    Running,
    /// It has terminated.
    Terminated {
        /// Its exit code; 137 with the reason `ContainerStatusUnknown`.
        exit_code: i32,
        /// The record in its termination message; `None` if that has none.
        record: Option<OutcomeRecord>,
    },
}

impl Sidecar {
    /// A sidecar in this state that was never restarted.
    #[must_use]
    pub const fn in_state(state: SidecarState) -> Self {
        Self { state, earlier_record: None }
    }

    /// Whether it has ever run, as far as this status shows.
    #[must_use]
    pub const fn has_run(&self) -> bool {
        !matches!(self.state, SidecarState::Waiting) || self.earlier_record.is_some()
    }
}

impl Pod {
    /// Whether it is neither terminating nor finished.
    #[must_use]
    pub fn stays(&self) -> bool {
        self.deletion.is_none() && self.phase == PodPhase::Alive
    }

    /// Whether the sidecar's container will not run again.
    #[must_use]
    pub fn sidecar_is_over(&self) -> bool {
        matches!(self.sidecar.state, SidecarState::Terminated { .. }) && !self.stays()
    }
}
