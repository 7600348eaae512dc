//! How fast probes are answered while the open port is overloaded: `cargo bench --bench overload`.
//!
//! Runs the release binary with the image's flags through one long drain, and attacks it over loopback, on the same
//! cores. The probes come from an address of their own, as the kubelet's do. Exits with 1 if a median, the memory or the
//! descriptors exceed their limit, or if an attack has changed the drain.

mod attacks;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::attacks::{Attack, connect};
use lameduck_test_support::shipped::{Process, Result, descriptors, example, now, status};

/// Source address of the probes and of the hook call.
const KUBELET: Ipv4Addr = Ipv4Addr::new(127, 9, 9, 9);
const MIN_PROBES: usize = 200;
const MAX_MEDIAN: Duration = Duration::from_millis(50);
const MAX_MEMORY_KB: u64 = 16 * 1024;
const MAX_DESCRIPTORS: usize = 384 + 32;
const TARGET: &str = "lameduck-overload";

fn main() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let pod = Pod::start(&lameduck_test_support::shipped::build(&["engine_sim"])?)?;
    println!(
        "{:<42} {:>9} {:>9} {:>9} {:>12} {:>10}",
        "probes during", "median", "p99", "peak", "descriptors", "attempts"
    );
    let mut failures = Vec::new();
    pod.measure_under("no attack, serving", &|_| {}, "HTTP/1.1 200", &mut failures)?;
    let hook = Hook::call(&pod)?;
    pod.measure_under("no attack, draining", &|_| {}, "HTTP/1.1 503", &mut failures)?;
    for (name, attack) in attacks::ALL {
        pod.measure_under(name, attack, "HTTP/1.1 503", &mut failures)?;
    }
    failures.extend(hook.finish(&pod)?);
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ").into()) }
}

struct Pod {
    _engine: Process,
    /// Address of the engine's metrics page.
    page: String,
    sidecar: Process,
    address: SocketAddr,
}

impl Pod {
    fn start(binary: &Path) -> Result<Self> {
        let mut engine = Command::new(example("engine_sim")?);
        engine.arg0(TARGET).args(["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--page", "says:1"]);
        let mut engine = Process(engine.stdout(Stdio::piped()).spawn()?);
        let mut lines = BufReader::new(engine.0.stdout.take().ok_or("no stdout")?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        let page = line.split_whitespace().find_map(|word| word.strip_prefix("metrics=")).ok_or("no page")?.to_owned();
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut sidecar = Command::new(binary);
        sidecar.env_clear().args(["sidecar", "--grace-period", "1h", "--lame-duck", "0s", "--state-dir", "none"]);
        sidecar.args(["--target", TARGET, "--signal", "none", "--metrics-url", &format!("http://{page}/metrics")]);
        sidecar.args(["--listen", &address.to_string()]);
        let sidecar = Process(sidecar.stderr(Stdio::null()).spawn()?);
        let pod = Self { _engine: engine, page, sidecar, address };
        pod.wait_until(|pod| pod.get("/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")))?;
        Ok(pod)
    }

