//! Simulated audio: incompressible bytes at a steady rate.

use std::time::Duration;

/// A deterministic random number generator (`SplitMix64`).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

/// The audio of one stream.
#[derive(Debug)]
pub(crate) struct Audio {
    random: Random,
    rate: u128,
    chunk: Duration,
    sent_chunks: u32,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Audio {
    /// `rate` in bytes per second.
    pub(crate) fn new(random: Random, rate: u32, chunk: Duration) -> Self {
        Self { random, rate: rate.into(), chunk, sent_chunks: 0 }
    }

    /// The next chunk, possibly empty; all chunks up to here together have the rate.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let before = self.bytes_in(self.sent_chunks);
        self.sent_chunks = self.sent_chunks.wrapping_add(1);
        (before..self.bytes_in(self.sent_chunks)).map(|_| self.random.next().to_le_bytes()[0]).collect()
    }

    fn bytes_in(&self, chunks: u32) -> u128 {
        self.rate * self.chunk.as_nanos() * u128::from(chunks) / 1_000_000_000
    }
}
