//! The sums of one page, and the series that were already counted.

use std::collections::BTreeSet;

use super::sample::Sample;
use super::{MAX_SERIES, Reason, excerpt};
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
    seen: BTreeSet<u64>,
}

impl<'s> Sums<'s> {
    pub(super) fn new(selectors: &'s [Selector]) -> Self {
        Self { selectors, idle: &[], per_selector: vec![None; selectors.len()], seen: BTreeSet::new() }
    }

    pub(super) fn set_idle_selectors(&mut self, idle: &'s [Selector]) {
        self.idle = idle;
    }

    /// Adds a sample to the sum of every selector that matches it.
    pub(super) fn add(&mut self, sample: &Sample<'_>) -> Result<(), Reason> {
        let matches = |selector: &Selector| selector.matches(&sample.name, |label| sample.label(label));
        let mut counted = None;
        for (selector, sum) in self.selectors.iter().zip(&mut self.per_selector) {
            if matches(selector) {
                let count = match counted {
                    Some(count) => count,
                    None => count_once(&mut self.seen, sample)?,
                };
                counted = Some(count);
                let is_idle = self.idle.iter().any(matches);
                *sum = Some(sum.unwrap_or_default().plus(count, is_idle)?);
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
    fn plus(self, count: u64, is_idle: bool) -> Result<Self, Reason> {
        let total = self.total.checked_add(count).ok_or(Reason::Overflow)?;
        let non_idle = if is_idle { 0 } else { count };
        Ok(Self {
            total,
            // Never exceeds `total`, which did not overflow.
            non_idle: self.non_idle.saturating_add(non_idle),
            series: self.series + 1,
            idle_series: self.idle_series + usize::from(is_idle),
        })
    }
}

/// Returns the count of a matching sample, after recording its series.
fn count_once(seen: &mut BTreeSet<u64>, sample: &Sample<'_>) -> Result<u64, Reason> {
    let count = sample.count()?;
    if !seen.insert(sample.identity()) {
        return Err(Reason::DuplicateSeries(excerpt(&sample.name)));
    }
    if seen.len() > MAX_SERIES { Err(Reason::TooManySeries) } else { Ok(count) }
}
