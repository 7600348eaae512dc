//! Reproducible randomness.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// A sequence of numbers determined by a name and a seed (splitmix64).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        let mut digest = DefaultHasher::new();
        (name, seed).hash(&mut digest);
        Self(digest.finish())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("it is below a usize")
    }

    /// True with a probability of one in `count`.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// A duration from `from` up to, but not including, `from + range` milliseconds.
    pub(crate) fn millis(&mut self, from: u64, range: u64) -> Duration {
        Duration::from_millis(from + self.next() % range)
    }
}
