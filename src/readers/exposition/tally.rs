//! The sums of one page, and the memory of what was counted already.

use std::collections::BTreeSet;

use super::sample::Sample;
use super::{MAX_SERIES, Reason, excerpt};
use crate::readers::selector::Selector;

/// Adds up the series of each selector.
#[derive(Debug)]
pub(super) struct Tally<'s> {
    selectors: &'s [Selector],
    sums: Vec<Option<u64>>,
    seen: BTreeSet<u64>,
}

impl<'s> Tally<'s> {
    pub(super) fn new(selectors: &'s [Selector]) -> Self {
        Self { selectors, sums: vec![None; selectors.len()], seen: BTreeSet::new() }
    }

    /// Counts a sample towards every selector that it matches.
    pub(super) fn add(&mut self, sample: &Sample<'_>) -> Result<(), Reason> {
        let mut counted = None;
        for (selector, sum) in self.selectors.iter().zip(&mut self.sums) {
            if selector.matches(&sample.name, |label| sample.label(label)) {
                let count = match counted {
                    Some(count) => count,
                    None => remember(&mut self.seen, sample)?,
                };
                counted = Some(count);
                *sum = Some(sum.unwrap_or(0).checked_add(count).ok_or(Reason::Overflow)?);
            }
        }
        Ok(())
    }

    /// Returns the sum of each selector, or nothing for one that nothing matched.
    pub(super) fn into_sums(self) -> Vec<Option<u64>> {
        self.sums
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
