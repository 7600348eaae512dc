//! What lameduck costs: the size of the static release binary, and its memory when idle, with hook callers, and when it
//! polls large pages.
//!
//! `cargo bench --bench footprint` builds the binary with the image's flags and measures real processes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use lameduck_test_support::shipped::{Process, Result, example, status};

const TARGET: &str = concat!(env!("CARGO_PKG_NAME"), "-bench");
const MIB: f64 = 1024.0 * 1024.0;

fn main() -> Result<()> {
    let binary = lameduck_test_support::shipped::build(&["engine_sim"])?;
    println!("binary, static and stripped     {:6.2} MiB", size(&binary)? / MIB);
    let engine = start_engine(0)?;
    let sidecar = Sidecar::start(&binary, &engine, "1s")?;
    println!("resident, idle                  {:6.2} MiB", sidecar.memory("VmRSS")?);
    let callers: Result<Vec<TcpStream>> = (0..100).map(|_| sidecar.call_hook()).collect();
    sidecar.wait_for("/metrics", "lameduck_hook_callers 100\n")?;
    println!("resident, with 100 callers      {:6.2} MiB", sidecar.memory("VmRSS")?);
    drop((callers?, sidecar, engine));
    for page_bytes in [10_000, 1_000_000, 60_000_000] {
        let engine = start_engine(page_bytes)?;
        let sidecar = Sidecar::start(&binary, &engine, "100ms")?;
        sidecar.wait_for_readings(5)?;
        println!("peak, polling a {:>8} kB page {:6.2} MiB", page_bytes / 1000, sidecar.memory("VmHWM")?);
    }
    Ok(())
}

fn size(path: &Path) -> Result<f64> {
    Ok(f64::from(u32::try_from(fs::metadata(path)?.len())?))
}

struct Engine {
    _process: Process,
    metrics: String,
}

/// Starts a simulated engine whose metrics page is padded by this many bytes.
fn start_engine(pad: u64) -> Result<Engine> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(example("engine_sim")?);
    command.arg0(TARGET).args(["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--pad-page", &pad.to_string()]);
    let mut process = Process(command.stdout(Stdio::piped()).spawn()?);
    let mut lines = BufReader::new(process.0.stdout.take().ok_or("no stdout")?);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    thread::spawn(move || lines.read_to_end(&mut Vec::new()));
    let metrics = line.split_whitespace().find_map(|word| word.strip_prefix("metrics="));
    Ok(Engine { metrics: metrics.ok_or("no metrics address")?.to_owned(), _process: process })
}

struct Sidecar {
    process: Process,
    address: String,
}

impl Sidecar {
    fn start(binary: &Path, engine: &Engine, poll_interval: &str) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(binary);
        command.args(["sidecar", "--grace-period", "10m", "--lame-duck", "0s", "--state-dir", "none"]);
        command.args(["--target", TARGET, "--signal", "none", "--scrape-timeout", "1m"]);
        command.args(["--poll-interval", poll_interval, "--listen", &address]);
        command.args(["--metrics-url", &format!("http://{}/metrics", engine.metrics)]);
        let process = Process(command.stderr(Stdio::null()).spawn()?);
        let sidecar = Self { process, address };
        sidecar.wait_for("/status", "\"state\":\"ok\"")?;
        Ok(sidecar)
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn call_hook(&self) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.write_all(b"GET /prestop HTTP/1.1\r\nHost: x\r\nUser-Agent: kube-lifecycle/1.34\r\n\r\n")?;
        Ok(stream)
    }

    /// Waits until the answer on this path contains this text.
    fn wait_for(&self, path: &str, text: &str) -> Result<()> {
        for _ in 0..600 {
            if self.get(path).is_ok_and(|answer| answer.contains(text)) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(format!("timed out waiting for {text} on {path}").into())
    }

    fn wait_for_readings(&self, count: u32) -> Result<()> {
        let series = "lameduck_source_readings_total{source=\"metrics\",result=\"ok\"} ";
        for _ in 0..1200 {
            let answer = self.get("/metrics")?;
            let readings = answer.lines().find_map(|line| line.strip_prefix(series)?.parse::<u32>().ok());
            if readings.is_some_and(|readings| readings >= count) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Err(format!("timed out waiting for {count} readings").into())
    }

    /// A value of `/proc/PID/status`, in MiB.
    fn memory(&self, key: &str) -> Result<f64> {
        Ok(f64::from(u32::try_from(status(self.process.0.id(), key)?)?) / 1024.0)
    }
}
