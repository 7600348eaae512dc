//! `lameduck run` as a process: its command's output, its own log, its address.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::http::{Call, Response};
use crate::process::{Program, binary, wait_until};
use crate::sidecar::SidecarEnv;

/// A running `lameduck run`, killed on drop.
pub struct Run {
    /// Its stdout is that of the command.
    pub program: Program,
    log: PathBuf,
    address: std::net::SocketAddr,
}

impl SidecarEnv {
    /// `lameduck run` with the settings of this environment. Its command is the target. Flags and the command come next.
    pub fn run_command(&self) -> Command {
        self.run_command_by(Command::new(binary()), &[])
    }

    /// The same, but started by a command with these arguments, such as `nohup`.
    pub fn run_command_by(&self, command: Command, args: &[&str]) -> Command {
        let mut command = self.with_env(command, args);
        if !args.is_empty() {
            command.arg(binary());
        }
        command.arg("run");
        command.env_remove("LAMEDUCK_TARGET");
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
    }

    /// Starts this command. Its log goes to a file.
    pub fn spawn_run(&self, mut command: Command) -> Run {
        let log = self.dir.join("run.log");
        command.stdin(Stdio::null()).stderr(File::create(&log).expect("a file can be made"));
        Run { program: Program::start(command), log, address: self.address }
    }

    /// Starts a shell script under `lameduck run`, and waits until it has printed `ready`.
    pub fn start_script(&self, args: &[&str], script: &str) -> Run {
        let mut command = self.run_command();
        command.args(args).args(["--", "sh", "-c", script]);
        let mut run = self.spawn_run(command);
        run.program.wait_for("ready");
        run
    }
}

impl Run {
    pub fn pid(&self) -> i32 {
        self.program.pid()
    }

    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// Waits until it exits; `None` if a signal killed it.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.program.exit_code()
    }

    pub fn get(&self, path: &str) -> Response {
        Call::get(self.address, path).response()
    }

    #[track_caller]
    pub fn wait_for_ready(&self) {
        wait_until(|| self.get("/readyz").status == 200);
    }

    /// Waits until the status has this value at this JSON pointer.
    #[track_caller]
    pub fn wait_for_status(&self, pointer: &str, value: impl Into<Value>) {
        let value = value.into();
        wait_until(|| self.get("/status").json().pointer(pointer) == Some(&value));
    }

    /// Waits for as many readings after the signal as it takes to see the command still serving. A zero before that would
    /// not show that the streams ended by themselves.
    #[track_caller]
    pub fn wait_until_served_on(&self) {
        let elapsed = || self.get("/status").json()["drain"]["elapsed_seconds"].as_f64().expect("a drain");
        let settled_at = elapsed() + 0.7;
        wait_until(|| elapsed() > settled_at);
        let until = self.readings() + 2;
        wait_until(|| self.readings() >= until);
    }

    fn readings(&self) -> u64 {
        let page = self.get("/metrics").body;
        let series = "lameduck_source_readings_total{source=\"metrics\",result=\"ok\"} ";
        page.lines().find_map(|line| line.strip_prefix(series)?.parse().ok()).expect("a reading counter")
    }

    /// The log so far, without lines that are not JSON.
    pub fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).expect("the log can be read");
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The text of the log so far.
    pub fn log_text(&self) -> String {
        fs::read_to_string(&self.log).expect("the log can be read")
    }

    /// The first line of the log whose message contains this.
    pub fn logged(&self, message: &str) -> Option<Value> {
        self.log().into_iter().find(|line| line["message"].as_str().is_some_and(|text| text.contains(message)))
    }

    /// Waits for such a line.
    #[track_caller]
    pub fn wait_for_log(&self, message: &str) -> Value {
        wait_until(|| self.logged(message).is_some());
        self.logged(message).expect("it was there")
    }
}
