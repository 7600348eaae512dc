//! What may be made of the sources' words, by a model that keeps everything that each has ever said.

use std::time::Duration;

use lameduck_machine::reading::{Count, ReadError, ReadErrorKind, Reading, Source};
use lameduck_machine::source_set::SourceSet;
use lameduck_machine::time::Time;
use proptest::prelude::*;

const ALL: [Source; 4] = [Source::Metrics, Source::Lazy, Source::Sockets, Source::Status];

/// Sources, and all that they have said, the last last.
pub(crate) struct Sources {
    source_set: SourceSet,
    said: Vec<(Source, Vec<Reading>)>,
}

/// Any of the sources, and at least one.
pub(crate) fn sources() -> impl Strategy<Value = Vec<Source>> {
    prop::sample::subsequence(ALL.to_vec(), 1..=4)
}

/// Any readings in any order.
pub(crate) fn words() -> impl Strategy<Value = Vec<(Source, Reading)>> {
    prop::collection::vec((prop::sample::select(ALL.to_vec()), reading()), 1..30)
}

fn reading() -> impl Strategy<Value = Reading> {
    let count = prop_oneof![Just(None), Just(Some(0)), Just(Some(0)), (1..4_u64).prop_map(Some)];
    let kind =
        prop::sample::select(vec![ReadErrorKind::ConnectionRefused, ReadErrorKind::NoResponse, ReadErrorKind::Invalid]);
    prop_oneof![
        3 => prop::collection::vec(count, 2)
            .prop_map(|counts| Reading::Counts(counts.into_iter().map(|count| count.map(Count::of)).collect())),
        1 => kind.prop_map(|kind| Reading::Unknown(ReadError::new(kind, "no word"))),
    ]
}

impl Sources {
    pub(crate) fn new(sources: &[Source]) -> Self {
        let said = sources.iter().map(|source| (*source, Vec::new())).collect();
        Self { source_set: SourceSet::new(sources), said }
    }

    pub(crate) fn take(&mut self, second: usize, source: Source, reading: Reading) {
        let requested_at = Time::since_boot(Duration::from_secs(second as u64));
        self.source_set.record(source, requested_at, reading.clone());
        if let Some((_, said)) = self.said.iter_mut().find(|(one, _)| *one == source) {
            said.push(reading);
        }
        match self.source_set.count().map(|tally| tally.streams) {
            None => {}
            Some(0) => self.may_be_zero(),
            Some(streams) => {
                assert!(
                    self.said.iter().any(|(source, said)| now(*source, said) == Some(streams)),
                    "nobody said {streams}"
                );
            }
        }
        let most = self.said.iter().filter_map(|(source, said)| now(*source, said)).max().filter(|most| *most > 0);
        let absent = self.said.iter().any(|(source, said)| is_missed(*source, said));
        assert!(
            most.is_none() || absent || self.source_set.count().map(|tally| tally.streams) == most,
            "streams are lost"
        );
    }

    fn may_be_zero(&self) {
        let overruled = self.said.iter().any(|(source, said)| {
            now(*source, said).is_some() && said.iter().any(|reading| sum(*source, reading) > Some(0))
        });
        for (source, said) in &self.said {
            assert!(!said.is_empty(), "{source:?} was not heard");
            assert!(now(*source, said).unwrap_or(0) == 0, "{source:?} says more than zero");
            assert!(!is_missed(*source, said), "{source:?} is absent");
            assert!(!failed_high(*source, said) || overruled, "{source:?} failed high: {said:?}");
        }
        assert!(self.said.iter().any(|(source, said)| now(*source, said).is_some()), "nobody answers");
    }
}

/// What it says now, if it does.
fn now(source: Source, said: &[Reading]) -> Option<u64> {
    said.last().and_then(|reading| sum(source, reading))
}

fn sum(source: Source, reading: &Reading) -> Option<u64> {
    match reading {
        // A port that is closed has nobody on it.
        Reading::Counts(counts) if source == Source::Sockets => {
            Some(counts.iter().flatten().map(|count| count.streams).sum())
        }
        Reading::Counts(counts) => counts.iter().flatten().map(|count| count.streams).reduce(u64::saturating_add),
        Reading::Unknown(_) => None,
    }
}

/// Whether something has nothing to count on now that must be there.
fn is_missed(source: Source, said: &[Reading]) -> bool {
    let Some(Reading::Counts(last)) = said.last() else { return false };
    let shown = |at: usize| {
        said.iter()
            .any(|reading| matches!(reading, Reading::Counts(counts) if counts.get(at).is_some_and(Option::is_some)))
    };
    last.iter().enumerate().any(|(at, count)| {
        count.is_none()
            && match source {
                Source::Metrics | Source::Status => true,
                Source::Lazy => shown(at),
                Source::Sockets => !shown(at),
            }
    })
}

/// Whether it fails now, and its last count was more than zero.
fn failed_high(source: Source, said: &[Reading]) -> bool {
    let failing = matches!(said.last(), Some(Reading::Unknown(_)));
    failing && said.iter().rev().find_map(|reading| sum(source, reading)) > Some(0)
}
