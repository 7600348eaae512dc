//! The node's processes, and its kubelet.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::clock::{TIMEOUT, poll};
use crate::support::cluster::cluster_dir;

/// The pid of the process in a pod that runs this program. The pod's name is in HOSTNAME.
pub(crate) fn process(pod: &str, program: &str) -> i32 {
    let host = format!("HOSTNAME={pod}");
    let matches = |process: &Path| {
        let words = |file: &str| Some(String::from_utf8_lossy(&fs::read(process.join(file)).ok()?).into_owned());
        let named = words("cmdline")?.split('\0').next()?.rsplit('/').next()? == program;
        (named && words("environ")?.split('\0').any(|word| word == host)).then_some(())
    };
    let search = || {
        let processes = fs::read_dir("/proc").ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let mut found = processes.filter(|process| matches(process).is_some());
        found.next()?.file_name()?.to_str()?.parse().ok()
    };
    poll(TIMEOUT, search).unwrap_or_else(|| panic!("timed out waiting for a process of {program} in pod {pod}"))
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("the process exists");
}

/// Ends one of the cluster's programs, and waits until it has exited.
pub(crate) fn stop(program: &str) {
    let pid = fs::read_to_string(cluster_dir().join("pid").join(program)).expect("its pid was saved");
    let pid: i32 = pid.trim().parse().expect("a pid");
    signal(pid, Signal::SIGTERM);
    wait_until_ended(pid);
}

/// Waits until the process has ended.
pub(crate) fn wait_until_ended(pid: i32) {
    let ended = || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(());
    poll(TIMEOUT, ended).unwrap_or_else(|| panic!("timed out waiting for the process {pid} to end"));
}

/// Waits until the container runtime has ended these containers, which it does after it has written the rest of their
/// logs.
pub(crate) fn wait_until_logged(containers: &[String]) {
    let socket = cluster_dir().join("containerd.sock");
    let running = || {
        let list = ["--namespace", "k8s.io", "tasks", "list", "--quiet"];
        let output = Command::new("ctr").arg("--address").arg(&socket).args(list).output().expect("ctr is installed");
        assert!(output.status.success(), "ctr: {}", String::from_utf8_lossy(&output.stderr).trim());
        String::from_utf8(output.stdout).expect("ids are text")
    };
    let ended = || {
        let running = running();
        (!running.lines().any(|id| containers.iter().any(|container| container == id))).then_some(())
    };
    poll(TIMEOUT, ended).unwrap_or_else(|| panic!("timed out waiting for the end of containers: {containers:?}"));
}

/// Starts one of the cluster's programs again, with the same arguments.
pub(crate) fn start(program: &str) {
    let script = cluster_dir().join("start").join(program);
    assert!(Command::new("sh").arg(script).status().expect("a shell exists").success());
}
