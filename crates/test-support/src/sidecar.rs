//! The sidecar as a process: started, watched by its log and status, called over HTTP, ended on drop.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::http::{Call, Response, TIMEOUT, request};
use crate::process::{KillOnDrop, binary, free_address, unique_number, wait_until};
use crate::skip::is_root_or_skip;

/// Short times within a grace period that no test reaches.
pub const QUICK_TIMES: [&str; 8] =
    ["--grace-period", "10m", "--lame-duck", "100ms", "--quiet-period", "200ms", "--exit-wait", "200ms"];
/// The uid and gid of a user without any permissions.
pub const NOBODY: u32 = 65534;

/// What a sidecar under test runs with, and what outlives it: its target's name, its address, its files.
///
/// Commands made here inherit no environment variable from the test process.
pub struct SidecarEnv {
    pub target_name: String,
    pub address: SocketAddr,
    /// The state dir, which also holds the termination message.
    pub dir: PathBuf,
    pub metrics_url: String,
}

/// A running sidecar, killed on drop.
pub struct Sidecar {
    process: KillOnDrop,
    lines: Receiver<String>,
    seen: Vec<Value>,
    address: SocketAddr,
}

impl SidecarEnv {
    /// An environment in which the page at this URL counts the streams.
    pub fn new(metrics_url: &str) -> Self {
        let target_name = format!("impeller-{}-{}", std::process::id(), unique_number());
        let dir = std::env::temp_dir().join(&target_name);
        fs::create_dir_all(&dir).expect("a directory can be made");
        // A sidecar of another user must be able to write there, too.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("the directory is ours");
        Self { target_name, address: free_address(), dir, metrics_url: metrics_url.to_owned() }
    }

    /// Starts a sidecar with these arguments; waits until it listens.
    pub fn start(&self, args: &[&str]) -> Sidecar {
        let mut command = self.sidecar_command();
        command.args(args).stderr(Stdio::piped());
        self.start_command(command)
    }

    /// `lameduck sidecar`. Flags added to it win over the settings made here.
    pub fn sidecar_command(&self) -> Command {
        self.with_env(Command::new(binary()), &["sidecar"])
    }

    /// `lameduck check` with the same settings.
    pub fn check_command(&self) -> Command {
        let mut command = self.with_env(Command::new(binary()), &["check"]);
        // In every container of a pod.
        command.env("KUBERNETES_SERVICE_HOST", "10.0.0.1");
        command
    }

    /// `lameduck drain --standalone --hook`, the hook of a pod without a sidecar.
    pub fn standalone_command(&self) -> Command {
        self.with_env(Command::new(binary()), &["drain", "--standalone", "--hook"])
    }

    /// `lameduck sidecar` as the user nobody; `None`, and the skip is reported, where the tests do not run as root.
    pub fn sidecar_command_as_nobody(&self) -> Option<Command> {
        self.command_as_nobody(&["sidecar"])
    }

    /// `lameduck check` as the user nobody.
    pub fn check_command_as_nobody(&self) -> Option<Command> {
        self.command_as_nobody(&["check"])
    }

    /// `lameduck` with these arguments as the user nobody, from a copy of the binary that every user may execute.
    pub fn command_as_nobody(&self, args: &[&str]) -> Option<Command> {
        if !is_root_or_skip() {
            return None;
        }
        let copy = self.dir.join("lameduck");
        // Not copied by this process: a child forked by another test meanwhile would hold the copy open for writing,
        // and its execution would fail with ETXTBSY.
        let copied = Command::new("install").args(["-m", "755"]).args([Path::new(binary()), &copy]).status();
        assert!(copied.expect("install runs").success(), "the binary cannot be copied");
        let mut command = self.with_env(Command::new(copy), args);
        command.uid(NOBODY).gid(NOBODY);
        Some(command)
    }

    /// Adds these arguments and the settings of this environment to a command.
    pub fn with_env(&self, mut command: Command, args: &[&str]) -> Command {
        command.env_clear().args(args).envs([
            ("LAMEDUCK_TARGET", self.target_name.as_str()),
            ("LAMEDUCK_METRICS_URL", &self.metrics_url),
            ("LAMEDUCK_LISTEN", &self.address.to_string()),
            ("LAMEDUCK_STATE_DIR", &self.dir.to_string_lossy()),
            ("LAMEDUCK_TERMINATION_LOG", &self.dir.join("termination").to_string_lossy()),
            ("LAMEDUCK_POLL_INTERVAL", "50ms"),
            // A page that answers late on a busy machine counts. Tests of silent pages set a short timeout.
            ("LAMEDUCK_SCRAPE_TIMEOUT", "10s"),
            ("LAMEDUCK_LOG_FORMAT", "json"),
        ]);
        command
    }

    /// Starts a sidecar with these arguments on a free port of this address, at which it is then reached at `host`; waits
    /// until it listens.
    pub fn start_on_free_port(&mut self, listen: IpAddr, host: IpAddr, args: &[&str]) -> Sidecar {
        self.address = (listen, 0).into();
        let mut command = self.sidecar_command();
        command.args(args).stderr(Stdio::piped());
        let mut sidecar = self.spawn_command(command);
        let started = sidecar.wait_for_log("started");
        let listen: SocketAddr = started["listen"].as_str().and_then(|text| text.parse().ok()).expect("an address");
        self.address = (host, listen.port()).into();
        sidecar.address = self.address;
        sidecar
    }

