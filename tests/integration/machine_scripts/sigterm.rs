//! SIGTERM to the sidecar itself: when it starts a drain, and when the sidecar exits.

use lameduck_machine::policy::SigtermPolicy;
use lameduck_machine::reading::ReadErrorKind;
use lameduck_machine::reading::Source::Metrics;
use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::{Drained, Exited, Expired};
use lameduck_machine::result::Trigger::{Cli, Hook};
use lameduck_machine::snapshot::Phase;
use lameduck_machine::target::{SearchResult, SignalBlocker};

use crate::machine_scripts::pod::Effect::{Exit, Release, Signal};
use crate::machine_scripts::pod::{
    BUDGET, CALL, CONFIRMATION, DEADLINE, LAME_DUCK, Pod, QUIET_PERIOD, SIGNAL, count, found, policy,
};

/// How long `auto` waits for a hook after SIGTERM, in seconds.
const HOOK_WAIT: u32 = 30;

fn pod_with(on_sigterm: SigtermPolicy, streams: u64) -> Pod {
    Pod::with(streams, |policy| policy.on_sigterm = on_sigterm)
}

#[test]
fn auto_exits_immediately_at_known_zero() {
    pod_with(SigtermPolicy::Auto, 0).at(CALL).sigterm().expect([Exit]);
}

#[test]
fn auto_waits_for_hook_then_exits_without_signal() {
    // Between two polls, so that nothing else wakes the machine at that time.
    pod_with(SigtermPolicy::Auto, 3)
        .at(10.5)
        .sigterm()
        .phase(Phase::Serving)
        .ready()
        .at(10.5 + f64::from(HOOK_WAIT))
        .expect([Exit]);
}

#[test]
fn auto_waits_while_count_is_unknown() {
    let mut pod = pod_with(SigtermPolicy::Auto, 3);
    pod.page_fails(ReadErrorKind::NoResponse).at(CALL).sigterm().at(CALL + HOOK_WAIT).expect([Exit]);
}

#[test]
fn auto_does_not_wait_after_target_exit() {
    let mut pod = pod_with(SigtermPolicy::Auto, 3);
    pod.at(10).exits(1, ExitStatus::Code(0)).at(12).sigterm().expect([Release(Exited, Some(3)), Exit]);
}

#[test]
fn auto_waits_at_zero_when_only_exit_ends_drain() {
    let mut pod = Pod::with(0, |policy| policy.wait_for_exit = true);
    pod.at(12).sigterm().at(13).call(Hook).at(13 + LAME_DUCK).expect([Signal(1)]);
    pod.at(20).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0)), Exit]);
}

#[test]
fn without_target_timeout_blocks_exit_but_refusal_does_not() {
    for (kind, exits_at) in [
        (ReadErrorKind::NoResponse, 12 + HOOK_WAIT),
        (ReadErrorKind::Invalid, 12 + HOOK_WAIT),
        (ReadErrorKind::ConnectionRefused, 12),
    ] {
        let mut policy = policy();
        policy.signal = None;
        let mut pod = Pod::start(policy, Some(SearchResult::NotFound), &[(Metrics, count(3))]);
        pod.at(10.5).page_fails(kind).at(12).sigterm().at(exits_at).expect([Exit]);
    }
}

#[test]
fn second_sigterm_does_not_extend_wait() {
    pod_with(SigtermPolicy::Auto, 3).at(CALL).sigterm().at(20).sigterm().at(CALL + HOOK_WAIT).expect([Exit]);
}

#[test]
fn auto_stops_waiting_at_exit_or_zero() {
    let mut pod = pod_with(SigtermPolicy::Auto, 3);
    pod.at(CALL).sigterm().at(20).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(3)), Exit]);
    pod_with(SigtermPolicy::Auto, 3).at(CALL).sigterm().at(19.5).streams(0).at(20).expect([Exit]);
}

#[test]
fn auto_drains_on_hook_and_exits_after_target() {
    let mut pod = pod_with(SigtermPolicy::Auto, 3);
    pod.at(CALL).sigterm().at(20).call(Hook).at(20 + LAME_DUCK).expect([Signal(1)]);
    pod.at(50).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0)), Exit]);
}

