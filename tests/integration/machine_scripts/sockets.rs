//! The socket table as a source, with the page and alone.

use std::time::Duration;

use lameduck_machine::policy::{AcceptLimit, Policy};
use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::ReadErrorKind::{ConnectionRefused, NoResponse};
use lameduck_machine::reading::Source::{Metrics, Sockets};
use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::{Drained, Expired, NeverServed};
use lameduck_machine::result::Trigger::Hook;

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{CALL, CONFIRMATION, DEADLINE, Pod, SIGNAL};

/// Counts by the metrics page and by the socket table.
fn both(policy: &mut Policy) {
    policy.sources = vec![Metrics, Sockets];
}

#[test]
fn page_at_zero_does_not_override_open_connections() {
    let mut pod = Pod::with(0, both);
    pod.traffic(&[2000]).at(CALL).counted(Some(1)).call(Hook).at(SIGNAL).expect([Signal(1)]).at(40).counted(Some(1));
    pod.traffic(&[]).listening(false).at(41 + CONFIRMATION).expect([Release(Drained, Some(0))]);
}

#[test]
fn sockets_decide_after_page_fails() {
    let mut pod = Pod::with(1, both);
    pod.traffic(&[0]).drain_to_signal().page_fails(ConnectionRefused).listening(false);
    pod.at(30)
        .counted(Some(1))
        .traffic(&[])
        .at(31)
        .counted(Some(0))
        .at(31 + CONFIRMATION)
        .expect([Release(Drained, Some(0))]);
}

#[test]
fn unused_port_does_not_outweigh_failed_page() {
    let mut pod = Pod::with(3, both);
    pod.drain_to_signal().page_fails(NoResponse).at(17).counted(None);
    pod.at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn page_decides_if_socket_table_is_unreadable() {
    let mut pod = Pod::with(0, both);
    pod.at(10).table_readable(false).at(11).counted(Some(0)).table_readable(true).traffic(&[0]).at(12).counted(Some(1));
    pod.table_readable(false).at(13).counted(None);
}

#[test]
fn port_without_listener_is_absent_and_blocks_readiness() {
    let mut pod = Pod::with(0, both);
    pod.listening(false).sidecar_restarts().at(1).counted(None);
    pod.not_ready(NotReady::SourceAbsent { source: Sockets, missing: vec![0] });
    pod.listening(true).at(2).counted(Some(0)).ready().listening(false).at(3).counted(Some(0));
}

#[test]
fn restart_after_signal_does_not_wait_for_closed_port() {
    let mut pod = Pod::with(1, both);
    pod.traffic(&[0]).drain_to_signal().listening(false);
    pod.at(20).streams(0).traffic(&[]).sidecar_restarts().at(20 + CONFIRMATION).expect([Release(Drained, Some(0))]);
}

#[test]
fn target_without_open_port_never_served() {
    let mut pod = Pod::with(0, both);
    pod.listening(false).page_fails(ConnectionRefused).sidecar_restarts();
    pod.at(5).call(Hook).expect([Signal(1), Release(NeverServed, Some(0))]);
}

#[test]
fn lasting_source_disagreement_is_shown() {
    let mut pod = Pod::with(0, both);
    pod.traffic(&[0]).at(1.5);
    assert_eq!(pod.snapshot().streams.disagreement, None);
    pod.at(3);
    assert_eq!(pod.snapshot().streams.disagreement, None);
    pod.at(5);
    assert_eq!(pod.snapshot().streams.disagreement, Some(Duration::from_secs(4)));
    pod.streams(1).at(6);
    assert_eq!(pod.snapshot().streams.disagreement, None);
}

#[test]
fn pod_accepts_again_below_nine_tenths_of_limit() {
    let mut pod = Pod::with(9, |policy| policy.accept_below = Some(AcceptLimit::Streams(10)));
    let at_capacity = Some(NotReady::AtCapacity { limit: 10 });
    for (second, streams, expected) in [
        (1, 9, None),
        (2, 10, at_capacity.clone()),
        (3, 9, at_capacity.clone()),
        (4, 8, None),
        (5, 9, None),
        (6, 11, at_capacity),
    ] {
        pod.streams(streams).at(f64::from(second) + 0.5);
        pod.not_accepting(expected).ready();
    }
    pod.page_fails(NoResponse).at(8).not_accepting(NotReady::AtCapacity { limit: 10 });
}

#[test]
fn page_capacity_is_limit_unless_zero() {
    let mut pod = Pod::with(30, |policy| policy.accept_below = Some(AcceptLimit::Capacity));
    pod.at(2).not_accepting(None);
    pod.capacity(30).at(3).not_accepting(NotReady::AtCapacity { limit: 30 });
    pod.capacity(0).at(4).not_accepting(None);
}

#[test]
fn target_exit_ends_its_streams() {
    let mut pod = Pod::with(1, both);
    pod.at(5).traffic(&[0]).at(20).exits(1, ExitStatus::Code(0));
    let seconds = pod.stream_durations.iter().map(Duration::as_secs).collect::<Vec<_>>();
    assert_eq!((seconds, pod.durations().count()), (vec![14], 1));
}

#[test]
fn time_to_zero_is_estimated_from_enough_streams() {
    let mut pod = Pod::with(1, both);
    for stream in 1..=20 {
        let start = f64::from(stream) * 20.0;
        pod.at(start).traffic(&[0]).at(start + 10.0).traffic(&[]);
    }
    assert_eq!(pod.seconds_to_zero(), None);
    pod.at(500).traffic(&[0]).at(501.5);
    assert_eq!(pod.seconds_to_zero(), Some(8));
    pod.at(504.5);
    assert_eq!(pod.seconds_to_zero(), Some(5));
}
