//! The sources of one incarnation, combined into one stream count. Unknown is never zero.

use std::time::Duration;

use crate::gauge_leak::GaugeLeak;
use crate::reading::{Count, ReadErrorKind, Reading, Source};
use crate::source_state::{SourceState, SourceStatus};
use crate::time::Time;

/// The combined count of all sources, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamCount {
    /// The largest count that any answering source gives.
    pub streams: u64,
    /// When the oldest of the readings behind it was requested.
    pub as_of: Time,
}

/// All sources of one incarnation.
#[derive(Clone, Debug)]
pub struct SourceSet {
    states: Vec<SourceState>,
    leak: GaugeLeak,
    /// Whether every connection that the socket table counts is new.
    only_new: bool,
}

impl SourceSet {
    /// Sources that have not been polled yet. The count of a page is overruled once there has been no connection for
    /// `gauge_leak_after`.
    #[must_use]
    pub fn new(sources: &[Source], gauge_leak_after: Option<Duration>) -> Self {
        let states = sources.iter().copied().map(SourceState::new).collect();
        Self { states, leak: GaugeLeak::new(gauge_leak_after), only_new: false }
    }

    /// Records a reading.
    pub fn record(&mut self, source: Source, requested_at: Time, reading: Reading) {
        let Some(state) = self.states.iter_mut().find(|state| state.source == source) else { return };
        let is_higher = state.record(requested_at, reading);
        match (source, state.counted()) {
            (Source::Sockets, Some(Count { streams: 0, .. })) if state.saw_all() => {
                self.leak.observe_empty(requested_at);
            }
            (Source::Sockets, _) => self.leak.restart(),
            (Source::Metrics | Source::Lazy | Source::Status, _) if is_higher => self.leak.restart_with(requested_at),
            (Source::Metrics | Source::Lazy | Source::Status, _) => {}
        }
    }

    /// The sources and their last readings.
    #[must_use]
    pub fn states(&self) -> &[SourceState] {
        &self.states
    }

    /// The combined count of all sources; `None` if unknown.
    ///
    /// One source is enough for a count above zero. A count of zero requires that every source has been polled, that
    /// none is absent, and that none fails whose last count was above zero. An answering source that has counted
    /// streams before overrules such a failure. The count of a gauge that leaks is zero.
    #[must_use]
    pub fn count(&self) -> Option<StreamCount> {
        self.combine(|state| self.used_streams(state))
    }

    /// Records whether every connection that the last socket table counts is new: no earlier table shows it.
    pub const fn record_new_connections(&mut self, only_new: bool) {
        self.only_new = only_new;
    }

    /// Whether the count is zero except for connections that are all new.
    #[must_use]
    pub fn counts_only_new(&self) -> bool {
        let without_connections = |state: &SourceState| match state.source {
            Source::Sockets => state.streams().map(|_| 0),
            Source::Metrics | Source::Lazy | Source::Status => self.used_streams(state),
        };
        self.only_new && self.combine(without_connections).is_some_and(|count| count.streams == 0)
    }

    /// The same count, including the streams of a gauge that leaks.
    #[must_use]
    pub fn shown_count(&self) -> Option<StreamCount> {
        self.combine(SourceState::streams)
    }

    /// The streams that a page counts although they have no connection; `None` if there are none.
    #[must_use]
    pub fn leaked(&self) -> Option<u64> {
        self.states.iter().filter(|state| self.is_overruled(state)).filter_map(SourceState::streams).max()
    }

    fn used_streams(&self, state: &SourceState) -> Option<u64> {
        if self.is_overruled(state) { Some(0) } else { state.streams() }
    }

    fn is_overruled(&self, state: &SourceState) -> bool {
        state.source.is_page() && state.streams() > Some(0) && self.leak.overrules_pages()
    }

    fn combine(&self, count: impl Fn(&SourceState) -> Option<u64>) -> Option<StreamCount> {
        let counts = self.states.iter().filter_map(|state| Some((count(state)?, state.requested_at?)));
        match counts.max()? {
            (0, _) => self.zero(),
            (streams, as_of) => Some(StreamCount { streams, as_of }),
        }
    }

    /// The same count without its time.
    #[must_use]
    pub fn streams(&self) -> Option<u64> {
        self.count().map(|count| count.streams)
    }

    fn zero(&self) -> Option<StreamCount> {
        let answering = || self.states.iter().filter(|state| state.counted().is_some());
        let overruled = answering().any(|state| state.saw_streams() && !self.is_overruled(state));
        let blocked = self.states.iter().any(|state| match state.status {
            SourceStatus::NotPolled | SourceStatus::Absent => true,
            SourceStatus::Unknown(_) => state.failed_above_zero() && !overruled,
            SourceStatus::Counted(_) => false,
        });
        if blocked || !answering().any(SourceState::has_evidence) {
            return None;
        }
        Some(StreamCount { streams: 0, as_of: answering().filter_map(|state| state.requested_at).min()? })
    }

