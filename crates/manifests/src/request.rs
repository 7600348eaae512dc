//! A request to `lameduck inject`, and its result.

use std::fmt::{self, Display, Formatter};

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
    /// The sidecar's user, for manifests that do not set the main container's.
    pub run_as_user: Option<RunAsUser>,
    /// The port that the sidecar listens on.
    pub port: u16,
    /// The signal that the sidecar sends the target by these settings; `None` if it sends none.
    pub signal: Option<String>,
    /// Whether a preStop hook that does something else is replaced.
    pub replace_hook: bool,
}

impl Request {
    /// Whether a setting is given.
    pub(crate) fn sets(&self, flag: &str) -> bool {
        self.settings.iter().any(|setting| setting.flag == flag)
    }
}

/// The sidecar's user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAsUser {
    /// This uid.
    Uid(u32),
    /// No uid in the manifest: the cluster assigns one to all containers of the pod, as `OpenShift` does by namespace.
    Assigned,
}

/// How users select containers.
#[derive(Clone, Debug, Default)]
pub struct ContainerSelector {
    /// Workloads as `KIND/NAME` or `NAMESPACE/KIND/NAME`; all of the known kinds if empty.
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
    pub messages: Vec<Message>,
}

/// A message for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// What was changed, kept or left unchanged.
    Note(String),
    /// What may cut streams, or leave a pod without lameduck.
    Warning(String),
}

impl Message {
    /// Whether it is a warning.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::Warning(_))
    }

    /// The message with a text in front of it.
    #[must_use]
    pub(crate) fn prefixed(&self, prefix: &str) -> Self {
        match self {
            Self::Note(text) => Self::Note(format!("{prefix}: {text}")),
            Self::Warning(text) => Self::Warning(format!("{prefix}: {text}")),
        }
    }
}

impl Display for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note(text) => f.write_str(text),
            Self::Warning(text) => write!(f, "warning: {text}"),
        }
    }
}
