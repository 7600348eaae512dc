//! The searches for the target: the last result, and which results are outdated.

use crate::target::SearchResult;
use crate::time::Time;

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
