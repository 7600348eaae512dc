//! The fusing of what the sources say into one count. Unknown is never zero.
//!
//! One [`Census`] belongs to one incarnation of the target: what was seen dies with it.

use crate::machine::time::Time;

/// Something that counts streams. All sources witness the same streams, so they are compared and never added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The series of a metrics page that are there from the start.
    Metrics,
    /// The series of the same page that appear with the first request.
    Lazy,
}

impl Source {
    /// The name users see in `/status` and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Lazy => "lazy",
        }
    }
}

/// What a source said when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A count for each selector; `None` where nothing matched it.
    Counts(Vec<Option<u64>>),
    /// It could not be read.
    Unknown(Fault),
}

impl Reading {
    fn is_of_a_page(&self) -> bool {
        match self {
            Self::Counts(_) | Self::Unknown(Fault { kind: FaultKind::Unreadable, .. }) => true,
            Self::Unknown(Fault { kind: FaultKind::Refused | FaultKind::Unanswered, .. }) => false,
        }
    }
}

/// Why a source could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of failure it was.
    pub kind: FaultKind,
    /// The reason, for people.
    pub text: String,
}

/// The kinds of failure that a drain tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Nothing listens there: the connection was refused.
    Refused,
    /// No answer, or an answer that says that there is no page yet (not a 200).
    Unanswered,
    /// A page came, so somebody serves, but it does not say how many streams there are.
    Unreadable,
}

/// The fused count, and the instant for which it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The largest count that any answering source gives.
    pub streams: u64,
    /// When the oldest of the readings it rests on was asked for.
    pub as_of: Time,
}

/// What one source says now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not heard from in this incarnation.
    Unheard,
    /// It counts this many.
    Counted(u64),
    /// A selector matches nothing: never zero.
    Absent,
    /// It could not be read.
    Unknown(Fault),
}

/// One source and its memory of this incarnation.
#[derive(Clone, Debug)]
pub struct Witness {
    /// Which source it is.
    pub source: Source,
    /// What it says now.
    pub state: State,
    /// When its last reading was asked for.
    pub asked: Option<Time>,
    /// The last count it gave, kept while it fails.
    last_count: Option<u64>,
    /// Whether it has said more than zero.
    saw_streams: bool,
    /// For each selector, whether anything has ever matched it.
    shown: Vec<bool>,
    /// Whether a page ever came, readable or not.
    served: bool,
}

impl Witness {
    fn new(source: Source) -> Self {
        Self {
            source,
            state: State::Unheard,
            asked: None,
            last_count: None,
            saw_streams: false,
            shown: Vec::new(),
            served: false,
        }
    }

    fn take(&mut self, asked: Time, reading: Reading) {
        self.asked = Some(asked);
        self.served |= reading.is_of_a_page();
        self.state = match reading {
            Reading::Unknown(fault) => State::Unknown(fault),
            Reading::Counts(counts) => self.count(&counts),
        };
        if let State::Counted(streams) = self.state {
            self.last_count = Some(streams);
            self.saw_streams |= streams > 0;
        }
    }

    fn count(&mut self, counts: &[Option<u64>]) -> State {
        self.shown.resize(counts.len(), false);
        for (shown, count) in self.shown.iter_mut().zip(counts) {
            *shown |= count.is_some();
        }
        let missed = counts.iter().zip(&self.shown).any(|(count, shown)| count.is_none() && self.misses(*shown));
        if missed || counts.is_empty() {
            return State::Absent;
        }
        State::Counted(counts.iter().flatten().fold(0, |sum, count| sum.saturating_add(*count)))
    }

    /// Whether a selector that matches nothing is missed: a lazy one is not, until it has been seen once.
    const fn misses(&self, shown: bool) -> bool {
        match self.source {
            Source::Metrics => true,
            Source::Lazy => shown,
        }
    }

    /// Whether a zero of this source rests on something that it saw, not on silence.
    fn testifies(&self) -> bool {
        self.shown.contains(&true)
    }

    const fn counted(&self) -> Option<u64> {
        match self.state {
            State::Counted(streams) => Some(streams),
            State::Unheard | State::Absent | State::Unknown(_) => None,
        }
    }

    fn failed_high(&self) -> bool {
        matches!(self.state, State::Unknown(_)) && self.last_count > Some(0)
    }
}

/// All sources of one incarnation.
#[derive(Clone, Debug)]
pub struct Census {
    witnesses: Vec<Witness>,
}

impl Census {
    /// A census that has heard nothing yet.
    #[must_use]
    pub fn new(sources: &[Source]) -> Self {
        Self { witnesses: sources.iter().copied().map(Witness::new).collect() }
    }

