//! Which pods of a ReplicaSet need another deletion cost.
//!
//! A ReplicaSet removes ready pods with a lower cost first, and reads a missing cost as 0. So a pod that is known to be
//! empty gets a negative cost, a busy one a positive cost, and a pod that was never read is between them without any.
//!
//! A cost is written only where the order of two pods is wrong. Two pods have an order only if their loads differ by more
//! than a tenth: otherwise every stream that starts or ends would change it.

use crate::pod::PodUid;
use crate::status::Load;

/// The cost of a pod without streams.
pub const EMPTY_COST: i32 = -100;

/// The largest cost. Karpenter reads costs too: up to this size, they do not affect its decisions.
pub const MAX_COST: i32 = 1_000_000;

/// How many idle streams weigh as much as an active one.
const ACTIVE_WEIGHT: u64 = 100;

/// The weight of a pod's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u64);

impl Weight {
    /// The weight of this load.
    #[must_use]
    pub const fn of(load: Load) -> Self {
        Self(load.active.saturating_mul(ACTIVE_WEIGHT).saturating_add(load.idle))
    }

    /// The cost of a pod with this weight: two digits of it.
    #[must_use]
    pub fn cost(self) -> i32 {
        let digits = self.0.checked_ilog10().unwrap_or(0);
        let step = 10_u64.saturating_pow(digits.saturating_sub(1));
        match self.0 {
            0 => EMPTY_COST,
            weight => i32::try_from(weight - weight % step).unwrap_or(MAX_COST).min(MAX_COST),
        }
    }

    /// The smallest weight that is clearly above this one.
    const fn clearly_above(self) -> u64 {
        // More than a tenth of the larger weight.
        match self.0 {
            0 => 1,
            weight => weight.saturating_mul(10) / 9 + 1,
        }
    }

    /// Whether this weight is clearly less than the other one.
    #[must_use]
    pub const fn is_clearly_less(self, other: Self) -> bool {
        other.0 >= self.clearly_above()
    }
}

/// A pod among its siblings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sibling {
    /// The pod.
    pub uid: PodUid,
    /// The weight at the last reading; `None` if there was none.
    pub weight: Option<Weight>,
    /// Whether the last attempt to read it succeeded. Otherwise its streams may have become more.
    pub is_current: bool,
    /// Its cost.
    pub cost: Option<i32>,
}

impl Sibling {
    fn effective_cost(&self) -> i32 {
        self.cost.unwrap_or(0)
    }

    /// Its place in the order: empty pods, pods that were never read, others by weight. `None` if a pod that was never
    /// read has a cost already: its order is then unknown.
    fn rank(&self) -> Option<(u64, u64)> {
        match self.weight {
            // An unread pod is above every empty pod and below every other one.
            None => self.cost.is_none().then_some((1, 2)),
            Some(Weight(0)) => Some((0, 1)),
            Some(weight) => Some((weight.0.saturating_add(1), weight.clearly_above().saturating_add(1))),
        }
    }

    /// The cost that it should have now.
    fn right_cost(&self) -> Option<i32> {
        let cost = self.weight?.cost();
        // An unreadable pod may have more streams by now, but not known to have fewer.
        let is_allowed = self.is_current || cost > self.effective_cost();
        (is_allowed && self.cost != Some(cost)).then_some(cost)
    }
}

/// The costs to write so that the order of all siblings is right.
#[must_use]
pub fn wrong_costs(siblings: &[Sibling]) -> Vec<(PodUid, i32)> {
    let ranked = siblings.iter().filter_map(|sibling| Some((sibling.rank()?, sibling)));
    let mut ranked: Vec<((u64, u64), &Sibling)> = ranked.collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut wrong = vec![false; ranked.len()];
    // Below each pod: the largest cost of those that are clearly less.
    let (mut lower, mut largest) = (0, None);
    for (at, ((rank, _), sibling)) in ranked.iter().enumerate() {
        while ranked[lower].0.1 <= *rank && lower < at {
            largest = largest.max(Some(ranked[lower].1.effective_cost()));
            lower += 1;
        }
        wrong[at] |= largest.is_some_and(|largest| largest >= sibling.effective_cost());
    }
    // Above each pod: the smallest cost of those that are clearly more.
    let (mut upper, mut smallest) = (ranked.len(), i32::MAX);
    for (at, ((_, clearly_above), sibling)) in ranked.iter().enumerate().rev() {
        while upper > at + 1 && ranked[upper - 1].0.0 >= *clearly_above {
            smallest = smallest.min(ranked[upper - 1].1.effective_cost());
            upper -= 1;
        }
        wrong[at] |= upper < ranked.len() && smallest <= sibling.effective_cost();
    }
    let wrong = ranked.iter().zip(wrong).filter(|(_, is_wrong)| *is_wrong);
    wrong.filter_map(|((_, sibling), _)| Some((sibling.uid.clone(), sibling.right_cost()?))).collect()
}