    /// The number of streams that are never idle; `None` while a source that distinguishes them cannot be read.
    #[must_use]
    pub fn never_idle(&self) -> Option<u64> {
        self.states.iter().map(SourceState::never_idle).try_fold(0_u64, |sum, count| Some(sum.saturating_add(count?)))
    }

    /// Whether two answering sources give different counts. Both kinds of series on a metrics page count as one source.
    #[must_use]
    pub fn sources_disagree(&self) -> bool {
        let counts = |on_page| {
            let states = self.states.iter().filter(move |state| state.source.is_on_page() == on_page);
            states.filter_map(SourceState::streams)
        };
        let mut counts = counts(true).max().into_iter().chain(counts(false));
        let first = counts.next();
        counts.any(|other| Some(other) != first)
    }

    /// Records that the target was signalled to close its port: from now on, a closed port is not absent.
    pub fn expect_closed_port(&mut self) {
        for state in self.states.iter_mut().filter(|state| state.source == Source::Sockets) {
            state.expect_closed_port();
        }
    }

    /// Whether no source is absent, and at least one has a count that is based on something that it has seen.
    #[must_use]
    pub fn answers(&self) -> bool {
        let absent = self.states.iter().any(|state| state.status == SourceStatus::Absent);
        !absent && self.states.iter().any(|state| state.counted().is_some() && state.has_evidence())
    }

    /// Whether the sources have been polled in this incarnation, with or without success.
    #[must_use]
    pub fn is_polled(&self) -> bool {
        self.states.iter().any(|state| state.status != SourceStatus::NotPolled)
    }

    /// Whether a server has ever answered in this incarnation, readable or not.
    #[must_use]
    pub fn ever_answered(&self) -> bool {
        self.states.iter().any(|state| state.ever_answered)
    }

