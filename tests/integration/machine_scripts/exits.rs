//! How many streams the target took with it when it ended.

use std::time::Duration;

use lameduck_machine::reading::ReadErrorKind;
use lameduck_machine::result::ExitStatus::{self, Code, Killed, Unknown};
use lameduck_machine::result::Outcome::{Drained, Exited};
use lameduck_machine::result::Trigger::Hook;

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{Pod, found};

const OURS: i32 = 2;

/// The stragglers of a signalled target that ends like this while so many streams are on it.
fn signalled(streams: u64, status: ExitStatus) -> Option<u64> {
    let mut pod = Pod::serving(streams);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(15.5).exits(1, status);
    stragglers(&mut pod)
}

/// The same with the last reading long ago.
fn signalled_stale(streams: u64, status: ExitStatus) -> Option<u64> {
    let mut pod = Pod::with(streams, |policy| policy.times.scrape_timeout = Duration::from_secs(9));
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).hangs().at(18.5).exits(1, status);
    stragglers(&mut pod)
}

/// The stragglers of a target that ends before it was signalled.
fn unsignalled(streams: u64, status: ExitStatus) -> Option<u64> {
    let mut pod = Pod::serving(streams);
    pod.at(10).call(Hook).at(12.5).exits(1, status);
    stragglers(&mut pod)
}

fn unsignalled_stale(streams: u64, status: ExitStatus) -> Option<u64> {
    let mut pod = Pod::with(streams, |policy| policy.times.scrape_timeout = Duration::from_secs(9));
    pod.at(10).call(Hook).hangs().at(14.5).exits(1, status);
    stragglers(&mut pod)
}

fn stragglers(pod: &mut Pod) -> Option<u64> {
    let result = pod.result.expect("the exit ends the drain");
    assert_eq!(result.outcome, Exited);
    pod.expect([Release(Exited, result.stragglers)]);
    result.stragglers
}

#[test]
fn a_signalled_target_that_exits_cleanly_ended_its_streams_itself() {
    assert_eq!([signalled(3, Code(0)), signalled_stale(3, Code(0))], [Some(0); 2]);
}

#[test]
fn a_signalled_target_that_fails_leaves_what_nobody_knows() {
    assert_eq!([signalled(3, Code(1)), signalled_stale(3, Code(1)), signalled_stale(0, Code(1))], [None; 3]);
}

#[test]
fn a_signalled_target_that_ends_untold_leaves_what_nobody_knows() {
    assert_eq!([signalled(3, Unknown), signalled_stale(3, Unknown), signalled_stale(0, Unknown)], [None; 3]);
}

#[test]
fn a_signalled_target_that_had_just_been_at_zero_leaves_nothing() {
    assert_eq!([signalled(0, Unknown), signalled(0, Code(1)), signalled(0, Killed(OURS))], [Some(0); 3]);
}

#[test]
fn a_target_that_dies_of_our_signal_may_have_ended_its_streams() {
    assert_eq!([signalled(3, Killed(OURS)), signalled_stale(3, Killed(OURS))], [None; 2]);
}

#[test]
fn a_target_that_is_killed_by_another_leaves_its_streams() {
    assert_eq!([signalled(3, Killed(9)), unsignalled(3, Killed(9))], [Some(3); 2]);
    assert_eq!([signalled_stale(3, Killed(9)), unsignalled_stale(3, Killed(9))], [None; 2]);
    assert_eq!(signalled(0, Killed(9)), Some(0));
}

#[test]
fn an_unsignalled_target_leaves_its_streams_however_it_ends() {
    for status in [Unknown, Code(0), Code(1), Killed(OURS), Killed(9)] {
        assert_eq!(unsignalled(3, status), Some(3), "{status:?}");
        assert_eq!(unsignalled(0, status), Some(0), "{status:?}");
        assert_eq!(unsignalled_stale(3, status), None, "{status:?}");
    }
}

