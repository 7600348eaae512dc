//! What the sources say, and what is made of it.

use std::time::Duration;

use lameduck_machine::policy::Policy;
use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::Source::{Lazy, Metrics};
use lameduck_machine::reading::{Count, ReadError, ReadErrorKind, Reading, Source};
use lameduck_machine::result::Outcome::{Drained, Expired};
use lameduck_machine::result::Trigger::Hook;

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{Pod, count, failure, found, policy, second};

/// A pod whose page has lazy series too; no signal, so that only the counts decide.
fn page(metrics: Reading, lazy: Reading) -> Pod {
    let mut policy = policy();
    policy.signal = None;
    policy.sources = vec![Metrics, Lazy];
    Pod::start(policy, Some(found(1, None)), &[(Metrics, metrics), (Lazy, lazy)])
}

fn absent() -> Reading {
    Reading::Counts(vec![None])
}

fn both(metrics: Reading, lazy: Reading) -> [(Source, Reading); 2] {
    [(Metrics, metrics), (Lazy, lazy)]
}

#[test]
fn sources_are_compared_and_not_added() {
    page(count(3), count(2)).counted(Some(3));
}

#[test]
fn lazy_series_that_were_never_shown_do_not_bar_zero() {
    page(count(0), absent()).at(10).call(Hook).at(17).expect([Release(Drained, Some(0))]);
}

#[test]
fn lazy_series_that_were_shown_and_vanish_bar_zero() {
    let mut pod = page(count(0), count(1));
    pod.at(10).call(Hook).at(20).readings(&both(count(0), absent()));
    pod.at(65).expect([Release(Expired, None)]);
}

#[test]
fn a_selector_that_matches_nothing_is_never_zero() {
    let mut pod = page(absent(), count(0));
    pod.at(10).call(Hook).at(65).expect([Release(Expired, None)]);
}

#[test]
fn a_source_that_failed_high_bars_zero() {
    let mut pod = page(count(2), count(0));
    pod.at(10).call(Hook).at(20).readings(&both(failure(ReadErrorKind::NoResponse), count(0)));
    pod.at(65).expect([Release(Expired, None)]);
}

#[test]
fn an_absence_does_not_take_back_what_was_counted_before_it() {
    let series = |first| Reading::Counts(vec![first, Some(Count::of(0))]);
    let mut pod = page(series(Some(Count::of(2))), count(0));
    pod.at(10).call(Hook).at(20).readings(&both(series(None), count(0)));
    pod.at(30).readings(&both(failure(ReadErrorKind::NoResponse), count(0)));
    pod.at(65).expect([Release(Expired, None)]);
}

#[test]
fn a_source_that_failed_high_is_overruled_by_another_that_saw_streams() {
    let mut pod = page(count(2), count(2));
    pod.at(10).call(Hook).at(19.5).readings(&both(failure(ReadErrorKind::NoResponse), count(0)));
    pod.at(22).expect([Release(Drained, Some(0))]);
}

#[test]
fn a_source_that_failed_at_zero_leaves_the_other_to_decide() {
    let mut pod = page(count(0), count(0));
    pod.at(10).call(Hook).readings(&both(count(0), failure(ReadErrorKind::NoResponse)));
    pod.at(17).expect([Release(Drained, Some(0))]);
}

#[test]
fn a_source_not_heard_from_yet_blocks_zero_until_it_times_out() {
    let mut policy = policy();
    policy.signal = None;
    policy.times.poll_interval = Duration::from_secs(10);
    policy.sources = vec![Metrics, Lazy];
    let mut pod = Pod::start(policy, Some(found(1, None)), &[(Metrics, count(0))]);
    // Each poll lasts until Lazy has had its 2 s: those requested at 5 and at 7 are zero.
    pod.call(Hook).at(1).counted(None);
    pod.at(7).counted(Some(0)).at(9).expect([Release(Drained, Some(0))]);
}

