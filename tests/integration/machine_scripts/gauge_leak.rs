//! Gauges that leak: a page counts streams that have no connection.

use std::time::Duration;

use lameduck_machine::policy::Policy;
use lameduck_machine::reading::ReadErrorKind::NoResponse;
use lameduck_machine::reading::Source::{Metrics, Sockets};
use lameduck_machine::result::ExitStatus;
use lameduck_machine::result::Outcome::{Drained, Expired};
use lameduck_machine::result::Trigger::Hook;
use lameduck_machine::warnings::Warning::GaugeLeak;

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{BUDGET, CONFIRMATION, DEADLINE, LAME_DUCK, Pod, found};

/// How many seconds without a connection overrule the page.
const LEAK_AFTER: u32 = 20;

/// Counts by the page and by the socket table, which overrules the page.
fn leaks(policy: &mut Policy) {
    policy.sources = vec![Metrics, Sockets];
    policy.streams_ports.gauge_leak_after = Some(Duration::from_secs(LEAK_AFTER.into()));
}

fn has_warning(pod: &Pod) -> bool {
    pod.result.is_some_and(|result| result.warnings.contains(GaugeLeak))
}

#[test]
fn count_without_connections_is_overruled_after_the_time() {
    let mut pod = Pod::with(2, leaks);
    pod.drain_to_signal().at(LEAK_AFTER - 1).counted(Some(2)).at(LEAK_AFTER).counted(Some(0));
    pod.at(LEAK_AFTER + CONFIRMATION).expect([Release(Drained, Some(0))]);
    assert!(has_warning(&pod));
}

#[test]
fn time_may_begin_before_the_drain() {
    let mut pod = Pod::with(2, leaks);
    pod.at(40).counted(Some(0)).call(Hook).at(40 + LAME_DUCK).expect([Signal(1)]);
    pod.at(40 + LAME_DUCK + CONFIRMATION).expect([Release(Drained, Some(0))]);
    assert_eq!(pod.result.map(|result| result.streams_at_start), Some(Some(0)));
    assert!(has_warning(&pod));
}

#[test]
fn leaked_gauge_holds_drain_by_default() {
    let mut pod = Pod::with(2, |policy| {
        leaks(policy);
        policy.streams_ports.gauge_leak_after = None;
    });
    pod.drain_to_signal().at(DEADLINE).expect([Release(Expired, Some(2))]);
    assert!(!has_warning(&pod));
}

#[test]
fn connection_restarts_the_time() {
    let mut pod = Pod::with(2, leaks);
    pod.at(19).traffic(&[0]).at(20).counted(Some(2)).traffic(&[]).at(20 + LEAK_AFTER).counted(Some(2));
    pod.at(21 + LEAK_AFTER).counted(Some(0)).traffic(&[0]).at(22 + LEAK_AFTER).counted(Some(2));
}

#[test]
fn unreadable_table_restarts_the_time() {
    let mut pod = Pod::with(2, leaks);
    pod.at(19).table_readable(false).at(20).counted(Some(2)).table_readable(true);
    pod.at(20 + LEAK_AFTER).counted(Some(2)).at(21 + LEAK_AFTER).counted(Some(0));
    pod.table_readable(false).at(22 + LEAK_AFTER).counted(Some(2));
}

#[test]
fn higher_count_restarts_the_time() {
    let mut pod = Pod::with(2, leaks);
    pod.at(25).counted(Some(0)).streams(3).at(26).counted(Some(3)).at(25 + LEAK_AFTER).counted(Some(3));
    pod.at(26 + LEAK_AFTER).counted(Some(0)).streams(1).at(27 + LEAK_AFTER).counted(Some(0));
}

#[test]
fn stream_that_begins_after_the_table_was_read_is_not_overruled() {
    let mut pod = Pod::with(2, |policy| {
        leaks(policy);
        policy.times.quiet_period = Duration::ZERO;
        policy.signal = None;
    });
    pod.at(30).call(Hook).at(30 + LAME_DUCK - 1).counted(Some(0));
    // The poll that could end the drain reads the table before the stream begins, and the page after it.
    pod.streams(3).at(30 + LAME_DUCK).counted(Some(3)).traffic(&[0]);
    pod.at(30 + BUDGET).expect([Release(Expired, Some(3))]);
}

#[test]
fn new_incarnation_restarts_the_time() {
    let mut pod = Pod::with(2, leaks);
    pod.at(25).counted(Some(0)).exits(1, ExitStatus::Code(0)).search_finds(found(2, None)).streams(2);
    pod.at(25 + LEAK_AFTER).counted(Some(2)).at(27 + LEAK_AFTER).counted(Some(0));
}

#[test]
fn restarted_sidecar_restarts_the_time_and_keeps_the_warning() {
    let mut pod = Pod::with(2, leaks);
    pod.drain_to_signal().at(25).counted(Some(0)).sidecar_restarts().counted(Some(2));
    pod.at(24 + LEAK_AFTER).counted(Some(2)).at(25 + LEAK_AFTER).counted(Some(0)).streams(0);
    pod.at(25 + LEAK_AFTER + CONFIRMATION).expect([Release(Drained, Some(0))]);
    assert!(has_warning(&pod));
}

#[test]
fn port_that_was_never_open_overrules_nothing() {
    let mut pod = Pod::with(2, leaks);
    pod.drain_to_signal().listening(false).sidecar_restarts();
    pod.at(DEADLINE).expect([Release(Expired, Some(2))]);
    assert!(!has_warning(&pod));
}

#[test]
fn leak_does_not_overrule_failed_page() {
    let mut pod = Pod::with(2, leaks);
    pod.drain_to_signal().at(25).counted(Some(0)).page_fails(NoResponse).at(26).counted(None);
    pod.at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn overruled_count_is_no_sign_of_a_stop() {
    let mut pod = Pod::with(5, leaks);
    pod.at(17).call(Hook).at(17 + LAME_DUCK).expect([Signal(1)]).at(17 + LAME_DUCK + CONFIRMATION);
    pod.expect([Release(Drained, Some(0))]);
    let warnings = pod.result.map(|result| result.warnings.iter().collect::<Vec<_>>()).unwrap_or_default();
    assert_eq!(warnings.first(), Some(&GaugeLeak), "{warnings:?}");
}
