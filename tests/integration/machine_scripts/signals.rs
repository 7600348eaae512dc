//! The one signal of a drain: when it is sent, and what prevents it.

use std::time::Duration;

use lameduck_machine::io::Input;
use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::Source::Metrics;
use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::{Drained, Exited, Expired};
use lameduck_machine::result::Trigger::Hook;
use lameduck_machine::snapshot::Phase;
use lameduck_machine::target::{SearchResult, SignalBlocker};

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{
    CALL, DEADLINE, Pod, QUIET_PERIOD, SEARCH_INTERVAL, SIGNAL, count, found, incarnation, policy, second,
};

#[test]
fn signal_that_may_not_be_caught_is_not_sent() {
    for blocker in [SignalBlocker::NotCaught, SignalBlocker::CaughtUnknown] {
        let mut pod = Pod::start(policy(), Some(found(1, Some(blocker))), &[(Metrics, count(3))]);
        pod.at(CALL).call(Hook).at(19.5).streams(0).at(20 + QUIET_PERIOD).expect([Release(Drained, Some(0))]);
        assert!(!pod.result.expect("a result").signalled);
    }
}

#[test]
fn unpermitted_signal_is_rechecked_at_each_poll_and_sent_after_search() {
    let blocker = SignalBlocker::NotPermitted { errno: 1, theirs: 0, ours: 1000 };
    let mut pod = Pod::start(policy(), Some(found(1, Some(blocker))), &[(Metrics, count(3))]);
    pod.at(CALL).call(Hook).at(30.5).search_finds(found(1, None)).at(31).expect([]);
    pod.at(32).expect([Signal(1)]);
}

#[test]
fn blocker_that_appears_in_lame_duck_prevents_signal() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(14).search_finds(found(1, Some(SignalBlocker::NotCaught)));
    pod.at(DEADLINE).expect([Release(Expired, Some(3))]);
}

#[test]
fn ambiguous_target_is_not_signalled_until_resolved() {
    let mut pod = Pod::serving(3);
    pod.at(CALL)
        .call(Hook)
        .search_finds(SearchResult::Ambiguous(vec![1, 7]))
        .at(25)
        .search_finds(found(1, None))
        .at(26)
        .expect([Signal(1)]);
}

#[test]
fn signal_needs_search_requested_after_lame_duck() {
    let mut pod = Pod::serving(3);
    pod.at(9.5).searches_hang().at(CALL).call(Hook).at(15.5);
    let requested_at = pod.unanswered_searches[0];
    assert_eq!(requested_at, second(CALL));
    pod.input(Input::SearchResult { requested_at, result: found(1, None) }).expect([]);
    let requested_at = second(SIGNAL);
    assert!(pod.unanswered_searches.contains(&requested_at), "{:?}", pod.unanswered_searches);
    pod.input(Input::SearchResult { requested_at, result: found(1, None) }).expect([Signal(1)]);
}

#[test]
fn hanging_page_does_not_delay_signal() {
    Pod::serving(3).at(CALL).call(Hook).at(13.5).polls_hang().at(SIGNAL).expect([Signal(1)]);
}

#[test]
fn failed_signal_is_retried_at_next_poll() {
    let mut pod = Pod::serving(3);
    pod.signals_fail(true).at(CALL).call(Hook).at(17.5);
    assert!(pod.saved.expect("a saved drain").signal.is_none());
    pod.signals_fail(false).at(18).expect([Signal(1)]);
}

#[test]
fn drain_with_failed_signal_ends_by_count() {
    let mut pod = Pod::serving(3);
    pod.signals_fail(true)
        .at(CALL)
        .call(Hook)
        .at(19.5)
        .streams(0)
        .at(20 + QUIET_PERIOD)
        .expect([Release(Drained, Some(0))]);
    assert!(!pod.result.expect("a result").signalled);
}

#[test]
fn signal_result_of_other_incarnation_is_ignored() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().input(Input::SignalResult(incarnation(9), false)).at(30);
    pod.exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0))]);
}

#[test]
fn no_signal_is_sent_after_release() {
    let mut pod = Pod::serving(0);
    pod.search_finds(SearchResult::Ambiguous(vec![1, 7]))
        .at(CALL)
        .call(Hook)
        .at(SIGNAL + QUIET_PERIOD)
        .expect([Release(Drained, Some(0))]);
    pod.search_finds(found(1, None)).at(60).phase(Phase::Done);
}

#[test]
fn no_signal_is_sent_while_serving() {
    Pod::serving(0).at(300).ready();
}

#[test]
fn signal_none_drains_with_or_without_target() {
    for search_result in [found(1, None), SearchResult::NotFound] {
        let mut policy = policy();
        policy.signal = None;
        let mut pod = Pod::start(policy, Some(search_result), &[(Metrics, count(3))]);
        pod.ready().at(CALL).call(Hook).at(19.5).streams(0).at(20 + QUIET_PERIOD).expect([Release(Drained, Some(0))]);
    }
}

#[test]
fn pod_is_not_ready_while_signal_is_blocked() {
    for blocker in [SignalBlocker::NotCaught, SignalBlocker::CaughtUnknown] {
        let mut pod = Pod::start(policy(), Some(found(1, Some(blocker.clone()))), &[(Metrics, count(3))]);
        pod.not_ready(NotReady::CannotSignal { pid: 1, signal: "SIGINT".to_owned(), blocker });
        pod.at(0.5).search_finds(found(1, None)).at(1).ready();
    }
}

#[test]
fn only_lasting_ambiguity_makes_pod_not_ready() {
    let mut pod = Pod::serving(3);
    pod.at(0.5).search_finds(SearchResult::Ambiguous(vec![1, 7])).at(SEARCH_INTERVAL + 2.0).ready();
    pod.at(SEARCH_INTERVAL + 3.0).not_ready(NotReady::Ambiguous(vec![1, 7]));
    pod.search_finds(found(1, None)).at(SEARCH_INTERVAL + 4.0).ready();
}

#[test]
fn pod_is_starting_before_first_search() {
    Pod::start(policy(), None, &[(Metrics, count(3))]).not_ready(NotReady::Starting);
}

#[test]
fn zero_does_not_end_drain_before_search_for_signal() {
    let mut pod =
        Pod::with(0, |policy| (policy.times.quiet_period, policy.times.exit_wait) = (Duration::ZERO, Duration::ZERO));
    pod.at(CALL).call(Hook).at(14.8).searches_hang().at(15.5);
    let requested_at = pod.unanswered_searches[0];
    assert_eq!(requested_at, second(SIGNAL));
    pod.input(Input::SearchResult { requested_at, result: found(1, None) }).expect([Signal(1)]);
    pod.at(16).expect([Release(Drained, Some(0))]);
}

#[test]
fn target_that_ends_while_its_signal_is_due_ends_the_drain() {
    let mut pod = Pod::start(policy(), Some(SearchResult::NotFound), &[(Metrics, count(3))]);
    pod.at(10).call(Hook).at(19.5).signals_fail(true).ends_before_it_is_watched(1);
    pod.at(20).expect([Release(Exited, Some(3))]);
}
