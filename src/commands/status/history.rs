//! The number of streams over the last hours, second by second.

use std::collections::VecDeque;

use crate::io::report::StatusReport;

/// How many seconds are kept: four hours.
const MAX_SAMPLES: usize = 4 * 3600;
/// How many seconds one column may represent.
const STEPS: [usize; 10] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600];

/// The streams in one second; unknown if the sidecar did not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The number of streams.
    pub streams: Option<u64>,
    /// The number of idle streams.
    pub idle: Option<u64>,
}

/// The last samples, one per second, the newest last.
#[derive(Clone, Debug, Default)]
pub struct History {
    samples: VecDeque<Sample>,
    /// The second after the newest.
    next: u64,
}

impl Sample {
    /// The sample of a report.
    #[must_use]
    pub const fn from_report(report: &StatusReport) -> Self {
        Self { streams: report.streams, idle: report.idle_streams }
    }

    /// The number of active streams, if it is known.
    #[must_use]
    pub fn active(self) -> Option<u64> {
        Some(self.streams?.saturating_sub(self.idle?))
    }
}

impl History {
    /// Records the sample of a second. Skipped seconds are unknown. A second that was recorded before is replaced.
    pub fn record(&mut self, second: u64, sample: Sample) {
        if second < self.next {
            self.samples.pop_back();
        }
        let skipped = second.saturating_sub(self.next).min(MAX_SAMPLES as u64);
        (0..skipped).for_each(|_| self.push(Sample::default()));
        self.push(sample);
        self.next = second.saturating_add(1);
    }

    fn push(&mut self, sample: Sample) {
        if self.samples.len() == MAX_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    /// Returns the history in `width` columns, the newest last, and how many seconds one column represents.
    ///
    /// A column shows the second with the most streams among those that are known.
    #[must_use]
    pub fn columns(&self, width: usize) -> (Vec<Sample>, usize) {
        let fits = |step: &usize| step * width >= self.samples.len();
        let step = STEPS.into_iter().find(fits).unwrap_or(STEPS[STEPS.len() - 1]);
        // Columns begin at multiples of the step, so that older columns do not change with time.
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

    /// Returns the sample with the most streams among `seconds` samples, of which the newest is `age` seconds old.
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
    fn skipped_seconds_are_unknown() {
        let mut history = History::default();
        history.record(0, sample(3));
        history.record(3, sample(4));
        assert_eq!(streams(&history, 5), [None, Some(3), None, None, Some(4)]);
    }

    #[test]
    fn columns_represent_as_few_seconds_as_possible() {
        let mut history = History::default();
        (0..7).for_each(|second| history.record(second, sample(second)));
        assert_eq!(history.columns(7).1, 1);
        assert_eq!((streams(&history, 4), history.columns(4).1), (vec![Some(1), Some(3), Some(5), Some(6)], 2));
        history.record(7, sample(0));
        assert_eq!(streams(&history, 4), [Some(1), Some(3), Some(5), Some(6)], "older columns do not change");
        assert_eq!((streams(&history, 1), history.columns(1).1), (vec![Some(6)], 10));
        assert_eq!(streams(&history, 0), []);
    }

    #[test]
    fn column_is_unknown_only_if_all_its_seconds_are() {
        let mut history = History::default();
        history.record(0, sample(0));
        history.record(5, sample(4));
        assert_eq!((streams(&history, 3), history.columns(3).1), (vec![Some(0), None, Some(4)], 2));
    }

    #[test]
    fn second_recorded_again_is_replaced() {
        let mut history = History::default();
        history.record(0, sample(3));
        history.record(1, sample(4));
        history.record(1, sample(5));
        assert_eq!(streams(&history, 3), [None, Some(3), Some(5)]);
        history.record(2, sample(6));
        assert_eq!(streams(&history, 3), [Some(3), Some(5), Some(6)]);
    }

    #[test]
    fn history_size_is_bounded() {
        let mut history = History::default();
        (0..20_000).for_each(|second| history.record(second, sample(second)));
        assert_eq!(history.samples.len(), MAX_SAMPLES);
        history.record(u64::MAX - 1, sample(7));
        assert_eq!(history.samples.len(), MAX_SAMPLES);
        assert_eq!(streams(&history, 2), [None, Some(7)]);
    }

    #[test]
    fn active_count_needs_streams_and_idle() {
        assert_eq!(Sample { streams: Some(3), idle: Some(1) }.active(), Some(2));
        assert_eq!(Sample { streams: Some(3), idle: None }.active(), None);
        assert_eq!(Sample { streams: None, idle: Some(1) }.active(), None);
    }
}
