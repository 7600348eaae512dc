//! Whether lameduck grows with time: the release binary as it is shipped, beside a scaled hour of work.
//!
//! `cargo bench --bench soak` takes a minute, `LAMEDUCK_SOAK_SECONDS=3600 cargo bench --bench soak` an hour. Polls come a
//! hundred times as often as by default; streams come and go, the engine drains, crashes and is replaced, probes, scrapes
//! and rude callers ask, and one sidecar lives through it all. It exits with 1 where memory, descriptors or threads grow,
//! or where anything is written to a disk while it serves.

mod callers;
mod pod;
mod readings;

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::callers::Callers;
use crate::pod::{End, Pod};
use crate::readings::{Reading, Rest, judge};
use lameduck_test_support::shipped::{Result, now};

/// How long an engine serves before its life is ended.
const LIFE: Duration = Duration::from_secs(2);

fn main() -> Result<()> {
    let length: u64 = env::var("LAMEDUCK_SOAK_SECONDS").map_or(Ok(60), |seconds| seconds.parse())?;
    let length = Duration::from_secs(length.max(20));
    let binary = lameduck_test_support::shipped::build(&["engine_sim", "engine_client"])?;
    let mut pod = Pod::start(&binary)?;
    let callers = Callers::start(&pod.address);
    let looks = Sampler::start(pod.pid(), length / 240);
    let begin = now()?;
    // Buffers and the allocator's arenas find their size first.
    live_until(&mut pod, begin + length / 10)?;
    let warm = rest(&mut pod, &callers)?;
    live_until(&mut pod, begin + length)?;
    let end = rest(&mut pod, &callers)?;
    let samples = looks.stop()?;
    let answered = callers.stop();
    pod.tell(now()?.saturating_sub(begin), answered)?;
    readings::tell(&samples, warm, end);
    judge(&samples, warm, end)?;
    println!("nothing has grown");
    Ok(())
}

/// One engine after the other, until it is that late.
fn live_until(pod: &mut Pod, end: Duration) -> Result<()> {
    let ends = [End::Hook, End::Kill, End::HookAndOneThatLeaves, End::Crash];
    for how in ends.into_iter().cycle() {
        if now()? >= end {
            break;
        }
        pod.live(LIFE, how)?;
    }
    Ok(())
}

/// What is held when nobody asks and an engine serves.
fn rest(pod: &mut Pod, callers: &Callers) -> Result<Rest> {
    let _quiet = callers.pause();
    let pid = pod.pid();
    pod.beside_an_engine(|| Rest::look(pid))
}

/// Looks at the process from outside, again and again.
struct Sampler {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<std::result::Result<Vec<Reading>, String>>,
}

impl Sampler {
    fn start(pid: u32, interval: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut samples = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(interval);
                samples.push(Reading::take(pid).map_err(|error| error.to_string())?);
            }
            Ok(samples)
        });
        Self { stop, thread }
    }

    fn stop(self) -> Result<Vec<Reading>> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the sampler panicked")??)
    }
}
