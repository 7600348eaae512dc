//! A page that several processes serve in turn, each with its own streams, and pages that only look like that.

use std::time::Duration;

use lameduck_machine::policy::{AcceptLimit, Policy};
use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::ReadErrorKind::{self, NoResponse, SeveralProcesses};
use lameduck_machine::reading::Source::{Lazy, Metrics, Sockets};
use lameduck_machine::reading::{Counter, PageProcess, Reading};
use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::{Drained, Exited, Expired};
use lameduck_machine::result::Trigger::Hook;
use lameduck_machine::source_state::SourceStatus;

use crate::machine_scripts::pod::Effect::Release;
use crate::machine_scripts::pod::{CALL, CONFIRMATION, DEADLINE, Pod, QUIET_PERIOD, SIGNAL, count, found, policy};

/// How many readings a page is in doubt after a change, one a second.
const SETTLING: u32 = 10;

/// A process that started at this second.
fn started(at: u64) -> PageProcess {
    PageProcess { started_at: Some(Duration::from_secs(1_700_000_000 + at)), counters: Vec::new() }
}

/// A process with no other fact than this counter.
fn counting(thousandths: u64) -> PageProcess {
    PageProcess { started_at: None, counters: vec![Counter { name: "requests_total".into(), series: 1, thousandths }] }
}

/// Two workers, one with this many streams and one without.
fn two_workers(streams: u64) -> [(PageProcess, u64); 2] {
    [(started(0), streams), (started(100), 0)]
}

/// A pod without a signal, so that only the counts end a drain.
fn unsignalled(change: impl FnOnce(&mut Policy)) -> Pod {
    Pod::with(0, |policy| {
        policy.signal = None;
        change(policy);
    })
}

fn kinds_of_failure(pod: &Pod) -> Vec<Option<ReadErrorKind>> {
    let kind = |status: &SourceStatus| match status {
        SourceStatus::Unknown(error) => Some(error.kind),
        SourceStatus::NotPolled | SourceStatus::Counted(_) | SourceStatus::Absent => None,
    };
    pod.snapshot().streams.sources.iter().map(|state| kind(&state.status)).collect()
}

#[test]
fn page_of_several_processes_holds_drain_to_deadline() {
    for workers in [two_workers(1), two_workers(0)] {
        let mut pod = unsignalled(|_| ());
        pod.workers(&workers).at(CALL).counted(None).call(Hook).at(DEADLINE).expect([Release(Expired, None)]);
        assert_eq!(kinds_of_failure(&pod), [Some(SeveralProcesses)]);
    }
}

