//! The sums of one page, and the memory of what was counted already.

use std::collections::BTreeSet;

use super::sample::Sample;
use super::{MAX_SERIES, Reason, excerpt};
use crate::selector::Selector;

/// The sum of the series that one selector matches.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Of all of them.
    pub all: u64,
    /// Of those that are not among the series told apart.
    pub others: u64,
    /// How many series match.
    pub series: usize,
    /// How many of them are told apart.
    pub apart: usize,
}

/// Adds up the series of each selector.
#[derive(Debug)]
pub(super) struct StreamCount<'s> {
    selectors: &'s [Selector],
    apart: &'s [Selector],
    sums: Vec<Option<Sum>>,
    seen: BTreeSet<u64>,
}

impl<'s> StreamCount<'s> {
    pub(super) fn new(selectors: &'s [Selector]) -> Self {
        Self { selectors, apart: &[], sums: vec![None; selectors.len()], seen: BTreeSet::new() }
    }

    pub(super) fn tell_apart(&mut self, apart: &'s [Selector]) {
        self.apart = apart;
    }

    /// Counts a sample towards every selector that it matches.
    pub(super) fn add(&mut self, sample: &Sample<'_>) -> Result<(), Reason> {
        let matches = |selector: &Selector| selector.matches(&sample.name, |label| sample.label(label));
        let mut counted = None;
        for (selector, sum) in self.selectors.iter().zip(&mut self.sums) {
            if matches(selector) {
                let count = match counted {
                    Some(count) => count,
                    None => remember(&mut self.seen, sample)?,
                };
                counted = Some(count);
                let is_apart = self.apart.iter().any(matches);
                *sum = Some(sum.unwrap_or_default().plus(count, is_apart)?);
            }
        }
        Ok(())
    }

    /// Returns the sum of each selector, or nothing for one that nothing matched.
    pub(super) fn into_sums(self) -> Vec<Option<Sum>> {
        self.sums
    }
}

impl Sum {
    fn plus(self, count: u64, is_apart: bool) -> Result<Self, Reason> {
        let all = self.all.checked_add(count).ok_or(Reason::Overflow)?;
        let others = if is_apart { 0 } else { count };
        Ok(Self {
            all,
            // It is never more than all of them.
            others: self.others.saturating_add(others),
            series: self.series + 1,
            apart: self.apart + usize::from(is_apart),
        })
    }
}

/// Returns the count of a sample that matches, and makes sure that its series is new.
fn remember(seen: &mut BTreeSet<u64>, sample: &Sample<'_>) -> Result<u64, Reason> {
    let count = sample.count()?;
    if !seen.insert(sample.identity()) {
        return Err(Reason::SeriesTwice(excerpt(&sample.name)));
    }
    if seen.len() > MAX_SERIES { Err(Reason::ManySeries) } else { Ok(count) }
}
