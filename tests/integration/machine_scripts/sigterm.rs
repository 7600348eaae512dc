//! SIGTERM to the sidecar itself: when it drains, and when it leaves.

use lameduck_machine::policy::SigtermPolicy;
use lameduck_machine::reading::ReadErrorKind;
use lameduck_machine::reading::Source::Metrics;
use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::{Drained, Exited, Expired};
use lameduck_machine::result::Trigger::{Cli, Hook};
use lameduck_machine::snapshot::Phase;
use lameduck_machine::target::{SearchResult, SignalBlocker};

use crate::machine_scripts::pod::Effect::{Exit, Release, Signal};
use crate::machine_scripts::pod::{Pod, count, found, policy};

fn under(on_sigterm: SigtermPolicy, streams: u64) -> Pod {
    Pod::with(streams, |policy| policy.on_sigterm = on_sigterm)
}

#[test]
fn auto_exits_immediately_at_known_zero() {
    under(SigtermPolicy::Auto, 0).at(10).sigterm().expect([Exit]);
}

#[test]
fn auto_waits_for_hook_then_exits_without_signal() {
    // Between two polls, so that nothing else wakes the machine then.
    under(SigtermPolicy::Auto, 3).at(10.5).sigterm().phase(Phase::Serving).ready().at(40.5).expect([Exit]);
}

#[test]
fn auto_waits_while_count_is_unknown() {
    let mut pod = under(SigtermPolicy::Auto, 3);
    pod.fails(ReadErrorKind::NoResponse).at(10).sigterm().at(40).expect([Exit]);
}

#[test]
fn auto_does_not_wait_after_target_exit() {
    let mut pod = under(SigtermPolicy::Auto, 3);
    pod.at(10).exits(1, ExitStatus::Code(0)).at(12).sigterm().expect([Exit]);
}

#[test]
fn auto_waits_at_zero_when_only_exit_ends_drain() {
    let mut pod = Pod::with(0, |policy| policy.wait_for_exit = true);
    pod.at(12).sigterm().at(13).call(Hook).at(18).expect([Signal(1)]);
    pod.at(20).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0)), Exit]);
}

#[test]
fn without_target_timeout_blocks_exit_but_refusal_does_not() {
    for (kind, leaves_at) in
        [(ReadErrorKind::NoResponse, 42.0), (ReadErrorKind::Invalid, 42.0), (ReadErrorKind::ConnectionRefused, 12.0)]
    {
        let mut policy = policy();
        policy.signal = None;
        let mut pod = Pod::start(policy, Some(SearchResult::NotFound), &[(Metrics, count(3))]);
        pod.at(10.5).fails(kind).at(12).sigterm().at(leaves_at).expect([Exit]);
    }
}

#[test]
fn second_sigterm_does_not_extend_wait() {
    under(SigtermPolicy::Auto, 3).at(10).sigterm().at(20).sigterm().at(40).expect([Exit]);
}

#[test]
fn auto_stops_waiting_at_exit_or_zero() {
    under(SigtermPolicy::Auto, 3).at(10).sigterm().at(20).exits(1, ExitStatus::Code(0)).expect([Exit]);
    under(SigtermPolicy::Auto, 3).at(10).sigterm().at(19.5).streams(0).at(20).expect([Exit]);
}

#[test]
fn auto_drains_on_hook_and_exits_after_target() {
    let mut pod = under(SigtermPolicy::Auto, 3);
    pod.at(10).sigterm().at(20).call(Hook).at(25).expect([Signal(1)]);
    pod.at(50).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0)), Exit]);
}

#[test]
fn drain_policy_drains_and_exits_after_target() {
    let mut pod = under(SigtermPolicy::Drain, 0);
    pod.at(10).sigterm().phase(Phase::LameDuck).deadline(65).at(15).expect([Signal(1)]);
    pod.at(27).expect([Release(Drained, Some(0))]).at(200).phase(Phase::Done);
    pod.exits(1, ExitStatus::Code(0)).expect([Exit]);
}

#[test]
fn sigterm_joins_drain_of_hook() {
    for on_sigterm in [SigtermPolicy::Drain, SigtermPolicy::Auto] {
        let mut pod = under(on_sigterm, 3);
        pod.at(10).call(Hook).at(12).sigterm().deadline(65).at(15).expect([Signal(1)]);
        pod.at(20).sigterm().at(65).expect([Release(Expired, Some(3))]);
        pod.at(67).exits(1, ExitStatus::Killed(9)).expect([Exit]);
    }
}

#[test]
fn sigterm_after_drain_exits_after_target() {
    for on_sigterm in [SigtermPolicy::Drain, SigtermPolicy::Auto] {
        let mut pod = under(on_sigterm, 3);
        pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(65).expect([Release(Expired, Some(3))]);
        pod.at(66).sigterm().at(67).exits(1, ExitStatus::Killed(9)).expect([Exit]);
    }
    let mut pod = under(SigtermPolicy::Drain, 3);
    pod.at(10).call(Hook).at(12).exits(1, ExitStatus::Killed(9)).expect([Release(Exited, Some(3))]);
    pod.at(13).sigterm().expect([Exit]);
}

#[test]
fn without_target_sidecar_exits_when_drain_ends() {
    let mut policy = policy();
    policy.on_sigterm = SigtermPolicy::Drain;
    let mut pod = Pod::start(policy, Some(SearchResult::NotFound), &[(Metrics, count(3))]);
    pod.at(10).sigterm().at(19.5).streams(0).at(22).expect([Release(Drained, Some(0)), Exit]);
}

#[test]
fn exit_policy_exits_immediately_in_every_phase() {
    under(SigtermPolicy::Exit, 3).at(10).sigterm().expect([Exit]);
    under(SigtermPolicy::Exit, 3).at(10).call(Hook).at(12).sigterm().expect([Exit]);
    under(SigtermPolicy::Exit, 3).at(10).call(Hook).at(15).expect([Signal(1)]).at(16).sigterm().expect([Exit]);
    let mut pod = under(SigtermPolicy::Exit, 3);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(65).expect([Release(Expired, Some(3))]);
    pod.sigterm().expect([Exit]);
}

#[test]
fn hook_after_sigterm_and_expired_is_still_held() {
    let mut pod = under(SigtermPolicy::Drain, 3);
    pod.at(10).sigterm().at(15).expect([Signal(1)]).at(65).expect([Release(Expired, Some(3))]);
    pod.at(70).call(Hook).deadline(125).at(125).expect([Release(Expired, Some(3))]);
    pod.at(126).exits(1, ExitStatus::Killed(9)).expect([Exit]);
}

#[test]
fn cli_call_after_sigterm_starts_drain() {
    under(SigtermPolicy::Auto, 3).at(10).sigterm().at(12).call(Cli).at(17).expect([Signal(1)]);
}

#[test]
fn unsignalled_target_does_not_serve_again_after_sigterm() {
    let sighting = found(1, Some(SignalBlocker::NotCaught));
    let mut pod = Pod::start(policy(), Some(sighting), &[(Metrics, count(3))]);
    pod.at(10).call(Hook).at(65).expect([Release(Expired, Some(3))]).at(66).sigterm();
    pod.at(300).phase(Phase::Done).exits(1, ExitStatus::Code(0)).expect([Exit]);
}
