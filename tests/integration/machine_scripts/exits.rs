//! The stragglers of a target that exits before its drain has ended.

use std::time::Duration;

use lameduck_machine::reading::ReadErrorKind;
use lameduck_machine::reading::Source::{Metrics, Status};
use lameduck_machine::result::ExitStatus::{self, Code, Killed, Unknown};
use lameduck_machine::result::Outcome::{Drained, Exited, Expired};
use lameduck_machine::result::Trigger::Hook;

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{CALL, Pod, SIGNAL, count, found, policy};

/// The signal of the policy, SIGINT.
const DRAIN_SIGNAL: i32 = 2;
const SIGKILL: i32 = 9;

/// The stragglers of a target that exits after the signal, with this many streams and this status.
fn signalled(streams: u64, status: ExitStatus) -> Option<u64> {
    let mut pod = Pod::serving(streams);
    pod.drain_to_signal().at(15.8).exits(1, status);
    stragglers(&mut pod)
}

/// The same, but the last reading is stale.
fn signalled_stale(streams: u64, status: ExitStatus) -> Option<u64> {
    let mut pod = Pod::with(streams, |policy| policy.times.scrape_timeout = Duration::from_secs(9));
    pod.drain_to_signal().polls_hang().at(18.5).exits(1, status);
    stragglers(&mut pod)
}

/// The stragglers of a target that exits before the signal.
fn unsignalled(streams: u64, status: ExitStatus) -> Option<u64> {
    let mut pod = Pod::serving(streams);
    pod.at(CALL).call(Hook).at(12.5).exits(1, status);
    stragglers(&mut pod)
}

/// The same, but the last reading is stale.
fn unsignalled_stale(streams: u64, status: ExitStatus) -> Option<u64> {
    let mut pod = Pod::with(streams, |policy| policy.times.scrape_timeout = Duration::from_secs(9));
    pod.at(CALL).call(Hook).polls_hang().at(14.5).exits(1, status);
    stragglers(&mut pod)
}

/// The stragglers of a drain that the exit has just ended.
fn stragglers(pod: &mut Pod) -> Option<u64> {
    let result = pod.result.expect("the result of a drain that the exit ended");
    assert_eq!(result.outcome, Exited);
    pod.expect([Release(Exited, result.stragglers)]);
    result.stragglers
}

#[test]
fn clean_exit_of_target_that_served_on_leaves_no_stragglers() {
    assert_eq!(signalled(3, Code(0)), Some(0));
    assert_eq!(signalled_stale(3, Code(0)), None, "no reading after the signal");
}

#[test]
fn failed_exit_after_signal_leaves_unknown_stragglers() {
    assert_eq!([signalled(3, Code(1)), signalled_stale(3, Code(1)), signalled_stale(0, Code(1))], [None; 3]);
}

#[test]
fn unknown_exit_after_signal_leaves_unknown_stragglers() {
    assert_eq!([signalled(3, Unknown), signalled_stale(3, Unknown), signalled_stale(0, Unknown)], [None; 3]);
}

#[test]
fn exit_shortly_after_zero_leaves_no_stragglers() {
    assert_eq!([signalled(0, Unknown), signalled(0, Code(1)), signalled(0, Killed(DRAIN_SIGNAL))], [Some(0); 3]);
}

#[test]
fn death_by_drain_signal_leaves_unknown_stragglers() {
    assert_eq!([signalled(3, Killed(DRAIN_SIGNAL)), signalled_stale(3, Killed(DRAIN_SIGNAL))], [None; 2]);
}

#[test]
fn death_by_other_signal_leaves_counted_streams() {
    assert_eq!([signalled(3, Killed(SIGKILL)), unsignalled(3, Killed(SIGKILL))], [Some(3); 2]);
    assert_eq!([signalled_stale(3, Killed(SIGKILL)), unsignalled_stale(3, Killed(SIGKILL))], [None; 2]);
    assert_eq!(signalled(0, Killed(SIGKILL)), Some(0));
}

#[test]
fn exit_without_signal_leaves_counted_streams() {
    for status in [Unknown, Code(0), Code(1), Killed(DRAIN_SIGNAL), Killed(SIGKILL)] {
        assert_eq!(unsignalled(3, status), Some(3), "{status:?}");
        assert_eq!(unsignalled(0, status), Some(0), "{status:?}");
        assert_eq!(unsignalled_stale(3, status), None, "{status:?}");
    }
}

#[test]
fn reading_is_fresh_for_two_poll_intervals() {
    let stragglers_at = |end: f64| {
        let mut pod = Pod::with(3, |policy| policy.times.scrape_timeout = Duration::from_secs(9));
        pod.at(CALL).call(Hook).at(12).polls_hang().at(end).exits(1, Killed(SIGKILL));
        stragglers(&mut pod)
    };
    assert_eq!([stragglers_at(14.0), stragglers_at(14.1)], [Some(3), None]);
}

