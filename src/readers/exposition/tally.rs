//! The sums of one page, and the memory of what was counted already.

use std::collections::HashSet;

use super::sample::Sample;
use super::{MAX_SERIES, Reason, excerpt};
use crate::readers::selector::Selector;

/// Adds up the series of each selector.
#[derive(Debug)]
pub(super) struct Tally<'s> {
    selectors: &'s [Selector],
    sums: Vec<Option<u64>>,
    seen: HashSet<u64>,
}

impl<'s> Tally<'s> {
    pub(super) fn new(selectors: &'s [Selector]) -> Self {
        Self { selectors, sums: vec![None; selectors.len()], seen: HashSet::new() }
    }

    /// Counts a sample towards every selector that it matches.
    pub(super) fn add(&mut self, sample: &Sample<'_>) -> Result<(), Reason> {
        let matching = |selector: &Selector| selector.matches(&sample.name, |label| sample.label(label));
        if !self.selectors.iter().any(matching) {
            return Ok(());
        }
        let count = sample.count()?;
        self.remember(sample)?;
        for (sum, _) in self.sums.iter_mut().zip(self.selectors).filter(|(_, selector)| matching(selector)) {
            *sum = Some(sum.unwrap_or(0).checked_add(count).ok_or(Reason::Overflow)?);
        }
        Ok(())
    }

    /// Returns the sum of each selector, or nothing for one that nothing matched.
    pub(super) fn into_sums(self) -> Vec<Option<u64>> {
        self.sums
    }

    fn remember(&mut self, sample: &Sample<'_>) -> Result<(), Reason> {
        if !self.seen.insert(sample.identity()) {
            return Err(Reason::SeriesTwice(excerpt(&sample.name)));
        }
        if self.seen.len() > MAX_SERIES { Err(Reason::ManySeries) } else { Ok(()) }
    }
}
