//! What the sources answer, and what that means for the drain.

use crate::controller::{Controller, Seen, Stage};
use crate::drain::Drain;
use crate::reading::{ReadError, ReadErrorKind, Reading, Source};
use crate::result::Outcome;
use crate::target::SearchResult;
use crate::time::Time;

impl Controller {
    pub(super) fn counted(&mut self, requested_at: Time, source: Source, reading: Reading) {
        if !self.rounds.accept(source, requested_at) || self.is_dying() {
            return;
        }
        self.census.take(source, requested_at, reading);
        if self.rounds.is_under_way() {
            self.doubt();
        } else {
            self.judge();
        }
    }

    /// Takes back zeros that what is known now does not bear out.
    pub(super) fn doubt(&mut self) {
        let tally = self.census.tally();
        let drain = if let Stage::Under(drain) = &mut self.stage { Some(drain) } else { None };
        for drain in drain.into_iter().chain(self.waiters.iter_mut().map(|waiting| &mut waiting.drain)) {
            drain.doubt(tally);
        }
    }

    /// Whether the target may still be signalled: nobody has looked for it since it may be. Until then it takes new
    /// streams, so that zero is no end.
    fn awaits_search(&self) -> bool {
        let Stage::Under(drain) = &self.stage else { return false };
        let Some(since) = drain.draining_since() else { return false };
        let signalled = self.target.as_ref().is_some_and(|target| target.signalled);
        let looked = self.seen.as_ref().is_some_and(|seen| seen.requested_at >= since);
        self.policy.signal.is_some() && !signalled && !looked
    }

    pub(super) fn give_up_on_readings(&mut self) {
        let Some((requested_at, sources)) = self.rounds.give_up(self.now) else { return };
        if self.is_dying() {
            return;
        }
        for source in sources {
            let fault = ReadError { kind: ReadErrorKind::NoResponse, message: "no answer in time".into() };
            self.census.take(source, requested_at, Reading::Unknown(fault));
        }
        self.judge();
    }

    pub(super) fn judge(&mut self) {
        self.divided = self.census.is_divided().then(|| self.divided.unwrap_or(self.now));
        self.fill();
        self.judge_drain();
        self.judge_waiters();
    }

    fn judge_drain(&mut self) {
        let (view, awaits_search) = (self.view(), self.awaits_search());
        let Stage::Under(drain) = &mut self.stage else { return };
        if let Some(outcome) = drain.judge(&self.policy.plan, view) {
            if !awaits_search {
                self.finish(outcome, Some(0));
            }
        } else {
            self.leave_unserved();
        }
    }

    /// Ends a drain in which there is nothing to wait for.
    pub(super) fn leave_unserved(&mut self) {
        if let Stage::Under(drain) = &self.stage
            && self.never_served(drain)
        {
            self.signal();
            self.finish(Outcome::NeverServed, Some(0));
        }
    }

    /// Whether there cannot be anything to wait for: nothing was ever read, a fresh look at every source fails, and
    /// no reading can have been missed.
    pub(super) fn never_served(&self, drain: &Drain) -> bool {
        let heard = self.census.heard() || drain.streams_at_start.is_some();
        // One who came since the last look is still to be seen, and to be told.
        let looked = self.seen.as_ref().is_some_and(|seen| seen.requested_at >= drain.started_at);
        let failed = |kinds| looked && !heard && self.census.all_failed(drain.started_at, kinds);
        match &self.target {
            None => self.sees_nobody() && failed(&[ReadErrorKind::ConnectionRefused]),
            Some(target) => {
                let younger = target.incarnation.started > self.policy.own_start_ticks;
                younger && failed(&[ReadErrorKind::ConnectionRefused, ReadErrorKind::NoResponse])
            }
        }
    }

    fn sees_nobody(&self) -> bool {
        matches!(self.seen, Some(Seen { sighting: SearchResult::NotFound, .. }))
    }
}