#[test]
fn drain_policy_drains_and_exits_after_target() {
    let mut pod = pod_with(SigtermPolicy::Drain, 0);
    pod.at(CALL).sigterm().phase(Phase::LameDuck).deadline(DEADLINE).at(SIGNAL).expect([Signal(1)]);
    pod.at(SIGNAL + CONFIRMATION).expect([Release(Drained, Some(0))]).at(200).phase(Phase::Done);
    pod.exits(1, ExitStatus::Code(0)).expect([Exit]);
}

#[test]
fn sigterm_joins_drain_of_hook() {
    for on_sigterm in [SigtermPolicy::Drain, SigtermPolicy::Auto] {
        let mut pod = pod_with(on_sigterm, 3);
        pod.at(CALL).call(Hook).at(12).sigterm().deadline(DEADLINE).at(SIGNAL).expect([Signal(1)]);
        pod.at(20).sigterm().at(DEADLINE).expect([Release(Expired, Some(3))]);
        pod.at(67).exits(1, ExitStatus::Killed(9)).expect([Exit]);
    }
}

#[test]
fn sigterm_after_drain_exits_after_target() {
    for on_sigterm in [SigtermPolicy::Drain, SigtermPolicy::Auto] {
        let mut pod = pod_with(on_sigterm, 3);
        pod.drain_to_signal().at(DEADLINE).expect([Release(Expired, Some(3))]);
        pod.at(66).sigterm().at(67).exits(1, ExitStatus::Killed(9)).expect([Exit]);
    }
    let mut pod = pod_with(SigtermPolicy::Drain, 3);
    pod.at(CALL).call(Hook).at(12).exits(1, ExitStatus::Killed(9)).expect([Release(Exited, Some(3))]);
    pod.at(13).sigterm().expect([Exit]);
}

#[test]
fn without_target_sidecar_exits_when_drain_ends() {
    let mut policy = policy();
    policy.on_sigterm = SigtermPolicy::Drain;
    let mut pod = Pod::start(policy, Some(SearchResult::NotFound), &[(Metrics, count(3))]);
    pod.at(CALL).sigterm().at(19.5).streams(0).at(20 + QUIET_PERIOD).expect([Release(Drained, Some(0)), Exit]);
}

#[test]
fn exit_policy_exits_immediately_in_every_phase() {
    pod_with(SigtermPolicy::Exit, 3).at(CALL).sigterm().expect([Exit]);
    pod_with(SigtermPolicy::Exit, 3).at(CALL).call(Hook).at(12).sigterm().expect([Exit]);
    pod_with(SigtermPolicy::Exit, 3).drain_to_signal().at(16).sigterm().expect([Exit]);
    let mut pod = pod_with(SigtermPolicy::Exit, 3);
    pod.drain_to_signal().at(DEADLINE).expect([Release(Expired, Some(3))]);
    pod.sigterm().expect([Exit]);
}

#[test]
fn hook_after_sigterm_and_expired_is_still_held() {
    let mut pod = pod_with(SigtermPolicy::Drain, 3);
    pod.at(CALL).sigterm().at(SIGNAL).expect([Signal(1)]).at(DEADLINE).expect([Release(Expired, Some(3))]);
    pod.at(70).call(Hook).deadline(70 + BUDGET).at(70 + BUDGET).expect([Release(Expired, Some(3))]);
    pod.at(126).exits(1, ExitStatus::Killed(9)).expect([Exit]);
}

#[test]
fn cli_call_after_sigterm_starts_drain() {
    pod_with(SigtermPolicy::Auto, 3).at(CALL).sigterm().at(12).call(Cli).at(12 + LAME_DUCK).expect([Signal(1)]);
}

#[test]
fn unsignalled_target_does_not_serve_again_after_sigterm() {
    let search_result = found(1, Some(SignalBlocker::NotCaught));
    let mut pod = Pod::start(policy(), Some(search_result), &[(Metrics, count(3))]);
    pod.at(CALL).call(Hook).at(DEADLINE).expect([Release(Expired, Some(3))]).at(66).sigterm();
    pod.at(300).phase(Phase::Done).exits(1, ExitStatus::Code(0)).expect([Exit]);
}
