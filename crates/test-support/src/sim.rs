//! The simulated engine and its client as processes: started, watched by their printed lines, ended on drop.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running simulated engine, killed on drop.
pub struct Sim {
    pub program: Program,
    /// The line that tells the real ports.
    pub listening: String,
    pub ws: String,
    /// Where the page is: on a port of its own, or on that of the streams.
    pub metrics: String,
}

/// A running example whose lines can be waited for.
pub struct Program {
    running: Running,
    lines: Receiver<String>,
    pub seen: Vec<String>,
}

impl Sim {
    pub fn start(args: &[&str]) -> Self {
        Self::named("impeller", args)
    }

    /// Starts it under another name, so that nobody takes it for another test's.
    pub fn named(name: &str, args: &[&str]) -> Self {
        let mut command = Command::new(example("engine_sim"));
        command.arg0(name).args(["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]).args(args);
        let mut program = Program::start(command);
        let listening = program.wait_for("listening ");
        let word = |key: &str| listening.split(' ').find_map(|word| word.strip_prefix(key)).map(str::to_owned);
        let page = word("metrics=").or_else(|| word("status="));
        let [ws, metrics] = [word("ws="), page].map(|address| address.expect("an address in the line"));
        Self { program, listening, ws, metrics }
    }

    pub fn client(&self, path: &str, args: &[&str]) -> Program {
        client_of(&self.ws, path, args)
    }

    pub fn wait_for(&mut self, part: &str) -> String {
        self.program.wait_for(part)
    }

    pub fn exit_code(&mut self) -> Option<i32> {
        self.program.exit_code()
    }

    pub fn pid(&self) -> i32 {
        self.program.pid()
    }

    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    pub fn page(&self) -> String {
        self.request("GET /metrics", "")
    }

    /// The page of an API.
    pub fn status(&self) -> String {
        self.request("GET /v1/status", "")
    }

    pub fn put_page(&self, word: &str) -> String {
        self.request("PUT /page", word)
    }

    /// The whole response, head and all.
    fn request(&self, line: &str, body: &str) -> String {
        let mut tcp = TcpStream::connect(&self.metrics).expect("the metrics port is open");
        let head = format!("Host: sim\r\nConnection: close\r\nContent-Length: {}", body.len());
        write!(tcp, "{line} HTTP/1.1\r\n{head}\r\n\r\n{body}").expect("the request is sent");
        let mut response = String::new();
        tcp.read_to_string(&mut response).expect("the response is text");
        response
    }

    /// Whether the kernel has this signal in one of the masks of `/proc/PID/status`.
    pub fn has_signal(&self, mask: &str, signal: Signal) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the engine is alive");
        let line = status.lines().find_map(|line| line.strip_prefix(mask)).expect("a line with the mask");
        let bits = u64::from_str_radix(line.trim_start_matches([':', '\t']), 16).expect("a mask in hexadecimal");
        bits & (1 << (signal as i32 - 1)) != 0
    }
}

impl Program {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the example starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, lines) = channel();
        thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
        Self { running: Running(child), lines, seen: Vec::new() }
    }

    pub fn wait_for(&mut self, part: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else { panic!("no {part:?} after {:#?}", self.seen) };
            self.seen.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.running.is_running()
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.running.0.id()).expect("a pid fits")
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("the program is alive");
    }

    /// Waits for the end; `None` stands for a death by signal.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.running.exit_code()
    }
}

/// A client of whatever serves streams at this address.
pub fn client_of(address: &str, path: &str, args: &[&str]) -> Program {
    let mut command = Command::new(example("engine_client"));
    command.args(["--url", &format!("ws://{address}{path}")]).args(args);
    Program::start(command)
}

/// A process that ends with its handle.
pub struct Running(pub Child);

impl Running {
    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("the child can be waited for").is_none()
    }

    /// Waits for the end; `None` stands for a death by signal.
    pub fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        wait_until(|| {
            status = self.0.try_wait().expect("the child can be waited for");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Examples are built beside the directory of the test executables.
pub fn example(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("the path of this test");
    let path = this.ancestors().nth(2).expect("a target directory").join("examples").join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --examples`", path.display());
    path
}

/// The name that a process was started by; nothing once it has ended, even if nobody has waited for it.
pub fn first_argument(pid: i32) -> Option<String> {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let first = arguments.split(|byte| *byte == 0).next().filter(|first| !first.is_empty())?;
    Some(String::from_utf8_lossy(first).into_owned())
}

pub fn wait_until(mut condition: impl FnMut() -> bool) {
    const STEP: Duration = Duration::from_millis(10);
    for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
        if condition() {
            return;
        }
        thread::sleep(STEP);
    }
    panic!("waited in vain");
}
