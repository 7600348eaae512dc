//! The pods that the API server has shown, and what is known of each.

use std::collections::{BTreeMap, BTreeSet};

use lameduck_machine::time::Time;

use crate::deadlines::PodDeadline;
use crate::drains::PodDrains;
use crate::pod::{Pod, PodUid};
use crate::protection::Protection;
use crate::status::{Load, SidecarPhase};
use crate::writer::PodWrites;

/// What is known of one pod.
#[derive(Clone, Debug)]
pub struct PodEntry {
    /// The pod as it was last shown.
    pub pod: Pod,
    /// The last status of its sidecar.
    pub status: LastStatus,
    /// Its drains.
    pub drains: PodDrains,
    /// Its deadline.
    pub deadline: PodDeadline,
    /// Its protection.
    pub protection: Protection,
    /// The writes of its annotations.
    pub writes: PodWrites,
    /// Until when its address is polled although the API server does not have it any more.
    pub gone_until: Option<Time>,
}

/// What the last polls of a sidecar have shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastStatus {
    /// The load at the last reading that had one.
    pub load: Option<Load>,
    /// The load of the last poll; `None` if it failed, or if the sidecar does not know it.
    pub current_load: Option<Load>,
    /// The phase in the last poll; `None` if it failed.
    pub phase: Option<SidecarPhase>,
}

impl PodEntry {
    fn new(pod: Pod) -> Self {
        Self {
            pod,
            status: LastStatus::default(),
            drains: PodDrains::default(),
            deadline: PodDeadline::default(),
            protection: Protection::default(),
            writes: PodWrites::default(),
            gone_until: None,
        }
    }
}

/// All pods.
#[derive(Clone, Debug, Default)]
pub struct PodSet {
    entries: BTreeMap<PodUid, PodEntry>,
    /// The pods of the list in progress.
    listed: Option<BTreeSet<PodUid>>,
}

impl PodSet {
    /// Starts a list of all pods.
    pub fn start_list(&mut self) {
        self.listed = Some(BTreeSet::new());
    }

    /// Ends the list, and returns the pods that it did not contain.
    pub fn end_list(&mut self) -> Vec<PodUid> {
        let Some(listed) = self.listed.take() else { return Vec::new() };
        let is_missing = |(uid, entry): &(&PodUid, &PodEntry)| !listed.contains(*uid) && entry.gone_until.is_none();
        self.entries.iter().filter(is_missing).map(|(uid, _)| uid.clone()).collect()
    }

    /// Takes the state of a pod, and returns what is known of it.
    pub fn update(&mut self, pod: Pod) -> &mut PodEntry {
        let uid = pod.pod.uid.clone();
        if let Some(listed) = &mut self.listed {
            listed.insert(uid.clone());
        }
        let entry = self.entries.entry(uid).or_insert_with(|| PodEntry::new(pod.clone()));
        entry.pod = pod;
        entry
    }

    /// What is known of a pod.
    #[must_use]
    pub fn get(&self, uid: &PodUid) -> Option<&PodEntry> {
        self.entries.get(uid)
    }

    /// What is known of a pod.
    pub fn get_mut(&mut self, uid: &PodUid) -> Option<&mut PodEntry> {
        self.entries.get_mut(uid)
    }

    /// Forgets a pod.
    pub fn remove(&mut self, uid: &PodUid) {
        self.entries.remove(uid);
    }

    /// All pods.
    pub fn iter(&self) -> impl Iterator<Item = (&PodUid, &PodEntry)> {
        self.entries.iter()
    }

    /// All pods.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&PodUid, &mut PodEntry)> {
        self.entries.iter_mut()
    }

    /// Whether another pod has this pod's address, which is used again after a pod is gone.
    #[must_use]
    pub fn is_address_reused(&self, entry: &PodEntry) -> bool {
        let is_other = |other: &PodEntry| other.pod.pod.uid != entry.pod.pod.uid && other.gone_until.is_none();
        entry.pod.ip.is_some() && self.entries.values().any(|other| is_other(other) && other.pod.ip == entry.pod.ip)
    }
}
