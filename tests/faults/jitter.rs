//! The clock that the engines and the test share, and how late this machine is: with timers for those who sleep, and
//! with the processor for those who work.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How long a control sleeps.
const NAP: Duration = Duration::from_millis(5);
/// Naps of so many threads tell how the machine is doing.
const CONTROLS: usize = 4;
/// What a machine that is not busy needs to wake somebody.
const USUAL: Duration = Duration::from_millis(5);

/// How much of the processor a piece of work takes, and how long there is none.
const WORK: Duration = Duration::from_millis(15);
const REST: Duration = Duration::from_millis(135);

/// What took too long: when each ended, and how late.
type Late = Mutex<Vec<(Duration, Duration)>>;
static NAPS: Late = Mutex::new(Vec::new());
static WORKS: Late = Mutex::new(Vec::new());

/// The time since boot, which is the same in every process.
pub(crate) fn now() -> Duration {
    clock(ClockId::Monotonic)
}

fn clock(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).expect("it began at zero");
    Duration::new(seconds, u32::try_from(now.tv_nsec).expect("less than a second"))
}

pub(crate) fn sleep_until(moment: Duration) {
    thread::sleep(moment.saturating_sub(now()));
}

/// Starts the threads that sleep or work, and look how late they are.
pub(crate) fn start() {
    for _ in 0..CONTROLS {
        thread::spawn(|| {
            loop {
                let due = now() + NAP;
                sleep_until(due);
                note(&NAPS, due);
            }
        });
    }
    thread::spawn(|| {
        loop {
            thread::sleep(REST);
            let due = now() + WORK;
            let enough = clock(ClockId::ThreadCPUTime) + WORK;
            while clock(ClockId::ThreadCPUTime) < enough {}
            note(&WORKS, due);
        }
    });
}

fn note(late: &Late, due: Duration) {
    let by = now().saturating_sub(due);
    if by > USUAL {
        late.lock().unwrap_or_else(PoisonError::into_inner).push((now(), by));
    }
}

/// The worst that a sleeper met within this time.
pub(crate) fn worst_nap(from: Duration, to: Duration) -> Duration {
    worst(&NAPS, from, to)
}

/// The worst that a worker met within this time.
pub(crate) fn worst_work(from: Duration, to: Duration) -> Duration {
    worst(&WORKS, from, to)
}

fn worst(late: &Late, from: Duration, to: Duration) -> Duration {
    let late = late.lock().unwrap_or_else(PoisonError::into_inner);
    let met = late.iter().filter(|(ended, by)| *ended >= from && *ended - *by <= to);
    met.map(|(_, by)| *by).max().unwrap_or_default()
}
