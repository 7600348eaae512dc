//! An exit or a count of zero soon after the signal.

use lameduck_machine::reading::ReadErrorKind::NoResponse;
use lameduck_machine::reading::Source::Metrics;
use lameduck_machine::result::ExitStatus::{self, Code, Killed, Unknown};
use lameduck_machine::result::Outcome::{Drained, Exited, Expired};
use lameduck_machine::result::Trigger::Hook;
use lameduck_machine::warnings::Warning::{self, EndedWithSignal};

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{CALL, CONFIRMATION, DEADLINE, Pod, SIGNAL, count};
use crate::machine_scripts::records::{result, warnings};

const SIGKILL: i32 = 9;

/// The stragglers and the warnings of a target that exits with this status, this long after the signal.
fn exit_after(streams: u64, seconds: f64, status: ExitStatus) -> (Option<u64>, Vec<Warning>) {
    let mut pod = Pod::serving(streams);
    pod.drain_to_signal().at(f64::from(SIGNAL) + seconds).exits(1, status);
    let stragglers = result(&pod).stragglers;
    pod.expect([Release(Exited, stragglers)]);
    assert_eq!(result(&pod).streams_at_signal, Some(streams));
    (stragglers, warnings(&pod))
}

#[test]
fn clean_exit_proves_nothing_before_a_reading_after_the_signal() {
    for seconds in [0.0, 0.1, 0.6] {
        assert_eq!(exit_after(3, seconds, Code(0)), (None, vec![EndedWithSignal]), "{seconds}");
    }
    assert_eq!(exit_after(1, 0.1, Code(0)), (None, vec![EndedWithSignal]));
    assert_eq!(exit_after(3, 0.1, Unknown), (None, vec![EndedWithSignal]));
    assert_eq!(exit_after(3, 0.1, Code(1)), (None, vec![EndedWithSignal]));
}

#[test]
fn clean_exit_after_target_was_seen_serving_leaves_no_stragglers() {
    assert_eq!(exit_after(3, 0.8, Code(0)), (Some(0), vec![]));
    assert_eq!(exit_after(1, 0.8, Code(0)), (Some(0), vec![]));
    assert_eq!(exit_after(3, 20.0, Code(0)), (Some(0), vec![]));
}

#[test]
fn exit_without_streams_at_signal_leaves_no_stragglers() {
    assert_eq!(exit_after(0, 0.0, Code(0)), (Some(0), vec![]));
    assert_eq!(exit_after(0, 0.0, Unknown), (Some(0), vec![]));
}

#[test]
fn kill_soon_after_signal_counts_stragglers_without_warning() {
    assert_eq!(exit_after(3, 0.1, Killed(SIGKILL)), (Some(3), vec![]));
}

#[test]
fn zero_right_after_signal_leaves_stragglers_unknown() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().streams(0).at(f64::from(SIGNAL) + 0.15 + f64::from(CONFIRMATION));
    pod.expect([Release(Drained, None)]);
    assert_eq!(warnings(&pod), [EndedWithSignal]);
}

#[test]
fn stream_loss_after_signal_is_still_reported_at_deadline() {
    let mut pod = Pod::serving(12);
    pod.drain_to_signal().streams(2).at(DEADLINE).expect([Release(Expired, Some(2))]);
    assert_eq!(warnings(&pod), [EndedWithSignal]);
}

#[test]
fn zero_at_the_deadline_does_not_hide_a_loss_with_the_signal() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().streams(0).at(17).streams(1).at(DEADLINE - 1).streams(0).at(DEADLINE);
    pod.expect([Release(Expired, None)]);
    assert_eq!(warnings(&pod), [EndedWithSignal]);
}

#[test]
fn stream_loss_after_signal_survives_restart() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().streams(0).at(18).sidecar_restarts();
    pod.at(18 + CONFIRMATION).expect([Release(Drained, None)]);
    assert_eq!((result(&pod).streams_at_signal, warnings(&pod)), (Some(3), vec![EndedWithSignal]));
}

#[test]
fn reading_after_signal_is_remembered_over_restart() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal()
        .at(18)
        .sidecar_restarts()
        .call(Hook)
        .at(18.1)
        .exits(1, Code(0))
        .expect([Release(Exited, Some(0))]);
    assert_eq!((result(&pod).streams_at_signal, warnings(&pod)), (Some(3), vec![]));
}

#[test]
fn proof_is_kept_if_nothing_can_be_read_after_a_restart() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(18).page_fails(NoResponse).sidecar_restarts().call(Hook);
    pod.at(22).exits(1, Code(0)).expect([Release(Exited, Some(0))]);
    assert_eq!(warnings(&pod), []);
}

#[test]
fn new_streams_after_a_restart_do_not_hide_a_loss() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().streams(0).at(18).streams(3).sidecar_restarts();
    pod.at(DEADLINE).expect([Release(Expired, Some(3))]);
    assert_eq!(warnings(&pod), [EndedWithSignal]);
}

#[test]
fn unknown_count_at_signal_leaves_stragglers_unknown() {
    let mut pod = Pod::serving(3);
    pod.at(11).page_fails(NoResponse).at(CALL + 2).call(Hook).at(SIGNAL + 2).expect([Signal(1)]);
    pod.at(30).exits(1, Code(0)).expect([Release(Exited, None)]);
    assert_eq!((result(&pod).streams_at_signal, warnings(&pod)), (None, vec![EndedWithSignal]));
}

#[test]
fn unsignalled_drain_has_no_count_at_the_signal() {
    let mut pod = Pod::with(0, |policy| policy.signal = None);
    pod.at(CALL).call(Hook).at(SIGNAL + 2).expect([Release(Drained, Some(0))]);
    assert_eq!((result(&pod).streams_at_signal, warnings(&pod)), (None, vec![]));
}

#[test]
fn signal_waits_for_the_first_count_after_a_restart() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(14);
    let saved = pod.saved;
    let mut pod = Pod::serving(3);
    pod.saved = saved;
    pod.at(20).polls_hang().sidecar_restarts().at(20.5).answer_newest_poll(&[(Metrics, count(3))]);
    pod.expect([Signal(1)]).streams(3).at(DEADLINE).expect([Release(Expired, Some(3))]);
    assert_eq!(result(&pod).streams_at_signal, Some(3));
}

#[test]
fn count_is_read_shortly_before_and_after_the_signal() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(14.5).streams(5).at(SIGNAL).expect([Signal(1)]).at(15.2).counted(Some(5));
    pod.streams(4).at(15.8).counted(Some(4)).exits(1, Code(0)).expect([Release(Exited, Some(0))]);
    assert_eq!(result(&pod).streams_at_signal, Some(5));
}

#[test]
fn clean_exit_after_restart_without_hook_leaves_stragglers_unknown() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(18).sidecar_restarts().at(20).exits(1, Code(0)).expect([Release(Exited, None)]);
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(18).sidecar_restarts().streams(0).at(21).exits(1, Code(0));
    pod.expect([Release(Drained, Some(0))]);
}
