//! The node under the pods: its processes, and its kubelet.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::clock::{PATIENCE, poll};
use crate::support::cluster::folder;

/// The process of a pod that runs this program; a pod's containers know its name as HOSTNAME.
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
    poll(PATIENCE, search).unwrap_or_else(|| panic!("no process of {program} in pod {pod}"))
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("the process is there");
}

/// Ends one of the cluster's own programs, and waits for its end.
pub(crate) fn stop(program: &str) {
    let pid = fs::read_to_string(folder().join("pid").join(program)).expect("its pid is noted");
    let pid: i32 = pid.trim().parse().expect("a pid");
    signal(pid, Signal::SIGTERM);
    let gone = || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(());
    poll(PATIENCE, gone).unwrap_or_else(|| panic!("{program} does not end"));
}

/// Starts one of the cluster's own programs as it was started before.
pub(crate) fn start(program: &str) {
    let script = folder().join("start").join(program);
    assert!(Command::new("sh").arg(script).status().expect("there is a shell").success());
}
