//! A hook does not wait for a target that never served, but does for one that may have served.

use lameduck_machine::io::Input;
use lameduck_machine::policy::Policy;
use lameduck_machine::reading::ReadErrorKind::{ConnectionRefused, Invalid, NoResponse};
use lameduck_machine::reading::Source::Metrics;
use lameduck_machine::reading::{ReadErrorKind, Reading};
use lameduck_machine::result::Outcome::{Drained, Expired, NeverServed};
use lameduck_machine::result::Trigger::Hook;
use lameduck_machine::snapshot::Phase;
use lameduck_machine::target::{ObservationStart, SearchResult, SignalBlocker};

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{
    BUDGET, CALL, CONFIRMATION, DEADLINE, LAME_DUCK, Pod, count, failure, found, policy, second,
};

/// A pod whose page fails from the start.
fn failing(search_result: SearchResult, kind: ReadErrorKind) -> Pod {
    Pod::start(policy(), Some(search_result), &[(Metrics, failure(kind))])
}

#[test]
fn never_served_target_is_signalled_immediately() {
    for kind in [ConnectionRefused, NoResponse] {
        let mut pod = failing(found(1, None), kind);
        pod.at(CALL).call(Hook).expect([Signal(1), Release(NeverServed, Some(0))]).phase(Phase::Done);
    }
}

#[test]
fn hanging_fresh_poll_decides_at_its_timeout() {
    let mut pod = failing(found(1, None), ConnectionRefused);
    pod.at(CALL).polls_hang().call(Hook).at(12.1).expect([Signal(1), Release(NeverServed, Some(0))]);
}

#[test]
fn poll_before_hook_does_not_decide() {
    let mut pod = failing(found(1, None), ConnectionRefused);
    pod.at(9.5).streams(3).call(Hook).at(10).phase(Phase::LameDuck).at(9.5 + f64::from(LAME_DUCK)).expect([Signal(1)]);
}

#[test]
fn without_target_only_refused_connection_is_never_served() {
    failing(SearchResult::NotFound, ConnectionRefused).at(CALL).call(Hook).expect([Release(NeverServed, Some(0))]);
    failing(SearchResult::NotFound, NoResponse).at(CALL).call(Hook).at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn invalid_page_counts_as_serving() {
    let mut pod = failing(found(1, None), Invalid);
    pod.drain_to_signal().at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn earlier_invalid_page_counts_as_having_served() {
    let mut pod = failing(found(1, None), Invalid);
    pod.at(9).page_fails(NoResponse).drain_to_signal().at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn absent_selector_counts_as_having_served() {
    let mut pod = Pod::start(policy(), Some(found(1, None)), &[(Metrics, Reading::Counts(vec![None]))]);
    pod.at(9).page_fails(ConnectionRefused).drain_to_signal().at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn target_that_was_counted_before_failing_is_drained() {
    let mut pod = Pod::serving(0);
    pod.at(9).page_fails(ConnectionRefused).drain_to_signal().at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn target_older_than_sidecar_may_have_served() {
    // The sidecar starts at the same tick, where the order is unknown, or later.
    for ticks in [101, 102] {
        let policy = Policy { observed_since: ObservationStart { at: second(0), ticks }, ..policy() };
        let mut pod = Pod::start(policy, Some(found(1, None)), &[(Metrics, failure(ConnectionRefused))]);
        pod.drain_to_signal().at(DEADLINE).expect([Release(Expired, None)]);
    }
}

#[test]
fn ambiguous_target_is_not_never_served() {
    let mut pod = failing(SearchResult::Ambiguous(vec![1, 7]), ConnectionRefused);
    pod.at(CALL).call(Hook).at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn target_not_found_needs_completed_search() {
    let mut pod = Pod::start(policy(), None, &[(Metrics, failure(ConnectionRefused))]);
    pod.call(Hook).phase(Phase::LameDuck);
    let requested_at = pod.unanswered_searches[1];
    pod.search_finds(SearchResult::NotFound)
        .input(Input::SearchResult { requested_at, result: SearchResult::NotFound });
    pod.expect([Release(NeverServed, Some(0))]);
}

#[test]
fn signal_blocker_does_not_hold_hook() {
    let mut pod = failing(found(1, Some(SignalBlocker::NotCaught)), ConnectionRefused);
    pod.at(CALL).call(Hook).expect([Release(NeverServed, Some(0))]);
    assert!(!pod.result.expect("a result").signalled);
}

#[test]
fn failed_signal_is_not_reported_as_sent() {
    let mut pod = failing(found(1, None), ConnectionRefused);
    pod.signals_fail(true).at(CALL).call(Hook).expect([Release(NeverServed, Some(0))]);
    assert!(!pod.result.expect("a result").signalled && pod.saved.expect("a saved drain").signal.is_none());
}

#[test]
fn second_hook_is_answered_immediately_while_not_serving() {
    let mut pod = failing(found(1, None), ConnectionRefused);
    pod.at(CALL).call(Hook).expect([Signal(1), Release(NeverServed, Some(0))]);
    pod.at(12).call(Hook).expect([Release(NeverServed, Some(0))]);
}

#[test]
fn second_hook_is_held_after_target_begins_serving() {
    let mut pod = failing(found(1, None), ConnectionRefused);
    pod.at(CALL).call(Hook).expect([Signal(1), Release(NeverServed, Some(0))]);
    pod.at(11).streams(2).at(13).call(Hook).phase(Phase::Draining).deadline(13 + BUDGET);
    pod.at(19.5).streams(0).at(20 + CONFIRMATION).expect([Release(Drained, Some(0))]);
}

#[test]
fn target_found_after_hook_is_signalled_first() {
    for before in [SearchResult::NotFound, found(1, Some(SignalBlocker::NotCaught))] {
        let mut pod = failing(before, ConnectionRefused);
        // The page answers immediately, the search later.
        pod.at(9.5).searches_hang().call(Hook).phase(Phase::LameDuck);
        pod.input(Input::SearchResult { requested_at: second(9.5), result: found(1, None) });
        pod.expect([Signal(1), Release(NeverServed, Some(0))]).phase(Phase::Done);
    }
}

#[test]
fn poll_in_flight_is_awaited_before_the_hook_returns() {
    let mut pod = Pod::start(policy(), None, &[]);
    pod.page_fails(ConnectionRefused).at(10).call(Hook).at(14.5).search_finds(found(1, None)).polls_hang();
    pod.at(15).expect([Signal(1)]);
    pod.at(15.5).answer_newest_poll(&[(Metrics, count(3))]).counted(Some(3));
    pod.streams(3).at(65).expect([Release(Expired, Some(3))]);
}