#[test]
fn a_reading_is_fresh_for_two_polls() {
    let stragglers = |end: f64| {
        let mut pod = Pod::with(3, |policy| policy.times.scrape_timeout = Duration::from_secs(9));
        pod.at(10).call(Hook).at(12).hangs().at(end).exits(1, Killed(9));
        stragglers(&mut pod)
    };
    assert_eq!([stragglers(14.0), stragglers(14.1)], [Some(3), None]);
}

#[test]
fn an_unknown_page_leaves_unknown_stragglers() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(11).fails(ReadErrorKind::NoResponse).at(12.5).exits(1, Killed(9));
    assert_eq!(stragglers(&mut pod), None);
}

/// The stragglers of a target that takes long to die: it has ended more than two polls, 2 s, after its last reading.
fn slowly(streams: u64, status: ExitStatus) -> Option<u64> {
    let mut pod = Pod::serving(streams);
    pod.at(10).call(Hook).at(11.2).begins_to_exit(1).at(14.5).exits(1, status);
    stragglers(&mut pod)
}

#[test]
fn a_target_that_takes_long_to_die_leaves_the_streams_that_it_had() {
    assert_eq!([slowly(3, Killed(9)), slowly(3, Unknown), slowly(0, Killed(9))], [Some(3), Some(3), Some(0)]);
}

#[test]
fn what_is_read_of_a_dying_target_is_nobodys_word() {
    let mut pod = Pod::serving(3);
    pod.at(10)
        .call(Hook)
        .at(10.5)
        .hangs()
        .at(11.5)
        .begins_to_exit(1)
        .at(12)
        .streams(0)
        .at(13.2)
        .counted(Some(3))
        .exits(1, Killed(9));
    assert_eq!(stragglers(&mut pod), Some(3));
}

#[test]
fn a_count_that_was_stale_when_the_target_began_to_die_is_none() {
    let mut pod = Pod::with(3, |policy| policy.times.scrape_timeout = Duration::from_secs(9));
    pod.at(10).call(Hook).hangs().at(12.5).begins_to_exit(1).at(13).exits(1, Killed(9));
    assert_eq!(stragglers(&mut pod), None);
}

#[test]
fn a_dying_target_is_not_signalled() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(13.5).begins_to_exit(1).at(17).exits(1, Unknown).expect([Release(Exited, Some(3))]);
}

#[test]
fn the_death_of_another_says_nothing_of_the_target() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).begins_to_exit(2).at(11.5).begins_to_exit_no_more().streams(2).at(15).expect([Signal(1)]);
    pod.at(15.5).exits(1, Killed(9));
    assert_eq!(stragglers(&mut pod), Some(2));
}

#[test]
fn a_new_life_is_not_dying_because_the_one_before_was() {
    let mut pod = Pod::serving(3);
    pod.at(10)
        .begins_to_exit(1)
        .at(11)
        .exits(1, Killed(9))
        .at(12)
        .finds(found(2, None))
        .streams(4)
        .at(14)
        .counted(Some(4));
}

#[test]
fn who_answers_after_a_slow_death_is_heard() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(11.2).begins_to_exit(1).at(14.5).exits(1, Killed(9)).expect([Release(Exited, Some(3))]);
    pod.at(16).streams(4).at(18).counted(Some(4));
}

#[test]
fn zero_that_had_held_is_not_taken_back_while_the_target_dies() {
    let mut pod = Pod::serving(0);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(18).begins_to_exit(1).at(23).exits(1, Code(0));
    pod.expect([Release(Drained, Some(0))]);
}

#[test]
fn waiting_for_the_exit_a_count_of_zero_proves_nothing() {
    let mut pod = Pod::with(0, |policy| policy.wait_for_exit = true);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(15.5).exits(1, Code(1));
    assert_eq!(stragglers(&mut pod), None);
}

#[test]
fn an_exit_while_serving_releases_no_drain_that_never_was() {
    let mut pod = Pod::serving(3);
    pod.at(10).exits(1, Code(0)).at(30);
    assert!(pod.result.is_none() && pod.saved.is_none());
}

#[test]
fn a_second_word_of_the_same_exit_changes_nothing() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(12.5).exits(1, Killed(9)).expect([Release(Exited, Some(3))]);
    pod.exits(1, Unknown).at(20);
}
