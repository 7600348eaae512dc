//! The settings that a drain keeps to.

use crate::activity::IdleRule;
use crate::drain_times::DrainTimes;
use crate::reading::Source;

/// What the keeper keeps to.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The times.
    pub plan: DrainTimes,
    /// The sources that there are.
    pub sources: Vec<Source>,
    /// The signal's name and number; `None` counts and waits only, and makes the target optional.
    pub signal: Option<(String, i32)>,
    /// Whether only the target's own exit ends a drain.
    pub wait_for_exit: bool,
    /// How idle streams are told from working ones, and what comes of it.
    pub idleness: IdlePolicy,
    /// From how many open streams on load balancers should send no more.
    pub accept_below: Option<AcceptLimit>,
    /// What SIGTERM to the sidecar means.
    pub on_sigterm: SigtermPolicy,
    /// When the sidecar itself started, in the unit of [`Incarnation::started`].
    pub own_start_ticks: u64,
}

/// How idle streams are told from working ones, and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdlePolicy {
    /// The ports whose connections tell; with none, idle streams are not told apart.
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
    /// As many as the metrics page says that it takes.
    Capacity,
}

/// What SIGTERM to the sidecar means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigtermPolicy {
    /// A trigger like the hook.
    Drain,
    /// Leave.
    Exit,
    /// Wait a while for a hook where there may be work; drain if it comes, otherwise leave.
    Auto,
}
