//! Idle streams: told apart always, and the end of a drain only where that was asked for.

use std::time::Duration;

use lameduck_machine::io::{Input, Poll, SocketReading};

use lameduck_machine::policy::{IdlePolicy, Policy};
use lameduck_machine::reading::ReadErrorKind::ConnectionRefused;
use lameduck_machine::reading::Source::{Metrics, Sockets};
use lameduck_machine::reading::{Count, Reading};
use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::{Drained, Expired, Idle};
use lameduck_machine::result::Trigger::{Cli, Hook};
use lameduck_machine::socket_table::{Connection, SocketTable};

use crate::machine_scripts::pod::Effect::{Kill, Release, ReleaseUnauthorized, Signal};
use crate::machine_scripts::pod::{PORT, Pod, found, second};

/// Idle after 20 s, of a grace period of 60.
fn idling(policy: &mut Policy) {
    let idleness = &mut policy.idle;
    *idleness = IdlePolicy { ports: vec![PORT], ends_drain: true, ..idleness.clone() };
    idleness.rule.window = Duration::from_secs(20);
}

fn page(streams: u64, never_idle: u64) -> [(lameduck_machine::reading::Source, Reading); 1] {
    [(Metrics, Reading::Counts(vec![Some(Count { streams, never_idle })]))]
}

/// A table with one connection, which has never received a byte.
fn silent(cookie: u64) -> SocketTable {
    let end = |port| ([127, 0, 0, 1], port).into();
    let connection = Connection { local: end(PORT), peer: end(1024), cookie: Some(cookie), received: Some(0) };
    SocketTable { connections: vec![connection], ..SocketTable::default() }
}

#[test]
fn idle_drain_kills_lingering_target_after_exit_margin() {
    let mut pod = Pod::with(2, idling);
    pod.traffic(&[26, 0]).at(40).idle(Some(2)).call(Hook).at(45).expect([Signal(1), Release(Idle, Some(0))]);
    assert_eq!(pod.result.map(|result| result.idle_streams), Some(2));
    pod.at(50).expect([Kill(1)]).at(110);
}

#[test]
fn target_that_exits_within_exit_margin_is_not_killed() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).call(Hook).at(45).expect([Signal(1), Release(Idle, Some(0))]);
    pod.at(49).exits(1, ExitStatus::Code(0)).at(60);
}

#[test]
fn one_active_stream_keeps_drain_open() {
    let mut pod = Pod::with(3, idling);
    pod.traffic(&[0, 26, 2000]).at(40).idle(Some(2)).call(Hook).at(45).expect([Signal(1)]);
    pod.at(95).expect([Release(Expired, Some(3))]);
    assert_eq!(pod.result.map(|result| result.idle_streams), Some(2));
}

#[test]
fn idle_window_starts_at_last_activity() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[2000]).at(40).call(Hook).at(45).expect([Signal(1)]);
    pod.at(50).traffic(&[26]).at(69).at(70).expect([Release(Idle, Some(0))]).at(75).expect([Kill(1)]);
}

#[test]
fn idle_streams_are_reported_even_if_they_end_no_drain() {
    let mut pod = Pod::with(2, |policy| {
        idling(policy);
        policy.idle.ends_drain = false;
    });
    pod.traffic(&[26, 0]).at(40).idle(Some(2)).call(Hook).at(45).expect([Signal(1)]).idle(Some(2));
    pod.at(95).expect([Release(Expired, Some(2))]).at(105);
}

#[test]
fn never_idle_streams_keep_drain_open_without_traffic() {
    let mut pod = Pod::with(0, idling);
    pod.readings(&page(3, 1)).traffic(&[0, 0, 0]).at(40).idle(Some(2)).call(Hook).at(45).expect([Signal(1)]);
    pod.at(70).readings(&page(2, 0)).at(71).expect([Release(Idle, Some(0))]).at(76).expect([Kill(1)]);
}

#[test]
fn unknown_count_is_never_idle() {
    let mut pod = Pod::with(2, idling);
    pod.traffic(&[0, 0]).at(40).call(Hook).at(41).fails(ConnectionRefused).at(45).expect([Signal(1)]).idle(None);
    pod.at(95).expect([Release(Expired, None)]);
}

#[test]
fn unreadable_socket_table_shows_no_idle_streams() {
    let mut pod = Pod::with(2, idling);
    pod.traffic(&[0, 0]).at(40).table_readable(false).at(41).idle(None).call(Hook).at(46).expect([Signal(1)]);
    pod.at(60).table_readable(true).at(61).expect([Release(Idle, Some(0))]).at(66).expect([Kill(1)]);
}

#[test]
fn activity_port_without_connections_is_not_idle() {
    let mut pod = Pod::with(2, idling);
    pod.at(40).idle(None).call(Hook).at(45).expect([Signal(1)]).at(95).expect([Release(Expired, Some(2))]);
}

#[test]
fn zero_streams_is_drained_not_idle() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).streams(0).at(41).idle(Some(0)).call(Hook).at(46).expect([Signal(1)]);
    pod.at(58).expect([Release(Drained, Some(0))]);
}

#[test]
fn idle_does_not_end_lame_duck() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).call(Hook).at(44.9).at(45).expect([Signal(1), Release(Idle, Some(0))]);
    pod.at(50).expect([Kill(1)]);
}

