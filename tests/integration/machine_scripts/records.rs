//! The record of a drain: before the drain is over, and outside a drain.

use std::time::Duration;

use lameduck_machine::io::RecordReason::{self, CountChanged, HookDisconnected, Started};
use lameduck_machine::io::TargetEnded;
use lameduck_machine::policy::SigtermPolicy;
use lameduck_machine::reading::ReadErrorKind::{ConnectionRefused, NoResponse};
use lameduck_machine::result::ExitStatus::{Code, Killed};
use lameduck_machine::result::Outcome::{Drained, Exited, Expired, Interrupted};
use lameduck_machine::result::Trigger::Hook;
use lameduck_machine::result::{DrainResult, Outcome};
use lameduck_machine::warnings::Warning::{self, EndedWithSignal, NoHook};

use crate::machine_scripts::pod::Effect::{Exit, Release, Signal};
use crate::machine_scripts::pod::{CALL, CONFIRMATION, DEADLINE, Pod, SIGNAL, found, second};

const SIGKILL: i32 = 9;

pub(super) fn result(pod: &Pod) -> DrainResult {
    pod.result.expect("a result")
}

pub(super) fn warnings(pod: &Pod) -> Vec<Warning> {
    result(pod).warnings.iter().collect()
}

/// The last provisional record: its outcome, its stragglers, and why it was written.
fn last_record(pod: &Pod) -> (Outcome, Option<u64>, RecordReason) {
    let (record, reason) = *pod.records.last().expect("a record");
    (record.outcome, record.stragglers, reason)
}

// === before the drain is over ===

#[test]
fn drain_has_a_record_from_its_start() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook);
    assert_eq!(last_record(&pod), (Interrupted, Some(3), Started));
    pod.at(12.5).streams(2).at(13);
    assert_eq!(last_record(&pod), (Interrupted, Some(2), CountChanged));
    pod.at(SIGNAL).expect([Signal(1)]);
    let (record, _) = *pod.records.last().expect("a record");
    assert!(record.signalled && record.streams_at_signal == Some(2) && record.streams_at_start == Some(3));
}

#[test]
fn record_keeps_the_last_known_count() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(12.5).page_fails(NoResponse).at(SIGNAL).expect([Signal(1)]).at(30).hang_up(Hook);
    assert_eq!(last_record(&pod), (Interrupted, Some(3), HookDisconnected));
    pod.at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn record_never_says_zero_after_a_loss_with_the_signal() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().streams(0).at(16);
    let (record, _) = *pod.records.last().expect("a record");
    assert_eq!((record.stragglers, record.warnings.contains(EndedWithSignal)), (None, true));
}

#[test]
fn sigterm_updates_the_record_of_a_drain() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(20).sigterm();
    assert_eq!(last_record(&pod), (Interrupted, Some(3), RecordReason::Sigterm));
    pod.at(30).exits(1, Code(0)).expect([Release(Exited, Some(0)), Exit]);
}

#[test]
fn final_record_is_not_overwritten() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(30).exits(1, Code(0)).expect([Release(Exited, Some(0))]);
    let written = pod.records.len();
    pod.sigterm().expect([Exit]);
    assert_eq!(pod.records.len(), written);
}

#[test]
fn record_and_result_keep_id_after_restart() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(20).sidecar_restarts().at(DEADLINE).expect([Release(Expired, Some(3))]);
    let id = result(&pod).id;
    assert!(pod.records.iter().all(|(record, _)| record.id == id));
    pod.at(70).exits(1, Killed(SIGKILL)).at(71).search_finds(found(2, None)).streams(1).at(80).call(Hook);
    pod.at(85).expect([Signal(2)]).at(90).exits(2, Code(0)).expect([Release(Exited, Some(0))]);
    assert_ne!(result(&pod).id, id, "another drain");
}

#[test]
fn exit_after_last_hook_disconnected_counts_streams_as_cut() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(20).hang_up(Hook).at(20.5).exits(1, Code(0)).expect([Release(Exited, Some(3))]);
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(20).hang_up(Hook).at(21).call(Hook).at(30).exits(1, Code(0));
    pod.expect([Release(Exited, Some(0))]);
}

#[test]
fn zero_after_last_hook_disconnected_leaves_stragglers_unknown() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(20).hang_up(Hook).streams(0).at(21 + CONFIRMATION).expect([Release(Drained, None)]);
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(19.5).streams(0).at(20.5).hang_up(Hook).at(20 + CONFIRMATION);
    pod.expect([Release(Drained, Some(0))]);
}

