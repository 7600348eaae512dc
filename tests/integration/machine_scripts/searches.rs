//! When the machine searches for the target among all processes.

use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::Source::Metrics;
use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::Expired;
use lameduck_machine::result::Trigger::Hook;
use lameduck_machine::target::{SearchResult, SignalBlocker};

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{CALL, DEADLINE, Pod, SEARCH_INTERVAL, SIGNAL, count, found, policy, second};

/// Checks the seconds at which the searches since the last check were requested.
fn assert_searches(pod: &mut Pod, seconds: &[f64]) {
    let expected: Vec<_> = seconds.iter().map(|at| second(*at)).collect();
    assert_eq!(std::mem::take(&mut pod.searches), expected);
}

#[test]
fn target_is_searched_at_each_poll_until_it_is_found() {
    let mut pod = Pod::start(policy(), Some(SearchResult::NotFound), &[(Metrics, count(3))]);
    pod.at(3.5).search_finds(found(1, None)).at(10);
    assert_searches(&mut pod, &[0.0, 1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn searches_are_rare_while_target_lives() {
    let mut pod = Pod::serving(3);
    pod.at(3.0 * SEARCH_INTERVAL - 0.5);
    assert_searches(&mut pod, &[0.0, SEARCH_INTERVAL, 2.0 * SEARCH_INTERVAL]);
}

#[test]
fn target_is_searched_at_each_poll_after_its_exit() {
    let mut pod = Pod::serving(3);
    pod.at(10.5).exits(1, ExitStatus::Code(0)).at(12).search_finds(found(2, None)).streams(1).at(20);
    assert_searches(&mut pod, &[0.0, 10.5, 11.5, 12.5]);
}

#[test]
fn target_is_searched_at_each_poll_while_it_exits() {
    let mut pod = Pod::serving(3);
    pod.at(9.5).begins_to_exit(1).at(12);
    assert_searches(&mut pod, &[0.0, 11.0, 12.0]);
    pod.exits(1, ExitStatus::Code(0));
}

#[test]
fn drain_searches_at_its_start_and_before_signal() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(SIGNAL).expect([Signal(1)]).at(30);
    assert_searches(&mut pod, &[0.0, CALL.into(), SIGNAL.into()]);
    pod.at(DEADLINE).expect([Release(Expired, Some(3))]);
}

#[test]
fn blocked_signal_adds_one_search_at_draining_and_one_before_signal() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(14.5).search_finds(found(1, Some(SignalBlocker::NotCaught))).at(17.5);
    assert_searches(&mut pod, &[0.0, 10.0, 15.0]);
    pod.search_finds(found(1, None)).at(18).expect([]);
    pod.at(19).expect([Signal(1)]);
    assert_searches(&mut pod, &[19.0]);
    pod.searches.clear();
    pod.at(30);
    assert_searches(&mut pod, &[]);
}

#[test]
fn drain_without_signal_searches_at_its_start() {
    let mut pod = Pod::with(3, |policy| policy.signal = None);
    pod.at(CALL).call(Hook).at(28);
    assert_searches(&mut pod, &[0.0, 10.0]);
}

#[test]
fn unauthorized_call_adds_one_search_and_no_poll() {
    let mut pod = Pod::serving(3);
    pod.at(10.5).call_unauthorized(1).at(15);
    assert_searches(&mut pod, &[0.0, 11.0]);
}

#[test]
fn second_match_makes_pod_unready_within_thirty_seconds() {
    let mut pod = Pod::serving(3);
    // Just after a search.
    pod.at(0.1).search_finds(SearchResult::Ambiguous(vec![1, 7])).at(30);
    pod.not_ready(NotReady::Ambiguous(vec![1, 7]));
}

#[test]
fn change_of_blocker_shows_at_next_poll_without_search() {
    let blocker = SignalBlocker::NotCaught;
    let mut pod = Pod::start(policy(), Some(found(1, Some(blocker.clone()))), &[(Metrics, count(3))]);
    pod.at(2.5).not_ready(NotReady::CannotSignal { pid: 1, signal: "SIGINT".to_owned(), blocker });
    pod.search_finds(found(1, None)).at(3).ready();
    assert_searches(&mut pod, &[0.0]);
}
