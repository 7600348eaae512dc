//! The pod: one sidecar, one engine after the other, streams that come and go, and a disk that is watched.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::callers::{call, get};
use lameduck_test_support::shipped::{Process, Result, example, line_of, target_dir};

const SETTINGS: [&str; 12] = [
    "--grace-period",
    "5m",
    "--lame-duck",
    "200ms",
    "--quiet-period",
    "200ms",
    "--exit-wait",
    "5s",
    "--poll-interval",
    "10ms",
    "--log-level",
    "debug",
];
/// Some work, some only listen, and none outlives a drain.
const STREAMS: [&str; 10] = [
    "--arrivals",
    "50/s",
    "--streams",
    "3:audio@2000",
    "--streams",
    "1:silent",
    "--durations",
    "100ms,500ms,1s,2s",
    "--chunk",
    "250ms",
];

/// How an engine's life ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Hook,
    HookAndOneThatLeaves,
    Kill,
    /// By its own fault, on a signal of this program.
    Crash,
}

pub(crate) struct Pod {
    pub(crate) address: String,
    sidecar: Process,
    log: Lines,
    streams: Process,
    endings: Option<Lines>,
    scratch: Scratch,
    ports: [String; 2],
    target: String,
    lives: u64,
    drains: BTreeMap<String, u64>,
}

