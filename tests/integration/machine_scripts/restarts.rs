//! Restarts of the sidecar during a drain: the next sidecar resumes it.

use std::time::Duration;

use lameduck_machine::io::{Action, Input};
use lameduck_machine::reading::ReadErrorKind;
use lameduck_machine::reading::Source::Metrics;
use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::{Drained, Exited, Expired};
use lameduck_machine::result::Trigger::{Cli, Hook};
use lameduck_machine::snapshot::Phase;
use lameduck_machine::target::SearchResult;

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{
    BUDGET, CALL, CONFIRMATION, DEADLINE, EXIT_MARGIN, Pod, SIGNAL, count, found, policy, second,
};

#[test]
fn resumed_drain_keeps_deadline_and_sends_no_second_signal() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal();
    pod.at(20)
        .sidecar_restarts()
        .phase(Phase::Draining)
        .deadline(DEADLINE)
        .at(DEADLINE)
        .expect([Release(Expired, Some(3))]);
    assert_eq!(pod.result.and_then(|result| result.streams_at_start), Some(3));
}

#[test]
fn saved_deadline_is_limited_to_current_budget() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal();
    pod.policy.times.grace_period = Duration::from_secs(20);
    let new_budget = 20 - EXIT_MARGIN;
    pod.at(20)
        .sidecar_restarts()
        .deadline(20 + new_budget)
        .at(21)
        .sidecar_restarts()
        .deadline(20 + new_budget)
        .at(20 + new_budget)
        .expect([Release(Expired, Some(3))]);
}

#[test]
fn resumed_lame_duck_signals_once() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(12).sidecar_restarts().phase(Phase::LameDuck).at(SIGNAL).expect([Signal(1)]);
    pod.at(16).sidecar_restarts().at(17).sidecar_restarts().at(DEADLINE).expect([Release(Expired, Some(3))]);
}

#[test]
fn lame_duck_that_ended_during_outage_signals_immediately() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(14);
    let saved = pod.saved;
    let mut pod = Pod::serving(3);
    pod.saved = saved;
    pod.at(20).sidecar_restarts().expect([Signal(1)]);
}

#[test]
fn saved_signal_is_never_sent_again() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(14.5).polls_hang();
    pod.controller.handle(second(SIGNAL), Input::Tick);
    let requested_at = second(SIGNAL);
    while pod.controller.poll_action().is_some() {}
    pod.controller.handle(second(SIGNAL), Input::SearchResult { requested_at, result: found(1, None) });
    assert!(matches!(pod.controller.poll_action(), Some(Action::WriteRecord(..))));
    let action = pod.controller.poll_action().expect("an action");
    let Action::SaveState(saved) = action else { panic!("the signal is sent before it is saved: {action:?}") };
    assert!(saved.signal.is_some());
    // The sidecar crashes here: after saving, before sending the signal.
    pod.saved = Some(saved);
    pod.streams(3).sidecar_restarts().at(DEADLINE).expect([Release(Expired, Some(3))]);
}

#[test]
fn zero_before_restart_is_not_inherited() {
    let mut pod = Pod::serving(0);
    pod.drain_to_signal().at(26.5).sidecar_restarts();
    pod.at(26.5 + f64::from(CONFIRMATION)).expect([Release(Drained, Some(0))]);
}

#[test]
fn first_poll_after_restart_ends_by_deadline() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(64).polls_hang().sidecar_restarts();
    assert_eq!(pod.unanswered_polls, [(second(64), Duration::from_millis(950))]);
    pod.at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn deadline_during_outage_ends_drain_immediately() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal();
    let saved = pod.saved;
    let mut pod = Pod::serving(3);
    pod.saved = saved;
    pod.at(70)
        .sidecar_restarts()
        .expect([Release(Expired, None)])
        .call(Hook)
        .phase(Phase::Draining)
        .deadline(70 + BUDGET);
}

#[test]
fn exit_during_outage_ends_drain_immediately() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal();
    let saved = pod.saved;
    let mut pod = Pod::serving(3);
    pod.at(16).exits(1, ExitStatus::Code(0));
    pod.saved = saved;
    pod.at(20).sidecar_restarts().expect([Release(Exited, None)]);
}

#[test]
fn first_hook_after_restart_moves_deadline() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(20).sidecar_restarts();
    pod.call(Cli).deadline(DEADLINE).call(Hook).deadline(20 + BUDGET).call(Hook).deadline(20 + BUDGET);
}

#[test]
fn result_survives_restart() {
    let mut pod = Pod::serving(0);
    pod.drain_to_signal().at(SIGNAL + CONFIRMATION).expect([Release(Drained, Some(0))]);
    pod.at(30).sidecar_restarts().phase(Phase::Done).call(Hook).expect([Release(Drained, Some(0))]);
}

#[test]
fn expired_drain_reopens_after_restart_without_signal() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(DEADLINE).expect([Release(Expired, Some(3))]);
    pod.at(70)
        .sidecar_restarts()
        .call(Hook)
        .deadline(70 + BUDGET)
        .at(80)
        .sidecar_restarts()
        .at(70 + BUDGET)
        .expect([Release(Expired, Some(3))]);
}

#[test]
fn new_incarnation_after_restart_starts_fresh() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(20).search_finds(found(2, None)).sidecar_restarts();
    pod.expect([Release(Exited, None)]).phase(Phase::Serving).at(21).ready();
    assert!(pod.saved.is_none());
}

#[test]
fn resumed_drain_without_target_adopts_it_when_found() {
    let mut pod = Pod::start(policy(), Some(SearchResult::Ambiguous(vec![1, 7])), &[(Metrics, count(3))]);
    pod.at(CALL)
        .call(Hook)
        .at(20)
        .sidecar_restarts()
        .phase(Phase::Draining)
        .search_finds(found(1, None))
        .at(21)
        .expect([Signal(1)]);
    pod.at(22).sidecar_restarts().at(DEADLINE).expect([Release(Expired, Some(3))]);
}

#[test]
fn resumed_drain_with_streams_is_not_never_served() {
    let mut pod = Pod::start(policy(), Some(SearchResult::NotFound), &[(Metrics, count(3))]);
    pod.at(CALL)
        .call(Hook)
        .at(20)
        .page_fails(ReadErrorKind::ConnectionRefused)
        .sidecar_restarts()
        .at(DEADLINE)
        .expect([Release(Expired, None)]);
}

#[test]
fn restart_without_drain_keeps_serving() {
    let mut pod = Pod::serving(3);
    pod.at(10).sidecar_restarts().phase(Phase::Serving).ready();
}
