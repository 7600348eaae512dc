//! The descendants of this process.

use super::ancestry::ProcessTable;
use super::visible_pids;

/// The visible descendants of this process.
#[must_use]
pub fn descendants() -> Vec<u32> {
    let mut table = ProcessTable::default();
    visible_pids().into_iter().filter(|pid| table.get(*pid).is_some() && table.is_descendant(*pid)).collect()
}
