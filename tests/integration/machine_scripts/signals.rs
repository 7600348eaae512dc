//! The one signal: to whom, when, and when not.

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
use crate::machine_scripts::pod::{Pod, count, found, incarnation, policy, second};

#[test]
fn a_signal_that_the_target_does_not_catch_is_not_sent() {
    let mut pod = Pod::start(policy(), Some(found(1, Some(SignalBlocker::NotCaught))), &[(Metrics, count(3))]);
    pod.at(10).call(Hook).at(19.5).streams(0).at(22).expect([Release(Drained, Some(0))]);
    assert!(!pod.result.expect("a result").signalled);
}

#[test]
fn a_signal_that_is_not_permitted_is_not_sent_and_is_looked_at_again_each_poll() {
    let blocker = SignalBlocker::NotPermitted { theirs: 0, ours: 1000 };
    let mut pod = Pod::start(policy(), Some(found(1, Some(blocker))), &[(Metrics, count(3))]);
    pod.at(10).call(Hook).at(30.5).finds(found(1, None)).at(31).expect([Signal(1)]);
}

#[test]
fn an_obstacle_that_comes_up_in_the_lame_duck_keeps_the_signal_back() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(14).finds(found(1, Some(SignalBlocker::NotCaught)));
    pod.at(65).expect([Release(Expired, Some(3))]);
}

#[test]
fn two_targets_are_not_signalled_until_one_is_left() {
    let mut pod = Pod::serving(3);
    pod.at(10)
        .call(Hook)
        .finds(SearchResult::Ambiguous(vec![1, 7]))
        .at(25)
        .finds(found(1, None))
        .at(26)
        .expect([Signal(1)]);
}

#[test]
fn a_search_from_the_lame_duck_does_not_license_the_signal() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(13.5).searches_hang().at(15.5);
    let requested_at = pod.unanswered_searches[0];
    assert_eq!(requested_at, second(14));
    pod.input(Input::SearchResult { requested_at, result: found(1, None) }).expect([]);
    let requested_at = pod.unanswered_searches[1];
    assert_eq!(requested_at, second(15));
    pod.input(Input::SearchResult { requested_at, result: found(1, None) }).expect([Signal(1)]);
}

#[test]
fn a_page_that_hangs_does_not_delay_the_signal() {
    Pod::serving(3).at(10).call(Hook).at(13.5).hangs().at(15).expect([Signal(1)]);
}

#[test]
fn a_signal_that_fails_is_tried_again_at_the_next_poll() {
    let mut pod = Pod::serving(3);
    pod.signals_fail(true).at(10).call(Hook).at(17.5);
    assert!(!pod.saved.expect("a saved drain").signalled);
    pod.signals_fail(false).at(18).expect([Signal(1)]);
}

#[test]
fn a_drain_whose_signal_fails_goes_by_count_alone() {
    let mut pod = Pod::serving(3);
    pod.signals_fail(true).at(10).call(Hook).at(19.5).streams(0).at(22).expect([Release(Drained, Some(0))]);
    assert!(!pod.result.expect("a result").signalled);
}

#[test]
fn word_of_a_signal_to_the_life_before_changes_nothing() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).input(Input::SignalResult(incarnation(9), false)).at(30);
    pod.exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0))]);
}

#[test]
fn no_signal_goes_out_after_the_release() {
    let mut pod = Pod::serving(0);
    pod.finds(SearchResult::Ambiguous(vec![1, 7])).at(10).call(Hook).at(17).expect([Release(Drained, Some(0))]);
    pod.finds(found(1, None)).at(60).phase(Phase::Done);
}

#[test]
fn no_signal_goes_out_while_serving() {
    Pod::serving(0).at(300).ready();
}

#[test]
fn signal_none_counts_and_waits_with_a_target_or_without() {
    for sighting in [found(1, None), SearchResult::NotFound] {
        let mut policy = policy();
        policy.signal = None;
        let mut pod = Pod::start(policy, Some(sighting), &[(Metrics, count(3))]);
        pod.ready().at(10).call(Hook).at(19.5).streams(0).at(22).expect([Release(Drained, Some(0))]);
    }
}

#[test]
fn a_pod_is_unready_while_its_target_may_not_be_signalled() {
    let mut pod = Pod::start(policy(), Some(found(1, Some(SignalBlocker::NotCaught))), &[(Metrics, count(3))]);
    let signal = "SIGINT".to_owned();
    pod.not_ready(NotReady::CannotSignal { pid: 1, signal, blocker: SignalBlocker::NotCaught });
    pod.at(0.5).finds(found(1, None)).at(1).ready();
}

#[test]
fn a_second_match_that_passes_leaves_the_pod_ready_and_one_that_stays_does_not() {
    let mut pod = Pod::serving(3);
    pod.at(9.5).finds(SearchResult::Ambiguous(vec![1, 7])).at(12).ready();
    pod.at(13).not_ready(NotReady::Ambiguous(vec![1, 7])).finds(found(1, None)).at(14).ready();
}

#[test]
fn nothing_is_known_before_the_first_look() {
    Pod::start(policy(), None, &[(Metrics, count(3))]).not_ready(NotReady::Starting);
}

#[test]
fn zero_is_no_end_before_somebody_has_looked_whether_the_signal_may_go_out() {
    let mut pod =
        Pod::with(0, |policy| (policy.times.quiet_period, policy.times.exit_wait) = (Duration::ZERO, Duration::ZERO));
    pod.at(10).call(Hook).at(14.5).searches_hang().at(15.5);
    let requested_at = pod.unanswered_searches[0];
    assert_eq!(requested_at, second(15));
    pod.input(Input::SearchResult { requested_at, result: found(1, None) }).expect([Signal(1)]);
    pod.at(16).expect([Release(Drained, Some(0))]);
}

#[test]
fn target_that_ends_while_its_signal_is_due_ends_the_drain() {
    let mut pod = Pod::start(policy(), Some(SearchResult::NotFound), &[(Metrics, count(3))]);
    pod.at(10).call(Hook).at(19.5).signals_fail(true).ends_before_it_is_watched(1);
    pod.at(20).expect([Release(Exited, Some(3))]);
}
