//! Callers: who joins, who moves the deadline, and who is answered when.

use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::{Drained, Exited, Expired};
use lameduck_machine::result::Trigger::{Cli, Hook};
use lameduck_machine::snapshot::Phase;

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::Pod;

#[test]
fn any_number_of_callers_share_one_drain_and_one_signal() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).call(Cli).at(15).expect([Signal(1)]).at(20).call(Hook).call(Cli);
    pod.deadline(65).at(65).expect([Release(Expired, Some(3))]);
}

#[test]
fn a_hook_does_not_move_the_deadline_while_another_is_connected() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(12).call(Hook).hang_up(Hook).call(Hook).deadline(65);
}

#[test]
fn a_hook_moves_the_deadline_when_no_earlier_one_is_connected() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(12).hang_up(Hook).deadline(65).at(15).expect([Signal(1)]);
    pod.at(20).call(Hook).deadline(75).at(75).expect([Release(Expired, Some(3))]);
}

#[test]
fn a_hook_moves_the_deadline_of_a_drain_that_others_began() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Cli).at(12).call(Hook).deadline(67).at(13).call(Hook).deadline(67);
}

#[test]
fn a_hook_that_joins_does_not_begin_the_lame_duck_again() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Cli).at(14).call(Hook).at(15).expect([Signal(1)]);
}

#[test]
fn a_person_never_moves_the_deadline() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).hang_up(Hook).at(12).call(Cli).deadline(65).hang_up(Cli).at(13).call(Cli).deadline(65);
}

#[test]
fn a_sigterm_never_moves_the_deadline() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).hang_up(Hook).at(12).sigterm().deadline(65);
}

#[test]
fn a_person_who_goes_does_not_count_as_a_hook_that_goes() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).call(Cli).hang_up(Cli).at(12).call(Hook).deadline(65);
}

#[test]
fn a_moved_deadline_is_noted() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Cli).at(12).call(Hook).at(13).restarts().deadline(67);
}

#[test]
fn a_caller_that_goes_away_cancels_nothing() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(11).hang_up(Hook).at(15).expect([Signal(1)]).at(65).expect([Release(Expired, Some(3))]);
}

#[test]
fn drained_answers_at_once() {
    let mut pod = Pod::serving(0);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(27).expect([Release(Drained, Some(0))]);
    for trigger in [Hook, Cli] {
        pod.call(trigger).expect([Release(Drained, Some(0))]).phase(Phase::Done);
    }
}

#[test]
fn exited_answers_at_once() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(12).exits(1, ExitStatus::Killed(9)).expect([Release(Exited, Some(3))]);
    pod.at(14).call(Hook).expect([Release(Exited, Some(3))]);
}

#[test]
fn a_hook_after_expired_opens_the_drain_again_with_a_new_deadline_and_no_second_signal() {
    let mut pod = expired();
    pod.at(70).call(Hook).phase(Phase::Draining).deadline(125);
    pod.at(125).expect([Release(Expired, Some(3))]);
}

#[test]
fn a_drain_opened_again_ends_as_drained_when_zero_holds() {
    let mut pod = expired();
    pod.at(70).call(Hook).at(79.5).streams(0).at(92).expect([Release(Drained, Some(0))]);
}

#[test]
fn zero_before_a_drain_was_opened_again_is_not_inherited() {
    let mut pod = expired();
    pod.streams(0).at(70).call(Hook).at(81.9).phase(Phase::Draining).at(82).expect([Release(Drained, Some(0))]);
}

#[test]
fn a_person_after_expired_is_answered_at_once() {
    expired().at(70).call(Cli).expect([Release(Expired, Some(3))]).phase(Phase::Done);
}

#[test]
fn a_hook_after_expired_is_answered_at_once_if_the_target_has_ended_since() {
    expired().at(68).exits(1, ExitStatus::Killed(9)).at(70).call(Hook).expect([Release(Expired, Some(3))]);
}

#[test]
fn callers_of_a_drain_opened_again_are_all_answered() {
    let mut pod = expired();
    pod.at(70).call(Hook).at(71).call(Hook).call(Cli).deadline(125);
    pod.at(72).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0))]);
}

#[test]
fn a_released_hook_is_not_an_earlier_caller_any_more() {
    let mut pod = expired();
    pod.at(70).call(Hook).at(125).expect([Release(Expired, Some(3))]);
    pod.at(130).call(Hook).deadline(185).at(140).hang_up(Hook).call(Hook).deadline(195);
}

fn expired() -> Pod {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(65).expect([Release(Expired, Some(3))]);
    pod
}

#[test]
fn a_call_that_was_made_earlier_counts_from_then() {
    let mut pod = Pod::serving(3);
    pod.at(10).earlier_call(Hook, 8).deadline(63).at(13).expect([Signal(1)]);
    pod.hang_up(Hook).at(20).earlier_call(Hook, 19).deadline(74).at(74).expect([Release(Expired, Some(3))]);
    pod.at(80).earlier_call(Hook, 78).deadline(133);
}

#[test]
fn a_call_cannot_have_been_made_later_than_now() {
    let mut pod = Pod::serving(3);
    pod.at(10).earlier_call(Hook, 12).deadline(65);
}

#[test]
fn a_call_whose_deadline_has_gone_by_is_answered_at_once() {
    let mut pod = Pod::serving(3);
    pod.at(100).earlier_call(Hook, 8).expect([Release(Expired, Some(3))]);
}
