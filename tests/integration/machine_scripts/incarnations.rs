//! Incarnations of the target: a new one inherits nothing from the one before.

use std::time::Duration;

use lameduck_machine::io::Input;
use lameduck_machine::policy::Policy;
use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::Source::{Lazy, Metrics};
use lameduck_machine::reading::{ReadError, ReadErrorKind, Reading};
use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::{Drained, Exited, Expired};
use lameduck_machine::result::Trigger::Hook;
use lameduck_machine::snapshot::Phase;
use lameduck_machine::target::{Found, Incarnation, ObservationStart, SearchResult, SignalBlocker};

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{
    BUDGET, CALL, DEADLINE, GRACE_PERIOD, LAME_DUCK, Pod, QUIET_PERIOD, SEARCH_INTERVAL, SIGNAL, count, failure, found,
    incarnation, policy, second,
};

#[test]
fn new_incarnation_is_ready_and_can_be_signalled() {
    let mut pod = Pod::serving(0);
    pod.drain_to_signal().at(20).exits(1, ExitStatus::Code(0));
    pod.expect([Release(Drained, Some(0))]);
    pod.at(25).search_finds(found(2, None)).streams(1).at(26).phase(Phase::Serving).ready().counted(Some(1));
    assert!(pod.saved.is_none());
    pod.at(30)
        .call(Hook)
        .deadline(30 + BUDGET)
        .at(30 + LAME_DUCK)
        .expect([Signal(2)])
        .at(30 + BUDGET)
        .expect([Release(Expired, Some(1))]);
}

#[test]
fn new_incarnation_needs_own_reading_to_be_ready() {
    let mut pod = Pod::serving(0);
    pod.at(10).exits(1, ExitStatus::Code(0)).at(12).search_finds(found(2, None)).at(13);
    pod.not_ready(NotReady::SourceUnknown(ReadError::new(ReadErrorKind::ConnectionRefused, "no page")))
        .streams(0)
        .at(14)
        .ready();
}

#[test]
fn new_incarnation_found_before_exit_report_ends_drain() {
    let mut pod = Pod::serving(3);
    // The poll shows that the target has ended, and the next one goes with a search.
    pod.drain_to_signal().at(20.5).search_finds(found(2, None)).at(22);
    pod.expect([Release(Exited, None)])
        .phase(Phase::Serving)
        .input(Input::Exited(incarnation(1), ExitStatus::Killed(9)));
    pod.at(23).phase(Phase::Serving).ready();
}

#[test]
fn exit_report_makes_known_new_incarnation_the_target() {
    let mut pod = Pod::serving(3);
    pod.at(10.5).search_finds(found(2, None)).input(Input::Exited(incarnation(1), ExitStatus::Code(0)));
    assert_eq!(pod.snapshot().target.map(|target| target.incarnation), Some(incarnation(2)));
}

#[test]
fn exit_report_of_previous_incarnation_is_ignored() {
    let mut pod = Pod::serving(3);
    pod.at(10)
        .exits(1, ExitStatus::Code(0))
        .search_finds(found(2, None))
        .streams(3)
        .at(20)
        .call(Hook)
        .at(20 + LAME_DUCK)
        .expect([Signal(2)]);
    pod.input(Input::Exited(incarnation(1), ExitStatus::Killed(9))).at(20 + BUDGET).expect([Release(Expired, Some(3))]);
}

#[test]
fn renamed_target_shows_its_last_known_name() {
    let mut pod = Pod::serving(3);
    for (name, shown) in [("impeller", "impeller"), ("worker", "worker"), ("", "worker")] {
        let found = Found { incarnation: incarnation(1), name: name.into(), blocker: None };
        let second = pod.snapshot().now.since(second(0)).as_secs_f64() + SEARCH_INTERVAL;
        pod.search_finds(SearchResult::Found(found)).at(second);
        assert_eq!(pod.snapshot().target.map(|target| target.name).as_deref(), Some(shown));
    }
}

#[test]
fn reading_of_previous_incarnation_is_discarded() {
    let mut pod = Pod::serving(3);
    pod.at(9.5).polls_hang().at(10.5);
    let read_before_exit = pod.poll(second(10), vec![(Metrics, count(0))]);
    pod.exits(1, ExitStatus::Code(0)).polls_hang().search_finds(found(2, None)).at(10.6);
    pod.input(Input::Polled(read_before_exit)).counted(None);
}

#[test]
fn absent_series_is_not_inherited() {
    let mut policy = policy();
    policy.sources = vec![Metrics, Lazy];
    let mut pod = Pod::start(policy, Some(found(1, None)), &[(Metrics, count(1)), (Lazy, count(1))]);
    pod.at(10).exits(1, ExitStatus::Code(0)).at(11).search_finds(found(2, None));
    pod.readings(&[(Metrics, count(0)), (Lazy, Reading::Counts(vec![None]))]).at(12).counted(Some(0)).ready();
}

