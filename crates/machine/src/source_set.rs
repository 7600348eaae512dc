//! The fusing of what the sources say into one count. Unknown is never zero.
//!
//! One [`SourceSet`] belongs to one incarnation of the target: what was seen dies with it.

use crate::reading::{ReadErrorKind, Reading, Source};
use crate::source_state::{SourceState, State};
use crate::time::Time;

/// The fused count, and the instant for which it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamCount {
    /// The largest count that any answering source gives.
    pub streams: u64,
    /// When the oldest of the readings it rests on was asked for.
    pub as_of: Time,
}

/// All sources of one incarnation.
#[derive(Clone, Debug)]
pub struct SourceSet {
    witnesses: Vec<SourceState>,
}

impl SourceSet {
    /// A census that has heard nothing yet.
    #[must_use]
    pub fn new(sources: &[Source]) -> Self {
        Self { witnesses: sources.iter().copied().map(SourceState::new).collect() }
    }

    /// Takes a reading that was asked for at `asked`.
    pub fn take(&mut self, source: Source, requested_at: Time, reading: Reading) {
        if let Some(witness) = self.witnesses.iter_mut().find(|witness| witness.source == source) {
            witness.take(requested_at, reading);
        }
    }

    /// The sources and what they say.
    #[must_use]
    pub fn witnesses(&self) -> &[SourceState] {
        &self.witnesses
    }

    /// The fused count; `None` while nobody can know.
    ///
    /// More than zero needs one source that says so. Zero needs every source that can answer: none that has not
    /// been heard yet, none absent, and none that failed after it last said more than zero, unless that one is
    /// overruled by an answering source that has itself seen streams.
    #[must_use]
    pub fn tally(&self) -> Option<StreamCount> {
        let largest = self.witnesses.iter().filter_map(|w| Some((w.counted()?.streams, w.requested_at?))).max()?;
        match largest {
            (0, _) => self.zero(),
            (streams, as_of) => Some(StreamCount { streams, as_of }),
        }
    }

    fn zero(&self) -> Option<StreamCount> {
        let answering = || self.witnesses.iter().filter(|witness| witness.counted().is_some());
        let overruled = answering().any(|witness| witness.saw_streams);
        let barred = self.witnesses.iter().any(|witness| match witness.state {
            State::NotPolled | State::Absent => true,
            State::Unknown(_) => witness.failed_high() && !overruled,
            State::Counted(_) => false,
        });
        if barred || !answering().any(SourceState::testifies) {
            return None;
        }
        Some(StreamCount { streams: 0, as_of: answering().filter_map(|witness| witness.requested_at).min()? })
    }

    /// How many streams are counted that are never idle; `None` while a source that tells the kinds cannot say.
    #[must_use]
    pub fn never_idle(&self) -> Option<u64> {
        self.witnesses
            .iter()
            .map(SourceState::never_idle)
            .try_fold(0_u64, |sum, count| Some(sum.saturating_add(count?)))
    }

    /// Whether two sources that answer give different counts. The two halves of one metrics page are one word.
    #[must_use]
    pub fn is_divided(&self) -> bool {
        let word = |source| self.witnesses.iter().find(|w| w.source == source)?.counted().map(|count| count.streams);
        let page = word(Source::Metrics).max(word(Source::Lazy));
        let words: Vec<u64> = [page, word(Source::Sockets), word(Source::Status)].into_iter().flatten().collect();
        words.windows(2).any(|pair| pair[0] != pair[1])
    }

    /// The target was told to close its port: one that is closed is no longer missed.
    pub fn expect_closed_port(&mut self) {
        for witness in self.witnesses.iter_mut().filter(|witness| witness.source == Source::Sockets) {
            witness.expect_closed_port();
        }
    }

    /// Whether a source answers now with a count that rests on something seen, and none is absent.
    #[must_use]
    pub fn answers(&self) -> bool {
        let absent = self.witnesses.iter().any(|witness| witness.state == State::Absent);
        !absent && self.witnesses.iter().any(|witness| witness.counted().is_some() && witness.testifies())
    }

    /// Whether any source has ever given a page in this incarnation, if only one that could not be read.
    #[must_use]
    pub fn heard(&self) -> bool {
        self.witnesses.iter().any(|witness| witness.served)
    }

