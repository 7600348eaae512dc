//! Random histories: sequences of events in a pod, and the policies under which they happen.

use std::time::Duration;

use lameduck_machine::activity::{IdleRule, WorkDirection};
use lameduck_machine::drain_times::DrainTimes;
use lameduck_machine::policy::{IdlePolicy, Policy, SigtermPolicy, StreamsPorts};
use lameduck_machine::reading::Source;
use lameduck_machine::result::{ExitStatus, Trigger};
use proptest::prelude::*;

use crate::simulations::simulation::{START, observation_start};
use lameduck_test_support::traffic::{ACTIVE_RATE, PORT};

/// One event.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Time passes, and the machine is woken whenever it asked for it.
    Wait(Duration),
    /// Time passes, and the machine is woken late.
    Jump(Duration),
    /// An authorized caller asks for a drain.
    Call(Trigger),
    /// The authorized caller with this index disconnects.
    Hangup(usize),
    /// An unauthorized hook call.
    UnauthorizedCall,
    /// The unauthorized caller with this index disconnects.
    UnauthorizedHangup(usize),
    /// A user cancels the drain.
    Cancel,
    /// The deadline of the drain is shortened to this time from now.
    ShortenDeadline(Duration),
    Sigterm,
    /// Ctrl-C in the terminal of `lameduck run`.
    Interrupt,
    /// From now on, the page counts this many streams.
    Streams(u64),
    /// From now on, the page counts this many more streams, which are never idle.
    Batch(u64),
    /// From now on, these connections are open; each rate is in bytes a second.
    Traffic(Vec<u64>),
    /// A health check connects, and disconnects after this time.
    HealthCheck(Duration),
    /// Whether the socket table can be read from now on.
    Table(bool),
    /// How the page responds from now on.
    Page(Page),
    /// Whether the page shows the lazy series from now on.
    Lazy(bool),
    /// The target begins to exit: from now on, readings of it are discarded.
    BeginExit,
    /// The target exits.
    Exit(ExitStatus),
    /// A new incarnation starts, if no target runs.
    Start,
    /// Whether a second process matches from now on.
    SecondMatch(bool),
    /// Whether the target does not catch the signal from now on.
    NotCaught(bool),
    /// Whether signals fail to be sent from now on.
    SignalsFail(bool),
    /// Whether a signalled target exits once it has no streams, from now on.
    ExitsWhenEmpty(bool),
    /// The duration of a poll from now on; `None` if polls are never answered.
    PollTakes(Option<Duration>),
    /// Whether each poll is answered twice from now on.
    AnswersTwice(bool),
    /// The duration of a search from now on.
    SearchTakes(Duration),
    /// The sidecar crashes after this many more actions. The next one starts after the downtime, in which a new
    /// incarnation of the target may start.
    SidecarCrash {
        after_actions: u8,
        downtime: Duration,
        new_incarnation: bool,
    },
}

/// How the page responds to a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Up,
    Refused,
    NoResponse,
    Invalid,
    Absent,
}

/// A random history.
pub(crate) fn history() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 1..40)
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        10 => millis(12_000).prop_map(Event::Wait),
        2 => millis(90_000).prop_map(Event::Wait),
        1 => millis(90_000).prop_map(Event::Jump),
        4 => trigger().prop_map(Event::Call),
        2 => (0..4_usize).prop_map(Event::Hangup),
        2 => Just(Event::UnauthorizedCall),
        1 => (0..4_usize).prop_map(Event::UnauthorizedHangup),
        1 => Just(Event::Cancel),
        1 => millis(60_000).prop_map(Event::ShortenDeadline),
        1 => Just(Event::Sigterm),
        1 => Just(Event::Interrupt),
        5 => prop_oneof![2 => Just(0), 1 => 1..5_u64].prop_map(Event::Streams),
        1 => prop_oneof![2 => Just(0), 1 => 1..3_u64].prop_map(Event::Batch),
        4 => traffic().prop_map(Event::Traffic),
        4 => millis(6_000).prop_map(Event::HealthCheck),
        1 => prop::bool::weighted(0.7).prop_map(Event::Table),
        3 => page().prop_map(Event::Page),
        1 => any::<bool>().prop_map(Event::Lazy),
        1 => Just(Event::BeginExit),
        1 => exit_status().prop_map(Event::Exit),
        2 => Just(Event::Start),
        1 => any::<bool>().prop_map(Event::SecondMatch),
        1 => any::<bool>().prop_map(Event::NotCaught),
        1 => any::<bool>().prop_map(Event::SignalsFail),
        1 => any::<bool>().prop_map(Event::ExitsWhenEmpty),
        2 => prop_oneof![3 => millis(4_000).prop_map(Some), 1 => Just(None)].prop_map(Event::PollTakes),
        1 => any::<bool>().prop_map(Event::AnswersTwice),
        1 => prop_oneof![Just(Duration::ZERO), millis(3_000)].prop_map(Event::SearchTakes),
        2 => (0..12_u8, millis(5_000), any::<bool>()).prop_map(|(after_actions, downtime, new_incarnation)| {
            Event::SidecarCrash { after_actions, downtime, new_incarnation }
        }),
    ]
}