#[test]
fn restarted_sidecar_does_not_write_an_older_count() {
    let mut pod = Pod::serving(0);
    pod.at(CALL).call(Hook).at(12.5).streams(5).at(13).polls_hang().sidecar_restarts();
    assert_eq!(last_record(&pod), (Interrupted, None, Started));
    pod.at(17.1).expect([Signal(1)]).at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn streams_opened_after_the_drain_are_counted_when_the_target_ends() {
    let mut pod = Pod::with(0, |policy| policy.signal = None);
    pod.at(CALL)
        .call(Hook)
        .at(SIGNAL + 2)
        .expect([Release(Drained, Some(0))])
        .streams(5)
        .at(20)
        .exits(1, Killed(SIGKILL));
    assert_eq!((pod.target_ends.last(), pod.stragglers), (Some(&TargetEnded::Serving(Some(5))), 5));
}

#[test]
fn zero_just_before_target_exit_leaves_streams_unknown() {
    let mut pod = Pod::serving(5);
    pod.at(10).streams(0).at(13.5).exits(1, Code(0)).at(14).sigterm().expect([Release(Exited, None), Exit]);
    assert_eq!(pod.target_ends.last(), Some(&TargetEnded::Serving(None)), "something has stopped it");
    let mut pod = Pod::serving(2);
    pod.at(10).streams(1).at(12).streams(0).at(13.5).exits(1, Code(0));
    assert_eq!(pod.target_ends.last(), Some(&TargetEnded::Serving(Some(0))), "they ended one after the other");
}

#[test]
fn hook_is_not_given_up_while_another_waits() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(20).call(Hook).hang_up(Hook).at(30).exits(1, Code(0)).expect([Release(Exited, Some(0))]);
}

#[test]
fn exit_after_the_hook_was_given_up_is_no_end_with_the_signal() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().hang_up(Hook).at(15.1).exits(1, Code(0)).expect([Release(Exited, Some(3))]);
    assert_eq!(warnings(&pod), []);
}

#[test]
fn record_does_not_say_that_a_refused_signal_was_sent() {
    let mut pod = Pod::serving(3);
    pod.signals_fail(true).at(CALL).call(Hook).at(14.8).polls_hang().at(SIGNAL);
    let (record, _) = *pod.records.last().expect("a record");
    assert_eq!((record.signalled, record.streams_at_signal), (false, None));
}

#[test]
fn reopened_drain_has_a_record_and_no_result() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(DEADLINE).expect([Release(Expired, Some(3))]).at(70).call(Hook);
    assert_eq!(last_record(&pod), (Interrupted, Some(3), Started));
    assert_eq!(pod.controller.snapshot(second(70)).result, None);
}

#[test]
fn restarted_sidecar_writes_the_record_again() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(20).sidecar_restarts();
    assert_eq!(pod.records.iter().filter(|(_, reason)| *reason == Started).count(), 2);
    pod.at(DEADLINE).expect([Release(Expired, Some(3))]);
    assert_eq!(pod.stragglers, 3);
}

#[test]
fn status_keeps_the_result_over_a_restart() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(30).exits(1, Code(0)).expect([Release(Exited, Some(0))]).at(31).sidecar_restarts();
    assert_eq!(pod.controller.snapshot(second(31)).result, pod.result);
}

#[test]
fn sidecar_that_leaves_a_drain_says_so() {
    let mut pod = Pod::with(3, |policy| policy.on_sigterm = SigtermPolicy::Exit);
    pod.at(CALL).call(Hook).at(12).sigterm().expect([Exit]);
    assert_eq!(last_record(&pod), (Interrupted, Some(3), RecordReason::Exit));
}

#[test]
fn status_keeps_the_last_result_until_the_next_drain() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(30).exits(1, Code(0)).expect([Release(Exited, Some(0))]);
    pod.at(32).search_finds(found(2, None)).streams(1).at(35).ready();
    let snapshot = pod.controller.snapshot(second(35));
    assert_eq!((snapshot.result, snapshot.record), (pod.result, None));
    pod.at(40).call(Hook);
    let snapshot = pod.controller.snapshot(second(40));
    assert_eq!(snapshot.result, None);
}

// === without a drain ===

#[test]
fn target_that_ends_while_serving_has_cut_its_streams() {
    let mut pod = Pod::serving(3);
    pod.at(10).exits(1, Killed(11));
    assert_eq!((&pod.target_ends[..], pod.stragglers), (&[TargetEnded::Serving(Some(3))][..], 3));
    let mut pod = Pod::serving(0);
    pod.at(10).exits(1, Code(1));
    assert_eq!((&pod.target_ends[..], pod.stragglers), (&[TargetEnded::Serving(Some(0))][..], 0));
    let mut pod = Pod::serving(3);
    pod.at(10).page_fails(NoResponse).at(14).exits(1, Code(1));
    assert_eq!((&pod.target_ends[..], pod.stragglers), (&[TargetEnded::Serving(None)][..], 0));
}