    /// Takes a reading that was asked for at `asked`.
    pub fn take(&mut self, source: Source, asked: Time, reading: Reading) {
        if let Some(witness) = self.witnesses.iter_mut().find(|witness| witness.source == source) {
            witness.take(asked, reading);
        }
    }

    /// The sources and what they say.
    #[must_use]
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// The fused count; `None` while nobody can know.
    ///
    /// More than zero needs one source that says so. Zero needs every source that can answer: none that has not
    /// been heard yet, none absent, and none that failed after it last said more than zero, unless that one is
    /// overruled by an answering source that has itself seen streams.
    #[must_use]
    pub fn tally(&self) -> Option<Tally> {
        let largest = self.witnesses.iter().filter_map(|w| Some((w.counted()?, w.asked?))).max()?;
        match largest {
            (0, _) => self.zero(),
            (streams, as_of) => Some(Tally { streams, as_of }),
        }
    }

    fn zero(&self) -> Option<Tally> {
        let answering = || self.witnesses.iter().filter(|witness| witness.counted().is_some());
        let overruled = answering().any(|witness| witness.saw_streams);
        let barred = self.witnesses.iter().any(|witness| match witness.state {
            State::Unheard | State::Absent => true,
            State::Unknown(_) => witness.failed_high() && !overruled,
            State::Counted(_) => false,
        });
        if barred || !answering().any(Witness::testifies) {
            return None;
        }
        Some(Tally { streams: 0, as_of: answering().filter_map(|witness| witness.asked).min()? })
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
    #[must_use]
    pub fn all_failed(&self, since: Time, kinds: &[FaultKind]) -> bool {
        self.witnesses.iter().all(|witness| match &witness.state {
            State::Unknown(fault) => kinds.contains(&fault.kind) && witness.asked >= Some(since),
            State::Unheard | State::Absent | State::Counted(_) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Time {
        Time::since_boot(Duration::from_secs(seconds))
    }

    fn page() -> Census {
        Census::new(&[Source::Metrics, Source::Lazy])
    }

    fn fault(kind: FaultKind) -> Reading {
        Reading::Unknown(Fault { kind, text: "gone".into() })
    }

    fn take(census: &mut Census, second: u64, metrics: Option<u64>, lazy: Option<u64>) {
        census.take(Source::Metrics, at(second), Reading::Counts(vec![metrics]));
        census.take(Source::Lazy, at(second), Reading::Counts(vec![lazy]));
    }

    fn streams(census: &Census) -> Option<u64> {
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
        census.take(Source::Metrics, at(1), Reading::Counts(vec![Some(0)]));
        assert_eq!(streams(&census), None);
        census.take(Source::Lazy, at(2), Reading::Counts(vec![None]));
        assert_eq!(census.tally(), Some(Tally { streams: 0, as_of: at(1) }));
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
        let mut census = Census::new(&[Source::Metrics]);
        census.take(Source::Metrics, at(1), Reading::Counts(vec![Some(0), None]));
        assert_eq!(streams(&census), None);
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
        census.take(Source::Metrics, at(2), fault(FaultKind::Unreadable));
        assert_eq!(streams(&census), None);
    }

    #[test]
    fn a_source_that_failed_high_is_overruled_only_by_one_that_saw_streams() {
        let mut census = page();
        take(&mut census, 1, Some(3), Some(0));
        census.take(Source::Metrics, at(2), fault(FaultKind::Unanswered));
        assert_eq!(streams(&census), None);
        census.take(Source::Lazy, at(3), Reading::Counts(vec![Some(2)]));
        assert_eq!(streams(&census), Some(2));
        census.take(Source::Lazy, at(4), Reading::Counts(vec![Some(0)]));
        assert_eq!(streams(&census), Some(0));
    }

    #[test]
    fn a_source_that_failed_at_zero_leaves_the_others_to_answer() {
        let mut census = page();
        take(&mut census, 1, Some(0), Some(0));
        census.take(Source::Metrics, at(2), fault(FaultKind::Unanswered));
        assert_eq!(streams(&census), Some(0));
    }

    #[test]
    fn every_source_unknown_is_unknown() {
        let mut census = page();
        take(&mut census, 1, Some(0), Some(0));
        census.take(Source::Metrics, at(2), fault(FaultKind::Refused));
        census.take(Source::Lazy, at(2), fault(FaultKind::Refused));
        assert_eq!(streams(&census), None);
        assert!(census.all_failed(at(2), &[FaultKind::Refused]));
        assert!(!census.all_failed(at(3), &[FaultKind::Refused]));
        assert!(!census.all_failed(at(2), &[FaultKind::Unanswered]));
    }
}
