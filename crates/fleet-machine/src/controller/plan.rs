//! Which annotations are written next.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lameduck_machine::time::Time;

use super::{Controller, Life};
use crate::costs::{Sibling, Weight, wrong_costs};
use crate::io::{Action, Notice};
use crate::pod::{Key, Keys, PodUid};
use crate::pods::PodEntry;
use crate::protection::keys_to_leave;

/// How often the plan is made.
const INTERVAL: Duration = Duration::from_secs(1);

/// The annotations to write, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    next_at: Time,
    writes: VecDeque<(PodUid, Keys)>,
    leaves_nothing: bool,
}

impl Plan {
    /// When the next plan is made.
    pub(super) const fn next_at(&self) -> Time {
        self.next_at
    }

    /// Whether no pod had a protection that must be removed when the last plan was made while this process was stopping.
    pub(super) const fn leaves_nothing(&self) -> bool {
        self.leaves_nothing
    }

    /// Discards the plan of a replica that must not write.
    pub(super) fn postpone(&mut self, now: Time) {
        self.writes.clear();
        self.next_at = now + INTERVAL;
    }
}

impl Controller {
    /// Writes what is due.
    pub(super) fn write_due(&mut self) {
        if self.now >= self.plan.next_at {
            self.stand_back_for_karpenter();
            let writes = if self.life == Life::Running { self.plan_writes() } else { self.plan_removals() };
            let leaves_nothing = self.life != Life::Running && writes.is_empty();
            self.plan = Plan { next_at: self.now + INTERVAL, writes: writes.into(), leaves_nothing };
        }
        while self.writer.is_ready(self.now) {
            let Some((uid, keys)) = self.plan.writes.pop_front() else { return };
            let Some(entry) = self.pods.get_mut(&uid).filter(|_| !self.writer.is_in_flight(&uid)) else { continue };
            self.writer.begin(self.now, &uid, keys, &mut entry.writes);
            self.actions.push(Action::Write { pod: entry.pod.pod.clone(), keys });
        }
    }

    /// The annotations that are wrong, of pods that may be written now. Those that were written longest ago come first.
    fn plan_writes(&self) -> Vec<(PodUid, Keys)> {
        let mut costs = self.plan_costs();
        let mut writes = Vec::new();
        for (uid, entry) in self.pods.iter().filter(|(_, entry)| is_writable(entry)) {
            let own = entry.pod.annotations.own;
            let protection = entry.protection.keys(self.now, &entry.pod, &self.settings.protection);
            let keys = entry.writes.permitted(Keys { cost: costs.remove(uid).or(own.cost), ..protection });
            if keys != own && entry.writes.is_due(self.now) {
                writes.push((entry.writes.written_at(), uid.clone(), keys));
            }
        }
        writes.sort_by_key(|(written_at, ..)| *written_at);
        writes.into_iter().map(|(_, uid, keys)| (uid, keys)).collect()
    }

    /// The protections to remove when this process ends. The time between two writes of a pod does not matter then.
    fn plan_removals(&self) -> Vec<(PodUid, Keys)> {
        let removal = |(uid, entry): (&PodUid, &PodEntry)| {
            let own = entry.pod.annotations.own;
            let keys = entry.writes.permitted(keys_to_leave(own));
            (keys != own).then(|| (uid.clone(), keys))
        };
        self.pods.iter().filter(|(_, entry)| is_writable(entry)).filter_map(removal).collect()
    }

    /// The deletion costs that are wrong.
    fn plan_costs(&self) -> BTreeMap<PodUid, i32> {
        let mut groups: BTreeMap<&str, Vec<Sibling>> = BTreeMap::new();
        for (uid, entry) in self.pods.iter().filter(|(_, entry)| is_writable(entry)) {
            let owner = &entry.pod.owner;
            let Some(controller) = owner.controller.as_ref().filter(|_| owner.sorts_by_cost) else { continue };
            if entry.writes.may_write(Key::Cost) {
                groups.entry(&controller.uid).or_default().push(Sibling {
                    uid: uid.clone(),
                    weight: entry.status.load.map(Weight::of),
                    is_current: entry.status.current_load.is_some(),
                    cost: entry.pod.annotations.cost,
                });
            }
        }
        groups.values().flat_map(|siblings| wrong_costs(siblings)).collect()
    }

    fn stand_back_for_karpenter(&mut self) {
        let managed = self.pods.iter_mut().filter(|(_, entry)| entry.pod.annotations.karpenter_manages_cost);
        for (_, entry) in managed {
            if entry.writes.stand_back(Key::Cost) {
                let (pod, workload) = (entry.pod.pod.clone(), entry.pod.owner.workload.clone());
                if self.named.insert(&entry.pod, Key::Cost) {
                    self.actions.log(Notice::CostManagedByKarpenter { pod, workload });
                }
            }
        }
    }
}

fn is_writable(entry: &PodEntry) -> bool {
    entry.gone_until.is_none() && entry.pod.stays()
}