    /// Whether every source was asked at or after `since` and failed in a way that `kinds` allows.
    ///
    /// A port on which nobody listens, and to which nothing is connected, is one that would refuse.
    #[must_use]
    pub fn all_failed(&self, since: Time, kinds: &[ReadErrorKind]) -> bool {
        self.witnesses.iter().all(|witness| {
            let kind = match (&witness.state, witness.source) {
                (State::Unknown(fault), _) => fault.kind,
                (State::Absent, Source::Sockets) => ReadErrorKind::ConnectionRefused,
                (State::Absent, Source::Metrics | Source::Lazy | Source::Status)
                | (State::NotPolled | State::Counted(_), _) => return false,
            };
            kinds.contains(&kind) && witness.requested_at >= Some(since)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::{Count, ReadError};
    use std::time::Duration;

    fn at(seconds: u64) -> Time {
        Time::since_boot(Duration::from_secs(seconds))
    }

    fn page() -> SourceSet {
        SourceSet::new(&[Source::Metrics, Source::Lazy])
    }

    fn counts(counts: &[Option<u64>]) -> Reading {
        Reading::Counts(counts.iter().map(|count| count.map(Count::of)).collect())
    }

    fn fault(kind: ReadErrorKind) -> Reading {
        Reading::Unknown(ReadError { kind, message: "gone".into() })
    }

    fn take(census: &mut SourceSet, second: u64, metrics: Option<u64>, lazy: Option<u64>) {
        census.take(Source::Metrics, at(second), counts(&[metrics]));
        census.take(Source::Lazy, at(second), counts(&[lazy]));
    }

    fn streams(census: &SourceSet) -> Option<u64> {
        census.tally().map(|tally| tally.streams)
    }

    #[test]
    fn nothing_heard_is_unknown() {
        assert_eq!(streams(&page()), None);
    }

    #[test]
    fn sources_are_compared_and_never_added() {
        let mut census = page();
        take(&mut census, 1, Some(3), Some(2));
        assert_eq!(streams(&census), Some(3));
    }

    #[test]
    fn zero_needs_every_source_to_have_been_heard() {
        let mut census = page();
        census.take(Source::Metrics, at(1), counts(&[Some(0)]));
        assert_eq!(streams(&census), None);
        census.take(Source::Lazy, at(2), counts(&[None]));
        assert_eq!(census.tally(), Some(StreamCount { streams: 0, as_of: at(1) }));
    }

    #[test]
    fn a_selector_that_matches_nothing_is_never_zero() {
        let mut census = page();
        take(&mut census, 1, None, None);
        assert_eq!(streams(&census), None);
        assert!(!census.answers());
    }

    #[test]
    fn one_absent_selector_of_two_bars_zero() {
        let mut census = SourceSet::new(&[Source::Metrics]);
        census.take(Source::Metrics, at(1), counts(&[Some(0), None]));
        assert_eq!(streams(&census), None);
    }

    #[test]
    fn streams_beside_an_absent_selector_are_not_forgotten_when_the_page_dies() {
        let mut census = SourceSet::new(&[Source::Metrics, Source::Sockets]);
        census.take(Source::Sockets, at(1), counts(&[Some(0)]));
        census.take(Source::Metrics, at(1), counts(&[Some(3), None]));
        census.take(Source::Metrics, at(2), fault(ReadErrorKind::ConnectionRefused));
        assert_eq!(streams(&census), None);
    }

    #[test]
    fn one_word_of_three_that_differs_divides_them_and_the_halves_of_a_page_do_not() {
        let mut census = SourceSet::new(&[Source::Metrics, Source::Lazy, Source::Sockets, Source::Status]);
        take(&mut census, 1, Some(3), Some(2));
        census.take(Source::Sockets, at(1), counts(&[Some(3)]));
        census.take(Source::Status, at(1), counts(&[Some(3)]));
        assert!(!census.is_divided());
        census.take(Source::Status, at(2), counts(&[Some(4)]));
        assert!(census.is_divided());
    }

    #[test]
    fn lazy_series_are_zero_until_they_were_shown_and_absent_if_they_then_vanish() {
        let mut census = page();
        take(&mut census, 1, Some(0), None);
        assert_eq!(streams(&census), Some(0));
        take(&mut census, 2, Some(0), Some(1));
        assert_eq!(streams(&census), Some(1));
        take(&mut census, 3, Some(0), None);
        assert_eq!(streams(&census), None);
        take(&mut census, 4, Some(0), Some(0));
        assert_eq!(streams(&census), Some(0));
    }

    #[test]
    fn lazy_silence_alone_does_not_testify_to_zero() {
        let mut census = page();
        take(&mut census, 1, Some(0), None);
        census.take(Source::Metrics, at(2), fault(ReadErrorKind::Invalid));
        assert_eq!(streams(&census), None);
    }

    #[test]
    fn a_source_that_failed_high_is_overruled_only_by_one_that_saw_streams() {
        let mut census = page();
        take(&mut census, 1, Some(3), Some(0));
        census.take(Source::Metrics, at(2), fault(ReadErrorKind::NoResponse));
        assert_eq!(streams(&census), None);
        census.take(Source::Lazy, at(3), counts(&[Some(2)]));
        assert_eq!(streams(&census), Some(2));
        census.take(Source::Lazy, at(4), counts(&[Some(0)]));
        assert_eq!(streams(&census), Some(0));
    }

    #[test]
    fn a_source_that_failed_at_zero_leaves_the_others_to_answer() {
        let mut census = page();
        take(&mut census, 1, Some(0), Some(0));
        census.take(Source::Metrics, at(2), fault(ReadErrorKind::NoResponse));
        assert_eq!(streams(&census), Some(0));
    }

    #[test]
    fn every_source_unknown_is_unknown() {
        let mut census = page();
        take(&mut census, 1, Some(0), Some(0));
        census.take(Source::Metrics, at(2), fault(ReadErrorKind::ConnectionRefused));
        census.take(Source::Lazy, at(2), fault(ReadErrorKind::ConnectionRefused));
        assert_eq!(streams(&census), None);
        assert!(census.all_failed(at(2), &[ReadErrorKind::ConnectionRefused]));
        assert!(!census.all_failed(at(3), &[ReadErrorKind::ConnectionRefused]));
        assert!(!census.all_failed(at(2), &[ReadErrorKind::NoResponse]));
    }
}
