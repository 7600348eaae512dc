//! The sidecar's own restart during a drain: the next one goes on with it.

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
use crate::machine_scripts::pod::{Pod, count, found, policy, second};

#[test]
fn resumed_drain_keeps_deadline_and_sends_no_second_signal() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    pod.at(20).restarts().phase(Phase::Draining).deadline(65).at(65).expect([Release(Expired, Some(3))]);
    assert_eq!(pod.result.and_then(|result| result.streams_at_start), Some(3));
}

#[test]
fn saved_deadline_is_limited_to_current_budget() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    pod.policy.times.grace_period = Duration::from_secs(20);
    pod.at(20).restarts().deadline(35).at(21).restarts().deadline(35).at(35).expect([Release(Expired, Some(3))]);
}

#[test]
fn resumed_lame_duck_signals_once() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(12).restarts().phase(Phase::LameDuck).at(15).expect([Signal(1)]);
    pod.at(16).restarts().at(17).restarts().at(65).expect([Release(Expired, Some(3))]);
}

#[test]
fn lame_duck_that_ended_during_outage_signals_immediately() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(14);
    let saved = pod.saved;
    let mut pod = Pod::serving(3);
    pod.saved = saved;
    pod.at(20).restarts().expect([Signal(1)]);
}

#[test]
fn saved_signal_is_never_sent_again() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(14.5).hangs();
    pod.controller.handle(second(15), Input::Tick);
    let requested_at = second(15);
    while pod.controller.poll_action().is_some() {}
    pod.controller.handle(second(15), Input::SearchResult { requested_at, result: found(1, None) });
    let Some(Action::SaveState(saved)) = pod.controller.poll_action() else {
        panic!("the saved comes before the signal")
    };
    assert!(saved.signalled);
    // The sidecar dies here: after the saved, before the signal.
    pod.saved = Some(saved);
    pod.streams(3).restarts().at(65).expect([Release(Expired, Some(3))]);
}

#[test]
fn zero_before_restart_is_not_inherited() {
    let mut pod = Pod::serving(0);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(26.5).restarts();
    pod.at(38.5).expect([Release(Drained, Some(0))]);
}

#[test]
fn first_poll_after_restart_ends_by_deadline() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(64).hangs().restarts();
    assert_eq!(pod.unanswered_polls, [(second(64), Duration::from_secs(1))]);
    pod.at(65).expect([Release(Expired, None)]);
}

#[test]
fn deadline_during_outage_ends_drain_immediately() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    let saved = pod.saved;
    let mut pod = Pod::serving(3);
    pod.saved = saved;
    pod.at(70).restarts().expect([Release(Expired, None)]).call(Hook).phase(Phase::Draining).deadline(125);
}

#[test]
fn exit_during_outage_ends_drain_immediately() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    let saved = pod.saved;
    let mut pod = Pod::serving(3);
    pod.at(16).exits(1, ExitStatus::Code(0));
    pod.saved = saved;
    pod.at(20).restarts().expect([Release(Exited, None)]);
}

#[test]
fn first_hook_after_restart_moves_deadline() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(20).restarts();
    pod.call(Cli).deadline(65).call(Hook).deadline(75).call(Hook).deadline(75);
}

#[test]
fn result_survives_restart() {
    let mut pod = Pod::serving(0);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(27).expect([Release(Drained, Some(0))]);
    pod.at(30).restarts().phase(Phase::Done).call(Hook).expect([Release(Drained, Some(0))]);
}

#[test]
fn expired_drain_reopens_after_restart_without_signal() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(65).expect([Release(Expired, Some(3))]);
    pod.at(70).restarts().call(Hook).deadline(125).at(80).restarts().at(125).expect([Release(Expired, Some(3))]);
}

#[test]
fn new_incarnation_after_restart_starts_fresh() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(20).finds(found(2, None)).restarts();
    pod.expect([Release(Exited, None)]).phase(Phase::Serving).at(21).ready();
    assert!(pod.saved.is_none());
}

#[test]
fn resumed_drain_without_target_adopts_it_when_found() {
    let mut pod = Pod::start(policy(), Some(SearchResult::Ambiguous(vec![1, 7])), &[(Metrics, count(3))]);
    pod.at(10).call(Hook).at(20).restarts().phase(Phase::Draining).finds(found(1, None)).at(21).expect([Signal(1)]);
    pod.at(22).restarts().at(65).expect([Release(Expired, Some(3))]);
}

#[test]
fn resumed_drain_with_streams_is_not_never_served() {
    let mut pod = Pod::start(policy(), Some(SearchResult::NotFound), &[(Metrics, count(3))]);
    pod.at(10)
        .call(Hook)
        .at(20)
        .fails(ReadErrorKind::ConnectionRefused)
        .restarts()
        .at(65)
        .expect([Release(Expired, None)]);
}

#[test]
fn restart_without_drain_keeps_serving() {
    let mut pod = Pod::serving(3);
    pod.at(10).restarts().phase(Phase::Serving).ready();
}