#[test]
fn stale_search_result_is_ignored_after_exit() {
    let mut pod = Pod::serving(3);
    pod.at(SEARCH_INTERVAL - 0.5)
        .searches_hang()
        .at(SEARCH_INTERVAL + 0.5)
        .exits(1, ExitStatus::Code(0))
        .search_finds(SearchResult::NotFound)
        .at(21)
        .streams(3);
    pod.at(23).call(Hook);
    let requested_at = pod.unanswered_searches[0];
    assert_eq!(requested_at, second(SEARCH_INTERVAL));
    pod.input(Input::SearchResult { requested_at, result: found(1, None) }).phase(Phase::LameDuck);
    pod.at(23 + BUDGET).expect([Release(Expired, Some(3))]);
}

#[test]
fn drain_without_target_adopts_it_when_found() {
    let mut pod = Pod::start(policy(), Some(SearchResult::Ambiguous(vec![1, 7])), &[(Metrics, count(3))]);
    pod.at(CALL).call(Hook).at(20).phase(Phase::Draining).search_finds(found(1, None)).at(21).expect([Signal(1)]);
    pod.deadline(DEADLINE).at(30).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0))]);
}

#[test]
fn target_started_during_drain_is_tracked_after_it() {
    let younger = Incarnation { pid: 9, started: policy().observed_since.ticks + 1500 };
    let found = SearchResult::Found(Found { incarnation: younger, name: "impeller".into(), blocker: None });
    let mut pod = Pod::start(policy(), Some(SearchResult::NotFound), &[(Metrics, count(3))]);
    pod.at(CALL).call(Hook).at(SIGNAL).search_finds(found).at(30).phase(Phase::Draining).expect([]);
    pod.streams(0).at(31 + QUIET_PERIOD).expect([Release(Drained, Some(0))]).at(35).phase(Phase::Serving).ready();
}

#[test]
fn target_older_than_drain_is_signalled_if_machine_is_younger_than_both() {
    let observed_since = ObservationStart { at: second(0) - Duration::from_secs(5), ticks: 100 };
    let mut pod = Pod::start(Policy { observed_since, ..policy() }, None, &[(Metrics, count(3))]);
    pod.call(Hook).search_finds(found(1, None)).at(LAME_DUCK).expect([Signal(1)]);
    pod.at(BUDGET).expect([Release(Expired, Some(3))]);
}

#[test]
fn drain_without_target_ends_at_zero() {
    let mut pod = Pod::start(policy(), Some(SearchResult::NotFound), &[(Metrics, count(3))]);
    pod.not_ready(NotReady::NotFound).at(CALL).call(Hook).at(19.5).streams(0).at(20 + QUIET_PERIOD);
    pod.expect([Release(Drained, Some(0))]);
}

#[test]
fn unsignalled_target_serves_again_after_grace_period() {
    let mut pod = Pod::start(policy(), Some(found(1, Some(SignalBlocker::NotCaught))), &[(Metrics, count(3))]);
    pod.at(CALL).call(Hook).at(DEADLINE).expect([Release(Expired, Some(3))]);
    pod.at(124.9).phase(Phase::Done).at(DEADLINE + GRACE_PERIOD).phase(Phase::Serving);
    assert!(pod.saved.is_none());
    pod.at(126).call(Hook).phase(Phase::LameDuck).deadline(126 + BUDGET);
}

#[test]
fn signalled_target_never_serves_again() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(DEADLINE).expect([Release(Expired, Some(3))]);
    pod.at(500).phase(Phase::Done);
}

#[test]
fn answering_sources_without_target_serve_again() {
    let mut pod = Pod::start(policy(), Some(SearchResult::NotFound), &[(Metrics, count(0))]);
    pod.at(CALL).call(Hook).at(SIGNAL + QUIET_PERIOD).expect([Release(Drained, Some(0))]);
    pod.at(76.9).phase(Phase::Done).at(SIGNAL + QUIET_PERIOD + GRACE_PERIOD).phase(Phase::Serving);
}

#[test]
fn failing_sources_without_target_do_not_serve_again() {
    let mut pod = Pod::start(policy(), Some(SearchResult::NotFound), &[(Metrics, count(0))]);
    pod.at(CALL).call(Hook).at(SIGNAL + QUIET_PERIOD).expect([Release(Drained, Some(0))]);
    pod.at(70)
        .page_fails(ReadErrorKind::ConnectionRefused)
        .at(100)
        .phase(Phase::Done)
        .streams(0)
        .at(101)
        .phase(Phase::Serving);
}

#[test]
fn target_that_serves_again_is_not_never_served() {
    let search_result = found(1, Some(SignalBlocker::NotCaught));
    let mut pod = Pod::start(policy(), Some(search_result), &[(Metrics, count(3))]);
    pod.at(CALL).call(Hook).at(DEADLINE).expect([Release(Expired, Some(3))]);
    pod.at(120)
        .readings(&[(Metrics, failure(ReadErrorKind::NoResponse))])
        .at(DEADLINE + GRACE_PERIOD)
        .phase(Phase::Serving);
    pod.at(130).call(Hook).phase(Phase::LameDuck).at(130 + BUDGET).expect([Release(Expired, None)]);
}
