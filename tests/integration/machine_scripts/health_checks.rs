//! Health checks on the streams' port, while no signal closes it.

use std::time::Duration;

use lameduck_machine::policy::Policy;
use lameduck_machine::reading::Source::{Metrics, Sockets};
use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::{Drained, Exited, Expired};
use lameduck_machine::result::Trigger::Hook;

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{CALL, CONFIRMATION, DEADLINE, LAME_DUCK, Pod, QUIET_PERIOD};

/// When the lame duck ends.
const DRAINING: u32 = CALL + LAME_DUCK;

/// Counts connections, sends no signal, and polls every second.
fn unsignalled(policy: &mut Policy) {
    policy.sources = vec![Sockets];
    policy.signal = None;
}

/// A pod in the last second of its lame duck.
fn almost_draining(change: impl FnOnce(&mut Policy)) -> Pod {
    let mut pod = Pod::with(0, change);
    pod.at(CALL).call(Hook).at(DRAINING - 1);
    pod
}

#[test]
fn health_check_in_one_poll_does_not_interrupt_the_quiet_period() {
    let mut pod = almost_draining(unsignalled);
    pod.at(f64::from(DRAINING) + 0.9).health_check(0.2).at(DRAINING + 1).counted(Some(1));
    pod.at(DRAINING + QUIET_PERIOD).expect([Release(Drained, Some(0))]);
}

#[test]
fn different_health_checks_in_successive_polls_do_not_interrupt_the_quiet_period() {
    let mut pod = almost_draining(unsignalled);
    for second in 1..10 {
        pod.at(f64::from(DRAINING + second) - 0.1).health_check(0.2).at(DRAINING + second).counted(Some(1));
    }
    pod.at(DRAINING + 10).expect([Release(Drained, Some(0))]);
}

#[test]
fn connection_in_two_polls_interrupts_the_quiet_period() {
    let mut pod = almost_draining(unsignalled);
    pod.at(f64::from(DRAINING) + 0.9).health_check(1.2).at(DRAINING + 2).counted(Some(1));
    pod.at(DRAINING + 3).counted(Some(0)).at(DRAINING + 3 + QUIET_PERIOD).expect([Release(Drained, Some(0))]);
}

#[test]
fn stream_that_begins_between_health_checks_keeps_drain_open() {
    let mut pod = almost_draining(unsignalled);
    pod.at(f64::from(DRAINING) + 0.9).health_check(0.2).at(f64::from(DRAINING) + 1.5).traffic(&[0]);
    for second in 2..40 {
        pod.at(f64::from(DRAINING + second) - 0.1).health_check(0.2).at(DRAINING + second).counted(Some(2));
    }
    pod.at(DEADLINE).expect([Release(Expired, Some(1))]);
}

#[test]
fn stream_that_begins_with_the_last_poll_keeps_drain_open() {
    let mut pod = almost_draining(unsignalled);
    pod.at(f64::from(DRAINING + QUIET_PERIOD) - 0.5).traffic(&[0]).at(DEADLINE).expect([Release(Expired, Some(1))]);
    let mut pod = almost_draining(|policy| policy.sources = vec![Sockets]);
    pod.at(DRAINING).expect([Signal(1)]).at(f64::from(DRAINING + CONFIRMATION) - 0.5).traffic(&[0]);
    pod.at(DEADLINE).expect([Release(Expired, Some(1))]);
}

#[test]
fn drain_never_ends_while_a_new_connection_is_open() {
    let mut pod = almost_draining(|policy| {
        unsignalled(policy);
        policy.times.quiet_period = Duration::ZERO;
    });
    // A new connection in every poll: each may be a stream.
    for second in DRAINING..DEADLINE - 1 {
        pod.at(f64::from(second) - 0.1).health_check(0.2).at(second).counted(Some(1));
    }
    pod.at(DEADLINE - 1).expect([Release(Drained, Some(0))]);
}

#[test]
fn connection_after_unreadable_table_interrupts_the_quiet_period() {
    let mut pod = almost_draining(|policy| {
        unsignalled(policy);
        policy.sources = vec![Metrics, Sockets];
        policy.times.quiet_period = Duration::from_secs(4);
    });
    pod.at(DRAINING).table_readable(false).at(DRAINING + 1).table_readable(true);
    pod.at(f64::from(DRAINING) + 1.9).health_check(0.2).at(DRAINING + 3).counted(Some(0));
    pod.at(DRAINING + 7).expect([Release(Drained, Some(0))]);
}

#[test]
fn streams_on_the_page_interrupt_the_quiet_period() {
    let mut pod = almost_draining(|policy| {
        unsignalled(policy);
        policy.sources = vec![Metrics, Sockets];
    });
    pod.at(f64::from(DRAINING) + 0.9).health_check(0.2).streams(1).at(DRAINING + 1).streams(0).at(DRAINING + 2);
    pod.at(DRAINING + 2 + QUIET_PERIOD).expect([Release(Drained, Some(0))]);
}

#[test]
fn exit_while_a_new_connection_is_open_is_not_drained() {
    let mut pod = almost_draining(|policy| {
        unsignalled(policy);
        policy.signal = Some(("SIGINT".to_owned(), 2));
        policy.times.exit_wait = Duration::from_secs(20);
    });
    pod.at(DRAINING).expect([Signal(1)]).at(DRAINING + 5).counted(Some(0));
    pod.at(f64::from(DRAINING) + 5.9).health_check(0.2).at(DRAINING + 6).counted(Some(1));
    pod.exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0))]);
}
