//! Unauthorized callers: held like the others, but their calls start nothing.

use std::time::Duration;

use lameduck_machine::io::Input;
use lameduck_machine::policy::SigtermPolicy;
use lameduck_machine::reading::ReadErrorKind::{ConnectionRefused, NoResponse};
use lameduck_machine::reading::Source::Metrics;
use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::{Drained, Exited, Expired, NeverServed};
use lameduck_machine::result::Trigger::{Cli, Hook};
use lameduck_machine::snapshot::Phase;
use lameduck_machine::target::SearchResult;

use crate::machine_scripts::pod::Effect::{Exit, Release, ReleaseUnauthorized, Signal};
use crate::machine_scripts::pod::{
    BUDGET, CALL, CONFIRMATION, DEADLINE, LAME_DUCK, Pod, QUIET_PERIOD, SIGNAL, count, failure, found, policy, second,
};

#[test]
fn caller_is_held_to_its_deadline_without_side_effects() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call_unauthorized(1).phase(Phase::Serving).ready().at(64.9).ready();
    pod.at(DEADLINE).expect([ReleaseUnauthorized(1, Expired, Some(3))]).phase(Phase::Serving).ready();
    assert_eq!((pod.saved, pod.result, pod.snapshot().drain), (None, None, None));
    assert!(!pod.unauthorized_result.is_some_and(|result| result.signalled));
}

#[test]
fn caller_is_released_after_quiet_period_at_zero() {
    let mut pod = Pod::serving(3);
    pod.at(CALL)
        .call_unauthorized(1)
        .at(19.5)
        .streams(0)
        .at(20 + QUIET_PERIOD)
        .expect([ReleaseUnauthorized(1, Drained, Some(0))])
        .ready();
}

#[test]
fn zero_before_call_does_not_release() {
    let mut pod = Pod::serving(0);
    pod.at(9.5).call_unauthorized(1).at(11.9).ready().at(12).expect([ReleaseUnauthorized(1, Drained, Some(0))]);
}

#[test]
fn poll_requested_before_call_does_not_release() {
    let mut pod = Pod::with(0, |policy| policy.times.quiet_period = Duration::ZERO);
    pod.at(9.5)
        .polls_hang()
        .at(10.5)
        .call_unauthorized(1)
        .at(10.7)
        .answer_newest_poll(&[(Metrics, count(0))])
        .at(10.9)
        .streams(0);
    pod.at(11).expect([ReleaseUnauthorized(1, Drained, Some(0))]);
}

#[test]
fn unconfirmed_zero_does_not_release() {
    let mut pod = Pod::serving(0);
    pod.at(CALL).call_unauthorized(1).at(11).streams(2).at(60).ready().at(DEADLINE).expect([ReleaseUnauthorized(
        1,
        Expired,
        Some(2),
    )]);
}

#[test]
fn earlier_drain_deadline_does_not_release() {
    let mut pod = Pod::serving(3);
    pod.at(CALL)
        .call(Cli)
        .at(SIGNAL)
        .expect([Signal(1)])
        .at(40)
        .call_unauthorized(1)
        .at(DEADLINE)
        .expect([Release(Expired, Some(3))]);
    pod.at(40 + BUDGET).expect([ReleaseUnauthorized(1, Expired, Some(3))]);
}

#[test]
fn sigterm_does_not_release_before_confirmed_zero() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call_unauthorized(1).at(12).sigterm().at(14.5).streams(0).at(16.5).phase(Phase::Serving);
    pod.at(15 + QUIET_PERIOD).expect([ReleaseUnauthorized(1, Drained, Some(0)), Exit]);
    let mut pod = Pod::serving(0);
    pod.at(CALL)
        .call_unauthorized(1)
        .at(10.5)
        .sigterm()
        .at(13)
        .expect([ReleaseUnauthorized(1, Drained, Some(0)), Exit]);
}

#[test]
fn sigterm_does_not_release_at_zero_when_waiting_for_exit() {
    let mut pod = Pod::with(0, |policy| policy.wait_for_exit = true);
    pod.at(CALL).call_unauthorized(1).at(12).sigterm().at(20).exits(1, ExitStatus::Code(0)).expect([
        ReleaseUnauthorized(1, Exited, None),
        Release(Exited, None),
        Exit,
    ]);
}

#[test]
fn sigterm_does_not_release_without_target_and_count() {
    let mut policy = policy();
    policy.signal = None;
    let mut pod = Pod::start(policy, Some(SearchResult::NotFound), &[(Metrics, count(3))]);
    pod.at(CALL).call_unauthorized(1).at(10.5).page_fails(NoResponse).at(12).sigterm();
    pod.at(DEADLINE).expect([ReleaseUnauthorized(1, Expired, None), Exit]);
}

#[test]
fn unknown_count_does_not_release() {
    let mut pod = Pod::serving(3);
    pod.at(CALL)
        .call_unauthorized(1)
        .page_fails(NoResponse)
        .at(DEADLINE)
        .expect([ReleaseUnauthorized(1, Expired, None)]);
}

#[test]
fn calls_do_not_trigger_extra_polls() {
    let mut pod = Pod::serving(3);
    pod.at(9.2).polls_hang();
    for caller in 0..64 {
        pod.call_unauthorized(caller).hang_up_unauthorized(caller);
    }
    assert_eq!(pod.unanswered_polls, []);
    pod.at(10);
    assert_eq!(pod.unanswered_polls.len(), 1);
}

