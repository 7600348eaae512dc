//! Whether lameduck grows over time: runs the release binary, built with the image's flags, through a compressed hour of
//! work.
//!
//! `cargo bench --bench soak` takes a minute, `LAMEDUCK_SOAK_SECONDS=3600 cargo bench --bench soak` an hour. One sidecar
//! polls a hundred times as often as by default, while streams come and go, engines drain, crash and are replaced, and
//! probes, scrapes and misbehaving clients call. Exits with 1 if memory, descriptors, threads or the CPU time of a poll grow,
//! or if anything is written to a disk while the sidecar serves.

mod callers;
mod pod;
mod samples;

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::callers::Callers;
use crate::pod::{End, Pod};
use crate::samples::{AtRest, Sample};
use lameduck_test_support::shipped::{Result, now};

/// How long each engine serves before it is ended.
const SERVING_TIME: Duration = Duration::from_secs(2);

fn main() -> Result<()> {
    let length: u64 = env::var("LAMEDUCK_SOAK_SECONDS").map_or(Ok(60), |seconds| seconds.parse())?;
    let length = Duration::from_secs(length.max(20));
    let binary = lameduck_test_support::shipped::build(&["engine_sim", "engine_client"])?;
    let mut pod = Pod::start(&binary)?;
    let callers = Callers::start(&pod.address);
    let sampler = Sampler::start(pod.pid(), length / 240);
    let start = now()?;
    // Buffers and the allocator's arenas reach their size in the warm-up.
    run_engines_until(&mut pod, start + length / 10)?;
    let warm = measure_at_rest(&mut pod, &callers)?;
    run_engines_until(&mut pod, start + length)?;
    let end = measure_at_rest(&mut pod, &callers)?;
    let collected = sampler.stop()?;
    let answered = callers.stop();
    pod.print_totals(now()?.saturating_sub(start), answered)?;
    samples::print(&collected, warm, end);
    samples::check_growth(&collected, warm, end)?;
    println!("nothing has grown");
    Ok(())
}

/// Runs one engine after the other until this time.
fn run_engines_until(pod: &mut Pod, end: Duration) -> Result<()> {
    let ends = [End::Hook, End::Kill, End::HookAndDisconnect, End::Crash];
    for how in ends.into_iter().cycle() {
        if now()? >= end {
            break;
        }
        pod.run_engine(SERVING_TIME, how)?;
    }
    Ok(())
}

/// Measures the sidecar while an engine serves and the callers are paused.
fn measure_at_rest(pod: &mut Pod, callers: &Callers) -> Result<AtRest> {
    let _pause = callers.pause();
    let (pid, address) = (pod.pid(), pod.address.clone());
    pod.with_engine(|| AtRest::measure(pid, &address))
}

/// Samples the process from outside at a fixed interval.
struct Sampler {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<std::result::Result<Vec<Sample>, String>>,
}

impl Sampler {
    fn start(pid: u32, interval: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut samples = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(interval);
                samples.push(Sample::take(pid).map_err(|error| error.to_string())?);
            }
            Ok(samples)
        });
        Self { stop, thread }
    }

    fn stop(self) -> Result<Vec<Sample>> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the sampler panicked")??)
    }
}
