//! Whether the pod takes more streams, for load balancers. It never touches readiness: a cluster that scales down
//! deletes unready pods first, and those would be the fullest.

use crate::controller::Controller;
use crate::policy::AcceptLimit;
use crate::readiness::NotReady;

impl Controller {
    /// The page has told its own limit; 0 is none.
    pub(super) fn has_capacity(&mut self, most: u64) {
        self.capacity = Some(most).filter(|most| *most > 0);
        self.fill();
    }

    /// Full at the limit, and again free below 90 % of it. While the count is unknown it stays as it was.
    pub(super) fn fill(&mut self) {
        let Some(limit) = self.limit() else {
            self.full = false;
            return;
        };
        if let Some(tally) = self.census.tally() {
            let reached = tally.streams >= limit;
            let below = u128::from(tally.streams) * 10 < u128::from(limit) * 9;
            self.full = reached || (self.full && !below);
        }
    }

    fn limit(&self) -> Option<u64> {
        match self.policy.accept_below? {
            AcceptLimit::Streams(most) => Some(most),
            AcceptLimit::Capacity => self.capacity,
        }
    }

    /// Why the pod should get no new streams now; `None` if it may.
    #[must_use]
    pub fn unaccepting(&self) -> Option<NotReady> {
        let full = || NotReady::AtCapacity { limit: self.limit().unwrap_or(0) };
        self.unready().or_else(|| self.full.then(full))
    }
}