#[test]
fn each_caller_has_its_own_deadline() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call_unauthorized(1).at(20).call_unauthorized(2).at(DEADLINE).expect([ReleaseUnauthorized(
        1,
        Expired,
        Some(3),
    )]);
    pod.at(20 + BUDGET).expect([ReleaseUnauthorized(2, Expired, Some(3))]);
}

#[test]
fn disconnected_caller_is_removed() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call_unauthorized(1).call_unauthorized(2);
    assert_eq!(pod.snapshot().hook_callers, 2);
    pod.at(11).hang_up_unauthorized(1).at(DEADLINE).expect([ReleaseUnauthorized(2, Expired, Some(3))]);
    assert_eq!(pod.snapshot().hook_callers, 0);
}

#[test]
fn target_exit_releases_callers() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call_unauthorized(1).at(20).exits(1, ExitStatus::Code(0)).expect([ReleaseUnauthorized(
        1,
        Exited,
        Some(3),
    )]);
}

#[test]
fn zero_before_target_was_found_is_not_inherited() {
    let mut pod = Pod::start(policy(), None, &[(Metrics, count(0))]);
    pod.at(9.5)
        .call_unauthorized(1)
        .at(11.5)
        .search_finds(found(1, None))
        .input(Input::SearchResult { requested_at: second(11.2), result: found(1, None) });
    pod.at(13.4).phase(Phase::Serving).at(13.5).expect([ReleaseUnauthorized(1, Drained, Some(0))]);
}

#[test]
fn caller_joins_active_drain_and_is_released_with_it() {
    let mut pod = Pod::serving(0);
    pod.at(CALL).call(Hook).at(11).call_unauthorized(1).at(SIGNAL).expect([Signal(1)]);
    assert_eq!(pod.snapshot().hook_callers, 2);
    // Zero has lasted for the quiet period at 17, but the exit wait of the drain holds for this caller too.
    pod.at(SIGNAL + CONFIRMATION).expect([Release(Drained, Some(0)), ReleaseUnauthorized(1, Drained, Some(0))]);
    assert_eq!(pod.unauthorized_result, pod.result);
}

#[test]
fn later_drain_releases_waiting_callers() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call_unauthorized(1).at(20).call(Cli).at(20 + LAME_DUCK).expect([Signal(1)]);
    pod.at(30)
        .exits(1, ExitStatus::Code(0))
        .expect([Release(Exited, Some(0)), ReleaseUnauthorized(1, Exited, Some(0))]);
}

#[test]
fn drain_does_not_hold_caller_beyond_its_deadline() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call_unauthorized(1).at(20).call(Hook).at(20 + LAME_DUCK).expect([Signal(1)]);
    pod.at(DEADLINE)
        .expect([ReleaseUnauthorized(1, Expired, Some(3))])
        .at(20 + BUDGET)
        .expect([Release(Expired, Some(3))]);
}

#[test]
fn caller_neither_moves_deadline_nor_blocks_hook_from_it() {
    let mut pod = Pod::serving(3);
    pod.at(CALL)
        .call(Hook)
        .hang_up(Hook)
        .at(12)
        .call_unauthorized(1)
        .deadline(DEADLINE)
        .at(13)
        .call(Hook)
        .deadline(13 + BUDGET);
}

#[test]
fn call_after_drain_is_answered_unless_expired() {
    let mut pod = Pod::serving(0);
    pod.drain_to_signal().at(SIGNAL + CONFIRMATION).expect([Release(Drained, Some(0))]);
    pod.at(28).call_unauthorized(1).expect([ReleaseUnauthorized(1, Drained, Some(0))]);

    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(DEADLINE).expect([Release(Expired, Some(3))]);
    pod.at(70).call_unauthorized(1).phase(Phase::Done).at(71).call(Cli).expect([Release(Expired, Some(3))]);
    pod.at(70 + BUDGET).expect([ReleaseUnauthorized(1, Expired, Some(3))]);
}

#[test]
fn caller_is_not_held_for_never_served_target() {
    let mut pod = Pod::start(policy(), Some(found(1, None)), &[(Metrics, failure(ConnectionRefused))]);
    pod.at(9.5)
        .call_unauthorized(1)
        .at(10)
        .expect([ReleaseUnauthorized(1, NeverServed, Some(0))])
        .phase(Phase::Serving);
}

#[test]
fn zero_does_not_release_when_waiting_for_exit() {
    let mut pod = Pod::with(0, |policy| policy.wait_for_exit = true);
    pod.at(CALL)
        .call_unauthorized(1)
        .at(20)
        .exits(1, ExitStatus::Code(0))
        .expect([ReleaseUnauthorized(1, Exited, None)]);
}

#[test]
fn sidecar_does_not_exit_while_callers_are_held() {
    let mut pod = Pod::with(3, |policy| policy.on_sigterm = SigtermPolicy::Auto);
    pod.at(CALL).call_unauthorized(1).at(12).sigterm().at(60).phase(Phase::Serving);
    pod.at(DEADLINE).expect([ReleaseUnauthorized(1, Expired, Some(3)), Exit]);

    let mut pod = Pod::with(3, |policy| policy.on_sigterm = SigtermPolicy::Auto);
    pod.at(CALL).call_unauthorized(1).at(12).sigterm().at(20).hang_up_unauthorized(1).at(42).expect([Exit]);
}
