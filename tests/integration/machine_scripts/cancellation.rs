//! A user cancels a drain that a user has started.

use lameduck_machine::io::NotCancelled::{Finished, NoDrain, PodIsStopping, Signalled};
use lameduck_machine::io::Reply::{Cancelled, NotCancelled};
use lameduck_machine::result::ExitStatus::Code;
use lameduck_machine::result::Outcome::{Drained, Exited};
use lameduck_machine::result::Trigger::{Cli, Hook};

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{CALL, Pod, QUIET_PERIOD, SIGNAL};

#[test]
fn user_drain_is_cancelled_before_the_signal() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Cli).call(Cli).at(14).cancel().ready();
    assert_eq!(pod.cancellations, [Cancelled; 3], "both callers and the canceller");
    assert!(pod.saved.is_none() && pod.records.is_empty());
    pod.at(200).ready();
}

#[test]
fn cancelled_drain_can_be_followed_by_another() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Cli).at(14).cancel().at(20).call(Hook).at(25).expect([Signal(1)]);
    pod.at(30).exits(1, Code(0)).expect([Release(Exited, Some(0))]);
}

#[test]
fn drain_cannot_be_cancelled_after_signal() {
    let mut pod = Pod::serving(0);
    pod.at(CALL).call(Cli).at(SIGNAL).expect([Signal(1)]).cancel();
    assert_eq!(pod.cancellations, [NotCancelled(Signalled)]);
    pod.at(20).exits(1, Code(0)).expect([Release(Drained, Some(0))]);
}

#[test]
fn drain_without_signal_is_cancelled_until_it_is_over() {
    let mut pod = Pod::with(3, |policy| policy.signal = None);
    pod.at(CALL).call(Cli).at(30).cancel().ready();
    assert_eq!(pod.cancellations, [Cancelled; 2]);
    pod.at(40.5).call(Cli).at(42.5).streams(0).at(45.5 + f64::from(QUIET_PERIOD)).expect([Release(Drained, Some(0))]);
    pod.cancel();
    assert_eq!(pod.cancellations[2..], [NotCancelled(Finished)]);
}

#[test]
fn drain_of_stopping_pod_cannot_be_cancelled() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).cancel();
    pod.call(Hook).cancel();
    assert_eq!(pod.cancellations, [NotCancelled(NoDrain), NotCancelled(PodIsStopping)]);
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Cli).at(11).call(Hook).cancel().hang_up(Hook).cancel();
    assert_eq!(pod.cancellations, [NotCancelled(PodIsStopping); 2], "the hook has joined");
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Cli).at(11).sigterm().cancel();
    assert_eq!(pod.cancellations, [NotCancelled(PodIsStopping)]);
}

#[test]
fn restart_does_not_make_the_drain_of_a_hook_cancellable() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(12).sidecar_restarts().cancel();
    assert_eq!(pod.cancellations, [NotCancelled(PodIsStopping)]);
    pod.at(SIGNAL).expect([Signal(1)]);
}
