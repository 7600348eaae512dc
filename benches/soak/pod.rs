//! The pod: one sidecar, one engine after the other, streams that come and go, and a check for disk writes.

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

use crate::callers::{get, send};
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
/// Three of four streams send audio, the fourth is silent; all are shorter than a drain.
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

/// How an engine ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Hook,
    /// The hook, after another hook caller has disconnected.
    HookAndDisconnect,
    Kill,
    /// A crash, which SIGUSR2 triggers in the simulated engine.
    Crash,
}

pub(crate) struct Pod {
    pub(crate) address: String,
    sidecar: Process,
    log: Lines,
    streams: Process,
    endings: Option<Lines>,
    scratch: Scratch,
    /// Addresses of the engine's streams and of its metrics page.
    ports: [String; 2],
    target: String,
    engines: u64,
    /// Number of drains by outcome.
    drains: BTreeMap<String, u64>,
}

/// A directory that contains every path that the sidecar knows: its working directory, home, state and termination log.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self> {
        // On a real disk, where writes are counted.
        let dir = target_dir()?.join(name);
        fs::create_dir_all(dir.join("state"))?;
        fs::write(dir.join("termination"), "")?;
        Ok(Self(dir))
    }

    /// Inode, length and modification time of every file.
    fn list(&self) -> Result<Vec<(PathBuf, [i128; 4])>> {
        let mut files = Vec::new();
        for dir in [self.0.clone(), self.0.join("state")] {
            let entries = fs::read_dir(&dir)?.map(|entry| entry.map(|entry| entry.path()));
            for path in entries.chain([Ok(dir)]) {
                let path: PathBuf = path?;
                let metadata = fs::metadata(&path)?;
                let times = [metadata.mtime().into(), metadata.mtime_nsec().into()];
                files.push((path, [metadata.ino().into(), metadata.len().into(), times[0], times[1]]));
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
        // Below the kernel's ephemeral ports, so that the ports stay free for the next engine.
        let port = 12_000 + pid % 6000 * 3;
        let [streams, metrics, address] = [0, 1, 2].map(|offset| format!("127.0.0.1:{}", port + offset));
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
        Ok(Self {
            address,
            sidecar,
            log,
            streams,
            endings,
            scratch,
            ports,
            target,
            engines: 0,
            drains: BTreeMap::new(),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.sidecar.0.id()
    }

    /// Runs one engine from start to end.
    pub(crate) fn run_engine(&mut self, serving_time: Duration, end: End) -> Result<()> {
        let mut engine = self.start_engine()?;
        self.serve(|| {
            thread::sleep(serving_time);
            Ok(())
        })?;
        match end {
            End::Hook => self.drain()?,
            End::HookAndDisconnect => {
                drop(send(&self.address, "/prestop")?);
                self.drain()?;
            }
            End::Kill => engine.0.kill()?,
            End::Crash => kill(Pid::from_raw(engine.0.id().try_into()?), Signal::SIGUSR2)?,
        }
        engine.0.wait()?;
        Ok(())
    }

    /// Runs an action while an engine serves.
    pub(crate) fn with_engine<T>(&mut self, action: impl FnOnce() -> Result<T>) -> Result<T> {
        let _engine = self.start_engine()?;
        self.serve(action)
    }

    fn start_engine(&mut self) -> Result<Process> {
        self.engines += 1;
        let mut command = Command::new(example("engine_sim")?);
        command.arg0(&self.target).args(["--listen", &self.ports[0], "--metrics", &self.ports[1]]);
        Ok(Process(command.stdout(Stdio::null()).spawn()?))
    }

    /// Waits until the pod is ready, runs an action, and checks that the sidecar wrote nothing to a disk meanwhile.
    fn serve<T>(&mut self, action: impl FnOnce() -> Result<T>) -> Result<T> {
        self.wait_until_ready()?;
        let before = (self.bytes_written()?, self.scratch.list()?);
        let result = action()?;
        let after = (self.bytes_written()?, self.scratch.list()?);
        if before == after { Ok(result) } else { Err(format!("written while serving: {before:?}, {after:?}").into()) }
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        for _ in 0..3000 {
            if let Some(status) = self.sidecar.0.try_wait()? {
                return Err(format!("the sidecar has exited: {status}").into());
            }
            // Until the sidecar has found the new engine, the answer still refers to the last one.
            if get(&self.address, "/readyz")?.starts_with("HTTP/1.1 200") {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("timed out waiting for readiness: {}", get(&self.address, "/readyz")?).into())
    }

    /// Bytes that the sidecar has written to disks, as the kernel counts them (proc(5), `write_bytes`).
    fn bytes_written(&self) -> Result<u64> {
        line_of(&format!("/proc/{}/io", self.pid()), "write_bytes")
    }

    fn drain(&mut self) -> Result<()> {
        let mut answer = String::new();
        let mut hook = send(&self.address, "/prestop")?;
        hook.set_read_timeout(Some(Duration::from_secs(60)))?;
        hook.read_to_string(&mut answer)?;
        let outcome = answer.split_once("\"outcome\":\"").and_then(|(_, rest)| rest.split('"').next());
        *self.drains.entry(outcome.ok_or("no outcome")?.to_owned()).or_default() += 1;
        Ok(())
    }

    /// Ends the streams, and prints the totals.
    pub(crate) fn print_totals(&mut self, time: Duration, answered: u64) -> Result<()> {
        let metrics = get(&self.address, "/metrics")?;
        let sum =
            |series: &str| -> u64 { metrics.lines().filter(|line| line.starts_with(series)).filter_map(number).sum() };
        println!("time                         {:>8} s", time.as_secs());
        println!("readings                     {:>8}", sum("lameduck_source_readings_total"));
        println!("streams opened               {:>8}", self.end_streams()?);
        println!("  timed by the sidecar       {:>8}", sum("lameduck_stream_duration_seconds_count"));
        println!("engines                      {:>8}", self.engines);
        println!("drains                       {:>8}  {:?}", self.drains.values().sum::<u64>(), self.drains);
        println!("requests answered            {answered:>8}");
        println!("log lines                    {:>8}", self.log.count.load(Ordering::Relaxed));
        println!("CPU of the sidecar           {:>8.1} %", self.cpu()? / time.as_secs_f64() * 100.0);
        println!("bytes written while serving  {:>8}", 0);
        println!("bytes written by the drains  {:>8}", self.bytes_written()?);
        Ok(())
    }

    /// Ends the streams, and returns how many there were.
    fn end_streams(&mut self) -> Result<u64> {
        kill(Pid::from_raw(self.streams.0.id().try_into()?), Signal::SIGTERM)?;
        let endings = self.endings.take().ok_or("the streams have already ended")?;
        let totals = endings.last.join().map_err(|_| "the reader panicked")?;
        Ok(serde_json::from_slice::<serde_json::Value>(&totals)?["opened"].as_u64().ok_or("no totals")?)
    }

    /// CPU time of the sidecar, in seconds.
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

/// Reads the lines of a process as they come; counts them, and keeps the last one.
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