#[test]
fn idle_does_not_end_drain_that_waits_for_exit() {
    let mut pod = Pod::with(1, |policy| {
        idling(policy);
        policy.wait_for_exit = true;
    });
    pod.traffic(&[0]).at(40).call(Hook).at(45).expect([Signal(1)]).at(95).expect([Release(Expired, Some(1))]);
}

#[test]
fn new_incarnation_does_not_inherit_idle_time() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).exits(1, ExitStatus::Unknown).finds(found(2, None)).streams(1).at(41).traffic(&[]);
    pod.traffic(&[0]).at(45).idle(Some(0)).call(Hook).at(50).expect([Signal(2)]);
    pod.at(60.9).at(62).expect([Release(Idle, Some(0))]).at(67).expect([Kill(2)]);
}

#[test]
fn restarted_sidecar_kills_lingering_target_on_time() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).call(Hook).at(45).expect([Signal(1), Release(Idle, Some(0))]);
    pod.at(47).restarts().at(50).expect([Kill(1)]).at(60);
}

#[test]
fn counted_port_does_not_hide_never_idle_streams() {
    let mut pod = Pod::with(1, |policy| {
        idling(policy);
        policy.sources = vec![Metrics, Sockets];
    });
    pod.traffic(&[0, 26]).at(40).counted(Some(2)).idle(Some(2)).call(Hook).at(45);
    pod.expect([Signal(1), Release(Idle, Some(0))]).at(50).expect([Kill(1)]);
}

#[test]
fn failed_page_leaves_never_idle_streams_possible() {
    let mut pod = Pod::with(2, |policy| {
        idling(policy);
        policy.sources = vec![Metrics, Sockets];
    });
    pod.traffic(&[0, 0]).at(40).call(Hook).at(41).fails(ConnectionRefused).at(45).expect([Signal(1)]);
    pod.counted(Some(2)).idle(None).at(95).expect([Release(Expired, Some(2))]);
}

#[test]
fn hanging_socket_table_discards_idle_time() {
    let mut pod = Pod::with(0, idling);
    pod.readings(&page(2, 1)).traffic(&[0]).at(40).call(Hook).at(45).expect([Signal(1)]).at(50).table_hangs();
    pod.at(60).readings(&page(1, 0)).at(95).expect([Release(Expired, Some(1))]);
}

#[test]
fn late_socket_table_is_evaluated_immediately() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).call(Hook).at(44.5).table_hangs().at(45).expect([Signal(1)]).at(46.5);
    let sockets = Some(SocketReading { read_at: second(46.5), table: Ok(silent(1)) });
    let readings = page(1, 0).to_vec();
    pod.input(Input::Polled(Poll { requested_at: second(45), readings, sockets, ..Poll::default() }));
    pod.expect([Release(Idle, Some(0))]);
    pod.at(51.5).expect([Kill(1)]);
}

#[test]
fn poll_of_previous_incarnation_shows_no_connections() {
    let mut pod = Pod::with(1, idling);
    pod.at(40).hangs().at(41);
    let (requested_at, _) = *pod.unanswered_polls.last().unwrap();
    let table = silent(7);
    pod.exits(1, ExitStatus::Unknown).finds(found(2, None)).streams(1).table_hangs().at(42);
    let sockets = Some(SocketReading { read_at: second(42), table: Ok(table) });
    pod.input(Input::Polled(Poll { requested_at, sockets, ..Poll::default() })).counted(None).idle(None);
}

#[test]
fn activity_within_exit_margin_postpones_kill() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).call(Hook).at(45).expect([Signal(1), Release(Idle, Some(0))]);
    pod.at(46).traffic(&[2000]).at(60).traffic(&[0]).at(79).at(80).expect([Kill(1)]);
}

#[test]
fn unsignalled_target_is_killed_only_after_hook() {
    let silent = |policy: &mut Policy| {
        idling(policy);
        policy.signal = None;
    };
    let mut pod = Pod::with(1, silent);
    pod.traffic(&[0]).at(40).call(Cli).at(45).expect([Release(Idle, Some(0))]).at(60);
    // After a hook the kubelet tells it.
    let mut pod = Pod::with(1, silent);
    pod.traffic(&[0]).at(40).call(Hook).at(45).expect([Release(Idle, Some(0))]).at(50).expect([Kill(1)]);
}

#[test]
fn idle_releases_unauthorized_caller_without_kill() {
    let mut pod = Pod::with(2, idling);
    pod.traffic(&[26, 0])
        .at(39.5)
        .call_unauthorized(1)
        .at(40)
        .expect([ReleaseUnauthorized(1, Idle, Some(0))])
        .ready()
        .at(110);
}

#[test]
fn open_stream_counts_for_suggested_grace_period() {
    let mut pod = Pod::with(2, idling);
    pod.at(5).traffic(&[0]).at(10).traffic(&[0, 2000]).at(100).traffic(&[0, 0]).at(600);
    assert_eq!(pod.durations().grace_period(), Some(Duration::from_secs(120)));
}

#[test]
fn late_page_and_table_still_show_idle_streams() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).call(Hook).at(44.5).hangs().at(45).expect([Signal(1)]).at(46.5);
    pod.answer_late(&page(1, 0)).expect([Release(Idle, Some(0))]).at(50).streams(1).at(51.5).expect([Kill(1)]);
}
