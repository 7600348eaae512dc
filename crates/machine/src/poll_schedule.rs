//! When the sources are read: the machine orders every reading, so that it knows when each was asked for.

use std::time::Duration;

use crate::reading::Source;
use crate::time::Time;

/// How much later than its bound a reading may still come in: the edge that reads has the same bound, and its words are better.
const SLACK: Duration = Duration::from_millis(100);

/// The round of readings under way, and when the last one began.
#[derive(Clone, Debug, Default)]
pub struct Rounds {
    requested_at: Option<Time>,
    under_way: Option<Round>,
}

#[derive(Clone, Debug)]
struct Round {
    overdue: Time,
    waiting: Vec<Source>,
}

impl Rounds {
    /// Notes that every source is asked now, for an answer within `bound`.
    pub fn begin(&mut self, now: Time, bound: Duration, sources: &[Source]) {
        self.requested_at = Some(now);
        let waiting = sources.to_vec();
        self.under_way = (!waiting.is_empty()).then_some(Round { overdue: now + bound + SLACK, waiting });
    }

    /// Forgets the round under way: its answers, if they still come, are not taken.
    pub fn abandon(&mut self) {
        *self = Self::default();
    }

    /// Whether what was asked then is of the newest round.
    #[must_use]
    pub fn is_of_newest(&self, requested_at: Time) -> bool {
        self.requested_at == Some(requested_at)
    }

    /// Takes an answer; false if nobody waits for it (any more).
    pub fn accept(&mut self, source: Source, requested_at: Time) -> bool {
        if !self.is_of_newest(requested_at) {
            return false;
        }
        let Some(round) = &mut self.under_way else { return false };
        let before = round.waiting.len();
        round.waiting.retain(|waiting| *waiting != source);
        let accepted = round.waiting.len() < before;
        if round.waiting.is_empty() {
            self.under_way = None;
        }
        accepted
    }

    /// Gives up on those who have not answered in time, and names them with the time at which they were asked.
    pub fn give_up(&mut self, now: Time) -> Option<(Time, Vec<Source>)> {
        let overdue = self.under_way.as_ref().is_some_and(|round| now >= round.overdue);
        let round = self.under_way.take_if(|_| overdue)?;
        Some((self.requested_at?, round.waiting))
    }

    /// When the next round is due: a poll interval after the last, or at the first of `looks` that no reading was
    /// asked for since. A round that is still under way is waited for first, at the longest until it is overdue.
    #[must_use]
    pub fn due(&self, now: Time, poll: Duration, looks: impl Iterator<Item = Time>) -> Time {
        let Some(requested_at) = self.requested_at else { return now };
        if let Some(round) = &self.under_way {
            return round.overdue;
        }
        looks.filter(|look| *look > requested_at).fold(requested_at + poll, Time::min)
    }

    /// Whether a round is under way.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }
}
