//! The warnings about targets that something else stopped before lameduck's signal, and about sources that disagree.

use lameduck_machine::reading::ReadErrorKind::ConnectionRefused;
use lameduck_machine::reading::Source::{Metrics, Sockets};
use lameduck_machine::result::ExitStatus::{Code, Killed, Unknown};
use lameduck_machine::result::Outcome::{Drained, Exited, Expired, NeverServed};
use lameduck_machine::result::Trigger::{Cli, Hook};
use lameduck_machine::target::SearchResult;
use lameduck_machine::warnings::Warning::{SourcesDisagreed, ToldByOthers};

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{CALL, DEADLINE, Pod, SIGNAL, count, found, policy};
use crate::machine_scripts::records::warnings;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

#[test]
fn exit_in_lame_duck_warns_told_by_others() {
    for status in [Code(0), Unknown, Killed(SIGTERM)] {
        let mut pod = Pod::serving(3);
        pod.at(CALL).call(Hook).at(12).exits(1, status).expect([Release(Exited, Some(3))]);
        assert_eq!(warnings(&pod), [ToldByOthers], "{status:?}");
    }
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(12).exits(1, Killed(SIGKILL)).expect([Release(Exited, Some(3))]);
    assert_eq!(warnings(&pod), [], "the kernel or an operator has killed it");
}

#[test]
fn hook_after_target_exit_warns_told_by_others() {
    let mut pod = Pod::serving(3);
    pod.at(10).exits(1, Code(0)).at(12).call(Hook).expect([Release(Exited, Some(3))]);
    assert_eq!((warnings(&pod), pod.stragglers), (vec![ToldByOthers], 3));
}

#[test]
fn user_drain_after_target_exit_has_no_warning() {
    let mut pod = Pod::serving(3);
    pod.at(10).exits(1, Code(0)).at(12).call(Cli).expect([Release(NeverServed, Some(0))]);
    assert_eq!(warnings(&pod), []);
}

#[test]
fn target_found_in_a_drain_replaces_the_earlier_end() {
    let mut pod = Pod::serving(3);
    pod.at(10).exits(1, Code(0)).searches_hang().at(12).call(Hook);
    pod.streams(2).search_finds(SearchResult::NotFound).at(DEADLINE + 2).expect([Release(Expired, Some(2))]);
    assert_eq!(warnings(&pod), []);
}

#[test]
fn target_found_in_a_drain_has_its_own_streams() {
    let mut pod = Pod::serving(3);
    pod.at(10).exits(1, Code(0)).searches_hang().at(12).call(Hook);
    pod.streams(2).search_finds(found(2, None)).at(SIGNAL + 2).expect([Signal(2)]);
    pod.at(DEADLINE + 2).expect([Release(Expired, Some(2))]);
    let result = pod.result.expect("a result");
    assert_eq!((result.streams_at_start, pod.stragglers), (Some(2), 3 + 2));
}

/// A pod with a page and connections to a port.
fn with_sockets(streams: u64, flows: &[u64]) -> Pod {
    let mut policy = policy();
    policy.sources = vec![Metrics, Sockets];
    let mut pod = Pod::start(policy, Some(found(1, None)), &[(Metrics, count(streams))]);
    pod.traffic(flows);
    pod
}

#[test]
fn listener_closed_in_lame_duck_warns_told_by_others() {
    let mut pod = with_sockets(2, &[0, 0]);
    pod.at(CALL).call(Hook).at(12.5).listening(false).at(SIGNAL).expect([Signal(1)]);
    pod.at(20).exits(1, Code(0)).expect([Release(Exited, Some(0))]);
    assert_eq!(warnings(&pod), [ToldByOthers]);
}

/// The target's SIGTERM comes before the hook call, and a poll in between.
#[test]
fn streams_lost_with_a_listener_just_before_the_hook_are_unknown() {
    for (streams, flows) in [(1, &[0][..]), (3, &[0, 0, 0])] {
        let mut pod = with_sockets(streams, flows);
        pod.at(8.5).listening(false).traffic(&[]).streams(0).at(CALL).call(Hook).at(SIGNAL).expect([Signal(1)]);
        pod.at(20).exits(1, Code(0)).expect([Release(Drained, None)]);
        let result = pod.result.expect("a result");
        assert_eq!((warnings(&pod), result.streams_at_start), (vec![ToldByOthers], Some(streams)));
    }
}

