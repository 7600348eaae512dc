//! The ids of drains.

use std::fmt;

/// The id of one drain: the same in every record, also after a restart of the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DrainId(pub u64);

impl fmt::Display for DrainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Generates the drain ids of one process. Every process in every pod must have a different seed.
#[derive(Clone, Copy, Debug)]
pub struct DrainIds {
    next: u64,
}

impl DrainIds {
    /// The ids that follow from a random seed.
    #[must_use]
    pub const fn from_seed(seed: u64) -> Self {
        Self { next: seed }
    }

    /// A new id.
    pub const fn take(&mut self) -> DrainId {
        // SplitMix64 (Steele, Lea and Flood, 2014): different inputs have different outputs.
        self.next = self.next.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.next ^ (self.next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        DrainId(mixed ^ (mixed >> 31))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_have_sixteen_digits() {
        let [mut ids, mut others] = [1, 2].map(DrainIds::from_seed);
        let all = [ids.take(), ids.take(), others.take()];
        assert!(all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);
        assert!(all.iter().all(|id| id.to_string().len() == 16));
        assert_eq!(DrainId(0x2a).to_string(), "000000000000002a");
    }
}
