//! Idle streams: always distinguished, but they end a drain only where the policy says so.

use std::time::Duration;

use lameduck_machine::activity::WorkDirection;
use lameduck_machine::io::{Input, Poll, SocketReading};
use lameduck_machine::policy::{IdlePolicy, Policy};
use lameduck_machine::reading::ReadErrorKind::ConnectionRefused;
use lameduck_machine::reading::Source::{Metrics, Sockets};
use lameduck_machine::reading::{Count, Reading, Source};
use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::{Drained, Expired, Idle};
use lameduck_machine::result::Trigger::{Cli, Hook};
use lameduck_machine::socket_table::{Bytes, Connection, SocketTable};
use lameduck_machine::warnings::Warning::EndedWithSignal;

use crate::machine_scripts::pod::Effect::{Kill, Release, ReleaseUnauthorized, Signal};
use crate::machine_scripts::pod::{BUDGET, CONFIRMATION, EXIT_MARGIN, LAME_DUCK, PORT, Pod, found, second};
use crate::machine_scripts::records::warnings;

/// When these scripts call: after enough time for streams to become idle.
const CALL: u32 = 40;
const SIGNAL: u32 = CALL + LAME_DUCK;
const DEADLINE: u32 = CALL + BUDGET;

/// Seconds without data after which a connection is idle.
const IDLE_WINDOW: u32 = 20;

/// Rates of an active connection and of one with keep-alives only, in bytes a second.
const ACTIVE: u64 = 2000;
const KEEP_ALIVE: u64 = 26;
const SILENT: u64 = 0;

/// Idle streams end a drain.
fn idle_ends_drain(policy: &mut Policy) {
    policy.idle = IdlePolicy { ports: vec![PORT], ends_drain: true, ..policy.idle.clone() };
    policy.idle.rule.window = Duration::from_secs(IDLE_WINDOW.into());
}

/// Readings of a page with this many streams, some of which are never idle.
fn page(streams: u64, never_idle: u64) -> [(Source, Reading); 1] {
    [(Metrics, Reading::Counts(vec![Some(Count { streams, never_idle })]))]
}

/// A socket table with one connection, which has never received a byte.
fn silent_table(cookie: u64) -> SocketTable {
    let address = |port| ([127, 0, 0, 1], port).into();
    let connection =
        Connection { local: address(PORT), peer: address(1024), cookie: Some(cookie), bytes: Some(Bytes::default()) };
    SocketTable { connections: vec![connection], ..SocketTable::default() }
}

#[test]
fn idle_drain_kills_lingering_target_after_exit_margin() {
    let mut pod = Pod::with(2, idle_ends_drain);
    pod.traffic(&[KEEP_ALIVE, SILENT])
        .at(CALL)
        .idle(Some(2))
        .call(Hook)
        .at(SIGNAL)
        .expect([Signal(1), Release(Idle, Some(0))]);
    assert_eq!(pod.result.map(|result| result.idle_streams), Some(2));
    pod.at(SIGNAL + EXIT_MARGIN).expect([Kill(1)]).at(110);
}

#[test]
fn idle_streams_do_not_hide_a_loss_with_the_signal() {
    let mut pod = Pod::with(4, idle_ends_drain);
    pod.traffic(&[SILENT, ACTIVE, ACTIVE, ACTIVE]).at(CALL).call(Hook).at(SIGNAL).expect([Signal(1)]);
    pod.streams(1).traffic(&[SILENT]).at(SIGNAL + 1).expect([Release(Idle, None)]);
    assert_eq!(warnings(&pod), [EndedWithSignal]);
}

#[test]
fn target_that_exits_within_exit_margin_is_not_killed() {
    let mut pod = Pod::with(1, idle_ends_drain);
    pod.traffic(&[SILENT]).at(CALL).call(Hook).at(SIGNAL).expect([Signal(1), Release(Idle, Some(0))]);
    pod.at(49).exits(1, ExitStatus::Code(0)).at(60);
}

