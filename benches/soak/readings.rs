//! What is read of the process from outside, and when it counts as flat.

use std::thread;
use std::time::Duration;

use lameduck_test_support::shipped::{Result, descriptors, line_of, status};

/// What the process held at one moment; memory in kB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    resident: u64,
    proportional: Option<u64>,
    descriptors: usize,
    threads: u64,
}

impl Reading {
    pub(crate) fn take(pid: u32) -> Result<Self> {
        Ok(Self {
            resident: status(pid, "VmRSS")?,
            proportional: line_of(&format!("/proc/{pid}/smaps_rollup"), "Pss").ok(),
            descriptors: descriptors(pid)?,
            threads: status(pid, "Threads")?,
        })
    }

    fn tell(&self, when: &str) {
        let proportional = self.proportional.map_or_else(|| "-".to_owned(), |pss| pss.to_string());
        println!("{when:<28} {:>8} {proportional:>8} {:>12} {:>8}", self.resident, self.descriptors, self.threads);
    }
}

/// What is held while nobody asks. A poll is always on its way, so the least of many looks counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest(Reading);

impl Rest {
    pub(crate) fn look(pid: u32) -> Result<Self> {
        let mut least = Reading::take(pid)?;
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(10));
            let look = Reading::take(pid)?;
            least.descriptors = least.descriptors.min(look.descriptors);
            least.threads = least.threads.min(look.threads);
        }
        Ok(Self(least))
    }
}

/// Prints the course.
pub(crate) fn tell(samples: &[Reading], warm: Rest, end: Rest) {
    println!("{:<28} {:>8} {:>8} {:>12} {:>8}", "", "RSS, kB", "PSS, kB", "descriptors", "threads");
    for percent in [10, 50, 100] {
        let index = (samples.len() * percent / 100).saturating_sub(1);
        if let Some(sample) = samples.get(index) {
            sample.tell(&format!("after {percent} % of the time"));
        }
    }
    warm.0.tell("at rest, after the first 10 %");
    end.0.tell("at rest, at the end");
    for (name, samples) in [("second", quarter(samples, 1)), ("last", quarter(samples, 3))] {
        let (resident, descriptors, threads) = most(samples);
        println!("most in the {name} quarter {resident:>15} {descriptors:>21} {threads:>8}");
    }
}

fn quarter(samples: &[Reading], which: usize) -> &[Reading] {
    &samples[samples.len() * which / 4..samples.len() * (which + 1) / 4]
}

fn most(samples: &[Reading]) -> (u64, usize, u64) {
    samples.iter().fold((0, 0, 0), |most, sample| {
        (most.0.max(sample.resident), most.1.max(sample.descriptors), most.2.max(sample.threads))
    })
}

/// Fails where the process has grown.
pub(crate) fn judge(samples: &[Reading], warm: Rest, end: Rest) -> Result<()> {
    let (second, last) = (most(quarter(samples, 1)), most(quarter(samples, 3)));
    let allowed = second.0 * 11 / 10 + 256;
    let mut faults = Vec::new();
    if last.0 > allowed {
        faults.push(format!("memory grew: {} kB in the second quarter, {} kB in the last", second.0, last.0));
    }
    if end.0.descriptors > warm.0.descriptors {
        faults.push(format!("descriptors grew from {} to {}", warm.0.descriptors, end.0.descriptors));
    }
    // Those of the runtime that read the socket table come and go.
    if end.0.threads > warm.0.threads + 2 {
        faults.push(format!("threads grew from {} to {}", warm.0.threads, end.0.threads));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ").into()) }
}
