//! The sidecar as a process: started, watched by its log, asked over HTTP, ended on drop.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::http::{Call, PATIENCE, Response, request};
use crate::sim::{Running, wait_until};

/// Short times under a grace period that no test reaches.
pub const QUICK: [&str; 8] =
    ["--grace-period", "10m", "--lame-duck", "100ms", "--quiet-period", "200ms", "--exit-wait", "200ms"];
/// A user without any rights.
pub const NOBODY: u32 = 65534;
/// The sidecar, and the clients of it.
///
/// # Panics
/// Panics if it has not been built.
pub fn binary() -> &'static str {
    static PATH: LazyLock<String> = LazyLock::new(|| {
        let this = std::env::current_exe().expect("the path of this test");
        let path = this.ancestors().nth(2).expect("a target directory").join("lameduck");
        assert!(path.exists(), "{} is missing: run `cargo build`", path.display());
        path.into_os_string().into_string().expect("a path in UTF-8")
    });
    &PATH
}

/// What outlives a sidecar: its place, its files and the name of its target.
pub struct Pod {
    pub target: String,
    pub address: SocketAddr,
    pub dir: PathBuf,
    pub url: String,
}

/// A running sidecar, killed on drop.
pub struct Sidecar {
    running: Running,
    lines: Receiver<String>,
    seen: Vec<Value>,
    address: SocketAddr,
}

static NEXT: AtomicU16 = AtomicU16::new(20_000);

/// An address that nobody else uses: each test process has a loopback address of its own.
pub fn free_address() -> SocketAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    (Ipv4Addr::new(127, 64 + high, middle, low), NEXT.fetch_add(1, Ordering::Relaxed)).into()
}

/// Tells how long ago it was made.
pub fn stopwatch() -> impl Fn() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a test looks at the time from outside")]
    let start = Instant::now();
    move || {
        #[expect(clippy::disallowed_methods, reason = "a test looks at the time from outside")]
        start.elapsed()
    }
}

