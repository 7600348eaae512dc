//! Fixtures for tests of the machine: a plain policy, incarnations of a target, instants and readings.

use std::time::Duration;

use lameduck_machine::activity::{IdleRule, WorkDirection};
use lameduck_machine::drain_times::DrainTimes;
use lameduck_machine::policy::{IdlePolicy, Policy, SigtermPolicy, StreamsPorts};
use lameduck_machine::reading::{Count, ReadError, ReadErrorKind, Reading, Source};
use lameduck_machine::target::{Found, Incarnation, ObservationStart, SearchResult, SignalBlocker};
use lameduck_machine::time::Time;

use crate::traffic::PORT;

/// The times of [`policy`], in seconds.
pub const GRACE_PERIOD: u32 = 60;
/// The end of the grace period, in which the target can exit.
pub const EXIT_MARGIN: u32 = 5;
/// From the start of a drain to its deadline.
pub const BUDGET: u32 = GRACE_PERIOD - EXIT_MARGIN;
/// From the start of a drain to the signal.
pub const LAME_DUCK: u32 = 5;
/// How long zero must last.
pub const QUIET_PERIOD: u32 = 2;
/// How long a signalled target may take to exit after that.
pub const EXIT_WAIT: u32 = 10;

/// A plain policy: one metrics page, polled each second, and SIGINT after the lame duck.
pub fn policy() -> Policy {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    Policy {
        times: DrainTimes {
            grace_period: seconds(GRACE_PERIOD),
            exit_margin: seconds(EXIT_MARGIN),
            lame_duck: seconds(LAME_DUCK),
            unready_after: seconds(0),
            quiet_period: seconds(QUIET_PERIOD),
            exit_wait: seconds(EXIT_WAIT),
            poll_interval: seconds(1),
            scrape_timeout: seconds(2),
        },
        sources: vec![Source::Metrics],
        streams_ports: StreamsPorts { ports: vec![PORT], gauge_leak_after: None },
        signal: Some(("SIGINT".into(), 2)),
        wait_for_exit: false,
        idle: no_idle_policy(),
        accept_below: None,
        on_sigterm: SigtermPolicy::Auto,
        observed_since: ObservationStart { at: second(0), ticks: 100 },
        id_seed: 7,
    }
}

/// A policy that does not distinguish idle streams.
pub fn no_idle_policy() -> IdlePolicy {
    IdlePolicy {
        ports: Vec::new(),
        rule: IdleRule { window: Duration::from_secs(60), rate: 256, direction: WorkDirection::Received },
        ends_drain: false,
    }
}

/// The `n`th incarnation of the target. It started after the sidecar.
pub const fn incarnation(n: u32) -> Incarnation {
    Incarnation { pid: n, started: 100 + n as u64 }
}

/// The result of a search that finds this incarnation.
pub fn found(n: u32, blocker: Option<SignalBlocker>) -> SearchResult {
    SearchResult::Found(Found { incarnation: incarnation(n), name: "impeller".into(), blocker })
}

/// The instant this many seconds after the start of the pod.
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
