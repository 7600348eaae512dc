//! `--unready-after`: how long readiness does not show a drain that a hook has started.

use std::time::Duration;

use lameduck_machine::policy::{AcceptLimit, SigtermPolicy};
use lameduck_machine::readiness::NotReady::{AtCapacity, Done, Draining, LameDuck, NotFound};
use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::Exited;
use lameduck_machine::result::Trigger::{Cli, Hook};
use lameduck_machine::snapshot::Phase;
use lameduck_machine::target::SearchResult;

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{CALL, LAME_DUCK, Pod, SIGNAL};

/// Shorter than the lame duck, in seconds.
const UNREADY_AFTER: u32 = 3;
/// When the pod of a drain that starts at [`CALL`] turns unready.
const UNREADY: u32 = CALL + UNREADY_AFTER;
/// Just before that.
const BEFORE: f64 = UNREADY as f64 - 0.1;

fn pod() -> Pod {
    Pod::with(3, |policy| policy.times.unready_after = Duration::from_secs(UNREADY_AFTER.into()))
}

#[test]
fn hook_leaves_pod_ready_but_not_accepting() {
    let mut pod = pod();
    pod.at(CALL).call(Hook).phase(Phase::LameDuck).ready().not_accepting(LameDuck);
    pod.at(BEFORE).ready().not_accepting(LameDuck);
    pod.at(UNREADY).not_ready(LameDuck).not_accepting(LameDuck).phase(Phase::LameDuck);
    pod.at(SIGNAL).expect([Signal(1)]).not_ready(Draining).at(20).exits(1, ExitStatus::Code(0));
    pod.expect([Release(Exited, Some(0))]).not_ready(Done);
}

#[test]
fn pod_is_unready_at_the_latest_with_the_signal() {
    let mut pod = Pod::with(3, |policy| policy.times.unready_after = policy.times.lame_duck);
    pod.at(CALL).call(Hook).at(f64::from(SIGNAL) - 0.1).ready().at(SIGNAL).expect([Signal(1)]).not_ready(Draining);
}

#[test]
fn end_of_the_drain_makes_pod_unready() {
    let mut pod = pod();
    pod.at(CALL).call(Hook).at(11).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(3))]).not_ready(Done);
}

#[test]
fn drain_of_a_user_makes_pod_unready_at_once() {
    let mut pod = pod();
    pod.at(CALL).call(Cli).not_ready(LameDuck).at(11).call(Hook).not_ready(LameDuck).not_accepting(LameDuck);
}

#[test]
fn drain_by_sigterm_makes_pod_unready_at_once() {
    let mut pod = Pod::with(3, |policy| {
        policy.on_sigterm = SigtermPolicy::Drain;
        policy.times.unready_after = Duration::from_secs(UNREADY_AFTER.into());
    });
    pod.at(CALL).sigterm().not_ready(LameDuck).not_accepting(LameDuck).at(11).call(Hook).not_ready(LameDuck);
}

#[test]
fn second_hook_does_not_prolong_readiness() {
    let mut pod = pod();
    pod.at(CALL).call(Hook).at(12).hang_up(Hook).call(Hook).call(Cli).ready().at(UNREADY).not_ready(LameDuck);
}

#[test]
fn restarted_sidecar_keeps_the_time() {
    let mut pod = pod();
    pod.at(CALL).call(Hook).at(12).sidecar_restarts().ready().not_accepting(LameDuck);
    pod.at(BEFORE).ready().at(UNREADY).not_ready(LameDuck).at(SIGNAL).expect([Signal(1)]);
}

#[test]
fn restarted_sidecar_is_unready_where_the_time_is_over() {
    let mut pod = pod();
    pod.at(CALL).call(Hook).at(UNREADY + 1).sidecar_restarts().not_ready(LameDuck);
    pod.at(CALL + LAME_DUCK).expect([Signal(1)]).at(16).sidecar_restarts().not_ready(Draining);
}

#[test]
fn pod_that_was_not_ready_stays_unready() {
    let mut pod = Pod::start(pod().policy.clone(), Some(SearchResult::NotFound), &[]);
    pod.at(CALL).not_ready(NotFound).call(Hook).not_ready(NotFound).not_accepting(LameDuck).at(UNREADY);
    pod.not_ready(LameDuck);
}

#[test]
fn full_pod_names_the_drain_to_load_balancers() {
    let mut pod = Pod::with(3, |policy| {
        policy.accept_below = Some(AcceptLimit::Streams(2));
        policy.times.unready_after = Duration::from_secs(UNREADY_AFTER.into());
    });
    pod.at(CALL).not_accepting(AtCapacity { limit: 2 }).call(Hook).ready().not_accepting(LameDuck);
}
