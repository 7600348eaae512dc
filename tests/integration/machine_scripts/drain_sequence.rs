//! The course of a drain, from its trigger to its end.

use std::time::Duration;

use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::{ReadErrorKind, Source};
use lameduck_machine::result::Outcome::{Drained, Exited, Expired};
use lameduck_machine::result::Trigger::{Cli, Hook};
use lameduck_machine::result::{DrainResult, ExitStatus};
use lameduck_machine::snapshot::{DrainView, Phase};

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{CALL, CONFIRMATION, DEADLINE, Pod, QUIET_PERIOD, SIGNAL, count};

#[test]
fn drain_goes_from_lame_duck_to_signal_to_zero_to_release() {
    let mut pod = Pod::serving(3);
    pod.ready().at(CALL).call(Hook).not_ready(NotReady::LameDuck).phase(Phase::LameDuck);
    pod.at(SIGNAL).expect([Signal(1)]).not_ready(NotReady::Draining).phase(Phase::Draining);
    pod.at(19.5).streams(0);
    pod.at(20 + CONFIRMATION).expect([Release(Drained, Some(0))]).not_ready(NotReady::Done).phase(Phase::Done);
}

#[test]
fn snapshot_shows_drain_progress() {
    let mut pod = Pod::serving(3);
    let view = pod.at(CALL).call(Hook).at(13).snapshot().drain.expect("a drain");
    let DrainView { trigger, elapsed, remaining, streams_at_start, signalled, .. } = view;
    assert_eq!((trigger, streams_at_start, signalled), (Hook, Some(3), false));
    assert_eq!((elapsed, remaining), (Duration::from_secs(3), Duration::from_secs(52)));
    pod.at(SIGNAL).expect([Signal(1)]).at(20).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0))]).at(40);
    let view = pod.snapshot().drain.expect("a drain");
    assert_eq!(
        (view.elapsed, view.remaining, view.signalled),
        (Duration::from_secs(10), Duration::from_secs(45), true)
    );
}

#[test]
fn cli_call_starts_same_drain() {
    Pod::serving(3).at(CALL).call(Cli).not_ready(NotReady::LameDuck).at(SIGNAL).expect([Signal(1)]);
}

#[test]
fn zero_lame_duck_signals_immediately() {
    Pod::with(3, |policy| policy.times.lame_duck = Duration::ZERO).at(CALL).call(Hook).expect([Signal(1)]);
}

#[test]
fn zero_streams_do_not_shorten_lame_duck() {
    let mut pod = Pod::serving(0);
    pod.at(CALL).call(Hook).at(14.9).phase(Phase::LameDuck).at(SIGNAL).expect([Signal(1)]);
    pod.at(SIGNAL + CONFIRMATION).expect([Release(Drained, Some(0))]);
}

#[test]
fn zero_must_last_for_quiet_period() {
    let mut pod = Pod::serving(1);
    pod.drain_to_signal();
    pod.at(19.5).streams(0).at(20.5).streams(1).at(21.5).streams(0);
    pod.at(22 + CONFIRMATION).expect([Release(Drained, Some(0))]);
}

#[test]
fn failed_reading_restarts_quiet_period() {
    let mut pod = Pod::serving(1);
    pod.drain_to_signal();
    pod.at(19.5).streams(0).at(30.5).page_fails(ReadErrorKind::NoResponse).at(31.5).streams(0);
    pod.at(32 + CONFIRMATION).expect([Release(Drained, Some(0))]);
}

#[test]
fn streams_in_exit_wait_restart_quiet_period() {
    let mut pod = Pod::serving(0);
    pod.drain_to_signal();
    pod.at(25.5).streams(1).at(26.5).streams(0);
    pod.at(27 + CONFIRMATION).expect([Release(Drained, Some(0))]);
}

#[test]
fn no_exit_wait_without_signal() {
    let mut pod = Pod::with(0, |policy| policy.signal = None);
    pod.at(CALL).call(Hook).at(SIGNAL + QUIET_PERIOD).expect([Release(Drained, Some(0))]);
}