fn traffic() -> impl Strategy<Value = Vec<u64>> {
    let (silent, keep_alive, below_active, active) = (0, 26, 200, 2000);
    let rate = prop_oneof![2 => Just(silent), 2 => Just(keep_alive), 1 => Just(below_active), 1 => Just(active)];
    prop::collection::vec(rate, 0..4)
}

/// A duration of at most this many milliseconds.
fn millis(max: u64) -> impl Strategy<Value = Duration> {
    (0..=max).prop_map(Duration::from_millis)
}

fn trigger() -> impl Strategy<Value = Trigger> {
    prop_oneof![3 => Just(Trigger::Hook), 1 => Just(Trigger::Cli)]
}

fn page() -> impl Strategy<Value = Page> {
    prop_oneof![
        4 => Just(Page::Up),
        1 => Just(Page::Refused),
        1 => Just(Page::NoResponse),
        1 => Just(Page::Invalid),
        1 => Just(Page::Absent),
    ]
}

fn exit_status() -> impl Strategy<Value = ExitStatus> {
    prop_oneof![
        Just(ExitStatus::Unknown),
        (0..2).prop_map(ExitStatus::Code),
        prop_oneof![Just(2), Just(9)].prop_map(ExitStatus::Killed)
    ]
}

/// A random valid policy.
pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    let sources = prop_oneof![
        Just(vec![Source::Metrics]),
        Just(vec![Source::Metrics, Source::Lazy]),
        Just(vec![Source::Metrics, Source::Sockets]),
        Just(vec![Source::Metrics, Source::Lazy, Source::Sockets]),
        Just(vec![Source::Sockets, Source::Status]),
    ];
    let on_sigterm = prop_oneof![
        Just(SigtermPolicy::Drain),
        Just(SigtermPolicy::Exit),
        Just(SigtermPolicy::Auto),
        Just(SigtermPolicy::StopChild)
    ];
    let signal = prop_oneof![9 => Just(Some(("SIGINT".to_owned(), 2))), 1 => Just(None)];
    let gauge_leak_after = prop_oneof![1 => Just(None), 1 => millis(15_000).prop_map(Some)];
    (times(), sources, gauge_leak_after, signal, prop::bool::weighted(0.15), idle(), on_sigterm).prop_map(
        |(times, sources, gauge_leak_after, signal, wait_for_exit, idle, on_sigterm)| Policy {
            times,
            sources,
            streams_ports: StreamsPorts { ports: vec![PORT], gauge_leak_after },
            signal,
            wait_for_exit,
            idle,
            accept_below: None,
            on_sigterm,
            observed_since: observation_start(START),
            id_seed: 7,
        },
    )
}

/// Idle streams are distinguished or not, and end a drain or not.
fn idle() -> impl Strategy<Value = IdlePolicy> {
    let ports = prop_oneof![3 => Just(vec![PORT]), 1 => Just(Vec::new())];
    let direction = prop_oneof![Just(WorkDirection::Received), Just(WorkDirection::Sent), Just(WorkDirection::Either)];
    (ports, 2..20_u64, any::<bool>(), direction).prop_map(|(ports, seconds, ends_drain, direction)| {
        let rule = IdleRule { window: Duration::from_secs(seconds), rate: ACTIVE_RATE, direction };
        IdlePolicy { ports, rule, ends_drain }
    })
}

/// Random times that fit into the grace period.
pub(crate) fn times() -> impl Strategy<Value = DrainTimes> {
    let per_mille = || 0..330_u32;
    let lame_duck = (per_mille(), prop_oneof![Just(0), 0..=1000_u32]);
    (millis(60_000), per_mille(), lame_duck, per_mille(), millis(12_000), millis(5_000), millis(6_000)).prop_map(
        |(grace, margin, (lame_duck, unready_after), quiet, exit_wait, poll, timeout)| {
            let grace_period = grace + Duration::from_secs(1);
            let share = |per_mille: u32| grace_period * per_mille / 1000;
            DrainTimes {
                grace_period,
                exit_margin: share(margin),
                lame_duck: share(lame_duck),
                unready_after: share(lame_duck) * unready_after / 1000,
                quiet_period: share(quiet),
                exit_wait,
                poll_interval: poll + Duration::from_millis(200),
                scrape_timeout: timeout + Duration::from_millis(200),
            }
        },
    )
}