impl Pod {
    /// A pod whose streams are counted by the page at this URL.
    pub fn new(url: &str) -> Self {
        let (pid, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let target = format!("impeller-{pid}-{number}");
        let dir = std::env::temp_dir().join(&target);
        fs::create_dir_all(&dir).expect("a directory can be made");
        // Another user's sidecar must be able to write there, too.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("it is ours");
        Self { target, address: free_address(), dir, url: url.to_owned() }
    }

    /// Starts a sidecar with these arguments, and waits until it answers.
    pub fn start(&self, args: &[&str]) -> Sidecar {
        let mut command = self.command();
        command.args(args).stderr(Stdio::piped());
        self.spawn(command)
    }

    /// The command of a sidecar of this pod; flags win over what is set here.
    pub fn command(&self) -> Command {
        self.command_of(Command::new(binary()), &["sidecar"])
    }

    /// The command of a rehearsal with the same settings.
    pub fn check(&self) -> Command {
        self.command_of(Command::new(binary()), &["check"])
    }

    /// The hook of a pod that has no sidecar.
    pub fn standalone(&self) -> Command {
        self.command_of(Command::new(binary()), &["drain", "--standalone", "--hook"])
    }

    /// The same as nobody in particular, from a copy of the binary that everybody may run; `None` where only root may
    /// do that, and we are not.
    pub fn command_of_nobody(&self) -> Option<Command> {
        self.as_nobody(&["sidecar"])
    }

    /// The command of a rehearsal by nobody in particular.
    pub fn check_of_nobody(&self) -> Option<Command> {
        self.as_nobody(&["check"])
    }

    /// The same of any command.
    pub fn as_nobody(&self, words: &[&str]) -> Option<Command> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: only root can start a process as another user");
            return None;
        }
        let copy = self.dir.join("lameduck");
        // Not by this process: a child that another test forks meanwhile would hold it open for writing (ETXTBSY).
        let copied = Command::new("cp").args([Path::new(binary()), &copy]).status();
        assert!(copied.expect("cp runs").success(), "no room for a copy");
        let mut command = self.command_of(Command::new(copy), words);
        command.uid(NOBODY).gid(NOBODY);
        Some(command)
    }

    /// This program with these words, in the environment of the pod.
    pub fn command_of(&self, mut command: Command, words: &[&str]) -> Command {
        command.env_clear().args(words).envs([
            ("LAMEDUCK_TARGET", self.target.as_str()),
            ("LAMEDUCK_METRICS_URL", &self.url),
            ("LAMEDUCK_LISTEN", &self.address.to_string()),
            ("LAMEDUCK_STATE_DIR", &self.dir.to_string_lossy()),
            ("LAMEDUCK_TERMINATION_LOG", &self.dir.join("termination").to_string_lossy()),
            ("LAMEDUCK_POLL_INTERVAL", "50ms"),
            ("LAMEDUCK_SCRAPE_TIMEOUT", "300ms"),
            ("LAMEDUCK_LOG_FORMAT", "json"),
        ]);
        command
    }

    /// Starts this command of a sidecar, and waits until it answers.
    pub fn spawn(&self, command: Command) -> Sidecar {
        let sidecar = self.launch(command);
        wait_until(|| TcpStream::connect(self.address).is_ok());
        sidecar
    }

    /// Starts this command of a sidecar, and waits for nothing.
    pub fn launch(&self, mut command: Command) -> Sidecar {
        let mut child = command.stdin(Stdio::null()).spawn().expect("the sidecar starts");
        let (sender, lines) = channel();
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || {
                BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        Sidecar { running: Running(child), lines, seen: Vec::new(), address: self.address }
    }

    /// What was left for the kubelet.
    pub fn termination_message(&self) -> Option<Value> {
        let text = fs::read_to_string(self.dir.join("termination")).ok()?;
        assert!(text.len() < 1024 && text.ends_with('\n') && text.lines().count() == 1, "{text:?}");
        serde_json::from_str(&text).ok()
    }

    /// The command of a client of this sidecar.
    pub fn client_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().args(args).args(["--address", &self.address.to_string()]);
        command
    }

    /// Runs a client of this sidecar to its end: its exit code, stdout and stderr.
    pub fn client(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output = self.client_command(args).output().expect("the client runs");
        let text = |bytes| String::from_utf8(bytes).expect("a client speaks text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Sidecar {
    /// Calls the hook, and waits until the call is held.
    pub fn hook(&self) -> Call {
        let held = || self.metric("lameduck_hook_callers").unwrap_or(0.0);
        let before = held();
        let call = Call::get(self.address, "/prestop");
        wait_until(|| held() > before || !call.is_silent());
        call
    }

    pub fn get(&self, path: &str) -> Response {
        Call::get(self.address, path).response()
    }

    pub fn ask(&self, method: &str, path: &str, headers: &str) -> Response {
        Call::send(self.address, request(method, path, headers)).response()
    }

    pub fn status(&self) -> Value {
        self.get("/status").json()
    }

    /// The value of one series of its own metrics.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let page = self.get("/metrics").body;
        page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Waits until the status says this at a path of it.
    pub fn wait_for_status(&self, pointer: &str, value: impl Into<Value>) {
        let value = value.into();
        wait_until(|| self.status().pointer(pointer) == Some(&value));
    }

    pub fn wait_for_ready(&self) {
        wait_until(|| self.get("/readyz").status == 200);
    }

    /// Waits until not ready with this in the reason, which is returned.
    pub fn wait_for_unready(&self, reason: &str) -> String {
        let mut answer = self.get("/readyz");
        wait_until(|| {
            answer = self.get("/readyz");
            answer.status == 503 && answer.body.contains(reason)
        });
        answer.body
    }

    /// Waits until the page has been read so many times more.
    pub fn wait_for_readings(&self, more: u32) {
        let wanted = self.readings() + f64::from(more);
        wait_until(|| self.readings() >= wanted);
    }

    fn readings(&self) -> f64 {
        let series = |result| format!("lameduck_source_readings_total{{source=\"metrics\",result=\"{result}\"}}");
        ["ok", "absent", "unknown"].map(|result| self.metric(&series(result)).expect("it is counted")).iter().sum()
    }

    /// Waits for a log line whose message contains this.
    pub fn wait_for(&mut self, message: &str) -> Value {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else { panic!("no {message:?} after {:#?}", self.seen) };
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            self.seen.push(line.clone());
            if line["message"].as_str().is_some_and(|text| text.contains(message)) {
                return line;
            }
        }
    }

    /// The whole log; waits for the end of the sidecar.
    pub fn log(&mut self) -> &[Value] {
        self.exit_code();
        self.seen.extend(self.lines.iter().map(|line| serde_json::from_str(&line).expect("a line of JSON")));
        &self.seen
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.running.0.id()).expect("a pid fits")
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("the sidecar is alive");
    }

    /// Kills it as the out-of-memory killer does.
    pub fn kill(mut self) {
        self.signal(Signal::SIGKILL);
        assert_eq!(self.exit_code(), None);
    }

    pub fn is_running(&mut self) -> bool {
        self.running.is_running()
    }

    /// Waits for the end; `None` stands for a death by signal.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.running.exit_code()
    }
}
