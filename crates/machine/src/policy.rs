//! The settings that a drain follows.

use std::time::Duration;

use crate::activity::IdleRule;
use crate::drain_times::DrainTimes;
use crate::reading::Source;
use crate::target::ObservationStart;

/// The settings of the machine.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The times.
    pub times: DrainTimes,
    /// The configured sources.
    pub sources: Vec<Source>,
    /// The ports whose connections are streams.
    pub streams_ports: StreamsPorts,
    /// The signal's name and number. `None` only counts and waits, and makes the target optional.
    pub signal: Option<(String, i32)>,
    /// Whether only the target's own exit ends a drain.
    pub wait_for_exit: bool,
    /// How idle streams are distinguished from active ones, and whether they end a drain.
    pub idle: IdlePolicy,
    /// The number of open streams at which load balancers should send no more.
    pub accept_below: Option<AcceptLimit>,
    /// What SIGTERM to the sidecar means.
    pub on_sigterm: SigtermPolicy,
    /// Since when the pod is observed.
    pub observed_since: ObservationStart,
    /// A random number, from which the ids of drains are made.
    pub id_seed: u64,
}

/// The ports whose connections are streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamsPorts {
    /// The ports; if there are none, connections are not counted.
    pub ports: Vec<u16>,
    /// How long they must have had no connection to overrule the count of a page; `None` if they never do.
    pub gauge_leak_after: Option<Duration>,
}

/// How idle streams are distinguished from active ones, and whether they end a drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdlePolicy {
    /// The activity ports; without any, idle streams are not distinguished.
    pub ports: Vec<u16>,
    /// When a connection is idle.
    pub rule: IdleRule,
    /// Whether a drain is over when only idle streams are left.
    pub ends_drain: bool,
}

/// A limit of open streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptLimit {
    /// This many.
    Streams(u64),
    /// The limit that the metrics page shows.
    Capacity,
}

impl Policy {
    /// Whether lameduck is the parent of what it drains.
    #[must_use]
    pub fn is_parent(&self) -> bool {
        self.on_sigterm == SigtermPolicy::StopChild
    }
}

/// What SIGTERM to the sidecar means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigtermPolicy {
    /// It triggers a drain, like the hook.
    Drain,
    /// The sidecar exits.
    Exit,
    /// If there may be streams, the sidecar waits a while for a hook, and drains if one is called. Otherwise it exits.
    Auto,
    /// lameduck is the parent of what it drains: it triggers a drain, and then stops its child. lameduck exits with it.
    StopChild,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::activity::WorkDirection;
    use crate::drain_times::tests::times;
    use crate::time::Time;

    /// A plain policy: one metrics page, SIGINT, 60 s of grace period.
    pub(crate) fn policy() -> Policy {
        let rule = IdleRule { window: Duration::from_secs(60), rate: 256, direction: WorkDirection::Received };
        Policy {
            times: times(60),
            sources: vec![Source::Metrics],
            streams_ports: StreamsPorts::default(),
            signal: Some(("SIGINT".into(), 2)),
            wait_for_exit: false,
            idle: IdlePolicy { ports: Vec::new(), rule, ends_drain: false },
            accept_below: None,
            on_sigterm: SigtermPolicy::Auto,
            observed_since: ObservationStart { at: Time::since_boot(Duration::ZERO), ticks: 100 },
            id_seed: 7,
        }
    }
}
