//! What the rules must know about lameduck's settings.

use std::time::Duration;

/// The settings of an invocation, as far as the manifest says. `None` means that it does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The settings that lameduck refuses.
    pub refused: Vec<Problem>,
    /// The variables that are not settings.
    pub unknown_variables: Vec<Problem>,
    /// What is known only in the cluster: flags, or a description.
    pub unknown: Vec<String>,
    /// The grace period.
    pub grace_period: Option<GracePeriod>,
    /// The time between turning unready and the signal.
    pub unready_lead: Option<Duration>,
    /// Where the sidecar listens.
    pub listen: Option<Listen>,
    /// Which process is the target.
    pub target: Option<Target>,
    /// Whether the target gets a signal.
    pub sends_signal: Option<bool>,
    /// Whether a hook call needs a token.
    pub needs_token: Option<bool>,
    /// Whether SIGTERM ends the sidecar at once.
    pub exits_on_sigterm: Option<bool>,
}

/// Lameduck's grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GracePeriod {
    /// It is set.
    Set(Duration),
    /// It is not set, and required.
    NotSet,
}

/// A setting that does not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting, its value and the cause.
    pub cause: String,
    /// What to do about it.
    pub fix: String,
}

/// Where the sidecar listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The port.
    pub port: u16,
    /// Whether the address is a loopback address.
    pub is_loopback: bool,
}

/// How the target is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// By the name of its program.
    Program {
        /// The name.
        name: String,
        /// The last path component of images that run it.
        image: Option<&'static str>,
    },
    /// By the port on which it listens.
    Port(u16),
    /// There is no target: streams are only counted.
    None,
}
