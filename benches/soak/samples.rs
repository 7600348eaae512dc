//! Samples of the sidecar's resources, and the check that they have not grown.

use std::thread;
use std::time::Duration;

use lameduck_test_support::shipped::{Result, descriptors, line_of, status};

/// The resources of the process at one moment; memory in kB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    resident: u64,
    proportional: Option<u64>,
    descriptors: usize,
    threads: u64,
}

impl Sample {
    pub(crate) fn take(pid: u32) -> Result<Self> {
        Ok(Self {
            resident: status(pid, "VmRSS")?,
            proportional: line_of(&format!("/proc/{pid}/smaps_rollup"), "Pss").ok(),
            descriptors: descriptors(pid)?,
            threads: status(pid, "Threads")?,
        })
    }

    fn print(&self, label: &str) {
        let proportional = self.proportional.map_or_else(|| "-".to_owned(), |pss| pss.to_string());
        println!("{label:<28} {:>8} {proportional:>8} {:>12} {:>8}", self.resident, self.descriptors, self.threads);
    }
}

/// The resources while the callers are paused. A poll is nearly always in flight, so the minimum of many samples counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtRest(Sample);

impl AtRest {
    pub(crate) fn measure(pid: u32) -> Result<Self> {
        let mut min = Sample::take(pid)?;
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(10));
            let sample = Sample::take(pid)?;
            min.descriptors = min.descriptors.min(sample.descriptors);
            min.threads = min.threads.min(sample.threads);
        }
        Ok(Self(min))
    }
}

/// Prints how the resources developed.
pub(crate) fn print(samples: &[Sample], warm: AtRest, end: AtRest) {
    println!("{:<28} {:>8} {:>8} {:>12} {:>8}", "", "RSS, kB", "PSS, kB", "descriptors", "threads");
    for percent in [10, 50, 100] {
        let index = (samples.len() * percent / 100).saturating_sub(1);
        if let Some(sample) = samples.get(index) {
            sample.print(&format!("after {percent} % of the time"));
        }
    }
    warm.0.print("at rest, after the first 10 %");
    end.0.print("at rest, at the end");
    for (name, samples) in [("second", quarter(samples, 1)), ("last", quarter(samples, 3))] {
        let (resident, descriptors, threads) = max(samples);
        println!("max. in the {name} quarter {resident:>14} {descriptors:>21} {threads:>8}");
    }
}

fn quarter(samples: &[Sample], index: usize) -> &[Sample] {
    &samples[samples.len() * index / 4..samples.len() * (index + 1) / 4]
}

fn max(samples: &[Sample]) -> (u64, usize, u64) {
    samples.iter().fold((0, 0, 0), |max, sample| {
        (max.0.max(sample.resident), max.1.max(sample.descriptors), max.2.max(sample.threads))
    })
}

/// Fails if the process has grown.
pub(crate) fn check_growth(samples: &[Sample], warm: AtRest, end: AtRest) -> Result<()> {
    let (second, last) = (max(quarter(samples, 1)), max(quarter(samples, 3)));
    let allowed = second.0 * 11 / 10 + 256;
    let mut failures = Vec::new();
    if last.0 > allowed {
        failures.push(format!("memory grew: {} kB in the second quarter, {} kB in the last", second.0, last.0));
    }
    if end.0.descriptors > warm.0.descriptors {
        failures.push(format!("descriptors grew from {} to {}", warm.0.descriptors, end.0.descriptors));
    }
    // The runtime starts and ends up to two threads that read the socket table.
    if end.0.threads > warm.0.threads + 2 {
        failures.push(format!("threads grew from {} to {}", warm.0.threads, end.0.threads));
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ").into()) }
}
