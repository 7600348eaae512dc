//! Samples of the sidecar's resources, and the check that they have not grown.

use std::thread;
use std::time::Duration;

use crate::callers::get;
use lameduck_test_support::shipped::{Result, descriptors, line_of, process_cpu_time, status};

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

/// The resources while the callers are paused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtRest {
    /// A poll is nearly always in flight, so the minimum of many samples counts.
    sample: Sample,
    /// The median of several windows.
    cpu_per_poll: Duration,
}

/// In how many windows the CPU time of a poll is measured, and how long each is.
const WINDOWS: usize = 11;
const WINDOW: Duration = Duration::from_millis(300);

impl AtRest {
    pub(crate) fn measure(pid: u32, address: &str) -> Result<Self> {
        let mut min = Sample::take(pid)?;
        for _ in 0..100 {
            thread::sleep(Duration::from_millis(10));
            let sample = Sample::take(pid)?;
            min.descriptors = min.descriptors.min(sample.descriptors);
            min.threads = min.threads.min(sample.threads);
        }
        Ok(Self { sample: min, cpu_per_poll: cpu_per_poll(pid, address)? })
    }
}

/// The CPU time of a poll: the median of several windows. Each window includes one request for the number of polls.
fn cpu_per_poll(pid: u32, address: &str) -> Result<Duration> {
    let mut windows = Vec::with_capacity(WINDOWS);
    for _ in 0..WINDOWS {
        let (cpu_before, polls_before) = (process_cpu_time(pid)?, polls(address)?);
        thread::sleep(WINDOW);
        let polls = polls(address)? - polls_before;
        windows.push(process_cpu_time(pid)?.saturating_sub(cpu_before) / u32::try_from(polls.max(1))?);
    }
    windows.sort_unstable();
    Ok(windows[WINDOWS / 2])
}

/// How often the metrics page has been read.
fn polls(address: &str) -> Result<u64> {
    let metrics = get(address, "/metrics")?;
    let series = "lameduck_source_readings_total{source=\"metrics\",result=\"ok\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(series));
    Ok(count.ok_or("no readings")?.parse()?)
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
    warm.sample.print("at rest, after the first 10 %");
    end.sample.print("at rest, at the end");
    for (name, samples) in [("second", quarter(samples, 1)), ("last", quarter(samples, 3))] {
        let (resident, descriptors, threads) = max(samples);
        println!("max. in the {name} quarter {resident:>14} {descriptors:>21} {threads:>8}");
    }
    let (first, last) = (warm.cpu_per_poll.as_secs_f64(), end.cpu_per_poll.as_secs_f64());
    let [micros_first, micros_last] = [first, last].map(|seconds| seconds * 1e6);
    println!("CPU per poll at rest         {micros_first:.0} µs, at the end {micros_last:.0} µs: {:.2}", last / first);
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
    if end.sample.descriptors > warm.sample.descriptors {
        failures.push(format!("descriptors grew from {} to {}", warm.sample.descriptors, end.sample.descriptors));
    }
    // The runtime starts and ends up to two threads that read the socket table.
    if end.sample.threads > warm.sample.threads + 2 {
        failures.push(format!("threads grew from {} to {}", warm.sample.threads, end.sample.threads));
    }
    // Other work on the machine has changed the time of a poll by 56 %, so only a gross growth fails.
    if end.cpu_per_poll > warm.cpu_per_poll * 4 {
        failures.push(format!("the CPU time of a poll grew from {:?} to {:?}", warm.cpu_per_poll, end.cpu_per_poll));
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ").into()) }
}
