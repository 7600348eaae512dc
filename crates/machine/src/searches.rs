//! The searches for the target: the last result, which results are outdated, and when the next search is due.

use std::time::Duration;

use crate::target::{Found, Incarnation, SearchResult, SignalBlocker};
use crate::time::Time;

/// The time between searches while the target is alive and nothing else requires one. A second match must be found
/// early enough to make the pod unready within 30 seconds.
const INTERVAL: Duration = Duration::from_secs(20);

/// The last search, and since when searches have had the same kind of result.
#[derive(Clone, Debug, Default)]
pub struct Searches {
    last: Option<LastSearch>,
    /// When the last exit was reported. A search requested before that may have found the process that has ended.
    last_exit_at: Option<Time>,
}

#[derive(Clone, Debug)]
struct LastSearch {
    result: SearchResult,
    since: Time,
    requested_at: Time,
}

impl Searches {
    /// Whether a search requested then can have found a process that has ended since.
    #[must_use]
    pub fn is_outdated(&self, requested_at: Time) -> bool {
        Some(requested_at) < self.last_exit_at
    }

    /// Records a search.
    pub fn record(&mut self, requested_at: Time, result: SearchResult) {
        let since = match &self.last {
            Some(last) if last.result.is_same_kind(&result) => last.since,
            Some(_) | None => requested_at,
        };
        self.last = Some(LastSearch { result, since, requested_at });
    }

    /// Whether a search goes with the poll that is requested at `now`. Until the last search has found the `intact` target
    /// alone, one goes with each poll. From then on it is rare, unless one is required since a time.
    #[must_use]
    pub fn is_due(&self, now: Time, required_since: Option<Time>, intact: Option<Incarnation>) -> bool {
        let Some(LastSearch { result: SearchResult::Found(found), requested_at, .. }) = &self.last else { return true };
        let is_required = required_since.is_some_and(|since| *requested_at < since);
        intact != Some(found.incarnation) || is_required || now >= *requested_at + INTERVAL
    }

    /// Whether something prevents a signal to the target that the last search found.
    #[must_use]
    pub const fn is_blocked(&self) -> bool {
        matches!(&self.last, Some(LastSearch { result: SearchResult::Found(Found { blocker: Some(_), .. }), .. }))
    }

    /// Updates what prevents a signal to the target that the last search found.
    pub fn update_blocker(&mut self, incarnation: Incarnation, blocker: Option<&SignalBlocker>) {
        if let Some(LastSearch { result: SearchResult::Found(found), .. }) = &mut self.last
            && found.incarnation == incarnation
        {
            found.blocker = blocker.cloned();
        }
    }

    /// Discards the last result, because the target has ended.
    pub fn reset_at_exit(&mut self, now: Time) {
        *self = Self { last: None, last_exit_at: Some(now) };
    }

    /// What the last search found; `None` before the first, and after an exit.
    #[must_use]
    pub fn last_result(&self) -> Option<&SearchResult> {
        self.last.as_ref().map(|last| &last.result)
    }

    /// Since when every search has found several processes, and which ones the last search found.
    #[must_use]
    pub fn ambiguous_since(&self) -> Option<(Time, &[u32])> {
        match self.last.as_ref()? {
            LastSearch { result: SearchResult::Ambiguous(pids), since, .. } => Some((*since, pids)),
            LastSearch { .. } => None,
        }
    }

    /// Whether a search was requested at this time or later.
    #[must_use]
    pub fn searched_since(&self, since: Time) -> bool {
        self.last.as_ref().is_some_and(|last| last.requested_at >= since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::tests::at;

    #[test]
    fn ambiguity_is_timed_from_its_first_search() {
        let mut searches = Searches::default();
        searches.record(at(1), SearchResult::NotFound);
        assert_eq!(searches.ambiguous_since(), None);
        for second in [2, 3] {
            searches.record(at(second), SearchResult::Ambiguous(vec![7, 8]));
        }
        assert_eq!(searches.ambiguous_since(), Some((at(2), &[7, 8][..])));
        assert!(searches.searched_since(at(3)) && !searches.searched_since(at(4)));
    }

    #[test]
    fn search_requested_before_an_exit_is_outdated() {
        let mut searches = Searches::default();
        searches.record(at(1), SearchResult::NotFound);
        searches.reset_at_exit(at(5));
        assert_eq!(searches.last_result(), None);
        assert!(searches.is_outdated(at(4)) && !searches.is_outdated(at(5)));
    }
}