#[test]
fn listener_closed_just_before_the_hook_warns_told_by_others() {
    let mut pod = with_sockets(2, &[0, 0]);
    pod.at(8.5).listening(false).at(CALL).call(Hook).at(SIGNAL).expect([Signal(1)]);
    pod.at(20).exits(1, Code(0)).expect([Release(Exited, Some(0))]);
    assert_eq!(warnings(&pod), [ToldByOthers]);
}

#[test]
fn listener_closed_long_before_the_hook_or_before_a_users_drain_has_no_warning() {
    for (closed, trigger) in [(3.5, Hook), (8.5, Cli)] {
        let mut pod = with_sockets(2, &[0, 0]);
        pod.at(closed).listening(false).at(CALL).call(trigger).at(SIGNAL).expect([Signal(1)]);
        pod.at(20).exits(1, Code(0)).expect([Release(Exited, Some(0))]);
        assert_eq!(warnings(&pod), [], "{trigger:?}");
    }
}

#[test]
fn listener_closed_after_the_signal_is_expected() {
    let mut pod = with_sockets(2, &[0, 0]);
    pod.at(CALL).call(Hook).at(SIGNAL).expect([Signal(1)]).listening(false);
    pod.at(20).exits(1, Code(0)).expect([Release(Exited, Some(0))]);
    assert_eq!(warnings(&pod), []);
}

#[test]
fn page_closed_in_lame_duck_warns_told_by_others() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(12.5).page_fails(ConnectionRefused).at(SIGNAL).expect([Signal(1)]);
    pod.at(DEADLINE).expect([Release(Expired, None)]);
    assert_eq!(warnings(&pod), [ToldByOthers]);
}

#[test]
fn warning_survives_a_restart() {
    let mut pod = Pod::serving(3);
    pod.at(CALL).call(Hook).at(12.5).page_fails(ConnectionRefused).at(13.5).sidecar_restarts();
    pod.at(SIGNAL).expect([Signal(1)]).at(DEADLINE).expect([Release(Expired, None)]);
    assert_eq!(warnings(&pod), [ToldByOthers]);
}

#[test]
fn sources_that_disagree_for_long_are_reported() {
    let mut pod = with_sockets(3, &[0, 0]);
    pod.at(CALL).call(Hook).at(SIGNAL).expect([Signal(1)]).at(DEADLINE).expect([Release(Expired, Some(3))]);
    assert_eq!(warnings(&pod), [SourcesDisagreed]);
    let mut pod = with_sockets(2, &[0, 0]);
    pod.at(CALL).call(Hook).at(SIGNAL).expect([Signal(1)]).at(DEADLINE).expect([Release(Expired, Some(2))]);
    assert_eq!(warnings(&pod), []);
}

#[test]
fn streams_lost_in_lame_duck_are_unknown() {
    let mut pod = Pod::serving(5);
    pod.at(CALL).call(Hook).at(12.5).streams(0).at(SIGNAL).expect([Signal(1)]);
    pod.at(20).exits(1, Code(0)).expect([Release(Drained, None)]);
    assert_eq!(warnings(&pod), [ToldByOthers]);
}

#[test]
fn short_disagreement_of_sources_is_not_reported() {
    let mut pod = with_sockets(2, &[0, 0]);
    pod.drain_to_signal().at(20.5).streams(3).at(22.5).streams(2).at(DEADLINE).expect([Release(Expired, Some(2))]);
    assert_eq!(warnings(&pod), []);
}

#[test]
fn hook_after_exit_without_streams_has_nothing_to_report() {
    let mut pod = Pod::serving(0);
    pod.at(10).exits(1, Code(0)).at(12).call(Hook).expect([Release(NeverServed, Some(0))]);
    assert_eq!(warnings(&pod), []);
}
