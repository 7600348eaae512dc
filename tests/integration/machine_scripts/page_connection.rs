//! When the connection to the metrics page may stay open between two polls: never while the target stops.

use lameduck_machine::policy::SigtermPolicy;
use lameduck_machine::result::ExitStatus::Code;
use lameduck_machine::result::Outcome::{Drained, Exited};
use lameduck_machine::result::Trigger::{Cli, Hook};

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{CALL, LAME_DUCK, Pod, QUIET_PERIOD, SIGNAL, found};

#[test]
fn connection_is_closed_when_the_drain_starts_and_stays_closed() {
    let mut pod = Pod::serving(3);
    pod.at(CALL - 1).keeps_connection(true);
    // The poll at the start of the drain closes it, before the lame duck is over.
    pod.at(CALL).call(Hook).keeps_connection(false).at(SIGNAL).expect([Signal(1)]).keeps_connection(false);
    pod.at(30).keeps_connection(false).exits(1, Code(0)).expect([Release(Exited, Some(0))]);
}

#[test]
fn connection_is_closed_before_the_signal_without_lame_duck() {
    let mut pod = Pod::with(3, |policy| policy.times.lame_duck = std::time::Duration::ZERO);
    pod.at(CALL).keeps_connection(true).call(Hook).expect([Signal(1)]).keeps_connection(false);
}

#[test]
fn connection_stays_closed_while_the_target_runs_on_after_the_drain() {
    let mut pod = Pod::with(0, |policy| policy.signal = None);
    pod.at(CALL).call(Hook).at(CALL + LAME_DUCK + QUIET_PERIOD).expect([Release(Drained, Some(0))]);
    pod.at(40).keeps_connection(false);
}

#[test]
fn connection_is_kept_again_after_a_cancelled_drain_and_for_a_new_target() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Cli).at(12).keeps_connection(false).cancel().at(14).keeps_connection(true);
    pod.call(Hook).at(14 + LAME_DUCK).expect([Signal(1)]);
    pod.at(30).exits(1, Code(0)).expect([Release(Exited, Some(0))]).search_finds(found(2, None));
    pod.at(40).keeps_connection(true);
}

#[test]
fn connection_is_closed_after_sigterm_to_the_pod() {
    let mut pod = Pod::with(3, |policy| policy.on_sigterm = SigtermPolicy::Auto);
    pod.at(CALL).keeps_connection(true).sigterm().at(CALL + 1).keeps_connection(false);
}

#[test]
fn connection_is_closed_while_an_unauthorized_caller_is_held() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).keeps_connection(true).call_unauthorized(1).at(CALL + 1).keeps_connection(false);
}