#[test]
fn one_active_stream_keeps_drain_open() {
    let mut pod = Pod::with(3, idle_ends_drain);
    pod.traffic(&[SILENT, KEEP_ALIVE, ACTIVE]).at(CALL).idle(Some(2)).call(Hook).at(SIGNAL).expect([Signal(1)]);
    pod.at(DEADLINE).expect([Release(Expired, Some(3))]);
    assert_eq!(pod.result.map(|result| result.idle_streams), Some(2));
}

#[test]
fn idle_window_starts_at_last_activity() {
    let mut pod = Pod::with(1, idle_ends_drain);
    pod.traffic(&[ACTIVE]).at(CALL).call(Hook).at(SIGNAL).expect([Signal(1)]);
    pod.at(50)
        .traffic(&[KEEP_ALIVE])
        .at(69)
        .at(50 + IDLE_WINDOW)
        .expect([Release(Idle, Some(0))])
        .at(50 + IDLE_WINDOW + EXIT_MARGIN)
        .expect([Kill(1)]);
}

#[test]
fn idle_streams_are_reported_even_if_they_end_no_drain() {
    let mut pod = Pod::with(2, |policy| {
        idle_ends_drain(policy);
        policy.idle.ends_drain = false;
    });
    pod.traffic(&[KEEP_ALIVE, SILENT]).at(CALL).idle(Some(2)).call(Hook).at(SIGNAL).expect([Signal(1)]).idle(Some(2));
    pod.at(DEADLINE).expect([Release(Expired, Some(2))]).at(105);
}

#[test]
fn never_idle_streams_keep_drain_open_without_traffic() {
    let mut pod = Pod::with(0, idle_ends_drain);
    pod.readings(&page(3, 1)).traffic(&[SILENT; 3]).at(CALL).idle(Some(2)).call(Hook).at(SIGNAL).expect([Signal(1)]);
    pod.at(70).readings(&page(2, 0)).at(71).expect([Release(Idle, Some(0))]).at(71 + EXIT_MARGIN).expect([Kill(1)]);
}