    /// Starts this command of a sidecar; waits until it listens.
    pub fn start_command(&self, command: Command) -> Sidecar {
        let mut sidecar = self.spawn_command(command);
        wait_until(|| TcpStream::connect(self.address).is_ok() || !sidecar.is_running());
        assert!(sidecar.is_running(), "the sidecar exited: {:#?}", sidecar.log());
        sidecar
    }

    /// Starts this command of a sidecar, and waits for nothing.
    pub fn spawn_command(&self, mut command: Command) -> Sidecar {
        self.watch(command.stdin(Stdio::null()).spawn().expect("the sidecar starts"))
    }

    /// Collects the log of this running `lameduck` if its stderr is a pipe.
    pub fn watch(&self, mut child: Child) -> Sidecar {
        let (sender, lines) = channel();
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || {
                BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        Sidecar { process: KillOnDrop(child), lines, seen: Vec::new(), address: self.address }
    }

    /// Waits until the state file says that a reading after the signal has seen the target still serving. A zero before
    /// that would not show that the streams ended by themselves.
    pub fn wait_until_served_on(&self) {
        wait_until(|| {
            let files = fs::read_dir(&self.dir).expect("a readable state dir").filter_map(Result::ok);
            let texts = files.filter_map(|file| fs::read(file.path()).ok());
            let states = texts.filter_map(|text| serde_json::from_slice::<Value>(&text).ok());
            states.into_iter().any(|state| state["signal"]["served_on"] == true)
        });
    }

    /// The termination message for the kubelet, if one has been written.
    pub fn termination_message(&self) -> Option<Value> {
        let text = fs::read_to_string(self.dir.join("termination")).ok()?;
        assert!(text.len() < 1024 && text.ends_with('\n') && text.lines().count() == 1, "{text:?}");
        serde_json::from_str(&text).ok()
    }

    /// `lameduck` as a client of this sidecar.
    pub fn client_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().args(args).args(["--address", &self.address.to_string()]);
        command
    }

    /// Runs a client of this sidecar to its end: its exit code, stdout and stderr.
    pub fn run_client(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output = self.client_command(args).output().expect("the client runs");
        let text = |bytes| String::from_utf8(bytes).expect("a client prints text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

impl Drop for SidecarEnv {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Sidecar {
    /// Calls the preStop hook; returns once the call is held or answered.
    pub fn call_hook(&self) -> Call {
        let held = || self.metric("lameduck_hook_callers").unwrap_or(0.0);
        let before = held();
        let call = Call::get(self.address, "/prestop");
        wait_until(|| held() > before || !call.is_pending());
        call
    }

    pub fn get(&self, path: &str) -> Response {
        Call::get(self.address, path).response()
    }

    pub fn request(&self, method: &str, path: &str, headers: &str) -> Response {
        Call::send(self.address, request(method, path, headers)).response()
    }

    pub fn status(&self) -> Value {
        self.get("/status").json()
    }

    /// The value of one series of the sidecar's metrics.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let page = self.get("/metrics").body;
        page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Waits until the status has this value at this JSON pointer.
    #[track_caller]
    pub fn wait_for_status(&self, pointer: &str, value: impl Into<Value>) {
        let value = value.into();
        wait_until(|| self.status().pointer(pointer) == Some(&value));
    }

    #[track_caller]
    pub fn wait_for_ready(&self) {
        wait_until(|| self.get("/readyz").status == 200);
    }

    /// Waits until the sidecar is not ready for a reason that contains this; returns the reason.
    #[track_caller]
    pub fn wait_for_not_ready(&self, reason: &str) -> String {
        let mut answer = self.get("/readyz");
        wait_until(|| {
            answer = self.get("/readyz");
            answer.status == 503 && answer.body.contains(reason)
        });
        answer.body
    }

    /// Waits until the metrics page has been polled this many times more, whatever the readings.
    #[track_caller]
    pub fn wait_for_readings(&self, more: u32) {
        let target = self.readings() + f64::from(more);
        wait_until(|| self.readings() >= target);
    }

    fn readings(&self) -> f64 {
        let series = |result| format!("lameduck_source_readings_total{{source=\"metrics\",result=\"{result}\"}}");
        ["ok", "absent", "unknown"].map(|result| self.metric(&series(result)).expect("a reading counter")).iter().sum()
    }

    /// Waits for a log line whose message contains this.
    #[track_caller]
    pub fn wait_for_log(&mut self, message: &str) -> Value {
        loop {
            let Ok(line) = self.lines.recv_timeout(TIMEOUT) else { panic!("no {message:?} after {:#?}", self.seen) };
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            self.seen.push(line.clone());
            if line["message"].as_str().is_some_and(|text| text.contains(message)) {
                return line;
            }
        }
    }

    /// Waits until the sidecar exits; returns its whole log.
    pub fn log(&mut self) -> &[Value] {
        self.exit_code();
        self.seen.extend(self.lines.iter().map(|line| serde_json::from_str(&line).expect("a line of JSON")));
        &self.seen
    }

    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Kills it as the OOM killer does.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        assert_eq!(self.exit_code(), None);
    }

    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Waits until it exits; `None` if a signal killed it.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.process.exit_code()
    }

    /// Waits until it exits.
    pub fn exit_status(&mut self) -> ExitStatus {
        self.process.exit_status()
    }
}
