//! Which processes are below which others.

use std::collections::HashMap;

use crate::io::liveness::stat_of;
use lameduck_parsers::procfs::Stat;

/// The processes that one search has read. Each is read at most once.
#[derive(Default)]
pub(super) struct ProcessTable(HashMap<u32, Option<Stat>>);

impl ProcessTable {
    /// A visible process that has not ended and is not this one.
    pub(super) fn get(&mut self, pid: u32) -> Option<Stat> {
        let read = || stat_of(pid).filter(|stat| !stat.ended && pid != std::process::id());
        *self.0.entry(pid).or_insert_with(read)
    }

    /// The ancestors of a process, from its parent upwards.
    pub(super) fn ancestors(&mut self, pid: u32) -> Vec<u32> {
        let mut ancestors = Vec::new();
        let mut next = self.parent(pid);
        // The processes are not read at one instant, so there could be a loop.
        while let Some(parent) = next.filter(|parent| !ancestors.contains(parent)) {
            ancestors.push(parent);
            next = self.parent(parent);
        }
        ancestors
    }

    fn parent(&mut self, pid: u32) -> Option<u32> {
        self.get(pid).map(|stat| stat.parent).filter(|parent| *parent != 0)
    }

    /// The topmost visible ancestor of a process, or the process itself.
    pub(super) fn topmost_ancestor(&mut self, pid: u32) -> u32 {
        self.ancestors(pid).pop().unwrap_or(pid)
    }

    /// Whether a process is a descendant of this one, which is not in the table.
    pub(super) fn is_descendant(&mut self, pid: u32) -> bool {
        self.ancestors(pid).contains(&std::process::id())
    }

    /// The topmost visible ancestor of this process, which is not in the table.
    pub(super) fn own_topmost(&mut self) -> u32 {
        let own = std::process::id();
        let parent = stat_of(own).map(|stat| stat.parent).filter(|parent| *parent != 0);
        parent.map_or(own, |parent| self.topmost_ancestor(parent))
    }
}
