//! The target over its lives: a new one inherits nothing.

use lameduck_machine::io::Input;
use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::Source::Metrics;
use lameduck_machine::reading::{ReadError, ReadErrorKind};
use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::{Drained, Exited, Expired};
use lameduck_machine::result::Trigger::Hook;
use lameduck_machine::snapshot::Phase;
use lameduck_machine::target::{Found, Incarnation, SearchResult, SignalBlocker};

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{Pod, count, failure, found, incarnation, policy, second};

#[test]
fn new_incarnation_is_ready_and_can_be_signalled() {
    let mut pod = Pod::serving(0);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(20).exits(1, ExitStatus::Code(0));
    pod.expect([Release(Drained, Some(0))]);
    pod.at(25).finds(found(2, None)).streams(1).at(26).phase(Phase::Serving).ready().counted(Some(1));
    assert!(pod.saved.is_none());
    pod.at(30).call(Hook).deadline(85).at(35).expect([Signal(2)]).at(85).expect([Release(Expired, Some(1))]);
}

#[test]
fn new_incarnation_needs_own_reading_to_be_ready() {
    let mut pod = Pod::serving(0);
    pod.at(10).exits(1, ExitStatus::Code(0)).at(12).finds(found(2, None)).at(13);
    pod.not_ready(NotReady::SourceUnknown(ReadError::new(ReadErrorKind::ConnectionRefused, "no page")))
        .streams(0)
        .at(14)
        .ready();
}

#[test]
fn new_incarnation_found_before_exit_report_ends_drain() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(20).finds(found(2, None)).at(21);
    pod.expect([Release(Exited, None)])
        .phase(Phase::Serving)
        .input(Input::Exited(incarnation(1), ExitStatus::Killed(9)));
    pod.at(22).phase(Phase::Serving).ready();
}

#[test]
fn exit_report_makes_known_new_incarnation_the_target() {
    let mut pod = Pod::serving(3);
    pod.at(10.5).finds(found(2, None)).input(Input::Exited(incarnation(1), ExitStatus::Code(0)));
    assert_eq!(pod.snapshot().target.map(|target| target.incarnation), Some(incarnation(2)));
}

#[test]
fn exit_report_of_previous_incarnation_is_ignored() {
    let mut pod = Pod::serving(3);
    pod.at(10)
        .exits(1, ExitStatus::Code(0))
        .finds(found(2, None))
        .streams(3)
        .at(20)
        .call(Hook)
        .at(25)
        .expect([Signal(2)]);
    pod.input(Input::Exited(incarnation(1), ExitStatus::Killed(9))).at(75).expect([Release(Expired, Some(3))]);
}

#[test]
fn renamed_target_shows_its_last_known_name() {
    let mut pod = Pod::serving(3);
    for (name, shown) in [("impeller", "impeller"), ("worker", "worker"), ("", "worker")] {
        let found = Found { incarnation: incarnation(1), name: name.into(), blocker: None };
        let second = pod.snapshot().now.since(second(0)).as_secs_f64() + 1.5;
        pod.finds(SearchResult::Found(found)).at(second);
        assert_eq!(pod.snapshot().target.map(|target| target.name).as_deref(), Some(shown));
    }
}

#[test]
fn reading_of_previous_incarnation_is_discarded() {
    let mut pod = Pod::serving(3);
    pod.at(9.5).hangs().at(10.5).exits(1, ExitStatus::Code(0)).hangs().finds(found(2, None)).at(10.6);
    let (requested_at, _) = pod.unanswered_polls[0];
    assert_eq!(requested_at, second(10));
    pod.answer_poll(requested_at, &[(Metrics, count(0))]).counted(None);
}

#[test]
fn absent_series_is_not_inherited() {
    use lameduck_machine::reading::{Reading, Source::Lazy};
    let mut policy = policy();
    policy.sources = vec![Metrics, Lazy];
    let mut pod = Pod::start(policy, Some(found(1, None)), &[(Metrics, count(1)), (Lazy, count(1))]);
    pod.at(10).exits(1, ExitStatus::Code(0)).at(11).finds(found(2, None));
    pod.readings(&[(Metrics, count(0)), (Lazy, Reading::Counts(vec![None]))]).at(12).counted(Some(0)).ready();
}

