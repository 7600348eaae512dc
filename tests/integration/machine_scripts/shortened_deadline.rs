//! The pod has less time than its grace period, and the sidecar is told so.

use lameduck_machine::result::ExitStatus::Code;
use lameduck_machine::result::Outcome::{Exited, Expired, Interrupted};
use lameduck_machine::result::Trigger::{Cli, Hook};
use lameduck_machine::snapshot::Phase;
use lameduck_machine::warnings::Warning::DeadlineShortened;

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{CALL, DEADLINE, Pod};

fn is_warned(pod: &Pod) -> bool {
    pod.result.is_some_and(|result| result.warnings.contains(DeadlineShortened))
}

#[test]
fn drain_ends_at_shortened_deadline() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(20).shorten_deadline(10).deadline(30).at(30).expect([Release(Expired, Some(3))]);
    assert!(is_warned(&pod));
}

#[test]
fn deadline_is_never_lengthened() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(20).shorten_deadline(600).deadline(DEADLINE);
    pod.shorten_deadline(10).at(21).shorten_deadline(20).deadline(30).at(30).expect([Release(Expired, Some(3))]);
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(20).shorten_deadline(600).at(DEADLINE).expect([Release(Expired, Some(3))]);
    assert!(!is_warned(&pod));
}

#[test]
fn hook_does_not_move_shortened_deadline() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(12).shorten_deadline(20).hang_up(Hook).at(13).call(Hook).deadline(32);
}

#[test]
fn shortened_deadline_survives_a_restart() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(20).shorten_deadline(10).at(21).sidecar_restarts().deadline(30);
    pod.call(Hook).deadline(30).at(30).expect([Release(Expired, Some(3))]);
    assert!(is_warned(&pod));
}

#[test]
fn signal_is_sent_before_half_of_the_remaining_time() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(11).shorten_deadline(4).at(13).expect([Signal(1)]);
    pod.at(14).exits(1, Code(0)).expect([Release(Exited, Some(0))]);
}

#[test]
fn drain_without_time_left_ends_at_once() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(20).shorten_deadline(0).expect([Release(Expired, Some(3))]).phase(Phase::Done);
}

#[test]
fn deadline_outside_a_drain_has_no_effect() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).shorten_deadline(1).at(20).ready();
    pod.at(30).call(Cli).deadline(30 + DEADLINE - CALL);
}

#[test]
fn record_is_written_with_the_warning() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(20).shorten_deadline(10);
    let (record, _) = pod.records.last().expect("a record");
    assert!(record.outcome == Interrupted && record.warnings.contains(DeadlineShortened), "{record:?}");
}