#[test]
fn target_that_never_answered_had_no_streams() {
    let mut pod = Pod::serving(3);
    pod.page_fails(ConnectionRefused).at(3).exits(1, Code(1)).at(5).search_finds(found(2, None)).at(8);
    pod.exits(2, Code(1));
    assert_eq!(pod.target_ends.last(), Some(&TargetEnded::Serving(Some(0))));
}

#[test]
fn target_exit_in_drain_is_not_counted_as_exit_while_serving() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(30).exits(1, Code(0)).expect([Release(Exited, Some(0))]);
    assert_eq!((&pod.target_ends[..], pod.stragglers), (&[TargetEnded::Drain][..], 0));
}

#[test]
fn reopened_drain_counts_stragglers_once() {
    let mut pod = Pod::serving(3);
    pod.drain_to_signal().at(DEADLINE).expect([Release(Expired, Some(3))]).at(70).call(Hook);
    pod.at(70 + DEADLINE - CALL).expect([Release(Expired, Some(3))]);
    assert_eq!(pod.stragglers, 3);
}

#[test]
fn sigterm_after_target_exit_reports_missing_hook() {
    let mut pod = Pod::serving(3);
    pod.at(10).exits(1, Code(0)).at(12).sigterm().expect([Release(Exited, Some(3)), Exit]);
    assert_eq!((warnings(&pod), result(&pod).streams_at_start), (vec![NoHook], Some(3)));
    assert_eq!(pod.stragglers, 3, "counted when the target ended, and not again");
}

#[test]
fn missing_hook_is_not_reported_after_target_restart() {
    let mut pod = Pod::serving(3);
    pod.at(10).exits(1, Code(1)).at(12).search_finds(found(2, None)).streams(0).at(15).sigterm().expect([Exit]);
    assert!(pod.result.is_none() && pod.records.is_empty());
}

#[test]
fn sidecar_exit_with_open_streams_writes_interrupted_record() {
    let mut pod = Pod::with(3, |policy| policy.on_sigterm = SigtermPolicy::Exit);
    pod.at(CALL).sigterm().expect([Exit]);
    assert_eq!(last_record(&pod), (Interrupted, Some(3), RecordReason::Exit));
    assert!(pod.saved.is_none(), "a restarted sidecar must not resume it");
}

#[test]
fn open_streams_have_a_record_while_a_hook_is_awaited() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).sigterm();
    assert_eq!(last_record(&pod), (Interrupted, Some(3), CountChanged));
    let (first, _) = pod.records[0];
    pod.at(CALL + 5).streams(2).at(CALL + 6);
    assert_eq!(last_record(&pod), (Interrupted, Some(2), CountChanged));
    assert_eq!(pod.records.last().expect("a record").0.streams_at_start, Some(3));
    assert!(pod.saved.is_none(), "a restarted sidecar must not resume it");
    pod.at(CALL + 7).call(Hook);
    assert_eq!(last_record(&pod), (Interrupted, Some(2), Started));
    assert!(pod.records.iter().all(|(record, _)| record.id == first.id), "the drain has the same id");
}

#[test]
fn streams_that_end_while_a_hook_is_awaited_are_unknown() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).sigterm().at(CALL + 5).streams(0).at(CALL + 6).expect([Exit]);
    assert_eq!(last_record(&pod), (Interrupted, None, RecordReason::Exit), "SIGTERM may have reached the target too");
}

#[test]
fn missing_hook_is_reported_with_the_id_of_the_earlier_record() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).sigterm();
    let (first, _) = pod.records[0];
    pod.at(CALL + 5).exits(1, Killed(SIGKILL)).expect([Release(Exited, Some(3)), Exit]);
    assert_eq!((result(&pod).id, warnings(&pod)), (first.id, vec![NoHook]));
}

#[test]
fn drain_policy_reports_missing_hook_after_target_exit() {
    let mut pod = Pod::with(3, |policy| policy.on_sigterm = SigtermPolicy::Drain);
    pod.at(10).exits(1, Code(0)).at(12).sigterm().expect([Release(Exited, Some(3)), Exit]);
    assert_eq!((warnings(&pod), pod.stragglers), (vec![NoHook], 3));
}

#[test]
fn wait_for_exit_record_has_unknown_stragglers_at_zero() {
    let mut pod = Pod::with(0, |policy| {
        policy.wait_for_exit = true;
        policy.times.scrape_timeout = Duration::from_secs(1);
    });
    pod.at(CALL).call(Hook);
    assert_eq!(last_record(&pod).1, None, "zero streams do not mean zero work");
    pod.at(SIGNAL).expect([Signal(1)]).at(20).exits(1, Code(0)).expect([Release(Exited, Some(0))]);
}