    fn wait_until(&self, condition: impl Fn(&Self) -> bool) -> Result<()> {
        for _ in 0..1000 {
            if condition(self) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err("timed out".into())
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut answer = String::new();
        self.send(path)?.read_to_string(&mut answer)?;
        if answer.is_empty() { Err(format!("no answer to {path}").into()) } else { Ok(answer) }
    }

    /// Sends a request whose answer the caller reads.
    fn send(&self, path: &str) -> Result<TcpStream> {
        let mut stream = connect(KUBELET, self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        Ok(stream)
    }

    /// Measures probes during an attack, until both have finished.
    fn measure_under(
        &self,
        name: &str,
        attack: &(dyn Fn(&Attack) + Sync),
        readiness: &str,
        failures: &mut Vec<String>,
    ) -> Result<()> {
        // Resets the peak of the resident memory (proc(5), clear_refs).
        fs::write(format!("/proc/{}/clear_refs", self.sidecar.0.id()), "5")?;
        let (stop, attempts) = (AtomicBool::new(false), AtomicU64::new(0));
        let running = Attack { address: self.address, stop: &stop, attempts: &attempts };
        let figures = thread::scope(|scope| {
            let attacker = scope.spawn(|| attack(&running));
            let figures = self.probe(&attacker, readiness);
            stop.store(true, Ordering::Relaxed);
            figures
        })?;
        figures.print(name, attempts.load(Ordering::Relaxed));
        failures.extend(figures.failure(name));
        Ok(())
    }

    /// Probes the sidecar; `/readyz` must answer with `readiness`.
    fn probe(&self, attacker: &thread::ScopedJoinHandle<'_, ()>, readiness: &str) -> Result<Figures> {
        let (pid, probes) = (self.sidecar.0.id(), [("/livez", "HTTP/1.1 200"), ("/readyz", readiness)]);
        let mut figures = Figures::default();
        // An endless attack ends with the probes; any other is waited for, up to a limit.
        let limit = now()? + Duration::from_secs(10);
        while figures.times.len() < MIN_PROBES || (!attacker.is_finished() && now()? < limit) {
            let (path, expected) = probes[figures.times.len() % 2];
            let start = now()?;
            let answer = self.get(path).unwrap_or_else(|error| error.to_string());
            figures.times.push(now()?.saturating_sub(start));
            figures.failed_probes += usize::from(!answer.starts_with(expected));
            figures.descriptors = figures.descriptors.max(descriptors(pid)?);
            thread::sleep(Duration::from_millis(10));
        }
        figures.times.sort_unstable();
        figures.peak_kb = status(pid, "VmHWM")?;
        Ok(figures)
    }
}

#[derive(Default)]
struct Figures {
    times: Vec<Duration>,
    failed_probes: usize,
    descriptors: usize,
    peak_kb: u64,
}

impl Figures {
    fn print(&self, name: &str, attempts: u64) {
        let time = |percent: usize| format!("{:.1?}", self.times[(self.times.len() - 1) * percent / 100]);
        let peak = format!("{} kB", self.peak_kb);
        println!("{name:<42} {:>9} {:>9} {peak:>9} {:>12} {attempts:>10}", time(50), time(99), self.descriptors);
    }

    /// Which limits were exceeded; up to 1 % of the probes may fail.
    fn failure(&self, name: &str) -> Option<String> {
        let (median, probes) = (self.times[self.times.len() / 2], self.times.len());
        let within_limits = median <= MAX_MEDIAN
            && self.peak_kb <= MAX_MEMORY_KB
            && self.descriptors <= MAX_DESCRIPTORS
            && self.failed_probes * 100 <= probes;
        (!within_limits).then(|| {
            let Self { failed_probes, descriptors, peak_kb, .. } = self;
            format!(
                "during {name}: median {median:.1?}, {peak_kb} kB, {descriptors} descriptors, \
                 {failed_probes} of {probes} probes failed"
            )
        })
    }
}

/// The kubelet's hook call, which must survive every attack.
struct Hook {
    stream: TcpStream,
    deadline: String,
}

impl Hook {
    fn call(pod: &Pod) -> Result<Self> {
        let stream = pod.send("/prestop")?;
        pod.wait_until(|pod| pod.get("/readyz").is_ok_and(|answer| answer.ends_with("draining\n")))?;
        Ok(Self { stream, deadline: Self::deadline(pod)? })
    }

    fn deadline(pod: &Pod) -> Result<String> {
        let metrics = pod.get("/metrics")?;
        let line = metrics.lines().find(|line| line.starts_with("lameduck_drain_deadline_timestamp_seconds "));
        Ok(line.ok_or("no deadline")?.to_owned())
    }

    /// Ends the last stream and reads the outcome; returns what is wrong with the drain, if anything.
    fn finish(mut self, pod: &Pod) -> Result<Option<String>> {
        let deadline = Self::deadline(pod)?;
        let mut page = TcpStream::connect(&pod.page)?;
        write!(page, "PUT /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\nsays:0")?;
        page.read_to_end(&mut Vec::new())?;
        self.stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut answer = String::new();
        let _ = self.stream.read_to_string(&mut answer);
        let outcome = answer.lines().last().unwrap_or("no answer");
        println!("answer to the hook call held throughout: {outcome}");
        let unchanged = outcome.contains("\"outcome\":\"drained\"") && deadline == self.deadline;
        Ok((!unchanged)
            .then(|| format!("the drain was changed: {outcome}; deadline {deadline}, before: {}", self.deadline)))
    }
}
