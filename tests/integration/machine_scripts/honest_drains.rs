//! How often a target that does drain on the signal still gets the warning `ended_with_signal`.
//!
//! The lengths of the streams have a realistic distribution: five minutes on average, and outliers of 20, 35 and 50
//! minutes. The machine sees each stream from a random point of its length on, and streams end by themselves.

use lameduck_machine::result::ExitStatus::Code;
use lameduck_machine::result::Trigger::Hook;
use lameduck_machine::warnings::Warning::EndedWithSignal;

use crate::machine_scripts::pod::Effect::{Release, Signal};
use crate::machine_scripts::pod::{CALL, Pod, SIGNAL};

/// The number of drains.
const DRAINS: u32 = 20_000;
/// The maximum number of streams when a drain starts.
const MAX_STREAMS: u32 = 10;
/// When a drain is over. Only the first seconds after the signal matter.
const END: f64 = SIGNAL as f64 + 2.0;

/// A sequence of numbers between 0 and 1 (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f64::from(u32::try_from((mixed ^ (mixed >> 31)) >> 32).expect("32 bits")) / f64::from(u32::MAX)
    }

    /// The length of a stream in minutes: 3.6 on average, and one in 30 is an outlier.
    fn length(&mut self) -> f64 {
        match self.next() * 90.0 {
            choice if choice < 1.0 => 20.0,
            choice if choice < 2.0 => 35.0,
            choice if choice < 3.0 => 50.0,
            // Erlang distribution of two steps: few streams are very short.
            _ => -1.8 * (self.next() * self.next()).max(1e-12).ln(),
        }
    }

    /// How many seconds an open stream still lasts. A long stream is more likely to be open at a given time.
    fn rest(&mut self) -> f64 {
        loop {
            let length = self.length();
            if self.next() * 50.0 < length {
                return self.next() * length * 60.0;
            }
        }
    }
}

/// Whether a drain of streams with these remaining times, in seconds from the call, gets the warning.
fn is_warned(rests: &[f64]) -> bool {
    let mut ends: Vec<f64> = rests.iter().map(|rest| f64::from(CALL) + rest).filter(|end| *end < END).collect();
    ends.sort_by(f64::total_cmp);
    let mut open = rests.len() as u64;
    let mut pod = Pod::serving(open);
    pod.at(CALL).call(Hook);
    let mut signalled = false;
    for end in ends {
        if end >= f64::from(SIGNAL) && !signalled {
            pod.at(SIGNAL).expect([Signal(1)]);
            signalled = true;
        }
        open -= 1;
        pod.at(end).streams(open);
        if open == 0 {
            break;
        }
    }
    if !signalled {
        pod.at(SIGNAL).expect([Signal(1)]);
    }
    pod.at(END).exits(1, Code(0));
    let result = pod.result.expect("a result");
    pod.expect([Release(result.outcome, result.stragglers)]);
    result.warnings.contains(EndedWithSignal)
}

#[test]
fn fewer_than_one_in_a_thousand_correct_drains_get_a_warning() {
    let mut random = Random(1);
    let warned = (0..DRAINS).filter(|drain| {
        let rests: Vec<f64> = (0..=drain % MAX_STREAMS).map(|_| random.rest()).collect();
        is_warned(&rests)
    });
    let warned = warned.count();
    println!("{warned} of {DRAINS} correct drains get the warning");
    assert!(warned * 1000 < DRAINS as usize, "{warned} of {DRAINS}");
}
