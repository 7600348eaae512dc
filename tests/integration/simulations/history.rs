//! Random histories: what may befall a pod, and under which settings.

use std::time::Duration;

use lameduck_machine::activity::IdleRule;
use lameduck_machine::drain_times::DrainTimes;
use lameduck_machine::policy::{IdlePolicy, Policy, SigtermPolicy};
use lameduck_machine::reading::Source;
use lameduck_machine::result::{ExitStatus, Trigger};
use proptest::prelude::*;

use lameduck_test_support::traffic::{ACTIVE_RATE, PORT};

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Time passes, and the machine is woken when it asked for it.
    Wait(Duration),
    /// Time passes, and the machine is woken late.
    Jump(Duration),
    /// Somebody asks for a drain.
    Call(Trigger),
    /// One of the callers goes away.
    Hangup(usize),
    /// Somebody waits who may not ask for a drain.
    UnauthorizedCall,
    /// One of these goes away.
    UnauthorizedHangup(usize),
    Sigterm,
    /// The streams on the target from now on.
    Streams(u64),
    /// The streams besides these that are never idle.
    Batch(u64),
    /// The connections from now on, by the bytes a second that they carry.
    Traffic(Vec<u64>),
    /// Whether the socket table can be read from now on.
    Table(bool),
    /// What the page does from now on.
    Page(Page),
    /// Whether the lazy series are on the page from now on.
    Lazy(bool),
    /// The target begins to die: nothing that is read of it is its word any more.
    BeginExit,
    /// The target ends.
    Exit(ExitStatus),
    /// A new life begins, if there is none.
    Start,
    /// Whether a second process matches from now on.
    SecondMatch(bool),
    /// Whether the target does not catch the signal from now on.
    NotCaught(bool),
    /// Whether signals fail to go out from now on.
    SignalsFail(bool),
    /// Whether a signalled target ends by itself once it has no streams.
    ExitsWhenEmpty(bool),
    /// How long a reading takes from now on; `None` is for ever.
    PollTakes(Option<Duration>),
    /// Whether readings are answered twice from now on.
    AnswersTwice(bool),
    /// How long a search takes from now on.
    SearchTakes(Duration),
    /// The sidecar dies after so many more actions, and stays away so long; or another life begins meanwhile.
    SidecarCrash(u8, Duration, bool),
}

/// What the page does when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Up,
    Refused,
    NoResponse,
    Invalid,
    Absent,
}

/// A whole history.
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
        1 => Just(Event::Sigterm),
        5 => prop_oneof![2 => Just(0), 1 => 1..5_u64].prop_map(Event::Streams),
        1 => prop_oneof![2 => Just(0), 1 => 1..3_u64].prop_map(Event::Batch),
        4 => traffic().prop_map(Event::Traffic),
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
        2 => (0..12_u8, millis(5_000), any::<bool>()).prop_map(|(n, away, anew)| Event::SidecarCrash(n, away, anew)),
    ]
}

fn traffic() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(prop_oneof![2 => Just(0), 2 => Just(26), 1 => Just(200), 1 => Just(2_000)], 0..4)
}

fn millis(most: u64) -> impl Strategy<Value = Duration> {
    (0..=most).prop_map(Duration::from_millis)
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

/// Any settings that add up.
pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    let sources = prop_oneof![
        Just(vec![Source::Metrics]),
        Just(vec![Source::Metrics, Source::Lazy]),
        Just(vec![Source::Metrics, Source::Sockets]),
        Just(vec![Source::Metrics, Source::Lazy, Source::Sockets]),
        Just(vec![Source::Sockets, Source::Status]),
    ];
    let on_sigterm = prop_oneof![Just(SigtermPolicy::Drain), Just(SigtermPolicy::Exit), Just(SigtermPolicy::Auto)];
    let signal = prop_oneof![9 => Just(Some(("SIGINT".to_owned(), 2))), 1 => Just(None)];
    (times(), sources, signal, prop::bool::weighted(0.15), idle(), on_sigterm).prop_map(
        |(times, sources, signal, wait_for_exit, idle, on_sigterm)| Policy {
            times,
            sources,
            signal,
            wait_for_exit,
            idle,
            accept_below: None,
            on_sigterm,
            own_start_ticks: 0,
        },
    )
}

/// Idle streams are told apart, and end a drain, or not.
fn idle() -> impl Strategy<Value = IdlePolicy> {
    let ports = prop_oneof![3 => Just(vec![PORT]), 1 => Just(Vec::new())];
    (ports, 2..20_u64, any::<bool>()).prop_map(|(ports, seconds, ends_drain)| {
        let rule = IdleRule { window: Duration::from_secs(seconds), rate: ACTIVE_RATE };
        IdlePolicy { ports, rule, ends_drain }
    })
}

/// Any times that add up.
pub(crate) fn times() -> impl Strategy<Value = DrainTimes> {
    let third = || 0..330_u32;
    (millis(60_000), third(), third(), third(), millis(12_000), millis(5_000), millis(6_000)).prop_map(
        |(grace, margin, lame_duck, quiet, exit_wait, poll, timeout)| {
            let grace_period = grace + Duration::from_secs(1);
            let share = |of: u32| grace_period * of / 1000;
            DrainTimes {
                grace_period,
                exit_margin: share(margin),
                lame_duck: share(lame_duck),
                quiet_period: share(quiet),
                exit_wait,
                poll_interval: poll + Duration::from_millis(200),
                scrape_timeout: timeout + Duration::from_millis(200),
            }
        },
    )
}