#[test]
fn unknown_count_is_never_idle() {
    let mut pod = Pod::with(2, idle_ends_drain);
    pod.traffic(&[SILENT; 2])
        .at(CALL)
        .call(Hook)
        .at(41)
        .page_fails(ConnectionRefused)
        .at(SIGNAL)
        .expect([Signal(1)])
        .idle(None);
    pod.at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn unreadable_socket_table_shows_no_idle_streams() {
    let mut pod = Pod::with(2, idle_ends_drain);
    pod.traffic(&[SILENT; 2])
        .at(CALL)
        .table_readable(false)
        .at(41)
        .idle(None)
        .call(Hook)
        .at(41 + LAME_DUCK)
        .expect([Signal(1)]);
    pod.at(60).table_readable(true).at(61).expect([Release(Idle, Some(0))]).at(61 + EXIT_MARGIN).expect([Kill(1)]);
}

/// Two connections on which only the target sends: one actively, one only keep-alives.
fn serving_events(direction: WorkDirection) -> Pod {
    let mut pod = Pod::with(2, |policy| {
        idle_ends_drain(policy);
        policy.idle.rule.direction = direction;
    });
    pod.target_sends().traffic(&[ACTIVE, KEEP_ALIVE]).at(CALL);
    pod
}

#[test]
fn stream_that_only_target_sends_is_idle_by_received_bytes() {
    let mut pod = serving_events(WorkDirection::Received);
    pod.idle(Some(2)).call(Hook).at(SIGNAL).expect([Signal(1), Release(Idle, Some(0))]);
    pod.at(SIGNAL + EXIT_MARGIN).expect([Kill(1)]);
}

#[test]
fn stream_that_only_target_sends_is_active_by_sent_bytes() {
    for direction in [WorkDirection::Sent, WorkDirection::Either] {
        let mut pod = serving_events(direction);
        pod.idle(Some(1)).call(Hook).at(SIGNAL).expect([Signal(1)]).at(DEADLINE).expect([Release(Expired, Some(2))]);
    }
}

#[test]
fn activity_port_without_connections_is_not_idle() {
    let mut pod = Pod::with(2, idle_ends_drain);
    pod.at(CALL).idle(None).call(Hook).at(SIGNAL).expect([Signal(1)]).at(DEADLINE).expect([Release(Expired, Some(2))]);
}

#[test]
fn zero_streams_is_drained_not_idle() {
    let mut pod = Pod::with(1, idle_ends_drain);
    pod.traffic(&[SILENT]).at(CALL).streams(0).at(41).idle(Some(0)).call(Hook).at(41 + LAME_DUCK).expect([Signal(1)]);
    pod.at(41 + LAME_DUCK + CONFIRMATION).expect([Release(Drained, Some(0))]);
}

#[test]
fn idle_does_not_end_lame_duck() {
    let mut pod = Pod::with(1, idle_ends_drain);
    pod.traffic(&[SILENT]).at(CALL).call(Hook).at(44.9).at(SIGNAL).expect([Signal(1), Release(Idle, Some(0))]);
    pod.at(SIGNAL + EXIT_MARGIN).expect([Kill(1)]);
}

#[test]
fn idle_does_not_end_drain_that_waits_for_exit() {
    let mut pod = Pod::with(1, |policy| {
        idle_ends_drain(policy);
        policy.wait_for_exit = true;
    });
    pod.traffic(&[SILENT])
        .at(CALL)
        .call(Hook)
        .at(SIGNAL)
        .expect([Signal(1)])
        .at(DEADLINE)
        .expect([Release(Expired, Some(1))]);
}

#[test]
fn new_incarnation_does_not_inherit_idle_time() {
    let mut pod = Pod::with(1, idle_ends_drain);
    pod.traffic(&[SILENT])
        .at(40)
        .exits(1, ExitStatus::Unknown)
        .search_finds(found(2, None))
        .streams(1)
        .at(41)
        .traffic(&[]);
    pod.traffic(&[SILENT]).at(45).idle(Some(0)).call(Hook).at(45 + LAME_DUCK).expect([Signal(2)]);
    // The connection was first read at 42.
    pod.at(61.9)
        .at(42 + IDLE_WINDOW)
        .expect([Release(Idle, Some(0))])
        .at(42 + IDLE_WINDOW + EXIT_MARGIN)
        .expect([Kill(2)]);
}

#[test]
fn restarted_sidecar_kills_lingering_target_on_time() {
    let mut pod = Pod::with(1, idle_ends_drain);
    pod.traffic(&[SILENT]).at(CALL).call(Hook).at(SIGNAL).expect([Signal(1), Release(Idle, Some(0))]);
    pod.at(47).sidecar_restarts().at(SIGNAL + EXIT_MARGIN).expect([Kill(1)]).at(60);
}

#[test]
fn counted_port_does_not_hide_never_idle_streams() {
    let mut pod = Pod::with(1, |policy| {
        idle_ends_drain(policy);
        policy.sources = vec![Metrics, Sockets];
    });
    pod.traffic(&[SILENT, KEEP_ALIVE]).at(CALL).counted(Some(2)).idle(Some(2)).call(Hook).at(SIGNAL);
    pod.expect([Signal(1), Release(Idle, Some(0))]).at(SIGNAL + EXIT_MARGIN).expect([Kill(1)]);
}

#[test]
fn failed_page_leaves_never_idle_streams_possible() {
    let mut pod = Pod::with(2, |policy| {
        idle_ends_drain(policy);
        policy.sources = vec![Metrics, Sockets];
    });
    pod.traffic(&[SILENT; 2]).at(CALL).call(Hook).at(41).page_fails(ConnectionRefused).at(SIGNAL).expect([Signal(1)]);
    pod.counted(Some(2)).idle(None).at(DEADLINE).expect([Release(Expired, Some(2))]);
}

#[test]
fn hanging_socket_table_discards_idle_time() {
    let mut pod = Pod::with(0, idle_ends_drain);
    pod.readings(&page(2, 1))
        .traffic(&[SILENT])
        .at(CALL)
        .call(Hook)
        .at(SIGNAL)
        .expect([Signal(1)])
        .at(50)
        .table_hangs();
    pod.at(60).readings(&page(1, 0)).at(DEADLINE).expect([Release(Expired, Some(1))]);
}

#[test]
fn late_socket_table_is_evaluated_immediately() {
    let mut pod = Pod::with(1, idle_ends_drain);
    pod.traffic(&[SILENT]).at(CALL).call(Hook).at(44.5).table_hangs().at(SIGNAL).expect([Signal(1)]).at(46.5);
    let sockets = Some(SocketReading { read_at: second(46.5), table: Ok(silent_table(1)) });
    let readings = page(1, 0).to_vec();
    let (requested_at, target) = (second(SIGNAL), pod.poll_target(second(SIGNAL)));
    pod.input(Input::Polled(Poll { requested_at, target, readings, sockets, ..Poll::default() }));
    pod.expect([Release(Idle, Some(0))]);
    pod.at(51.5).expect([Kill(1)]);
}

#[test]
fn poll_of_previous_incarnation_shows_no_connections() {
    let mut pod = Pod::with(1, idle_ends_drain);
    pod.at(40).polls_hang().at(41);
    let (requested_at, _) = *pod.unanswered_polls.last().unwrap();
    let table = silent_table(7);
    pod.exits(1, ExitStatus::Unknown).search_finds(found(2, None)).streams(1).table_hangs().at(42);
    let sockets = Some(SocketReading { read_at: second(42), table: Ok(table) });
    let target = pod.poll_target(requested_at);
    pod.input(Input::Polled(Poll { requested_at, target, sockets, ..Poll::default() })).counted(None).idle(None);
}

#[test]
fn activity_within_exit_margin_postpones_kill() {
    let mut pod = Pod::with(1, idle_ends_drain);
    pod.traffic(&[SILENT]).at(CALL).call(Hook).at(SIGNAL).expect([Signal(1), Release(Idle, Some(0))]);
    pod.at(46).traffic(&[ACTIVE]).at(60).traffic(&[SILENT]).at(79).at(60 + IDLE_WINDOW).expect([Kill(1)]);
}

#[test]
fn unsignalled_target_is_killed_only_after_hook() {
    let no_signal = |policy: &mut Policy| {
        idle_ends_drain(policy);
        policy.signal = None;
    };
    let mut pod = Pod::with(1, no_signal);
    pod.traffic(&[SILENT]).at(CALL).call(Cli).at(SIGNAL).expect([Release(Idle, Some(0))]).at(60);
    // After a hook, the kubelet sends SIGTERM to the target.
    let mut pod = Pod::with(1, no_signal);
    pod.traffic(&[SILENT])
        .at(CALL)
        .call(Hook)
        .at(SIGNAL)
        .expect([Release(Idle, Some(0))])
        .at(SIGNAL + EXIT_MARGIN)
        .expect([Kill(1)]);
}

#[test]
fn idle_releases_unauthorized_caller_without_kill() {
    let mut pod = Pod::with(2, idle_ends_drain);
    pod.traffic(&[KEEP_ALIVE, SILENT])
        .at(39.5)
        .call_unauthorized(1)
        .at(40)
        .expect([ReleaseUnauthorized(1, Idle, Some(0))])
        .ready()
        .at(110);
}

#[test]
fn open_stream_counts_for_suggested_grace_period() {
    let mut pod = Pod::with(2, idle_ends_drain);
    pod.at(5).traffic(&[SILENT]).at(10).traffic(&[SILENT, ACTIVE]).at(100).traffic(&[SILENT; 2]).at(600);
    assert_eq!(pod.durations().grace_period(), Some(Duration::from_secs(120)));
}

#[test]
fn late_page_and_table_still_show_idle_streams() {
    let mut pod = Pod::with(1, idle_ends_drain);
    pod.traffic(&[SILENT]).at(CALL).call(Hook).at(44.5).polls_hang().at(SIGNAL).expect([Signal(1)]).at(46.5);
    pod.answer_newest_poll(&page(1, 0)).expect([Release(Idle, Some(0))]).at(50).streams(1).at(51.5).expect([Kill(1)]);
}