#[test]
fn timer_alone_never_ends_drain_as_drained() {
    let mut pod = Pod::with(0, |policy| policy.signal = None);
    pod.at(CALL).call(Hook).at(15.5).polls_hang();
    pod.at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn late_reading_can_confirm_zero() {
    let mut pod = Pod::with(0, |policy| policy.signal = None);
    pod.at(CALL).call(Hook).at(16.5).polls_hang().at(17.5);
    let (requested_at, _) = pod.unanswered_polls[0];
    pod.answer_poll(requested_at, &[(Source::Metrics, count(0))]);
    pod.expect([Release(Drained, Some(0))]);
}

#[test]
fn exit_after_confirmed_zero_is_drained() {
    let mut pod = Pod::serving(0);
    pod.drain_to_signal();
    pod.at(17.5).exits(1, ExitStatus::Unknown).expect([Release(Drained, Some(0))]);
}

#[test]
fn quiet_period_ends_with_extra_poll() {
    let mut pod = Pod::with(0, |policy| policy.times.poll_interval = Duration::from_secs(20));
    pod.drain_to_signal();
    pod.at(17.5).exits(1, ExitStatus::Unknown).expect([Release(Drained, Some(0))]);
}

#[test]
fn exit_wait_ends_with_extra_poll() {
    let mut pod = Pod::with(0, |policy| policy.times.poll_interval = Duration::from_secs(20));
    pod.drain_to_signal().at(SIGNAL + CONFIRMATION).expect([Release(Drained, Some(0))]);
}

#[test]
fn exit_before_confirmed_zero_is_exited() {
    let mut pod = Pod::serving(0);
    pod.drain_to_signal();
    pod.at(16.5).exits(1, ExitStatus::Unknown).expect([Release(Exited, Some(0))]);
}

#[test]
fn confirmed_zero_is_kept_until_complete_poll_contradicts() {
    let pod = || {
        let mut pod = Pod::with(0, |policy| policy.sources = vec![Source::Metrics, Source::Lazy]);
        pod.readings(&[(Source::Metrics, count(0)), (Source::Lazy, count(0))]);
        pod.drain_to_signal();
        // From now on only the metrics answer, so the poll requested at 18 ends at its timeout, 20.
        pod.at(17.5).readings(&[(Source::Metrics, count(3))]);
        pod
    };
    pod().at(19.5).exits(1, ExitStatus::Killed(9)).expect([Release(Drained, Some(0))]);
    pod().at(20).exits(1, ExitStatus::Killed(9)).expect([Release(Exited, Some(3))]);
}

#[test]
fn deadline_is_grace_period_minus_exit_margin() {
    let mut pod = Pod::serving(4);
    pod.at(CALL)
        .call(Hook)
        .deadline(DEADLINE)
        .at(SIGNAL)
        .expect([Signal(1)])
        .at(DEADLINE)
        .expect([Release(Expired, Some(4))]);
    let result = pod.result.expect("a result");
    let DrainResult { streams_at_start, duration, signalled, .. } = result;
    assert_eq!((streams_at_start, duration, signalled), (Some(4), Duration::from_secs(55), true));
}

#[test]
fn confirmed_zero_at_deadline_is_drained_during_exit_wait() {
    let mut pod = Pod::serving(1);
    pod.drain_to_signal();
    pod.at(59.5).streams(0).at(DEADLINE).expect([Release(Drained, Some(0))]);
}

#[test]
fn unconfirmed_zero_at_deadline_is_expired_with_no_stragglers() {
    let mut pod = Pod::serving(1);
    pod.drain_to_signal();
    pod.at(64.5).streams(0).at(DEADLINE).expect([Release(Expired, Some(0))]);
}

#[test]
fn stragglers_are_unknown_if_sources_fail_at_deadline() {
    let mut pod = Pod::serving(4);
    pod.drain_to_signal();
    pod.at(50).page_fails(ReadErrorKind::Invalid).at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn stragglers_are_unknown_if_last_reading_is_stale() {
    let mut pod = Pod::with(0, |policy| policy.times.scrape_timeout = Duration::from_secs(30));
    pod.streams(1).drain_to_signal();
    pod.at(49.5).streams(0).at(50.5).polls_hang();
    pod.at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn final_poll_counts_stragglers_before_deadline() {
    let mut pod = Pod::with(1, |policy| policy.times.poll_interval = Duration::from_secs(20));
    pod.drain_to_signal();
    pod.at(56).streams(7).at(DEADLINE).expect([Release(Expired, Some(7))]);
}

#[test]
fn zero_does_not_end_drain_that_waits_for_exit() {
    let mut pod = Pod::with(0, |policy| policy.wait_for_exit = true);
    pod.drain_to_signal();
    pod.at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn exit_ends_drain_that_waits_for_exit() {
    let mut pod = Pod::with(3, |policy| policy.wait_for_exit = true);
    pod.drain_to_signal();
    pod.at(30).streams(0).at(40).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0))]);
}

#[test]
fn clock_jump_past_deadline_expires_without_signal() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).jump_to(100).expect([Release(Expired, None)]);
}

#[test]
fn one_second_grace_period_is_kept() {
    let mut pod = Pod::with(2, |policy| {
        let times = &mut policy.times;
        times.grace_period = Duration::from_secs(1);
        let tenth = Duration::from_millis(100);
        (times.exit_margin, times.lame_duck, times.quiet_period, times.exit_wait) = (tenth, tenth, tenth, tenth);
    });
    pod.at(CALL).call(Hook).at(10.1).expect([Signal(1)]).at(10.9).expect([Release(Expired, Some(2))]);
}

#[test]
fn phases_and_sources_have_stable_names() {
    assert_eq!(Phase::ALL.map(Phase::name), ["serving", "lame_duck", "draining", "done"]);
    let sources = [Source::Metrics, Source::Lazy, Source::Sockets, Source::Status];
    assert_eq!(sources.map(Source::name), ["metrics", "lazy", "sockets", "status"]);
}