#[test]
fn unknown_is_never_zero() {
    let mut pod = Pod::serving(0);
    pod.at(10).fails(ReadErrorKind::Invalid).at(11).call(Hook).at(16).expect([Signal(1)]);
    pod.at(66).expect([Release(Expired, None)]);
}

#[test]
fn readings_that_never_come_back_do_not_stall_the_polls() {
    let mut pod = Pod::serving(3);
    pod.at(9.5).hangs().at(16.5);
    let requested_at: Vec<_> = pod.unanswered_polls.iter().map(|(requested_at, _)| *requested_at).collect();
    assert_eq!(requested_at, [second(10), second(12.1), second(14.2), second(16.3)]);
    pod.streams(5).at(18.5).counted(Some(5));
}

#[test]
fn a_reading_is_not_taken_after_it_was_given_up() {
    let mut pod = Pod::serving(3);
    pod.at(9.5).hangs().at(12.1).counted(None);
    let (requested_at, _) = pod.unanswered_polls[0];
    pod.answer_poll(requested_at, &[(Metrics, count(0))]).counted(None);
}

#[test]
fn a_reading_counts_once() {
    let mut pod = page(count(3), count(3));
    pod.at(9.5).hangs().at(10);
    let (requested_at, _) = pod.unanswered_polls[0];
    pod.answer_poll(requested_at, &[(Metrics, count(4))]);
    pod.answer_poll(requested_at, &[(Metrics, count(0))]).counted(Some(4));
}

#[test]
fn a_reading_ordered_before_the_drain_decides_nothing_in_it() {
    let mut pod = Pod::with(0, |policy| (policy.signal, policy.times.quiet_period) = (None, Duration::ZERO));
    pod.at(9.5).hangs().at(10.5).call(Hook);
    let (requested_at, _) = pod.unanswered_polls[0];
    pod.answer_poll(requested_at, &[(Metrics, count(9))]).counted(Some(0));
}

#[test]
fn a_reading_ordered_in_the_lame_duck_does_not_end_the_drain() {
    let mut pod = Pod::with(0, |policy| (policy.signal, policy.times.quiet_period) = (None, Duration::ZERO));
    pod.at(10).call(Hook).at(13.5).hangs().at(15.5);
    let requested_at = pod.unanswered_polls[0].0;
    pod.answer_poll(requested_at, &[(Metrics, count(0))]);
    let requested_at = pod.unanswered_polls[1].0;
    assert_eq!(requested_at, second(15));
    pod.answer_poll(requested_at, &[(Metrics, count(0))]).expect([Release(Drained, Some(0))]);
}

#[test]
fn no_reading_is_bound_to_end_after_the_deadline() {
    let mut pod = Pod::with(3, |policy| policy.times.scrape_timeout = Duration::from_secs(40));
    pod.at(10).call(Hook).at(15).expect([Signal(1)]).at(39.5).hangs();
    pod.at(65).expect([Release(Expired, None)]);
    assert_eq!(pod.unanswered_polls[0], (second(40), Duration::from_secs(25)));
}

#[test]
fn readiness_needs_one_reading_and_outlives_later_failures() {
    let mut pod = Pod::start(policy(), Some(found(1, None)), &[(Metrics, failure(ReadErrorKind::ConnectionRefused))]);
    pod.not_ready(NotReady::SourceUnknown(ReadError::new(ReadErrorKind::ConnectionRefused, "no page")));
    pod.at(0.5).streams(0).at(1).ready().fails(ReadErrorKind::ConnectionRefused).at(30).ready();
}

#[test]
fn readiness_waits_for_the_end_of_the_round() {
    let policy = Policy { sources: vec![Metrics, Lazy], ..policy() };
    let mut pod = Pod::start(policy, Some(found(1, None)), &[(Metrics, count(3))]);
    pod.not_ready(NotReady::FirstPoll).at(1.9).not_ready(NotReady::FirstPoll).at(2).ready();
}
