//! Fixtures for tests of the machine: a plain policy, incarnations of a target, instants and readings.

use std::time::Duration;

use lameduck_machine::activity::IdleRule;
use lameduck_machine::drain_times::DrainTimes;
use lameduck_machine::policy::{IdlePolicy, Policy, SigtermPolicy};
use lameduck_machine::reading::{Count, ReadError, ReadErrorKind, Reading, Source};
use lameduck_machine::target::{Found, Incarnation, SearchResult, SignalBlocker};
use lameduck_machine::time::Time;

/// A grace period of 60 s with 5 s of exit margin; 5 s of lame duck, 2 s of quiet period, 10 s of exit wait, a poll each
/// second.
pub fn policy() -> Policy {
    Policy {
        times: DrainTimes {
            grace_period: Duration::from_secs(60),
            exit_margin: Duration::from_secs(5),
            lame_duck: Duration::from_secs(5),
            quiet_period: Duration::from_secs(2),
            exit_wait: Duration::from_secs(10),
            poll_interval: Duration::from_secs(1),
            scrape_timeout: Duration::from_secs(2),
        },
        sources: vec![Source::Metrics],
        signal: Some(("SIGINT".into(), 2)),
        wait_for_exit: false,
        idle: no_idle_policy(),
        accept_below: None,
        on_sigterm: SigtermPolicy::Auto,
        own_start_ticks: 100,
    }
}

/// Idle streams are not distinguished.
pub fn no_idle_policy() -> IdlePolicy {
    IdlePolicy { ports: Vec::new(), rule: IdleRule { window: Duration::from_secs(60), rate: 256 }, ends_drain: false }
}

/// The `n`th incarnation of the target, which is younger than the sidecar.
pub const fn incarnation(n: u32) -> Incarnation {
    Incarnation { pid: n, started: 100 + n as u64 }
}

/// The result of a search that finds this incarnation.
pub fn found(n: u32, blocker: Option<SignalBlocker>) -> SearchResult {
    SearchResult::Found(Found { incarnation: incarnation(n), name: "impeller".into(), blocker })
}

/// The instant this many seconds after the start.
pub fn second(seconds: impl Into<f64>) -> Time {
    Time::since_boot(Duration::from_secs(1000) + Duration::from_secs_f64(seconds.into()))
}

/// A reading of this many streams.
pub fn count(streams: u64) -> Reading {
    Reading::Counts(vec![Some(Count::of(streams))])
}

/// A failed reading.
pub fn failure(kind: ReadErrorKind) -> Reading {
    Reading::Unknown(ReadError { kind, message: "no page".into() })
}