#[test]
fn counters_alone_show_several_processes() {
    let mut pod = unsignalled(|_| ());
    pod.workers(&[(counting(7000), 1), (counting(3000), 0)]);
    pod.at(CALL).counted(None).call(Hook).at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn shared_page_is_not_trusted_again() {
    let mut pod = unsignalled(|_| ());
    pod.workers(&two_workers(1)).at(CALL).call(Hook);
    pod.workers(&[(started(100), 0)]).at(DEADLINE).expect([Release(Expired, None)]);
    pod.at(DEADLINE + 100).counted(None);
}

#[test]
fn shared_page_that_fails_is_not_trusted_again() {
    let mut pod = unsignalled(|_| ());
    pod.workers(&two_workers(1)).at(CALL).page_fails(NoResponse).at(CALL + 5);
    assert_eq!(kinds_of_failure(&pod), [Some(NoResponse)]);
    pod.streams(0).at(CALL + 6).counted(None);
    assert_eq!(kinds_of_failure(&pod), [Some(SeveralProcesses)]);
}

#[test]
fn zero_of_one_process_is_not_confirmed_by_another() {
    let mut pod = Pod::with(0, |_| ());
    pod.workers(&[(started(0), 0)]).drain_to_signal();
    // Confirmed, and waiting for the exit, when another process answers.
    pod.at(SIGNAL + QUIET_PERIOD + 5).workers(&two_workers(0));
    pod.at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn lazy_series_of_shared_page_are_unknown_too() {
    let mut pod = unsignalled(|policy| policy.sources = vec![Metrics, Lazy]);
    let worker = |at| (started(at), vec![(Metrics, count(0)), (Lazy, count(0))]);
    pod.page_of_workers(&[worker(0), worker(100)]).at(CALL);
    assert_eq!(kinds_of_failure(&pod), [Some(SeveralProcesses); 2]);
}

#[test]
fn sockets_decide_instead_of_shared_page() {
    let mut pod = unsignalled(|policy| policy.sources = vec![Metrics, Sockets]);
    pod.workers(&two_workers(1)).traffic(&[100]).at(CALL).counted(Some(1)).call(Hook).at(30).counted(Some(1));
    pod.traffic(&[]).at(31 + QUIET_PERIOD).expect([Release(Drained, Some(0))]);
}

#[test]
fn zero_of_last_worker_does_not_hide_streams_of_another() {
    let mut pod = unsignalled(|policy| policy.sources = vec![Metrics, Sockets]);
    // The port is the wrong one: it has never had a connection.
    pod.workers(&[(started(0), 1)]).at(2).counted(Some(1));
    pod.workers(&[(started(100), 0)]).at(3 + SETTLING).counted(Some(0));
    pod.workers(&[(started(0), 0)]).at(CALL + SETTLING).counted(None).call(Hook);
    pod.at(DEADLINE + SETTLING).expect([Release(Expired, None)]);
}

#[test]
fn new_incarnation_trusts_its_page() {
    let mut pod = Pod::with(0, |_| ());
    pod.workers(&two_workers(0)).at(5).counted(None).exits(1, ExitStatus::Code(0)).at(7);
    pod.search_finds(found(2, None)).workers(&[(started(200), 3)]).at(9).counted(Some(3)).ready();
}

#[test]
fn restarted_worker_is_trusted_after_ten_readings() {
    let restart = |before: PageProcess, after: PageProcess| {
        let mut pod = unsignalled(|_| ());
        pod.workers(&[(before, 3)]).at(CALL).call(Hook).at(19.5).workers(&[(after, 0)]);
        pod.at(19 + SETTLING).counted(None).at(20 + SETTLING).counted(Some(0));
        pod.at(20 + SETTLING + QUIET_PERIOD).expect([Release(Drained, Some(0))]);
    };
    restart(started(0), started(100));
    restart(counting(9000), counting(10));
}

#[test]
fn start_time_with_jitter_is_one_process() {
    let with_jitter = |millis| {
        let started_at = started(0).started_at.map(|at| at + Duration::from_millis(millis));
        (PageProcess { started_at, counters: Vec::new() }, 0)
    };
    let mut pod = Pod::with(0, |_| ());
    pod.workers(&[0, 900, 3, 1000, 500].map(with_jitter)).drain_to_signal();
    pod.at(SIGNAL + CONFIRMATION).expect([Release(Drained, Some(0))]);
}

#[test]
fn shared_page_leaves_ready_pod_ready() {
    let mut pod = Pod::with(0, |_| ());
    pod.workers(&two_workers(1)).at(CALL).counted(None).ready();
}

#[test]
fn pod_with_shared_page_does_not_become_ready() {
    let absent = |at| (started(at), vec![(Metrics, Reading::Counts(vec![None]))]);
    let mut pod = Pod::start(policy(), Some(found(1, None)), &[]);
    pod.page_of_workers(&[absent(0), absent(100)]).at(CALL);
    pod.workers(&two_workers(0)).at(30);
    let reason = pod.snapshot().not_ready;
    assert!(
        matches!(&reason, Some(NotReady::SourceUnknown(error)) if error.message.contains("several processes")),
        "{reason:?}"
    );
}

#[test]
fn shared_page_ends_lasting_lack_of_capacity() {
    let mut pod = Pod::with(30, |policy| policy.accept_below = Some(AcceptLimit::Capacity));
    pod.capacity(30).at(3).not_accepting(NotReady::AtCapacity { limit: 30 });
    pod.workers(&two_workers(30)).at(CALL).counted(None).not_accepting(None);
}

#[test]
fn exit_ends_drain_with_shared_page() {
    let mut pod = Pod::with(1, |_| ());
    pod.workers(&two_workers(1)).drain_to_signal().at(30).exits(1, ExitStatus::Unknown);
    pod.expect([Release(Exited, None)]);
}
