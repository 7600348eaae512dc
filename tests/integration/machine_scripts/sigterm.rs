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
fn auto_leaves_at_once_when_streams_are_known_to_be_zero() {
    under(SigtermPolicy::Auto, 0).at(10).sigterm().expect([Exit]);
}

#[test]
fn auto_waits_thirty_seconds_for_a_hook_and_leaves_without_a_signal() {
    // Between two polls, so that nothing else wakes the machine then.
    under(SigtermPolicy::Auto, 3).at(10.5).sigterm().phase(Phase::Serving).ready().at(40.5).expect([Exit]);
}

#[test]
fn auto_waits_while_streams_are_unknown_and_the_target_lives() {
    let mut pod = under(SigtermPolicy::Auto, 3);
    pod.fails(ReadErrorKind::NoResponse).at(10).sigterm().at(40).expect([Exit]);
}

#[test]
fn auto_does_not_wait_for_a_target_that_is_gone() {
    let mut pod = under(SigtermPolicy::Auto, 3);
    pod.at(10).exits(1, ExitStatus::Code(0)).at(12).sigterm().expect([Exit]);
}

#[test]
fn zero_is_no_rest_where_only_the_exit_ends_a_drain() {
    let mut pod = Pod::with(0, |policy| policy.wait_for_exit = true);
    pod.at(12).sigterm().at(13).call(Hook).at(18).expect([Signal(1)]);
    pod.at(20).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0)), Exit]);
}

#[test]
fn where_nobody_is_in_sight_a_page_that_does_not_answer_may_be_at_work_and_one_that_is_gone_is_not() {
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
fn a_second_sigterm_does_not_lengthen_the_wait() {
    under(SigtermPolicy::Auto, 3).at(10).sigterm().at(20).sigterm().at(40).expect([Exit]);
}

#[test]
fn auto_stops_waiting_when_the_target_ends_or_its_streams_do() {
    under(SigtermPolicy::Auto, 3).at(10).sigterm().at(20).exits(1, ExitStatus::Code(0)).expect([Exit]);
    under(SigtermPolicy::Auto, 3).at(10).sigterm().at(19.5).streams(0).at(20).expect([Exit]);
}

#[test]
fn auto_drains_if_the_hook_comes_and_leaves_when_the_target_is_gone() {
    let mut pod = under(SigtermPolicy::Auto, 3);
    pod.at(10).sigterm().at(20).call(Hook).at(25).expect([Signal(1)]);
    pod.at(50).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0)), Exit]);
}

#[test]
fn drain_begins_a_drain_and_leaves_when_the_target_is_gone() {
    let mut pod = under(SigtermPolicy::Drain, 0);
    pod.at(10).sigterm().phase(Phase::LameDuck).deadline(65).at(15).expect([Signal(1)]);
    pod.at(27).expect([Release(Drained, Some(0))]).at(200).phase(Phase::Done);
    pod.exits(1, ExitStatus::Code(0)).expect([Exit]);
}

#[test]
fn sigterm_after_a_hook_joins_its_drain() {
    for on_sigterm in [SigtermPolicy::Drain, SigtermPolicy::Auto] {
        let mut pod = under(on_sigterm, 3);
        pod.at(10).call(Hook).at(12).sigterm().deadline(65).at(15).expect([Signal(1)]);
        pod.at(20).sigterm().at(65).expect([Release(Expired, Some(3))]);
        pod.at(67).exits(1, ExitStatus::Killed(9)).expect([Exit]);
    }
}

#[test]
fn sigterm_after_the_drain_leaves_as_soon_as_the_target_is_gone() {
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
fn without_a_target_in_sight_it_leaves_when_every_caller_has_its_answer() {
    let mut policy = policy();
    policy.on_sigterm = SigtermPolicy::Drain;
    let mut pod = Pod::start(policy, Some(SearchResult::NotFound), &[(Metrics, count(3))]);
    pod.at(10).sigterm().at(19.5).streams(0).at(22).expect([Release(Drained, Some(0)), Exit]);
}

#[test]
fn exit_leaves_at_once_in_every_phase() {
    under(SigtermPolicy::Exit, 3).at(10).sigterm().expect([Exit]);
    under(SigtermPolicy::Exit, 3).at(10).call(Hook).at(12).sigterm().expect([Exit]);
    under(SigtermPolicy::Exit, 3).at(10).call(Hook).at(15).expect([Signal(1)]).at(16).sigterm().expect([Exit]);
    let mut pod = under(SigtermPolicy::Exit, 3);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(65).expect([Release(Expired, Some(3))]);
    pod.sigterm().expect([Exit]);
}

#[test]
fn a_hook_after_sigterm_and_expired_is_still_held() {
    let mut pod = under(SigtermPolicy::Drain, 3);
    pod.at(10).sigterm().at(15).expect([Signal(1)]).at(65).expect([Release(Expired, Some(3))]);
    pod.at(70).call(Hook).deadline(125).at(125).expect([Release(Expired, Some(3))]);
    pod.at(126).exits(1, ExitStatus::Killed(9)).expect([Exit]);
}

#[test]
fn a_person_after_sigterm_drains_too() {
    under(SigtermPolicy::Auto, 3).at(10).sigterm().at(12).call(Cli).at(17).expect([Signal(1)]);
}

#[test]
fn an_untold_target_does_not_serve_again_once_the_sidecar_is_to_leave() {
    let sighting = found(1, Some(SignalBlocker::NotCaught));
    let mut pod = Pod::start(policy(), Some(sighting), &[(Metrics, count(3))]);
    pod.at(10).call(Hook).at(65).expect([Release(Expired, Some(3))]).at(66).sigterm();
    pod.at(300).phase(Phase::Done).exits(1, ExitStatus::Code(0)).expect([Exit]);
}
