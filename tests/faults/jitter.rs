//! The clock that the engines and the test share, and how late this machine runs: how late sleeping threads wake up, how
//! much longer than its CPU time a piece of work takes, and how long it takes to write a small file.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs, io, process, thread};

use rustix::time::{ClockId, clock_gettime};

/// How long a measuring thread sleeps at a time, and how many of these threads there are.
const SLEEP: Duration = Duration::from_millis(5);
const SLEEPERS: usize = 4;
/// Delays up to this are normal on an idle machine and are not recorded.
const NORMAL_DELAY: Duration = Duration::from_millis(5);

/// CPU time of a measured piece of work, and the pause between two of them.
const WORK: Duration = Duration::from_millis(15);
const WORK_PAUSE: Duration = Duration::from_millis(135);

/// The pause between two writes of a file.
const FILE_PAUSE: Duration = Duration::from_millis(50);

/// Recorded delays: when each ended, and how long it was.
type Delays = Mutex<Vec<(Duration, Duration)>>;
static WAKE_DELAYS: Delays = Mutex::new(Vec::new());
static CPU_DELAYS: Delays = Mutex::new(Vec::new());
static FILE_DELAYS: Delays = Mutex::new(Vec::new());

/// The time since boot, which is the same in every process.
pub(crate) fn now() -> Duration {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).expect("the clock began at zero");
    Duration::new(seconds, u32::try_from(now.tv_nsec).expect("less than a second"))
}

pub(crate) fn sleep_until(moment: Duration) {
    thread::sleep(moment.saturating_sub(now()));
}

/// Starts the threads that measure delays.
pub(crate) fn start() {
    for _ in 0..SLEEPERS {
        thread::spawn(|| {
            loop {
                let due = now() + SLEEP;
                sleep_until(due);
                record(&WAKE_DELAYS, due);
            }
        });
    }
    thread::spawn(|| {
        loop {
            thread::sleep(WORK_PAUSE);
            let due = now() + WORK;
            let enough = read(ClockId::ThreadCPUTime) + WORK;
            while read(ClockId::ThreadCPUTime) < enough {}
            record(&CPU_DELAYS, due);
        }
    });
    // On the disk of the sidecars' files, which other programs may keep busy.
    let path = env::temp_dir().join(format!("lameduck-faults-{}", process::id()));
    thread::spawn(move || {
        loop {
            thread::sleep(FILE_PAUSE);
            let due = now();
            replace_file(&path).expect("the folder for temporary files is writable");
            record(&FILE_DELAYS, due);
        }
    });
}

/// Writes a file as a sidecar saves a drain: under another name first.
fn replace_file(path: &Path) -> io::Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, [b' '; 512])?;
    fs::rename(&temporary, path)?;
    fs::remove_file(path)
}

fn record(delays: &Delays, due: Duration) {
    let delay = now().saturating_sub(due);
    if delay > NORMAL_DELAY {
        delays.lock().unwrap_or_else(PoisonError::into_inner).push((now(), delay));
    }
}

/// The longest that a thread was late to wake up in this period.
pub(crate) fn max_scheduling_delay(from: Duration, to: Duration) -> Duration {
    max_delay(&WAKE_DELAYS, from, to)
}

/// The longest that a piece of work had to wait for the CPU in this period.
pub(crate) fn max_cpu_delay(from: Duration, to: Duration) -> Duration {
    max_delay(&CPU_DELAYS, from, to)
}

/// The longest that a small file took to be written in this period.
pub(crate) fn max_file_delay(from: Duration, to: Duration) -> Duration {
    max_delay(&FILE_DELAYS, from, to)
}

fn max_delay(delays: &Delays, from: Duration, to: Duration) -> Duration {
    let delays = delays.lock().unwrap_or_else(PoisonError::into_inner);
    let overlapping = delays.iter().filter(|(ended, delay)| *ended >= from && *ended - *delay <= to);
    overlapping.map(|(_, delay)| *delay).max().unwrap_or_default()
}
