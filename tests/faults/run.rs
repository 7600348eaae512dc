//! Drains by `lameduck run`, whose command is the engine.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::drain::settings;
use crate::engine::ARGS;
use crate::incarnation::{Incarnation, arguments, shell_ignoring_sigint};
use crate::matrix::Scenario;
use lameduck_test_support::sidecar::{Sidecar, SidecarEnv};

/// Starts `lameduck run` with an engine.
pub(crate) fn start(env: &SidecarEnv, scenario: &Scenario, ports: [SocketAddr; 2]) -> (Sidecar, Incarnation) {
    let mut command = env.run_command();
    command.args(settings(scenario));
    command.args(["--exit-code", if scenario.ends_with_outcome { "outcome" } else { "command" }]);
    command.arg("--");
    if scenario.ignores_sigint {
        let shell = shell_ignoring_sigint(&env.dir, &env.target_name);
        command.arg(shell.get_program()).args(shell.get_args());
    } else {
        command.arg(std::env::current_exe().expect("the path of this test"));
    }
    command.env(ARGS, arguments(ports, scenario.ignores_sigint));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("lameduck starts");
    let pipes = (child.stdin.take().expect("it is piped"), child.stdout.take().expect("it is piped"));
    let mut sidecar = env.watch(child);
    let pid = sidecar.wait_for_log("command started")["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    (sidecar, Incarnation::of_run(pid.expect("a pid"), pipes, ports))
}

/// How the command ended according to this log, and whether it got SIGTERM.
pub(crate) fn end_of_command(log: &[Value]) -> (ExitStatus, bool) {
    let find = |message: &str| log.iter().find(|line| line["message"] == message);
    let code = find("the command has exited").and_then(|line| i32::try_from(line["code"].as_i64()?).ok());
    let signal = find("a signal has killed the command").and_then(|line| line["signal"].as_str()?.parse().ok());
    let raw = code.map(|code| code << 8).or_else(|| signal.map(|signal: Signal| signal as i32));
    let status = ExitStatus::from_raw(raw.unwrap_or_else(|| panic!("no end of the command in {log:?}")));
    (status, find("signal sent to the command").is_some())
}
