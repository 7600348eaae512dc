//! Authorized callers: which call moves the deadline, and when each is answered.

use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::{Drained, Exited, Expired};
use lameduck_machine::result::Trigger::{Cli, Hook};
use lameduck_machine::snapshot::Phase;

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{BUDGET, CALL, CONFIRMATION, DEADLINE, LAME_DUCK, Pod, SIGNAL};

#[test]
fn callers_share_one_drain_and_one_signal() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).call(Cli).at(SIGNAL).expect([Signal(1)]).at(20).call(Hook).call(Cli);
    pod.deadline(DEADLINE).at(DEADLINE).expect([Release(Expired, Some(3))]);
}

#[test]
fn hook_does_not_move_deadline_while_another_is_connected() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(12).call(Hook).hang_up(Hook).call(Hook).deadline(DEADLINE);
}

#[test]
fn hook_moves_deadline_if_no_earlier_one_is_connected() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(12).hang_up(Hook).deadline(DEADLINE).at(SIGNAL).expect([Signal(1)]);
    pod.at(20).call(Hook).deadline(20 + BUDGET).at(20 + BUDGET).expect([Release(Expired, Some(3))]);
}

#[test]
fn hook_moves_deadline_of_drain_started_by_cli() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Cli).at(12).call(Hook).deadline(12 + BUDGET).at(13).call(Hook).deadline(12 + BUDGET);
}

#[test]
fn joining_hook_does_not_restart_lame_duck() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Cli).at(14).call(Hook).at(SIGNAL).expect([Signal(1)]);
}

#[test]
fn cli_call_never_moves_deadline() {
    let mut pod = Pod::serving(3);
    pod.at(CALL)
        .call(Hook)
        .hang_up(Hook)
        .at(12)
        .call(Cli)
        .deadline(DEADLINE)
        .hang_up(Cli)
        .at(13)
        .call(Cli)
        .deadline(DEADLINE);
}

#[test]
fn sigterm_never_moves_deadline() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).hang_up(Hook).at(12).sigterm().deadline(DEADLINE);
}

#[test]
fn cli_hangup_does_not_count_as_hook_hangup() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).call(Cli).hang_up(Cli).at(12).call(Hook).deadline(DEADLINE);
}

#[test]
fn moved_deadline_is_saved() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Cli).at(12).call(Hook).at(13).sidecar_restarts().deadline(12 + BUDGET);
}

#[test]
fn hangup_does_not_cancel_drain() {
    let mut pod = Pod::serving(3);
    pod.at(CALL)
        .call(Hook)
        .at(11)
        .hang_up(Hook)
        .at(SIGNAL)
        .expect([Signal(1)])
        .at(DEADLINE)
        .expect([Release(Expired, Some(3))]);
}

#[test]
fn call_after_drained_is_answered_immediately() {
    let mut pod = Pod::serving(0);
    pod.drain_to_signal().at(SIGNAL + CONFIRMATION).expect([Release(Drained, Some(0))]);
    for trigger in [Hook, Cli] {
        pod.call(trigger).expect([Release(Drained, Some(0))]).phase(Phase::Done);
    }
}

#[test]
fn call_after_exited_is_answered_immediately() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(12).exits(1, ExitStatus::Killed(9)).expect([Release(Exited, Some(3))]);
    pod.at(14).call(Hook).expect([Release(Exited, Some(3))]);
}

#[test]
fn hook_after_expired_reopens_drain_without_second_signal() {
    let mut pod = expired();
    pod.at(70).call(Hook).phase(Phase::Draining).deadline(70 + BUDGET);
    pod.at(70 + BUDGET).expect([Release(Expired, Some(3))]);
}

#[test]
fn reopened_drain_ends_as_drained_at_zero() {
    let mut pod = expired();
    pod.at(70).call(Hook).at(79.5).streams(0).at(80 + CONFIRMATION).expect([Release(Drained, Some(0))]);
}

#[test]
fn zero_before_reopening_is_not_inherited() {
    let mut pod = expired();
    pod.streams(0)
        .at(69.5)
        .call(Hook)
        .at(81.4)
        .phase(Phase::Draining)
        .at(69.5 + f64::from(CONFIRMATION))
        .expect([Release(Drained, Some(0))]);
}

#[test]
fn cli_call_after_expired_is_answered_immediately() {
    expired().at(70).call(Cli).expect([Release(Expired, Some(3))]).phase(Phase::Done);
}

#[test]
fn hook_after_expired_and_exit_is_answered_immediately() {
    expired().at(68).exits(1, ExitStatus::Killed(9)).at(70).call(Hook).expect([Release(Expired, Some(3))]);
}

#[test]
fn all_callers_of_reopened_drain_are_answered() {
    let mut pod = expired();
    pod.at(70).call(Hook).at(71).call(Hook).call(Cli).deadline(70 + BUDGET);
    pod.at(72).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0))]);
}

#[test]
fn released_hook_no_longer_holds_deadline() {
    let mut pod = expired();
    pod.at(70).call(Hook).at(70 + BUDGET).expect([Release(Expired, Some(3))]);
    pod.at(130).call(Hook).deadline(130 + BUDGET).at(140).hang_up(Hook).call(Hook).deadline(140 + BUDGET);
}

/// A pod whose drain has expired with three stragglers.
fn expired() -> Pod {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(DEADLINE).expect([Release(Expired, Some(3))]);
    pod
}

#[test]
fn earlier_call_counts_from_its_own_time() {
    let mut pod = Pod::serving(3);
    pod.at(10).earlier_call(Hook, 8).deadline(8 + BUDGET).at(8 + LAME_DUCK).expect([Signal(1)]);
    pod.hang_up(Hook)
        .at(20)
        .earlier_call(Hook, 19)
        .deadline(19 + BUDGET)
        .at(19 + BUDGET)
        .expect([Release(Expired, Some(3))]);
    pod.at(80).earlier_call(Hook, 78).deadline(78 + BUDGET);
}

#[test]
fn call_time_in_future_counts_as_now() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).earlier_call(Hook, 12).deadline(DEADLINE);
}

#[test]
fn call_past_its_deadline_is_answered_immediately() {
    let mut pod = Pod::serving(3);
    pod.at(100).earlier_call(Hook, 8).expect([Release(Expired, Some(3))]);
}
