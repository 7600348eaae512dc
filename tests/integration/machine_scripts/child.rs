//! How `lameduck run` stops its child during a user's drain and after it.

use lameduck_machine::io::{ChildSignal, Input, RecordReason};
use lameduck_machine::policy::SigtermPolicy;
use lameduck_machine::result::ExitStatus::Killed;
use lameduck_machine::result::Outcome::{Drained, Expired, Interrupted};
use lameduck_machine::result::Trigger::Cli;
use lameduck_machine::snapshot::Phase;

use crate::machine_scripts::pod::Effect::{Release, Signal, SignalChild};
use crate::machine_scripts::pod::{BUDGET, CALL, CONFIRMATION, DEADLINE, Pod, SIGNAL, found};

const SIGKILL: i32 = 9;

fn run_with(streams: u64) -> Pod {
    Pod::with(streams, |policy| policy.on_sigterm = SigtermPolicy::StopChild)
}

#[test]
fn stop_during_a_user_drain_gets_the_whole_grace_period() {
    let mut pod = run_with(3);
    pod.at(CALL).call(Cli).at(SIGNAL).expect([Signal(1)]);
    pod.at(SIGNAL + 1).sigterm().at(DEADLINE).phase(Phase::Draining);
    let deadline = SIGNAL + 1 + BUDGET;
    pod.at(deadline).expect([Release(Expired, Some(3)), SignalChild(ChildSignal::Terminate)]);
}

#[test]
fn second_stop_does_not_lengthen_the_drain() {
    let mut pod = run_with(3);
    pod.at(CALL).sigterm().at(SIGNAL).expect([Signal(1)]).at(SIGNAL + 1).sigterm();
    pod.at(DEADLINE).expect([Release(Expired, Some(3)), SignalChild(ChildSignal::Terminate)]);
}

#[test]
fn stop_after_a_user_drain_waits_for_open_streams() {
    let mut pod = run_with(3);
    pod.at(CALL).call(Cli).at(SIGNAL).expect([Signal(1)]).at(DEADLINE).expect([Release(Expired, Some(3))]);
    pod.at(DEADLINE + 2).sigterm().phase(Phase::Draining);
    pod.at(f64::from(DEADLINE) + 4.5).streams(0).at(DEADLINE + 5 + CONFIRMATION);
    pod.expect([Release(Drained, Some(0)), SignalChild(ChildSignal::Terminate)]);
}

#[test]
fn stop_after_a_user_drain_without_streams_is_immediate() {
    let mut pod = run_with(0);
    pod.at(CALL).call(Cli).at(SIGNAL).expect([Signal(1)]).at(SIGNAL + CONFIRMATION).expect([Release(Drained, Some(0))]);
    pod.at(SIGNAL + CONFIRMATION + 2).sigterm().expect([SignalChild(ChildSignal::Terminate)]);
}

#[test]
fn child_that_is_found_after_its_drain_keeps_the_record() {
    let mut pod = run_with(3);
    pod.exits(1, Killed(SIGKILL)).searches_hang().at(CALL).input(Input::Interrupt).input(Input::Interrupt);
    pod.expect([Release(Interrupted, Some(3)), SignalChild(ChildSignal::Terminate)]);
    let requested_at = *pod.unanswered_searches.last().expect("a search");
    pod.input(Input::SearchResult { requested_at, result: found(2, None) });
    assert_eq!(pod.snapshot().record.map(|record| record.outcome), Some(Interrupted));
}

#[test]
fn streams_that_are_cut_after_the_drain_are_added_to_its_record() {
    let mut pod = Pod::with(0, |policy| {
        policy.on_sigterm = SigtermPolicy::StopChild;
        policy.signal = None;
    });
    pod.at(CALL).sigterm().at(SIGNAL + 2).expect([Release(Drained, Some(0)), SignalChild(ChildSignal::Terminate)]);
    pod.streams(2).at(20).exits(1, Killed(SIGKILL));
    let (record, reason) = *pod.records.last().expect("a record");
    assert_eq!((record.outcome, record.stragglers, reason), (Drained, Some(2), RecordReason::LaterStreams));
    assert_eq!(pod.snapshot().record.map(|record| record.stragglers), Some(Some(2)));
    assert_eq!(pod.stragglers, 2);
}
