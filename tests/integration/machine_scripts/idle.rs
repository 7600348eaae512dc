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
fn keep_alives_alone_end_a_drain_as_idle_and_the_target_that_stays_is_killed_an_exit_margin_later() {
    let mut pod = Pod::with(2, idling);
    pod.traffic(&[26, 0]).at(40).idle(Some(2)).call(Hook).at(45).expect([Signal(1), Release(Idle, Some(0))]);
    assert_eq!(pod.result.map(|result| result.idle_streams), Some(2));
    pod.at(50).expect([Kill(1)]).at(110);
}

#[test]
fn a_target_that_leaves_within_the_exit_margin_is_not_killed() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).call(Hook).at(45).expect([Signal(1), Release(Idle, Some(0))]);
    pod.at(49).exits(1, ExitStatus::Code(0)).at(60);
}

#[test]
fn one_working_stream_holds_the_drain_for_all() {
    let mut pod = Pod::with(3, idling);
    pod.traffic(&[0, 26, 2000]).at(40).idle(Some(2)).call(Hook).at(45).expect([Signal(1)]);
    pod.at(95).expect([Release(Expired, Some(3))]);
    assert_eq!(pod.result.map(|result| result.idle_streams), Some(2));
}

#[test]
fn the_window_begins_with_the_last_work() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[2000]).at(40).call(Hook).at(45).expect([Signal(1)]);
    pod.at(50).traffic(&[26]).at(69).at(70).expect([Release(Idle, Some(0))]).at(75).expect([Kill(1)]);
}

#[test]
fn without_being_asked_nothing_ends_early_but_idle_streams_are_shown() {
    let mut pod = Pod::with(2, |policy| {
        idling(policy);
        policy.idle.ends_drain = false;
    });
    pod.traffic(&[26, 0]).at(40).idle(Some(2)).call(Hook).at(45).expect([Signal(1)]).idle(Some(2));
    pod.at(95).expect([Release(Expired, Some(2))]).at(105);
}

#[test]
fn batch_and_speech_synthesis_work_without_receiving_a_byte() {
    let mut pod = Pod::with(0, idling);
    pod.readings(&page(3, 1)).traffic(&[0, 0, 0]).at(40).idle(Some(2)).call(Hook).at(45).expect([Signal(1)]);
    pod.at(70).readings(&page(2, 0)).at(71).expect([Release(Idle, Some(0))]).at(76).expect([Kill(1)]);
}

#[test]
fn an_unknown_count_is_never_idle() {
    let mut pod = Pod::with(2, idling);
    pod.traffic(&[0, 0]).at(40).call(Hook).at(41).fails(ConnectionRefused).at(45).expect([Signal(1)]).idle(None);
    pod.at(95).expect([Release(Expired, None)]);
}

#[test]
fn a_table_that_cannot_be_read_shows_nobody_idle() {
    let mut pod = Pod::with(2, idling);
    pod.traffic(&[0, 0]).at(40).table_readable(false).at(41).idle(None).call(Hook).at(46).expect([Signal(1)]);
    pod.at(60).table_readable(true).at(61).expect([Release(Idle, Some(0))]).at(66).expect([Kill(1)]);
}

#[test]
fn no_connection_on_the_activity_port_is_a_wrong_port_and_not_idleness() {
    let mut pod = Pod::with(2, idling);
    pod.at(40).idle(None).call(Hook).at(45).expect([Signal(1)]).at(95).expect([Release(Expired, Some(2))]);
}

#[test]
fn a_zero_is_drained_and_not_idle() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).streams(0).at(41).idle(Some(0)).call(Hook).at(46).expect([Signal(1)]);
    pod.at(58).expect([Release(Drained, Some(0))]);
}

#[test]
fn nothing_is_idle_in_the_lame_duck() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).call(Hook).at(44.9).at(45).expect([Signal(1), Release(Idle, Some(0))]);
    pod.at(50).expect([Kill(1)]);
}

#[test]
fn where_only_the_exit_counts_idle_streams_end_nothing() {
    let mut pod = Pod::with(1, |policy| {
        idling(policy);
        policy.wait_for_exit = true;
    });
    pod.traffic(&[0]).at(40).call(Hook).at(45).expect([Signal(1)]).at(95).expect([Release(Expired, Some(1))]);
}

