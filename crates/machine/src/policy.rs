//! The settings that a drain follows.

use crate::activity::IdleRule;
use crate::drain_times::DrainTimes;
use crate::reading::Source;

/// The settings of the machine.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The times.
    pub times: DrainTimes,
    /// The configured sources.
    pub sources: Vec<Source>,
    /// The signal's name and number; `None` counts and waits only, and makes the target optional.
    pub signal: Option<(String, i32)>,
    /// Whether only the target's own exit ends a drain.
    pub wait_for_exit: bool,
    /// How idle streams are distinguished from active ones, and whether they end a drain.
    pub idle: IdlePolicy,
    /// The number of open streams from which on load balancers should send no more.
    pub accept_below: Option<AcceptLimit>,
    /// What SIGTERM to the sidecar means.
    pub on_sigterm: SigtermPolicy,
    /// When the sidecar itself started, in the unit of [`Incarnation::started`](crate::target::Incarnation::started).
    pub own_start_ticks: u64,
}

/// How idle streams are distinguished from active ones, and whether they end a drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdlePolicy {
    /// The activity ports; without any, idle streams are not distinguished.
    pub ports: Vec<u16>,
    /// What is idle.
    pub rule: IdleRule,
    /// Whether a drain is over when only idle streams are left.
    pub ends_drain: bool,
}

/// A limit of open streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptLimit {
    /// This many.
    Streams(u64),
    /// As many as the metrics page names as its own limit.
    Capacity,
}

/// What SIGTERM to the sidecar means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigtermPolicy {
    /// It triggers a drain, like the hook.
    Drain,
    /// The sidecar exits.
    Exit,
    /// The sidecar waits a while for a hook if there may be streams, drains if it comes, and exits otherwise.
    Auto,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::drain_times::tests::times;
    use std::time::Duration;

    /// A plain policy: one metrics page, SIGINT, 60 s of grace period.
    pub(crate) fn policy() -> Policy {
        let rule = IdleRule { window: Duration::from_secs(60), rate: 256 };
        Policy {
            times: times(60),
            sources: vec![Source::Metrics],
            signal: Some(("SIGINT".into(), 2)),
            wait_for_exit: false,
            idle: IdlePolicy { ports: Vec::new(), rule, ends_drain: false },
            accept_below: None,
            on_sigterm: SigtermPolicy::Auto,
            own_start_ticks: 100,
        }
    }
}
