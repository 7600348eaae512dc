//! The sums of one page, and the series that were already counted.

use std::collections::BTreeMap;

use super::sample::Sample;
use super::{Format, MAX_SERIES, Reason, excerpt};
use crate::selector::Selector;

/// The sum of the series that one selector matches.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Sum over all matching series.
    pub total: u64,
    /// Sum over the matching series that no idle selector matches.
    pub non_idle: u64,
    /// Number of matching series.
    pub series: usize,
    /// Number of matching series that an idle selector matches too.
    pub idle_series: usize,
}

/// Adds up the series of each selector.
#[derive(Debug)]
pub(super) struct Sums<'s> {
    selectors: &'s [Selector],
    idle: &'s [Selector],
    per_selector: Vec<Option<Sum>>,
    points: Points,
}

/// The last point of each matching series.
#[derive(Debug)]
struct Points {
    format: Format,
    by_series: BTreeMap<u64, Point>,
}

/// A count, and the time of it if the page has it.
#[derive(Debug, Clone, Copy)]
struct Point {
    count: u64,
    time: Option<f64>,
}

/// How a sample changes the sums: an earlier point of its series no longer counts.
#[derive(Debug, Clone, Copy)]
struct Change {
    count: u64,
    earlier: Option<u64>,
}

impl<'s> Sums<'s> {
    pub(super) fn new(selectors: &'s [Selector], format: Format) -> Self {
        let points = Points { format, by_series: BTreeMap::new() };
        Self { selectors, idle: &[], per_selector: vec![None; selectors.len()], points }
    }

    pub(super) fn set_idle_selectors(&mut self, idle: &'s [Selector]) {
        self.idle = idle;
    }

    /// Adds a sample to the sum of every selector that matches it.
    pub(super) fn add(&mut self, sample: &Sample<'_>) -> Result<(), Reason> {
        let matches = |selector: &Selector| selector.matches(&sample.name, |label| sample.label(label));
        let mut change = None;
        for (selector, sum) in self.selectors.iter().zip(&mut self.per_selector) {
            if matches(selector) {
                let of_sample = match change {
                    Some(change) => change,
                    None => self.points.add(sample)?,
                };
                change = Some(of_sample);
                let is_idle = self.idle.iter().any(matches);
                *sum = Some(sum.unwrap_or_default().with(of_sample, is_idle)?);
            }
        }
        Ok(())
    }

    /// Returns the sum of each selector; `None` where no series matched.
    pub(super) fn into_vec(self) -> Vec<Option<Sum>> {
        self.per_selector
    }
}

impl Sum {
    fn with(self, Change { count, earlier }: Change, is_idle: bool) -> Result<Self, Reason> {
        // What is subtracted was added before.
        let total = (self.total - earlier.unwrap_or(0)).checked_add(count).ok_or(Reason::Overflow)?;
        let non_idle = if is_idle { self.non_idle } else { self.non_idle - earlier.unwrap_or(0) + count };
        let series = usize::from(earlier.is_none());
        let idle_series = self.idle_series + if is_idle { series } else { 0 };
        Ok(Self { total, non_idle, series: self.series + series, idle_series })
    }
}

impl Points {
    /// Records a point of a matching series.
    ///
    /// An `OpenMetrics` page may have several points of a series, whose times increase; the last one counts.
    fn add(&mut self, sample: &Sample<'_>) -> Result<Change, Reason> {
        let point = Point { count: sample.count()?, time: sample.time };
        let earlier = self.by_series.insert(sample.identity(), point);
        if self.by_series.len() > MAX_SERIES {
            return Err(Reason::TooManySeries);
        }
        let may_follow = |earlier: Point| {
            self.format == Format::OpenMetrics
                && earlier.time.zip(point.time).is_some_and(|(earlier, time)| earlier < time)
        };
        match earlier {
            Some(earlier) if !may_follow(earlier) => Err(Reason::DuplicateSeries(excerpt(&sample.name))),
            earlier => Ok(Change { count: point.count, earlier: earlier.map(|point| point.count) }),
        }
    }
}
