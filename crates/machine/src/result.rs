//! The result of a drain.

use std::time::Duration;

use crate::drain_id::DrainId;
use crate::warnings::Warnings;

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Every stream ended by itself.
    Drained,
    /// The target ended first.
    Exited,
    /// Only idle streams were left.
    Idle,
    /// The deadline came first.
    Expired,
    /// The target had never served.
    NeverServed,
    /// The sidecar stopped before the outcome was known. Until a drain is over, its provisional record has this
    /// outcome.
    Interrupted,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] =
        [Self::Drained, Self::Exited, Self::Idle, Self::Expired, Self::NeverServed, Self::Interrupted];

    /// The name that users see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drained => "drained",
            Self::Exited => "exited",
            Self::Idle => "idle",
            Self::Expired => "expired",
            Self::NeverServed => "never_served",
            Self::Interrupted => "interrupted",
        }
    }

    /// The outcome with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// The result of one drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainResult {
    /// The id of the drain.
    pub id: DrainId,
    /// How it ended.
    pub outcome: Outcome,
    /// The streams at its start; `None` if unknown.
    pub streams_at_start: Option<u64>,
    /// The last count before the signal; `None` if unknown or if no signal was sent.
    pub streams_at_signal: Option<u64>,
    /// The streams alive at the deadline, or when the target ended; `None` if unknown. In a provisional record: the
    /// last known count.
    pub stragglers: Option<u64>,
    /// The idle streams that were left.
    pub idle_streams: u64,
    /// How long it took.
    pub duration: Duration,
    /// Whether the signal was sent.
    pub signalled: bool,
    /// Caveats that a reader of the record must know.
    pub warnings: Warnings,
}

/// What started a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// A call of the preStop hook, normally by the kubelet.
    Hook,
    /// SIGTERM to the sidecar.
    Sigterm,
    /// A user with `lameduck drain`.
    Cli,
}

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 3] = [Self::Hook, Self::Sigterm, Self::Cli];

    /// The name that users see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::Sigterm => "sigterm",
            Self::Cli => "cli",
        }
    }

    /// The trigger with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.name() == name)
    }
}

/// How the target ended, as far as the kernel shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Another process reaped it, so its status is unknown.
    Unknown,
    /// It exited with this code.
    Code(i32),
    /// A signal of this number killed it.
    Killed(i32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_back() {
        assert_eq!(
            Outcome::ALL.map(Outcome::name),
            ["drained", "exited", "idle", "expired", "never_served", "interrupted"]
        );
        assert_eq!(Outcome::ALL.map(|outcome| Outcome::from_name(outcome.name())), Outcome::ALL.map(Some));
        assert_eq!(Trigger::ALL.map(Trigger::name), ["hook", "sigterm", "cli"]);
        assert_eq!(Trigger::ALL.map(|trigger| Trigger::from_name(trigger.name())), Trigger::ALL.map(Some));
        assert_eq!((Outcome::from_name("hook"), Trigger::from_name("idle")), (None, None));
    }
}