#[test]
fn unknown_count_leaves_unknown_stragglers() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(11).page_fails(ReadErrorKind::NoResponse).at(12.5).exits(1, Killed(SIGKILL));
    assert_eq!(stragglers(&mut pod), None);
}

/// The stragglers of a target that exits slowly: more than two poll intervals after its last reading.
fn slow_exit(streams: u64, status: ExitStatus) -> Option<u64> {
    let mut pod = Pod::serving(streams);
    pod.at(CALL).call(Hook).at(11.2).begins_to_exit(1).at(14.5).exits(1, status);
    stragglers(&mut pod)
}

#[test]
fn slow_exit_leaves_streams_counted_before_it() {
    assert_eq!(
        [slow_exit(3, Killed(SIGKILL)), slow_exit(3, Unknown), slow_exit(0, Killed(SIGKILL))],
        [Some(3), Some(3), Some(0)]
    );
}

#[test]
fn reading_of_exiting_target_is_discarded() {
    let mut pod = Pod::serving(3);
    pod.at(CALL)
        .call(Hook)
        .at(10.5)
        .polls_hang()
        .at(11.5)
        .begins_to_exit(1)
        .at(12)
        .streams(0)
        .at(13.2)
        .counted(Some(3))
        .exits(1, Killed(SIGKILL));
    assert_eq!(stragglers(&mut pod), Some(3));
}

#[test]
fn target_is_not_counted_again_once_it_is_exiting() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(11.5).begins_to_exit(1).at(12.5).no_process_exits().streams(0).at(14).counted(Some(3));
    pod.exits(1, Killed(SIGKILL));
    assert_eq!(stragglers(&mut pod), Some(3));
}

#[test]
fn stale_count_at_start_of_exit_is_unknown() {
    let mut pod = Pod::with(3, |policy| policy.times.scrape_timeout = Duration::from_secs(9));
    pod.at(CALL).call(Hook).polls_hang().at(12.5).begins_to_exit(1).at(13).exits(1, Killed(SIGKILL));
    assert_eq!(stragglers(&mut pod), None);
}

#[test]
fn exiting_target_is_not_signalled() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(13.5).begins_to_exit(1).at(17).exits(1, Unknown).expect([Release(Exited, Some(3))]);
}

#[test]
fn exit_of_other_process_does_not_affect_target() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).begins_to_exit(2).at(11.5).no_process_exits().streams(2).at(SIGNAL).expect([Signal(1)]);
    pod.at(15.5).exits(1, Killed(SIGKILL));
    assert_eq!(stragglers(&mut pod), Some(2));
}

#[test]
fn new_incarnation_is_not_exiting_after_slow_exit() {
    let mut pod = Pod::serving(3);
    pod.at(10)
        .begins_to_exit(1)
        .at(11)
        .exits(1, Killed(SIGKILL))
        .at(12)
        .search_finds(found(2, None))
        .streams(4)
        .at(14)
        .counted(Some(4));
}

#[test]
fn page_is_counted_again_after_slow_exit() {
    let mut pod = Pod::serving(3);
    pod.at(CALL)
        .call(Hook)
        .at(11.2)
        .begins_to_exit(1)
        .at(14.5)
        .exits(1, Killed(SIGKILL))
        .expect([Release(Exited, Some(3))]);
    pod.at(16).streams(4).at(18).counted(Some(4));
}

#[test]
fn confirmed_zero_survives_slow_exit() {
    let mut pod = Pod::serving(0);
    pod.drain_to_signal().at(18).begins_to_exit(1).at(23).exits(1, Code(0));
    pod.expect([Release(Drained, Some(0))]);
}

#[test]
fn zero_count_proves_nothing_when_waiting_for_exit() {
    let mut pod = Pod::with(0, |policy| policy.wait_for_exit = true);
    pod.drain_to_signal().at(15.5).exits(1, Code(1));
    assert_eq!(stragglers(&mut pod), None);
}

#[test]
fn exit_while_serving_creates_no_result() {
    let mut pod = Pod::serving(3);
    pod.at(10).exits(1, Code(0)).at(30);
    assert!(pod.result.is_none() && pod.saved.is_none());
}

#[test]
fn repeated_exit_report_is_ignored() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(12.5).exits(1, Killed(SIGKILL)).expect([Release(Exited, Some(3))]);
    pod.exits(1, Unknown).at(20);
}

/// A pod with a second source that never answers, so that every poll lasts until its timeout.
fn with_silent_source() -> Pod {
    let mut policy = policy();
    policy.sources = vec![Metrics, Status];
    Pod::start(policy, Some(found(1, None)), &[(Metrics, count(3))])
}

#[test]
fn stragglers_are_known_although_one_source_is_silent() {
    with_silent_source().at(10).call(Hook).at(14.5).exits(1, Unknown).expect([Release(Exited, Some(3))]);
    let mut pod = with_silent_source();
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(30.5).exits(1, Killed(9)).expect([Release(Exited, Some(3))]);
    with_silent_source().at(10).call(Hook).at(15).expect([Signal(1)]).at(65).expect([Release(Expired, Some(3))]);
}