#[test]
fn a_new_life_inherits_no_silence() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).exits(1, ExitStatus::Unknown).finds(found(2, None)).streams(1).at(41).traffic(&[]);
    pod.traffic(&[0]).at(45).idle(Some(0)).call(Hook).at(50).expect([Signal(2)]);
    pod.at(60.9).at(62).expect([Release(Idle, Some(0))]).at(67).expect([Kill(2)]);
}

#[test]
fn a_restarted_sidecar_kills_the_one_who_stays_on_time() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).call(Hook).at(45).expect([Signal(1), Release(Idle, Some(0))]);
    pod.at(47).restarts().at(50).expect([Kill(1)]).at(60);
}

#[test]
fn connections_that_are_counted_too_tell_no_kinds_and_deny_none() {
    let mut pod = Pod::with(1, |policy| {
        idling(policy);
        policy.sources = vec![Metrics, Sockets];
    });
    pod.traffic(&[0, 26]).at(40).counted(Some(2)).idle(Some(2)).call(Hook).at(45);
    pod.expect([Signal(1), Release(Idle, Some(0))]).at(50).expect([Kill(1)]);
}

#[test]
fn a_page_that_died_no_longer_denies_that_a_batch_is_left() {
    let mut pod = Pod::with(2, |policy| {
        idling(policy);
        policy.sources = vec![Metrics, Sockets];
    });
    pod.traffic(&[0, 0]).at(40).call(Hook).at(41).fails(ConnectionRefused).at(45).expect([Signal(1)]);
    pod.counted(Some(2)).idle(None).at(95).expect([Release(Expired, Some(2))]);
}

#[test]
fn a_table_that_hangs_leaves_no_old_silence_to_rely_on() {
    let mut pod = Pod::with(0, idling);
    pod.readings(&page(2, 1)).traffic(&[0]).at(40).call(Hook).at(45).expect([Signal(1)]).at(50).table_hangs();
    pod.at(60).readings(&page(1, 0)).at(95).expect([Release(Expired, Some(1))]);
}

#[test]
fn a_table_that_comes_after_the_page_is_judged_at_once() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).call(Hook).at(44.5).table_hangs().at(45).expect([Signal(1)]).at(46.5);
    let sockets = Some(SocketReading { read_at: second(46.5), table: Ok(silent(1)) });
    let readings = page(1, 0).to_vec();
    pod.input(Input::Polled(Poll { requested_at: second(45), readings, sockets, ..Poll::default() }));
    pod.expect([Release(Idle, Some(0))]);
    pod.at(51.5).expect([Kill(1)]);
}

#[test]
fn a_look_that_was_ordered_for_the_life_before_shows_nothing_of_this_one() {
    let mut pod = Pod::with(1, idling);
    pod.at(40).hangs().at(41);
    let (requested_at, _) = *pod.unanswered_polls.last().unwrap();
    let table = silent(7);
    pod.exits(1, ExitStatus::Unknown).finds(found(2, None)).streams(1).table_hangs().at(42);
    let sockets = Some(SocketReading { read_at: second(42), table: Ok(table) });
    pod.input(Input::Polled(Poll { requested_at, sockets, ..Poll::default() })).counted(None).idle(None);
}

#[test]
fn a_target_that_works_again_within_the_exit_margin_is_not_killed_for_it() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).call(Hook).at(45).expect([Signal(1), Release(Idle, Some(0))]);
    pod.at(46).traffic(&[2000]).at(60).traffic(&[0]).at(79).at(80).expect([Kill(1)]);
}

#[test]
fn a_target_that_a_person_drained_and_nobody_told_is_not_killed() {
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
fn idle_streams_alone_hold_no_waiter_and_nobody_is_killed_for_it() {
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
fn a_stream_that_has_not_ended_asks_for_a_grace_period_by_how_long_it_has_worked() {
    let mut pod = Pod::with(2, idling);
    pod.at(5).traffic(&[0]).at(10).traffic(&[0, 2000]).at(100).traffic(&[0, 0]).at(600);
    assert_eq!(pod.durations().grace_period(), Some(Duration::from_secs(120)));
}

#[test]
fn a_page_and_a_table_that_are_slow_to_come_still_show_who_is_idle() {
    let mut pod = Pod::with(1, idling);
    pod.traffic(&[0]).at(40).call(Hook).at(44.5).hangs().at(45).expect([Signal(1)]).at(46.5);
    pod.answer_late(&page(1, 0)).expect([Release(Idle, Some(0))]).at(50).streams(1).at(51.5).expect([Kill(1)]);
}
