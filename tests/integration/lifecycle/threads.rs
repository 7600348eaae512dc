//! The threads of the sidecar.

use std::fs;

use crate::lifecycle::Fixture;
use lameduck_test_support::port::Port;
use lameduck_test_support::process::wait_until;
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar};

/// The names of the sidecar's threads, in alphabetical order.
fn threads(sidecar: &Sidecar) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", sidecar.pid())).expect("the sidecar runs");
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
    let mut names: Vec<String> = tasks.flatten().filter_map(name).map(|name| name.trim().to_owned()).collect();
    names.sort_unstable();
    names
}

#[test]
fn sidecar_at_rest_has_three_threads() {
    let fixture = Fixture::with_streams(2);
    let port = Port::open_on("127.0.0.1:0");
    let port = port.number().to_string();
    // The thread that reads the socket table ends 100 ms after it, so it must be able to end between two polls.
    let args = [&QUICK_TIMES[..], &["--streams-port", &port, "--poll-interval", "1s"]].concat();
    let sidecar = fixture.start_ready(&args);
    sidecar.wait_for_status("/target/pid", fixture.target.pid);
    sidecar.wait_for_readings(2);
    wait_until(|| threads(&sidecar) == ["find-target", "lameduck", "log"]);
}