    /// Whether every source was polled at or after `since` and failed in one of these ways.
    ///
    /// A port with neither a listener nor connections counts as refusing connections.
    #[must_use]
    pub fn all_failed(&self, since: Time, kinds: &[ReadErrorKind]) -> bool {
        self.states.iter().all(|state| {
            let kind = match (&state.status, state.source) {
                (SourceStatus::Unknown(error), _) => error.kind,
                (SourceStatus::Absent, Source::Sockets) => ReadErrorKind::ConnectionRefused,
                (SourceStatus::Absent, Source::Metrics | Source::Lazy | Source::Status)
                | (SourceStatus::NotPolled | SourceStatus::Counted(_), _) => return false,
            };
            kinds.contains(&kind) && state.requested_at >= Some(since)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::ReadError;
    use crate::time::tests::at;

    fn page() -> SourceSet {
        SourceSet::new(&[Source::Metrics, Source::Lazy], None)
    }

    fn counts(counts: &[Option<u64>]) -> Reading {
        Reading::Counts(counts.iter().map(|count| count.map(Count::of)).collect())
    }

    fn failure(kind: ReadErrorKind) -> Reading {
        Reading::Unknown(ReadError { kind, message: "gone".into() })
    }

    fn record(sources: &mut SourceSet, second: u64, metrics: Option<u64>, lazy: Option<u64>) {
        sources.record(Source::Metrics, at(second), counts(&[metrics]));
        sources.record(Source::Lazy, at(second), counts(&[lazy]));
    }

    fn streams(sources: &SourceSet) -> Option<u64> {
        sources.streams()
    }

    #[test]
    fn nothing_polled_is_unknown() {
        assert_eq!(streams(&page()), None);
    }

    #[test]
    fn sources_are_compared_and_never_added() {
        let mut sources = page();
        record(&mut sources, 1, Some(3), Some(2));
        assert_eq!(streams(&sources), Some(3));
    }

    #[test]
    fn zero_needs_every_source_polled() {
        let mut sources = page();
        sources.record(Source::Metrics, at(1), counts(&[Some(0)]));
        assert_eq!(streams(&sources), None);
        sources.record(Source::Lazy, at(2), counts(&[None]));
        assert_eq!(sources.count(), Some(StreamCount { streams: 0, as_of: at(1) }));
    }

    #[test]
    fn selector_without_match_is_never_zero() {
        let mut sources = page();
        record(&mut sources, 1, None, None);
        assert_eq!(streams(&sources), None);
        assert!(!sources.answers());
    }

    #[test]
    fn one_absent_selector_of_two_blocks_zero() {
        let mut sources = SourceSet::new(&[Source::Metrics], None);
        sources.record(Source::Metrics, at(1), counts(&[Some(0), None]));
        assert_eq!(streams(&sources), None);
    }

    #[test]
    fn missing_selectors_are_known_by_position() {
        let missing = |sources: &SourceSet| sources.states()[1].missing.clone();
        let mut sources = SourceSet::new(&[Source::Metrics, Source::Lazy], None);
        for (lazy, positions) in [
            ([None, Some(0), Some(1)], vec![]),
            ([None, None, Some(0)], vec![1]),
            ([Some(0), None, None], vec![1, 2]),
            ([Some(0), Some(0), Some(0)], vec![]),
        ] {
            sources.record(Source::Lazy, at(1), counts(&lazy));
            assert_eq!(missing(&sources), positions, "{lazy:?}");
        }
        sources.record(Source::Lazy, at(2), counts(&[None, None, None]));
        sources.record(Source::Lazy, at(3), failure(ReadErrorKind::NoResponse));
        assert_eq!(missing(&sources), [0; 0], "an unknown source misses nothing that is known");
    }

    #[test]
    fn streams_next_to_an_absent_selector_block_zero_later() {
        let mut sources = SourceSet::new(&[Source::Metrics, Source::Sockets], None);
        sources.record(Source::Sockets, at(1), counts(&[Some(0)]));
        sources.record(Source::Metrics, at(1), counts(&[Some(3), None]));
        sources.record(Source::Metrics, at(2), failure(ReadErrorKind::ConnectionRefused));
        assert_eq!(streams(&sources), None);
    }

    #[test]
    fn one_differing_source_disagrees_but_page_halves_do_not() {
        let mut sources = SourceSet::new(&[Source::Metrics, Source::Lazy, Source::Sockets, Source::Status], None);
        record(&mut sources, 1, Some(3), Some(2));
        sources.record(Source::Sockets, at(1), counts(&[Some(3)]));
        sources.record(Source::Status, at(1), counts(&[Some(3)]));
        assert!(!sources.sources_disagree());
        sources.record(Source::Status, at(2), counts(&[Some(4)]));
        assert!(sources.sources_disagree());
    }

    #[test]
    fn lazy_series_is_zero_until_seen_and_absent_if_it_vanishes() {
        let mut sources = page();
        record(&mut sources, 1, Some(0), None);
        assert_eq!(streams(&sources), Some(0));
        record(&mut sources, 2, Some(0), Some(1));
        assert_eq!(streams(&sources), Some(1));
        record(&mut sources, 3, Some(0), None);
        assert_eq!(streams(&sources), None);
        record(&mut sources, 4, Some(0), Some(0));
        assert_eq!(streams(&sources), Some(0));
    }

    #[test]
    fn lazy_silence_alone_is_no_evidence_of_zero() {
        let mut sources = page();
        record(&mut sources, 1, Some(0), None);
        sources.record(Source::Metrics, at(2), failure(ReadErrorKind::Invalid));
        assert_eq!(streams(&sources), None);
    }

    #[test]
    fn failure_above_zero_is_overruled_only_by_seen_streams() {
        let mut sources = page();
        record(&mut sources, 1, Some(3), Some(0));
        sources.record(Source::Metrics, at(2), failure(ReadErrorKind::NoResponse));
        assert_eq!(streams(&sources), None);
        sources.record(Source::Lazy, at(3), counts(&[Some(2)]));
        assert_eq!(streams(&sources), Some(2));
        sources.record(Source::Lazy, at(4), counts(&[Some(0)]));
        assert_eq!(streams(&sources), Some(0));
    }

    #[test]
    fn failure_at_zero_does_not_block_other_sources() {
        let mut sources = page();
        record(&mut sources, 1, Some(0), Some(0));
        sources.record(Source::Metrics, at(2), failure(ReadErrorKind::NoResponse));
        assert_eq!(streams(&sources), Some(0));
    }

    #[test]
    fn every_source_unknown_is_unknown() {
        let mut sources = page();
        record(&mut sources, 1, Some(0), Some(0));
        sources.record(Source::Metrics, at(2), failure(ReadErrorKind::ConnectionRefused));
        sources.record(Source::Lazy, at(2), failure(ReadErrorKind::ConnectionRefused));
        assert_eq!(streams(&sources), None);
        assert!(sources.all_failed(at(2), &[ReadErrorKind::ConnectionRefused]));
        assert!(!sources.all_failed(at(3), &[ReadErrorKind::ConnectionRefused]));
        assert!(!sources.all_failed(at(2), &[ReadErrorKind::NoResponse]));
    }
}