#[test]
fn stale_search_result_is_ignored_after_exit() {
    let mut pod = Pod::serving(3);
    pod.at(9.5).searches_hang().at(10.5).exits(1, ExitStatus::Code(0)).finds(SearchResult::NotFound).at(11).streams(3);
    pod.at(13).call(Hook);
    let requested_at = pod.unanswered_searches[0];
    assert_eq!(requested_at, second(10));
    pod.input(Input::SearchResult { requested_at, result: found(1, None) }).phase(Phase::LameDuck);
    pod.at(68).expect([Release(Expired, Some(3))]);
}

#[test]
fn drain_without_target_adopts_it_when_found() {
    let mut pod = Pod::start(policy(), Some(SearchResult::Ambiguous(vec![1, 7])), &[(Metrics, count(3))]);
    pod.at(10).call(Hook).at(20).phase(Phase::Draining).finds(found(1, None)).at(21).expect([Signal(1)]);
    pod.deadline(65).at(30).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0))]);
}

#[test]
fn target_started_during_drain_is_tracked_after_it() {
    let newborn = Incarnation { pid: 9, started: policy().own_start_ticks + 1500 };
    let found = SearchResult::Found(Found { incarnation: newborn, name: "impeller".into(), blocker: None });
    let mut pod = Pod::start(policy(), Some(SearchResult::NotFound), &[(Metrics, count(3))]);
    pod.at(10).call(Hook).at(15).finds(found).at(30).phase(Phase::Draining).expect([]);
    pod.streams(0).at(33).expect([Release(Drained, Some(0))]).at(35).phase(Phase::Serving).ready();
}

#[test]
fn drain_without_target_ends_at_zero() {
    let mut pod = Pod::start(policy(), Some(SearchResult::NotFound), &[(Metrics, count(3))]);
    pod.not_ready(NotReady::NotFound).at(10).call(Hook).at(19.5).streams(0).at(22);
    pod.expect([Release(Drained, Some(0))]);
}

#[test]
fn unsignalled_target_serves_again_after_grace_period() {
    let mut pod = Pod::start(policy(), Some(found(1, Some(SignalBlocker::NotCaught))), &[(Metrics, count(3))]);
    pod.at(10).call(Hook).at(65).expect([Release(Expired, Some(3))]);
    pod.at(124.9).phase(Phase::Done).at(125).phase(Phase::Serving);
    assert!(pod.saved.is_none());
    pod.at(126).call(Hook).phase(Phase::LameDuck).deadline(181);
}

#[test]
fn signalled_target_never_serves_again() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(65).expect([Release(Expired, Some(3))]);
    pod.at(500).phase(Phase::Done);
}

#[test]
fn answering_sources_without_target_serve_again() {
    let mut pod = Pod::start(policy(), Some(SearchResult::NotFound), &[(Metrics, count(0))]);
    pod.at(10).call(Hook).at(17).expect([Release(Drained, Some(0))]);
    pod.at(76.9).phase(Phase::Done).at(77).phase(Phase::Serving);
}

#[test]
fn failing_sources_without_target_do_not_serve_again() {
    let mut pod = Pod::start(policy(), Some(SearchResult::NotFound), &[(Metrics, count(0))]);
    pod.at(10).call(Hook).at(17).expect([Release(Drained, Some(0))]);
    pod.at(70)
        .fails(ReadErrorKind::ConnectionRefused)
        .at(100)
        .phase(Phase::Done)
        .streams(0)
        .at(101)
        .phase(Phase::Serving);
}

#[test]
fn target_that_serves_again_is_not_never_served() {
    let sighting = found(1, Some(SignalBlocker::NotCaught));
    let mut pod = Pod::start(policy(), Some(sighting), &[(Metrics, count(3))]);
    pod.at(10).call(Hook).at(65).expect([Release(Expired, Some(3))]);
    pod.at(120).readings(&[(Metrics, failure(ReadErrorKind::NoResponse))]).at(125).phase(Phase::Serving);
    pod.at(130).call(Hook).phase(Phase::LameDuck).at(185).expect([Release(Expired, None)]);
}
