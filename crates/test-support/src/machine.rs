//! What the tests of the machine take for given: a plain policy, the lives of a target, instants and readings.

use std::time::Duration;

use lameduck_machine::activity::IdleRule;
use lameduck_machine::drain_times::DrainTimes;
use lameduck_machine::policy::{IdlePolicy, Policy, SigtermPolicy};
use lameduck_machine::reading::{Count, ReadError, ReadErrorKind, Reading, Source};
use lameduck_machine::target::{Found, Incarnation, SearchResult, SignalBlocker};
use lameduck_machine::time::Time;

/// A grace period of 60 s, of which 5 s are kept back; 5 s lame duck, 2 s quiet, 10 s exit wait; a look each second.
pub fn policy() -> Policy {
    Policy {
        plan: DrainTimes {
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
        idleness: no_idleness(),
        accept_below: None,
        on_sigterm: SigtermPolicy::Auto,
        own_start_ticks: 100,
    }
}

/// Idle streams are not told apart.
pub fn no_idleness() -> IdlePolicy {
    IdlePolicy { ports: Vec::new(), rule: IdleRule { window: Duration::from_secs(60), rate: 256 }, ends_drain: false }
}

/// The `n`th life of the target: younger than the sidecar.
pub const fn life(n: u32) -> Incarnation {
    Incarnation { pid: n, started: 100 + n as u64 }
}

/// That life as a search finds it.
pub fn found(n: u32, obstacle: Option<SignalBlocker>) -> SearchResult {
    SearchResult::Found(Found { incarnation: life(n), name: "impeller".into(), obstacle })
}

/// The instant so many seconds after the pod began.
pub fn second(seconds: impl Into<f64>) -> Time {
    Time::since_boot(Duration::from_secs(1000) + Duration::from_secs_f64(seconds.into()))
}

/// A page that counts so many streams.
pub fn count(streams: u64) -> Reading {
    Reading::Counts(vec![Some(Count::of(streams))])
}

/// A page that fails.
pub fn fault(kind: ReadErrorKind) -> Reading {
    Reading::Unknown(ReadError { kind, message: "no page".into() })
}
