//! How a drain goes, from its trigger to its end.

use std::time::Duration;

use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::{ReadErrorKind, Source};
use lameduck_machine::result::Outcome::{Drained, Exited, Expired};
use lameduck_machine::result::Trigger::{Cli, Hook};
use lameduck_machine::result::{DrainResult, ExitStatus};
use lameduck_machine::snapshot::{DrainView, Phase};

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{Pod, count};

#[test]
fn a_drain_is_lame_duck_then_signal_then_zero_then_release() {
    let mut pod = Pod::serving(3);
    pod.ready().at(10).call(Hook).not_ready(NotReady::LameDuck).phase(Phase::LameDuck);
    pod.at(15).expect([Signal(1)]).not_ready(NotReady::Draining).phase(Phase::Draining);
    pod.at(19.5).streams(0);
    pod.at(32).expect([Release(Drained, Some(0))]).not_ready(NotReady::Done).phase(Phase::Done);
}

#[test]
fn a_drain_can_be_watched_from_outside() {
    let mut pod = Pod::serving(3);
    let view = pod.at(10).call(Hook).at(13).snapshot().drain.expect("a drain");
    let DrainView { trigger, elapsed, remaining, streams_at_start, signalled, .. } = view;
    assert_eq!((trigger, streams_at_start, signalled), (Hook, Some(3), false));
    assert_eq!((elapsed, remaining), (Duration::from_secs(3), Duration::from_secs(52)));
    pod.at(15).expect([Signal(1)]).at(20).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0))]).at(40);
    let view = pod.snapshot().drain.expect("a drain");
    assert_eq!(
        (view.elapsed, view.remaining, view.signalled),
        (Duration::from_secs(10), Duration::from_secs(45), true)
    );
}

#[test]
fn a_person_begins_the_same_drain() {
    Pod::serving(3).at(10).call(Cli).not_ready(NotReady::LameDuck).at(15).expect([Signal(1)]);
}

#[test]
fn a_lame_duck_of_nothing_signals_at_once() {
    Pod::with(3, |policy| policy.times.lame_duck = Duration::ZERO).at(10).call(Hook).expect([Signal(1)]);
}

#[test]
fn zero_streams_at_the_trigger_do_not_shorten_the_lame_duck() {
    let mut pod = Pod::serving(0);
    pod.at(10).call(Hook).at(14.9).phase(Phase::LameDuck).at(15).expect([Signal(1)]);
    pod.at(27).expect([Release(Drained, Some(0))]);
}

#[test]
fn zero_must_hold_for_the_quiet_period() {
    let mut pod = Pod::serving(1);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    pod.at(19.5).streams(0).at(20.5).streams(1).at(21.5).streams(0);
    // Zero again since 22, so quiet until 24, and then the exit wait.
    pod.at(34).expect([Release(Drained, Some(0))]);
}

#[test]
fn a_failing_page_resets_zero() {
    let mut pod = Pod::serving(1);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    pod.at(19.5).streams(0).at(30.5).fails(ReadErrorKind::NoResponse).at(31.5).streams(0);
    pod.at(44).expect([Release(Drained, Some(0))]);
}

#[test]
fn streams_in_the_exit_wait_reset_zero() {
    let mut pod = Pod::serving(0);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    pod.at(25.5).streams(1).at(26.5).streams(0);
    pod.at(39).expect([Release(Drained, Some(0))]);
}

#[test]
fn without_a_signal_there_is_no_exit_wait() {
    let mut pod = Pod::with(0, |policy| policy.signal = None);
    pod.at(10).call(Hook).at(17).expect([Release(Drained, Some(0))]);
}

#[test]
fn a_timer_alone_never_ends_a_drain_as_drained() {
    let mut pod = Pod::with(0, |policy| policy.signal = None);
    pod.at(10).call(Hook).at(15.5).hangs();
    pod.at(65).expect([Release(Expired, None)]);
}

#[test]
fn a_confirming_reading_that_comes_late_still_counts() {
    let mut pod = Pod::with(0, |policy| policy.signal = None);
    pod.at(10).call(Hook).at(16.5).hangs().at(17.5);
    let (requested_at, _) = pod.unanswered_polls[0];
    pod.answer_poll(requested_at, &[(Source::Metrics, count(0))]);
    pod.expect([Release(Drained, Some(0))]);
}

#[test]
fn the_exit_after_held_zero_is_drained_at_once() {
    let mut pod = Pod::serving(0);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    pod.at(17.5).exits(1, ExitStatus::Unknown).expect([Release(Drained, Some(0))]);
}

#[test]
fn the_quiet_period_ends_with_a_look_of_its_own() {
    let mut pod = Pod::with(0, |policy| policy.times.poll_interval = Duration::from_secs(20));
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    pod.at(17.5).exits(1, ExitStatus::Unknown).expect([Release(Drained, Some(0))]);
}

