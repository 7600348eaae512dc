//! Noise that passes for speech: bytes that do not compress, at a steady rate.

use std::time::Duration;

/// How often a frame of audio is sent.
pub(crate) const FRAME_EVERY: Duration = Duration::from_millis(50);
const FRAMES_PER_SECOND: u32 = 20;

/// A small generator (`SplitMix64`), the same for the same seed everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

/// The audio of one stream.
#[derive(Debug)]
pub(crate) struct Audio {
    random: Random,
    rate: u32,
    sent_frames: u32,
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
    pub(crate) fn new(random: Random, rate: u32) -> Self {
        Self { random, rate, sent_frames: 0 }
    }

    /// The next frame; the lengths of any twenty in a row add up to the rate.
    pub(crate) fn frame(&mut self) -> Vec<u8> {
        let place = self.sent_frames % FRAMES_PER_SECOND;
        self.sent_frames = self.sent_frames.wrapping_add(1);
        let spare = u32::from(place < self.rate % FRAMES_PER_SECOND);
        (0..self.rate / FRAMES_PER_SECOND + spare).map(|_| self.random.next().to_le_bytes()[0]).collect()
    }
}
