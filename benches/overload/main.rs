//! How fast probes are answered while the open port is besieged: `cargo bench --bench siege`.
//!
//! The release binary as it is shipped, in the middle of a drain, and beside it those who mean no good, on loopback and
//! on the same cores. The probes come from an address of their own, as the kubelet's do. It exits with 1 where a median
//! or the memory is beyond its bound, or where the drain was touched.

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

/// Where the probes come from, and the hook.
const KUBELET: Ipv4Addr = Ipv4Addr::new(127, 9, 9, 9);
/// How many probes there are at least.
const PROBES: usize = 200;
/// The longest median that will do.
const MEDIAN: Duration = Duration::from_millis(50);
/// The most memory that will do, in kB.
const MEMORY: u64 = 16 * 1024;
/// The most descriptors that will do.
const DESCRIPTORS: usize = 384 + 32;
const TARGET: &str = "lameduck-siege";

fn main() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let pod = Pod::start(&lameduck_test_support::shipped::build(&["engine_sim"])?)?;
    println!(
        "{:<42} {:>9} {:>9} {:>9} {:>12} {:>10}",
        "probes under", "median", "p99", "peak", "descriptors", "attempts"
    );
    let mut faults = Vec::new();
    pod.besiege("nothing", &|_| {}, &mut faults)?;
    let hook = Hook::call(&pod)?;
    pod.besiege("nothing, in a drain", &|_| {}, &mut faults)?;
    for (name, attack) in attacks::ALL {
        pod.besiege(name, attack, &mut faults)?;
    }
    faults.extend(hook.fault(&pod)?);
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ").into()) }
}

struct Pod {
    _engine: Process,
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
        Err("waited in vain".into())
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut answer = String::new();
        self.call(path)?.read_to_string(&mut answer)?;
        if answer.is_empty() { Err(format!("no answer to {path}").into()) } else { Ok(answer) }
    }

    fn call(&self, path: &str) -> Result<TcpStream> {
        let mut stream = connect(KUBELET, self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        Ok(stream)
    }

    /// Measures probes while there is an attack, until both are through.
    fn besiege(&self, name: &str, attack: &(dyn Fn(&Attack) + Sync), faults: &mut Vec<String>) -> Result<()> {
        // To begin a new peak (proc(5), clear_refs).
        fs::write(format!("/proc/{}/clear_refs", self.sidecar.0.id()), "5")?;
        let (stop, attempts) = (AtomicBool::new(false), AtomicU64::new(0));
        let siege = Attack { address: self.address, stop: &stop, attempts: &attempts };
        let figures = thread::scope(|scope| {
            let attacker = scope.spawn(|| attack(&siege));
            let figures = self.measure(&attacker, name != "nothing");
            stop.store(true, Ordering::Relaxed);
            figures
        })?;
        figures.tell(name, attempts.load(Ordering::Relaxed));
        faults.extend(figures.fault(name));
        Ok(())
    }

    fn measure(&self, attacker: &thread::ScopedJoinHandle<'_, ()>, drains: bool) -> Result<Figures> {
        let (pid, expected) =
            (self.sidecar.0.id(), ["HTTP/1.1 200", if drains { "HTTP/1.1 503" } else { "HTTP/1.1 200" }]);
        let mut figures = Figures::default();
        // What is endless ends with the probes, and what is not is waited for.
        let enough = now()? + Duration::from_secs(10);
        while figures.times.len() < PROBES || (!attacker.is_finished() && now()? < enough) {
            let which = figures.times.len() % 2;
            let start = now()?;
            let answer = self.get(["/livez", "/readyz"][which]).unwrap_or_else(|error| error.to_string());
            figures.times.push(now()?.saturating_sub(start));
            figures.unanswered += usize::from(!answer.starts_with(expected[which]));
            figures.descriptors = figures.descriptors.max(descriptors(pid)?);
            thread::sleep(Duration::from_millis(10));
        }
        figures.times.sort_unstable();
        figures.peak = status(pid, "VmHWM")?;
        Ok(figures)
    }
}

#[derive(Default)]
struct Figures {
    times: Vec<Duration>,
    unanswered: usize,
    descriptors: usize,
    /// In kB.
    peak: u64,
}

impl Figures {
    fn tell(&self, name: &str, attempts: u64) {
        let time = |percent: usize| format!("{:.1?}", self.times[(self.times.len() - 1) * percent / 100]);
        let peak = format!("{} kB", self.peak);
        println!("{name:<42} {:>9} {:>9} {peak:>9} {:>12} {attempts:>10}", time(50), time(99), self.descriptors);
    }

    fn fault(&self, name: &str) -> Option<String> {
        let median = self.times[self.times.len() / 2];
        let few_unanswered = self.unanswered * 100 <= self.times.len();
        let well = median <= MEDIAN && self.peak <= MEMORY && self.descriptors <= DESCRIPTORS && few_unanswered;
        (!well).then(|| {
            format!(
                "under {name}: {median:.1?}, {} kB, {} descriptors, {} of {} probes without their answer",
                self.peak,
                self.descriptors,
                self.unanswered,
                self.times.len()
            )
        })
    }
}

/// The kubelet's call, which is to outlive everything.
struct Hook {
    stream: TcpStream,
    deadline: String,
}

impl Hook {
    fn call(pod: &Pod) -> Result<Self> {
        let stream = pod.call("/prestop")?;
        pod.wait_until(|pod| pod.get("/readyz").is_ok_and(|answer| answer.ends_with("draining\n")))?;
        Ok(Self { stream, deadline: Self::deadline(pod)? })
    }

    fn deadline(pod: &Pod) -> Result<String> {
        let metrics = pod.get("/metrics")?;
        let line = metrics.lines().find(|line| line.starts_with("lameduck_drain_deadline_timestamp_seconds "));
        Ok(line.ok_or("no deadline")?.to_owned())
    }

    /// What has become of the drain, if that is not what should have.
    fn fault(mut self, pod: &Pod) -> Result<Option<String>> {
        let deadline = Self::deadline(pod)?;
        let mut page = TcpStream::connect(&pod.page)?;
        write!(page, "PUT /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\nsays:0")?;
        page.read_to_end(&mut Vec::new())?;
        self.stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut answer = String::new();
        let _ = self.stream.read_to_string(&mut answer);
        let outcome = answer.lines().last().unwrap_or("nothing");
        println!("the hook that was held all the while: {outcome}");
        let well = outcome.starts_with("{\"outcome\":\"drained\"") && deadline == self.deadline;
        Ok((!well).then(|| format!("the drain was touched: {outcome}, {deadline}, at first {}", self.deadline)))
    }
}
