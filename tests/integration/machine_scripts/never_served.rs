//! A target that never served is not waited for; one that may have served is.

use lameduck_machine::io::Input;

use lameduck_machine::policy::Policy;
use lameduck_machine::reading::ReadErrorKind::{ConnectionRefused, Invalid, NoResponse};
use lameduck_machine::reading::Source::Metrics;
use lameduck_machine::reading::{ReadErrorKind, Reading};
use lameduck_machine::result::Outcome::{Drained, Expired, NeverServed};
use lameduck_machine::result::Trigger::Hook;
use lameduck_machine::snapshot::Phase;
use lameduck_machine::target::{SearchResult, SignalBlocker};

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{Pod, failure, found, policy, second};

fn failing(sighting: SearchResult, kind: ReadErrorKind) -> Pod {
    Pod::start(policy(), Some(sighting), &[(Metrics, failure(kind))])
}

#[test]
fn it_is_signalled_without_a_lame_duck_and_the_hook_returns_at_once() {
    for kind in [ConnectionRefused, NoResponse] {
        let mut pod = failing(found(1, None), kind);
        pod.at(10).call(Hook).expect([Signal(1), Release(NeverServed, Some(0))]).phase(Phase::Done);
    }
}

#[test]
fn the_fresh_look_may_hang_until_it_is_given_up() {
    let mut pod = failing(found(1, None), ConnectionRefused);
    pod.at(10).hangs().call(Hook).at(12.1).expect([Signal(1), Release(NeverServed, Some(0))]);
}

#[test]
fn the_look_before_the_hook_does_not_decide() {
    let mut pod = failing(found(1, None), ConnectionRefused);
    pod.at(9.5).streams(3).call(Hook).at(10).phase(Phase::LameDuck).at(14.5).expect([Signal(1)]);
}

#[test]
fn without_a_target_only_a_refused_connection_tells() {
    failing(SearchResult::NotFound, ConnectionRefused).at(10).call(Hook).expect([Release(NeverServed, Some(0))]);
    failing(SearchResult::NotFound, NoResponse).at(10).call(Hook).at(65).expect([Release(Expired, None)]);
}

#[test]
fn a_page_that_cannot_be_read_is_somebody_who_serves() {
    let mut pod = failing(found(1, None), Invalid);
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(65).expect([Release(Expired, None)]);
}

#[test]
fn a_page_that_could_not_be_read_before_was_somebody_who_serves() {
    let mut pod = failing(found(1, None), Invalid);
    pod.at(9).fails(NoResponse).at(10).call(Hook).at(15).expect([Signal(1)]).at(65).expect([Release(Expired, None)]);
}

#[test]
fn an_absent_selector_is_a_reading() {
    let mut pod = Pod::start(policy(), Some(found(1, None)), &[(Metrics, Reading::Counts(vec![None]))]);
    pod.at(9)
        .fails(ConnectionRefused)
        .at(10)
        .call(Hook)
        .at(15)
        .expect([Signal(1)])
        .at(65)
        .expect([Release(Expired, None)]);
}

#[test]
fn one_that_was_read_before_it_failed_is_waited_for() {
    let mut pod = Pod::serving(0);
    pod.at(9)
        .fails(ConnectionRefused)
        .at(10)
        .call(Hook)
        .at(15)
        .expect([Signal(1)])
        .at(65)
        .expect([Release(Expired, None)]);
}

#[test]
fn one_that_is_older_than_the_sidecar_may_have_served() {
    // One that began in the same tick may be older.
    for own_start_ticks in [101, 102] {
        let policy = Policy { own_start_ticks, ..policy() };
        let mut pod = Pod::start(policy, Some(found(1, None)), &[(Metrics, failure(ConnectionRefused))]);
        pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(65).expect([Release(Expired, None)]);
    }
}

#[test]
fn several_in_sight_are_not_nobody() {
    let mut pod = failing(SearchResult::Ambiguous(vec![1, 7]), ConnectionRefused);
    pod.at(10).call(Hook).at(65).expect([Release(Expired, None)]);
}

#[test]
fn nobody_is_nobody_only_when_somebody_has_looked() {
    let mut pod = Pod::start(policy(), None, &[(Metrics, failure(ConnectionRefused))]);
    pod.call(Hook).phase(Phase::LameDuck);
    let requested_at = pod.unanswered_searches[1];
    pod.finds(SearchResult::NotFound).input(Input::SearchResult { requested_at, result: SearchResult::NotFound });
    pod.expect([Release(NeverServed, Some(0))]);
}

#[test]
fn an_obstacle_keeps_the_signal_back_and_the_hook_returns_all_the_same() {
    let mut pod = failing(found(1, Some(SignalBlocker::NotCaught)), ConnectionRefused);
    pod.at(10).call(Hook).expect([Release(NeverServed, Some(0))]);
    assert!(!pod.result.expect("a result").signalled);
}

#[test]
fn a_signal_that_fails_is_not_said_to_have_been_sent() {
    let mut pod = failing(found(1, None), ConnectionRefused);
    pod.signals_fail(true).at(10).call(Hook).expect([Release(NeverServed, Some(0))]);
    assert!(!pod.result.expect("a result").signalled && !pod.saved.expect("a saved drain").signalled);
}

#[test]
fn a_hook_again_is_answered_at_once_while_it_does_not_serve() {
    let mut pod = failing(found(1, None), ConnectionRefused);
    pod.at(10).call(Hook).expect([Signal(1), Release(NeverServed, Some(0))]);
    pod.at(12).call(Hook).expect([Release(NeverServed, Some(0))]);
}

#[test]
fn a_hook_again_is_held_if_it_has_begun_to_serve_since() {
    let mut pod = failing(found(1, None), ConnectionRefused);
    pod.at(10).call(Hook).expect([Signal(1), Release(NeverServed, Some(0))]);
    pod.at(11).streams(2).at(13).call(Hook).phase(Phase::Draining).deadline(68);
    pod.at(19.5).streams(0).at(32).expect([Release(Drained, Some(0))]);
}

#[test]
fn who_came_since_the_last_search_is_seen_first_and_told() {
    for before in [SearchResult::NotFound, found(1, Some(SignalBlocker::NotCaught))] {
        let mut pod = failing(before, ConnectionRefused);
        // The page answers at once, the search takes its time.
        pod.at(9.5).searches_hang().call(Hook).phase(Phase::LameDuck);
        pod.input(Input::SearchResult { requested_at: second(9.5), result: found(1, None) });
        pod.expect([Signal(1), Release(NeverServed, Some(0))]).phase(Phase::Done);
    }
}
