//! The simulated engine and its client, the examples `engine_sim` and `engine_client`, as processes.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::process::{Program, example};

/// A running simulated engine, killed on drop.
pub struct EngineSim {
    pub program: Program,
    /// The line that names its addresses.
    pub listening: String,
    /// Where streams are served.
    pub ws: String,
    /// Where the page is served: on its own port or, for an API, on that of the streams.
    pub metrics: String,
}

impl EngineSim {
    pub fn start(args: &[&str]) -> Self {
        Self::start_as("impeller", args)
    }

    /// Starts it with another process name, so that no other test mistakes it for its target.
    pub fn start_as(name: &str, args: &[&str]) -> Self {
        let mut command = engine_command(name);
        command.args(["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]).args(args);
        let mut program = Program::start(command);
        let listening = program.wait_for("listening ");
        let word = |key: &str| listening.split(' ').find_map(|word| word.strip_prefix(key)).map(str::to_owned);
        let page = word("metrics=").or_else(|| word("status="));
        let [ws, metrics] = [word("ws="), page].map(|address| address.expect("an address in the line"));
        Self { program, listening, ws, metrics }
    }

    /// Starts a client that opens streams on this path.
    pub fn client(&self, path: &str, args: &[&str]) -> Program {
        start_client(&self.ws, path, args)
    }

    /// The port of the streams.
    pub fn port(&self) -> &str {
        self.ws.rsplit(':').next().expect("an address has a port")
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

    /// The response with the metrics page, including its head.
    pub fn page(&self) -> String {
        self.request("GET /metrics", "")
    }

    /// The response with an API's status page, including its head.
    pub fn status(&self) -> String {
        self.request("GET /v1/status", "")
    }

    /// Changes the page; returns the response, including its head.
    pub fn put_page(&self, word: &str) -> String {
        self.request("PUT /page", word)
    }

    fn request(&self, line: &str, body: &str) -> String {
        let mut tcp = TcpStream::connect(&self.metrics).expect("the metrics port is open");
        let head = format!("Host: sim\r\nConnection: close\r\nContent-Length: {}", body.len());
        write!(tcp, "{line} HTTP/1.1\r\n{head}\r\n\r\n{body}").expect("the request is sent");
        let mut response = String::new();
        tcp.read_to_string(&mut response).expect("the response is text");
        response
    }

    /// Whether a mask in `/proc/PID/status`, such as `SigCgt`, contains this signal.
    pub fn has_signal(&self, mask: &str, signal: Signal) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the engine is alive");
        let line = status.lines().find_map(|line| line.strip_prefix(mask)).expect("a line with the mask");
        let bits = u64::from_str_radix(line.trim_start_matches([':', '\t']), 16).expect("a mask in hexadecimal");
        bits & (1 << (signal as i32 - 1)) != 0
    }
}

/// The command of an engine with this process name and no settings.
pub fn engine_command(name: &str) -> Command {
    let mut command = Command::new(example("engine_sim"));
    command.arg0(name).env_clear();
    // The engine starts a shell to ignore signals.
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

/// Starts a client of whatever serves streams at this address.
pub fn start_client(address: &str, path: &str, args: &[&str]) -> Program {
    let mut command = Command::new(example("engine_client"));
    command.env_clear().args(["--url", &format!("ws://{address}{path}")]).args(args);
    Program::start(command)
}
