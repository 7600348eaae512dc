//! Chance that can be repeated.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// A sequence of numbers that a name and a seed decide (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
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

    pub(crate) fn below(&mut self, sides: usize) -> usize {
        usize::try_from(self.next() % sides as u64).expect("it is below a usize")
    }

    pub(crate) fn one_in(&mut self, sides: usize) -> bool {
        self.below(sides) == 0
    }

    /// So many milliseconds, and up to so many more.
    pub(crate) fn millis(&mut self, from: u64, more: u64) -> Duration {
        Duration::from_millis(from + self.next() % more)
    }
}
