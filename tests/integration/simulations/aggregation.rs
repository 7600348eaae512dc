//! Compares the count of a set of sources with a model that keeps every reading.

use std::time::Duration;

use lameduck_machine::reading::{Count, ReadError, ReadErrorKind, Reading, Source};
use lameduck_machine::source_set::SourceSet;
use lameduck_machine::time::Time;
use proptest::prelude::*;

const ALL: [Source; 4] = [Source::Metrics, Source::Lazy, Source::Sockets, Source::Status];

/// A set of sources, and all readings of each in order.
pub(crate) struct Model {
    source_set: SourceSet,
    readings: Vec<(Source, Vec<Reading>)>,
}

/// One or more sources.
pub(crate) fn sources() -> impl Strategy<Value = Vec<Source>> {
    prop::sample::subsequence(ALL.to_vec(), 1..=4)
}

/// Random readings of random sources.
pub(crate) fn readings() -> impl Strategy<Value = Vec<(Source, Reading)>> {
    prop::collection::vec((prop::sample::select(ALL.to_vec()), reading()), 1..30)
}

fn reading() -> impl Strategy<Value = Reading> {
    let count = prop_oneof![Just(None), Just(Some(0)), Just(Some(0)), (1..4_u64).prop_map(Some)];
    let kind =
        prop::sample::select(vec![ReadErrorKind::ConnectionRefused, ReadErrorKind::NoResponse, ReadErrorKind::Invalid]);
    prop_oneof![
        3 => prop::collection::vec(count, 2)
            .prop_map(|counts| Reading::Counts(counts.into_iter().map(|count| count.map(Count::of)).collect())),
        1 => kind.prop_map(|kind| Reading::Unknown(ReadError::new(kind, "no reading"))),
    ]
}

impl Model {
    pub(crate) fn new(sources: &[Source]) -> Self {
        let readings = sources.iter().map(|source| (*source, Vec::new())).collect();
        Self { source_set: SourceSet::new(sources, None), readings }
    }

    /// Records a reading, and checks the count.
    pub(crate) fn record(&mut self, second: usize, source: Source, reading: Reading) {
        let requested_at = Time::since_boot(Duration::from_secs(second as u64));
        self.source_set.record(source, requested_at, reading.clone());
        if let Some((_, readings)) = self.readings.iter_mut().find(|(recorded, _)| *recorded == source) {
            readings.push(reading);
        }
        let count = self.source_set.count().map(|count| count.streams);
        match count {
            None => {}
            Some(0) => self.assert_zero_is_allowed(),
            Some(streams) => {
                let counts_this = |(source, readings): &(Source, Vec<Reading>)| current(*source, readings) == count;
                assert!(self.readings.iter().any(counts_this), "no source counts {streams}");
            }
        }
        let counts = self.readings.iter().filter_map(|(source, readings)| current(*source, readings));
        let highest = counts.max().filter(|highest| *highest > 0);
        let missing = self.readings.iter().any(|(source, readings)| is_missing(*source, readings));
        assert!(highest.is_none() || missing || count == highest, "counted streams are lost");
    }

    fn assert_zero_is_allowed(&self) {
        let has_evidence = |(source, readings): &(Source, Vec<Reading>)| {
            current(*source, readings).is_some() && readings.iter().any(|reading| sum(*source, reading) > Some(0))
        };
        let outweighed = self.readings.iter().any(has_evidence);
        for (source, readings) in &self.readings {
            assert!(!readings.is_empty(), "{source:?} was never read");
            assert!(current(*source, readings).unwrap_or(0) == 0, "{source:?} counts more than zero");
            assert!(!is_missing(*source, readings), "{source:?} is absent");
            assert!(!failed_above_zero(*source, readings) || outweighed, "{source:?} failed above zero: {readings:?}");
        }
        let answers = |(source, readings): &(Source, Vec<Reading>)| current(*source, readings).is_some();
        assert!(self.readings.iter().any(answers), "no source answers");
    }
}

/// The count of the last reading, if it has one.
fn current(source: Source, readings: &[Reading]) -> Option<u64> {
    readings.last().and_then(|reading| sum(source, reading))
}

/// The count of a reading, if it has one.
fn sum(source: Source, reading: &Reading) -> Option<u64> {
    match reading {
        // A closed port has no connections.
        Reading::Counts(counts) if source == Source::Sockets => {
            Some(counts.iter().flatten().map(|count| count.streams).sum())
        }
        Reading::Counts(counts) => counts.iter().flatten().map(|count| count.streams).reduce(u64::saturating_add),
        Reading::Unknown(_) => None,
    }
}

/// Whether a series or port is absent now that must exist.
fn is_missing(source: Source, readings: &[Reading]) -> bool {
    let Some(Reading::Counts(last)) = readings.last() else { return false };
    let shown = |index: usize| {
        let shows = |counts: &[Option<Count>]| counts.get(index).is_some_and(Option::is_some);
        readings.iter().any(|reading| matches!(reading, Reading::Counts(counts) if shows(counts)))
    };
    last.iter().enumerate().any(|(index, count)| {
        count.is_none()
            && match source {
                Source::Metrics | Source::Status => true,
                Source::Lazy => shown(index),
                Source::Sockets => !shown(index),
            }
    })
}

/// Whether the source fails now, and its last count was above zero.
fn failed_above_zero(source: Source, readings: &[Reading]) -> bool {
    let failing = matches!(readings.last(), Some(Reading::Unknown(_)));
    failing && readings.iter().rev().find_map(|reading| sum(source, reading)) > Some(0)
}