#[test]
fn the_exit_wait_ends_with_a_look_of_its_own() {
    let mut pod = Pod::with(0, |policy| policy.times.poll_interval = Duration::from_secs(20));
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(27).expect([Release(Drained, Some(0))]);
}

#[test]
fn the_exit_before_zero_has_held_is_exited() {
    let mut pod = Pod::serving(0);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    pod.at(16.5).exits(1, ExitStatus::Unknown).expect([Release(Exited, Some(0))]);
}

#[test]
fn confirmed_zero_stands_until_a_whole_poll_denies_it() {
    let pod = || {
        let mut pod = Pod::with(0, |policy| policy.sources = vec![Source::Metrics, Source::Lazy]);
        pod.readings(&[(Source::Metrics, count(0)), (Source::Lazy, count(0))]);
        pod.at(10).call(Hook).at(15).expect([Signal(1)]);
        // Only the metrics answer from now on, so that the poll of 18 ends at 20.
        pod.at(17.5).readings(&[(Source::Metrics, count(3))]);
        pod
    };
    pod().at(19.5).exits(1, ExitStatus::Killed(9)).expect([Release(Drained, Some(0))]);
    pod().at(20).exits(1, ExitStatus::Killed(9)).expect([Release(Exited, Some(3))]);
}

#[test]
fn the_deadline_is_the_grace_period_less_the_exit_margin() {
    let mut pod = Pod::serving(4);
    pod.at(10).call(Hook).deadline(65).at(15).expect([Signal(1)]).at(65).expect([Release(Expired, Some(4))]);
    let result = pod.result.expect("a result");
    let DrainResult { streams_at_start, duration, signalled, .. } = result;
    assert_eq!((streams_at_start, duration, signalled), (Some(4), Duration::from_secs(55), true));
}

#[test]
fn zero_that_held_until_the_deadline_is_drained_though_the_exit_wait_is_not_over() {
    let mut pod = Pod::serving(1);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    pod.at(59.5).streams(0).at(65).expect([Release(Drained, Some(0))]);
}

#[test]
fn zero_that_has_not_held_at_the_deadline_is_expired_without_stragglers() {
    let mut pod = Pod::serving(1);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    pod.at(64.5).streams(0).at(65).expect([Release(Expired, Some(0))]);
}

#[test]
fn stragglers_are_unknown_if_every_source_is_at_the_deadline() {
    let mut pod = Pod::serving(4);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    pod.at(50).fails(ReadErrorKind::Invalid).at(65).expect([Release(Expired, None)]);
}

#[test]
fn stragglers_are_unknown_if_the_last_reading_is_old_at_the_deadline() {
    let mut pod = Pod::with(0, |policy| policy.times.scrape_timeout = Duration::from_secs(30));
    pod.streams(1).at(10).call(Hook).at(15).expect([Signal(1)]);
    pod.at(49.5).streams(0).at(50.5).hangs();
    pod.at(65).expect([Release(Expired, None)]);
}

#[test]
fn stragglers_are_counted_shortly_before_the_deadline() {
    let mut pod = Pod::with(1, |policy| policy.times.poll_interval = Duration::from_secs(20));
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    pod.at(56).streams(7).at(65).expect([Release(Expired, Some(7))]);
}

#[test]
fn waiting_for_the_exit_zero_ends_nothing_and_says_nothing() {
    let mut pod = Pod::with(0, |policy| policy.wait_for_exit = true);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    pod.at(65).expect([Release(Expired, None)]);
}

#[test]
fn waiting_for_the_exit_the_exit_ends_it() {
    let mut pod = Pod::with(3, |policy| policy.wait_for_exit = true);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]);
    pod.at(30).streams(0).at(40).exits(1, ExitStatus::Code(0)).expect([Release(Exited, Some(0))]);
}

#[test]
fn a_clock_that_jumps_past_the_deadline_ends_the_drain_without_a_signal() {
    let mut pod = Pod::serving(3);
    pod.at(10).call(Hook).jump_to(100).expect([Release(Expired, None)]);
}

#[test]
fn a_grace_period_of_one_second_is_kept_to() {
    let mut pod = Pod::with(2, |policy| {
        let plan = &mut policy.times;
        plan.grace_period = Duration::from_secs(1);
        let tenth = Duration::from_millis(100);
        (plan.exit_margin, plan.lame_duck, plan.quiet_period, plan.exit_wait) = (tenth, tenth, tenth, tenth);
    });
    pod.at(10).call(Hook).at(10.1).expect([Signal(1)]).at(10.9).expect([Release(Expired, Some(2))]);
}

#[test]
fn what_users_see_has_its_names() {
    assert_eq!(Phase::ALL.map(Phase::name), ["serving", "lame_duck", "draining", "done"]);
    let sources = [Source::Metrics, Source::Lazy, Source::Sockets, Source::Status];
    assert_eq!(sources.map(Source::name), ["metrics", "lazy", "sockets", "status"]);
}
