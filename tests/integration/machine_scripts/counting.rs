//! From the readings of the sources to one count of streams.

use std::time::Duration;

use lameduck_machine::policy::Policy;
use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::Source::{Lazy, Metrics};
use lameduck_machine::reading::{Count, ReadError, ReadErrorKind, Reading, Source};
use lameduck_machine::result::Outcome::{Drained, Expired};
use lameduck_machine::result::Trigger::Hook;

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{
    BUDGET, CALL, DEADLINE, LAME_DUCK, Pod, QUIET_PERIOD, SIGNAL, count, failure, found, policy, second,
};

/// A pod whose page also has lazy series. Without a signal, only the counts end a drain.
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
fn count_is_highest_source_not_sum() {
    page(count(3), count(2)).counted(Some(3));
}

#[test]
fn unseen_lazy_series_do_not_block_zero() {
    page(count(0), absent()).at(CALL).call(Hook).at(SIGNAL + QUIET_PERIOD).expect([Release(Drained, Some(0))]);
}

#[test]
fn vanished_lazy_series_block_zero() {
    let mut pod = page(count(0), count(1));
    pod.at(CALL).call(Hook).at(20).readings(&both(count(0), absent()));
    pod.at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn selector_without_match_is_never_zero() {
    let mut pod = page(absent(), count(0));
    pod.at(CALL).call(Hook).at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn source_that_failed_above_zero_blocks_zero() {
    let mut pod = page(count(2), count(0));
    pod.at(CALL).call(Hook).at(20).readings(&both(failure(ReadErrorKind::NoResponse), count(0)));
    pod.at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn absent_series_does_not_lower_last_count() {
    let series = |first| Reading::Counts(vec![first, Some(Count::of(0))]);
    let mut pod = page(series(Some(Count::of(2))), count(0));
    pod.at(CALL).call(Hook).at(20).readings(&both(series(None), count(0)));
    pod.at(30).readings(&both(failure(ReadErrorKind::NoResponse), count(0)));
    pod.at(DEADLINE).expect([Release(Expired, None)]);
}

#[test]
fn source_that_counted_streams_outweighs_failed_source() {
    let mut pod = page(count(2), count(2));
    pod.at(CALL).call(Hook).at(19.5).readings(&both(failure(ReadErrorKind::NoResponse), count(0)));
    pod.at(20 + QUIET_PERIOD).expect([Release(Drained, Some(0))]);
}

#[test]
fn source_that_failed_at_zero_does_not_block_zero() {
    let mut pod = page(count(0), count(0));
    pod.at(CALL).call(Hook).readings(&both(count(0), failure(ReadErrorKind::NoResponse)));
    pod.at(SIGNAL + QUIET_PERIOD).expect([Release(Drained, Some(0))]);
}

#[test]
fn unpolled_source_blocks_zero_until_timeout() {
    let mut policy = policy();
    policy.signal = None;
    policy.times.poll_interval = Duration::from_secs(10);
    policy.sources = vec![Metrics, Lazy];
    let mut pod = Pod::start(policy, Some(found(1, None)), &[(Metrics, count(0))]);
    // Each poll lasts until the timeout of the lazy series, 2 s. Those requested at 5 and at 7 count zero.
    pod.call(Hook).at(1).counted(None);
    pod.at(7).counted(Some(0)).at(9).expect([Release(Drained, Some(0))]);
}

#[test]
fn unknown_count_is_never_zero() {
    let mut pod = Pod::serving(0);
    pod.at(10).page_fails(ReadErrorKind::Invalid).at(11).call(Hook).at(11 + LAME_DUCK).expect([Signal(1)]);
    pod.at(11 + BUDGET).expect([Release(Expired, None)]);
}

#[test]
fn unanswered_polls_do_not_stall_polling() {
    let mut pod = Pod::serving(3);
    pod.at(9.5).polls_hang().at(16.5);
    let requested_at: Vec<_> = pod.unanswered_polls.iter().map(|(requested_at, _)| *requested_at).collect();
    assert_eq!(requested_at, [second(10), second(12.1), second(14.2), second(16.3)]);
    pod.streams(5).at(18.5).counted(Some(5));
}

#[test]
fn answer_after_poll_timeout_is_discarded() {
    let mut pod = Pod::serving(3);
    pod.at(9.5).polls_hang().at(12.1).counted(None);
    let (requested_at, _) = pod.unanswered_polls[0];
    pod.answer_poll(requested_at, &[(Metrics, count(0))]).counted(None);
}

#[test]
fn second_answer_to_poll_is_discarded() {
    let mut pod = page(count(3), count(3));
    pod.at(9.5).polls_hang().at(10);
    let (requested_at, _) = pod.unanswered_polls[0];
    pod.answer_poll(requested_at, &[(Metrics, count(4))]);
    pod.answer_poll(requested_at, &[(Metrics, count(0))]).counted(Some(4));
}

#[test]
fn poll_requested_before_drain_is_discarded_in_it() {
    let mut pod = Pod::with(0, |policy| (policy.signal, policy.times.quiet_period) = (None, Duration::ZERO));
    pod.at(9.5).polls_hang().at(10.5).call(Hook);
    let (requested_at, _) = pod.unanswered_polls[0];
    pod.answer_poll(requested_at, &[(Metrics, count(9))]).counted(Some(0));
}

#[test]
fn poll_requested_in_lame_duck_does_not_end_drain() {
    let mut pod = Pod::with(0, |policy| (policy.signal, policy.times.quiet_period) = (None, Duration::ZERO));
    pod.at(CALL).call(Hook).at(13.5).polls_hang().at(15.5);
    let requested_at = pod.unanswered_polls[0].0;
    pod.answer_poll(requested_at, &[(Metrics, count(0))]);
    let requested_at = pod.unanswered_polls[1].0;
    assert_eq!(requested_at, second(SIGNAL));
    pod.answer_poll(requested_at, &[(Metrics, count(0))]).expect([Release(Drained, Some(0))]);
}

#[test]
fn poll_timeout_ends_by_deadline() {
    let mut pod = Pod::with(3, |policy| policy.times.scrape_timeout = Duration::from_secs(40));
    pod.drain_to_signal().at(39.5).polls_hang();
    pod.at(DEADLINE).expect([Release(Expired, None)]);
    assert_eq!(pod.unanswered_polls[0], (second(40), Duration::from_millis(24_950)));
}

#[test]
fn readiness_needs_one_reading_and_survives_failures() {
    let mut pod = Pod::start(policy(), Some(found(1, None)), &[(Metrics, failure(ReadErrorKind::ConnectionRefused))]);
    pod.not_ready(NotReady::SourceUnknown(ReadError::new(ReadErrorKind::ConnectionRefused, "no page")));
    pod.at(0.5).streams(0).at(1).ready().page_fails(ReadErrorKind::ConnectionRefused).at(30).ready();
}

#[test]
fn readiness_waits_for_end_of_first_poll() {
    let policy = Policy { sources: vec![Metrics, Lazy], ..policy() };
    let mut pod = Pod::start(policy, Some(found(1, None)), &[(Metrics, count(3))]);
    pod.not_ready(NotReady::FirstPoll).at(1.9).not_ready(NotReady::FirstPoll).at(2).ready();
}
