//! A container with its own PID namespace.

use std::fs;
use std::process::{Command, Stdio};

use crate::lifecycle::standalone::StandaloneHook;
use lameduck_test_support::process::{Program, binary};
use lameduck_test_support::sidecar::{QUICK_TIMES, SidecarEnv};
use lameduck_test_support::skip::skip;

/// Prints a line for each SIGINT and runs until it is killed. Its stdin is a pipe that stays open.
pub(super) const SCRIPT: &str = "trap 'echo INT' INT; echo ready; while :; do read -r -t 1 _; done";

/// A PID namespace. Its processes end with its init process, which is killed on drop.
pub(super) struct Container {
    pub(super) init: Program,
    pub(super) pid: u32,
}

impl Container {
    /// Starts a container whose init process is a shell of this name that runs this script; `None`, and the skip is
    /// reported, where this user may not make namespaces.
    pub(super) fn start(name: &str, script: &str) -> Option<Self> {
        let mut probe = unshare();
        if !probe.arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            skip("no user namespaces");
            return None;
        }
        let mut command = unshare();
        command.args(["bash", "-c", r#"exec -a "$0" bash -c "$1""#, name, script]).stdin(Stdio::piped());
        let mut init = Program::start(command);
        init.wait_for("ready");
        let outer = init.pid();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
        Some(Self { init, pid: children.trim().parse().unwrap() })
    }

    /// Runs a command in the container as `kubectl exec` and the kubelet do: without a parent process there.
    pub(super) fn exec(&self) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--preserve-credentials", "-U", "-m", "-p", "-t", &self.pid.to_string()]);
        nsenter
    }

    /// Replaces a file in the container's `/proc` by the output of a shell command.
    pub(super) fn replace_in_proc(&self, env: &SidecarEnv, path: &str, output_of: &str) {
        let text = env.dir.join(path.replace('/', "_"));
        let script = format!(r#"{output_of} >"$0" && mount --bind "$0" {path}"#);
        assert!(self.exec().args(["sh", "-c", &script]).arg(text).status().unwrap().success(), "{script}");
    }

    pub(super) fn hook(&self, env: &SidecarEnv) -> StandaloneHook {
        self.hook_with_args(env, &QUICK_TIMES)
    }

    pub(super) fn hook_with_args(&self, env: &SidecarEnv, args: &[&str]) -> StandaloneHook {
        let mut command = env.with_env(self.exec(), &[binary(), "drain", "--standalone", "--hook"]);
        command.args(args);
        StandaloneHook::spawn(env, command)
    }
}

fn unshare() -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["-Urpf", "--mount-proc", "--kill-child"]);
    unshare
}
