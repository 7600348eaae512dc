//! Processes in namespaces of their own, started by a script of this folder.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use lameduck_test_support::process::{Program, example, unique_number, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The processes of a script, which end when this is dropped.
pub(crate) struct Namespaces {
    script: Child,
    /// The pid of a process in them.
    pid: String,
    pub(crate) dir: Directory,
}

/// A new directory for the files of one scenario, removed on drop.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        let name = format!("lameduck-run-examples-{}-{}", std::process::id(), unique_number());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).expect("the directory can be created");
        Self(dir)
    }
}

impl Deref for Directory {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file of this repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a command; returns what it printed, without its last newline.
///
/// # Panics
/// Panics if it fails.
pub(crate) fn run(command: &mut Command) -> String {
    let output = output(command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}: {stderr}", output.status);
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

/// Runs a command, whether or not it fails.
pub(crate) fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

impl Namespaces {
    /// Starts a script with this directory, and waits until it has written the pid there.
    pub(crate) fn start(script: &str, dir: Directory) -> Self {
        let path = repository("tests/run-examples").join(script);
        // Ends also if this process is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]).arg(path).arg(&*dir).stdin(Stdio::null());
        let mut script = command.spawn().expect("the script starts");
        let file = dir.join("pid");
        wait_until(|| {
            let ended = script.try_wait().expect("the script can be waited for");
            assert!(ended.is_none(), "{command:?}: {ended:?}");
            file.exists()
        });
        let pid = fs::read_to_string(file).expect("a pid").trim().to_owned();
        Self { script, pid, dir }
    }

    /// A program that sees the network of these processes, and otherwise this machine.
    pub(crate) fn in_network(&self, program: impl AsRef<Path>) -> Command {
        self.enter(&["--net"], program.as_ref())
    }

    /// A program that sees what these processes see.
    pub(crate) fn inside(&self, program: &str) -> Command {
        self.enter(&["--net", "--mount", "--pid", "--root", "--wd=/"], Path::new(program))
    }

    fn enter(&self, namespaces: &[&str], program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid]).args(namespaces).arg("--").arg(program);
        command
    }

    /// Starts a client that opens streams to a port there.
    pub(crate) fn client(&self, port: u16, args: &[&str]) -> Program {
        let mut command = self.in_network(example("engine_client"));
        command.args(["--url", &format!("ws://127.0.0.1:{port}/v1/listen")]).args(args);
        Program::start(command)
    }

    /// The body with which a URL there answers 200.
    pub(crate) fn get(&self, url: &str) -> Option<String> {
        let output = output(self.in_network("curl").args(["--silent", "--fail", "--max-time", "5", url]));
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.script.id().try_into().expect("a pid"));
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.script.wait();
    }
}