/// Everything that the sidecar can name: its working directory, home, state dir and termination log are all in here.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self> {
        // On a real disk, where writing counts.
        let dir = target_dir()?.join(name);
        fs::create_dir_all(dir.join("state"))?;
        fs::write(dir.join("termination"), "")?;
        Ok(Self(dir))
    }

    /// Every file in it, which it is, how long, and when it was last written.
    fn look(&self) -> Result<Vec<(PathBuf, [i128; 4])>> {
        let mut files = Vec::new();
        for dir in [self.0.clone(), self.0.join("state")] {
            let entries = fs::read_dir(&dir)?.map(|entry| entry.map(|entry| entry.path()));
            for path in entries.chain([Ok(dir)]) {
                let path: PathBuf = path?;
                let about = fs::metadata(&path)?;
                let times = [about.mtime().into(), about.mtime_nsec().into()];
                files.push((path, [about.ino().into(), about.len().into(), times[0], times[1]]));
            }
        }
        files.sort();
        Ok(files)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Pod {
    pub(crate) fn start(binary: &Path) -> Result<Self> {
        let pid = std::process::id();
        let target = format!("lameduck-soak-{pid}");
        let scratch = Scratch::new(&target)?;
        // Below the ports that the kernel gives to clients, so that they are free for each engine.
        let port = 12_000 + pid % 6000 * 3;
        let [streams, metrics, address] = [0, 1, 2].map(|more| format!("127.0.0.1:{}", port + more));
        let mut command = Command::new(binary);
        command.arg("sidecar").args(SETTINGS).env_clear().current_dir(&scratch.0);
        command.env("HOME", &scratch.0).env("TMPDIR", &scratch.0);
        command.args(["--target", &target, "--listen", &address, "--state-dir", "state"]);
        command.args(["--termination-log", "termination", "--metrics-url", &format!("http://{metrics}/metrics")]);
        command.args(["--streams-port", &port.to_string(), "--activity-port", &port.to_string()]);
        let mut sidecar = Process(command.stderr(Stdio::piped()).spawn()?);
        let log = Lines::follow(sidecar.0.stderr.take().ok_or("no stderr")?);
        while get(&address, "/livez").is_err() && sidecar.0.try_wait()?.is_none() {
            thread::sleep(Duration::from_millis(10));
        }
        let mut client = Command::new(example("engine_client")?);
        client.args(["--url", &format!("ws://{streams}/v1/listen")]).args(STREAMS).stdout(Stdio::piped());
        let ports = [streams, metrics];
        let mut streams = Process(client.spawn()?);
        let endings = streams.0.stdout.take().map(Lines::follow);
        Ok(Self { address, sidecar, log, streams, endings, scratch, ports, target, lives: 0, drains: BTreeMap::new() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.sidecar.0.id()
    }

    /// One engine's life, from its start to its end.
    pub(crate) fn live(&mut self, how_long: Duration, end: End) -> Result<()> {
        let mut engine = self.engine()?;
        self.serve(|| {
            thread::sleep(how_long);
            Ok(())
        })?;
        match end {
            End::Hook => self.drain()?,
            End::HookAndOneThatLeaves => {
                drop(call(&self.address, "/prestop")?);
                self.drain()?;
            }
            End::Kill => engine.0.kill()?,
            End::Crash => kill(Pid::from_raw(engine.0.id().try_into()?), Signal::SIGUSR2)?,
        }
        engine.0.wait()?;
        Ok(())
    }

    /// Does something beside an engine that serves.
    pub(crate) fn beside_an_engine<T>(&mut self, deed: impl FnOnce() -> Result<T>) -> Result<T> {
        let _engine = self.engine()?;
        self.serve(deed)
    }

    fn engine(&mut self) -> Result<Process> {
        self.lives += 1;
        let mut command = Command::new(example("engine_sim")?);
        command.arg0(&self.target).args(["--listen", &self.ports[0], "--metrics", &self.ports[1]]);
        Ok(Process(command.stdout(Stdio::null()).spawn()?))
    }

    /// Waits until the pod is ready, and sees that the deed goes by without a byte for any disk.
    fn serve<T>(&mut self, deed: impl FnOnce() -> Result<T>) -> Result<T> {
        self.wait_until_ready()?;
        let before = (self.bytes_written()?, self.scratch.look()?);
        let done = deed()?;
        let after = (self.bytes_written()?, self.scratch.look()?);
        if before == after { Ok(done) } else { Err(format!("written while serving: {before:?}, {after:?}").into()) }
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        for _ in 0..3000 {
            if let Some(status) = self.sidecar.0.try_wait()? {
                return Err(format!("the sidecar has ended: {status}").into());
            }
            // The answer is from the last engine's time until the new one is in sight.
            if get(&self.address, "/readyz")?.starts_with("HTTP/1.1 200") {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("never ready: {}", get(&self.address, "/readyz")?).into())
    }

    /// Bytes that the sidecar caused to be sent to a disk, as the kernel counts them (proc(5), `write_bytes`).
    fn bytes_written(&self) -> Result<u64> {
        line_of(&format!("/proc/{}/io", self.pid()), "write_bytes")
    }

    fn drain(&mut self) -> Result<()> {
        let mut answer = String::new();
        let mut hook = call(&self.address, "/prestop")?;
        hook.set_read_timeout(Some(Duration::from_secs(60)))?;
        hook.read_to_string(&mut answer)?;
        let outcome = answer.split_once("{\"outcome\":\"").and_then(|(_, rest)| rest.split('"').next());
        *self.drains.entry(outcome.ok_or("no outcome")?.to_owned()).or_default() += 1;
        Ok(())
    }

    /// Ends the streams, and tells what there was in all.
    pub(crate) fn tell(&mut self, time: Duration, answered: u64) -> Result<()> {
        let metrics = get(&self.address, "/metrics")?;
        let sum =
            |series: &str| -> u64 { metrics.lines().filter(|line| line.starts_with(series)).filter_map(number).sum() };
        println!("time                         {:>8} s", time.as_secs());
        println!("readings                     {:>8}", sum("lameduck_source_readings_total"));
        println!("streams opened               {:>8}", self.end_streams()?);
        println!("  seen whole by the sidecar  {:>8}", sum("lameduck_stream_duration_seconds_count"));
        println!("engines, one after another   {:>8}", self.lives);
        println!("drains                       {:>8}  {:?}", self.drains.values().sum::<u64>(), self.drains);
        println!("requests answered            {answered:>8}");
        println!("log lines                    {:>8}", self.log.count.load(Ordering::Relaxed));
        println!("CPU of the sidecar           {:>8.1} %", self.cpu()? / time.as_secs_f64() * 100.0);
        println!("bytes written while serving  {:>8}", 0);
        println!("bytes written by the drains  {:>8}", self.bytes_written()?);
        Ok(())
    }

    /// How many streams there were.
    fn end_streams(&mut self) -> Result<u64> {
        kill(Pid::from_raw(self.streams.0.id().try_into()?), Signal::SIGTERM)?;
        let endings = self.endings.take().ok_or("told already")?;
        let totals = endings.last.join().map_err(|_| "the reader panicked")?;
        Ok(serde_json::from_slice::<serde_json::Value>(&totals)?["opened"].as_u64().ok_or("no totals")?)
    }

    /// The seconds of CPU that the sidecar has used.
    fn cpu(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split(' ').collect();
        let ticks = |index: usize| -> f64 { fields.get(index).and_then(|ticks| ticks.parse().ok()).unwrap_or(0.0) };
        Ok((ticks(11) + ticks(12)) / 100.0)
    }
}

fn number(line: &str) -> Option<u64> {
    line.rsplit(' ').next()?.parse().ok()
}

/// The lines of a process, which are read as they come; none is kept but the last.
struct Lines {
    count: Arc<AtomicU64>,
    last: thread::JoinHandle<Vec<u8>>,
}

impl Lines {
    fn follow(source: impl Read + Send + 'static) -> Self {
        let count = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&count);
        let last = thread::spawn(move || {
            let lines = BufReader::new(source).split(b'\n').map_while(std::result::Result::ok);
            let count = |_: &Vec<u8>| _ = counter.fetch_add(1, Ordering::Relaxed);
            lines.inspect(count).last().unwrap_or_default()
        });
        Self { count, last }
    }
}
