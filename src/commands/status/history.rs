//! The streams over the last while, second by second.

use std::collections::VecDeque;

use crate::io::report::StatusReport;

/// The seconds that are kept: those of four hours.
const MOST: usize = 4 * 3600;
/// How many seconds one column may stand for.
const STEPS: [usize; 10] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600];

/// The streams at one second; nothing is known of those at which nobody answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The fused count.
    pub streams: Option<u64>,
    /// Of these, the idle ones.
    pub idle: Option<u64>,
}

/// The last samples, one for each second, the newest last.
#[derive(Clone, Debug, Default)]
pub struct History {
    samples: VecDeque<Sample>,
    /// The second after the newest.
    next: u64,
}

impl Sample {
    /// What a report says.
    #[must_use]
    pub const fn of(report: &StatusReport) -> Self {
        Self { streams: report.streams, idle: report.idle_streams }
    }

    /// The streams that are known to work.
    #[must_use]
    pub fn working(self) -> Option<u64> {
        Some(self.streams?.saturating_sub(self.idle?))
    }
}

impl History {
    /// Takes what was so at this second. Seconds that were left out are unknown; one that is told again is replaced.
    pub fn record(&mut self, second: u64, sample: Sample) {
        if second < self.next {
            self.samples.pop_back();
        }
        let left_out = second.saturating_sub(self.next).min(MOST as u64);
        (0..left_out).for_each(|_| self.push(Sample::default()));
        self.push(sample);
        self.next = second.saturating_add(1);
    }

    fn push(&mut self, sample: Sample) {
        if self.samples.len() == MOST {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// All that is kept in so many columns, the newest last, and for how many seconds a column stands.
    ///
    /// A column shows the second with the most streams of those in it that are known.
    #[must_use]
    pub fn columns(&self, width: usize) -> (Vec<Sample>, usize) {
        let fits = |step: &usize| step * width >= self.samples.len();
        let step = STEPS.into_iter().find(fits).unwrap_or(STEPS[STEPS.len() - 1]);
        // Columns begin at multiples of the step, so that they do not change as time goes by.
        let newest = usize::try_from(self.next % step as u64).unwrap_or(0);
        let newest = if newest == 0 { step } else { newest };
        let mut columns: Vec<_> = (0..width)
            .map(|age| match age {
                0 => self.highest(0, newest),
                older => self.highest(newest + (older - 1) * step, step),
            })
            .collect();
        columns.reverse();
        (columns, step)
    }

    /// Of so many seconds that are so old, the one with the most streams.
    fn highest(&self, age: usize, seconds: usize) -> Sample {
        let samples = self.samples.iter().rev().skip(age).take(seconds).copied();
        samples.max_by_key(|sample| sample.streams).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(history: &History, seconds: usize) -> Vec<Option<u64>> {
        history.columns(seconds).0.iter().map(|sample| sample.streams).collect()
    }

    fn sample(streams: u64) -> Sample {
        Sample { streams: Some(streams), idle: None }
    }

    #[test]
    fn seconds_without_an_answer_are_unknown() {
        let mut history = History::default();
        history.record(0, sample(3));
        history.record(3, sample(4));
        assert_eq!(streams(&history, 5), [None, Some(3), None, None, Some(4)]);
    }

    #[test]
    fn a_column_stands_for_as_many_seconds_as_it_must() {
        let mut history = History::default();
        (0..7).for_each(|second| history.record(second, sample(second)));
        assert_eq!(history.columns(7).1, 1);
        assert_eq!((streams(&history, 4), history.columns(4).1), (vec![Some(1), Some(3), Some(5), Some(6)], 2));
        history.record(7, sample(0));
        assert_eq!(streams(&history, 4), [Some(1), Some(3), Some(5), Some(6)], "the older columns stay");
        assert_eq!((streams(&history, 1), history.columns(1).1), (vec![Some(6)], 10));
        assert_eq!(streams(&history, 0), []);
    }

    #[test]
    fn a_column_is_unknown_only_where_nothing_in_it_is_known() {
        let mut history = History::default();
        history.record(0, sample(0));
        history.record(5, sample(4));
        assert_eq!((streams(&history, 3), history.columns(3).1), (vec![Some(0), None, Some(4)], 2));
    }

    #[test]
    fn a_second_that_is_told_again_is_replaced() {
        let mut history = History::default();
        history.record(0, sample(3));
        history.record(1, sample(4));
        history.record(1, sample(5));
        assert_eq!(streams(&history, 3), [None, Some(3), Some(5)]);
        history.record(2, sample(6));
        assert_eq!(streams(&history, 3), [Some(3), Some(5), Some(6)]);
    }

    #[test]
    fn it_does_not_grow_with_time() {
        let mut history = History::default();
        (0..20_000).for_each(|second| history.record(second, sample(second)));
        assert_eq!(history.samples.len(), MOST);
        history.record(u64::MAX - 1, sample(7));
        assert_eq!(history.samples.len(), MOST);
        assert_eq!(streams(&history, 2), [None, Some(7)]);
    }

    #[test]
    fn working_streams_are_unknown_where_idle_ones_are() {
        assert_eq!(Sample { streams: Some(3), idle: Some(1) }.working(), Some(2));
        assert_eq!(Sample { streams: Some(3), idle: None }.working(), None);
        assert_eq!(Sample { streams: None, idle: Some(1) }.working(), None);
    }
}
