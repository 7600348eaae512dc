//! Who is signalled, and who is not.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::{Scene, engine};
use lameduck_test_support::page::Page;
use lameduck_test_support::shell::Shell;
use lameduck_test_support::sidecar::{NOBODY, Pod, QUICK, Sidecar};

#[test]
fn two_matching_targets_get_no_signal_and_readiness_says_so() {
    let scene = Scene::with_streams(0);
    let second = Shell::named(&scene.pod.target);
    let mut sidecar = scene.pod.start(&QUICK);
    let mut pids = [scene.target.pid, second.pid];
    pids.sort_unstable();
    let reason = sidecar.wait_for_unready("several targets");
    assert!(reason.contains(&format!("{pids:?}")) && reason.contains("--target-port"), "{reason}");

    let outcome = sidecar.hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &Value::Null));
    sidecar.wait_for("no signal: this drain goes by count alone");
    assert_eq!([scene.target.signals(), second.signals()], [0, 0]);
}

#[test]
fn target_that_takes_another_name_is_still_the_target_and_not_its_child() {
    let page = Page::counting(2);
    let pod = Pod::new(&page.url());
    let mut target = Renamed::start(&pod.target);
    let sidecar = pod.start(&[&QUICK[..], &["--signal", "none"]].concat());
    sidecar.wait_for_status("/target/pid", target.0.id());
    sidecar.wait_for_ready();
    let hook = sidecar.hook();
    sidecar.wait_for_status("/phase", "draining");
    target.rename();
    sidecar.wait_for_readings(3);
    let status = sidecar.status();
    let seen = (&status["target"]["pid"], &status["target"]["alive"], &status["phase"]);
    assert_eq!(seen, (&json!(target.0.id()), &json!(true), &json!("draining")));
    page.count(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
}

/// A process with a child of its own name, which takes another name when it is told.
struct Renamed(Child);

impl Renamed {
    fn start(name: &str) -> Self {
        let script = r#"(exec -a "$0" sleep 60) & read -r _; exec -a another sleep 60"#;
        let mut bash = Command::new("bash");
        bash.arg0(name).args(["-c", script, name]).process_group(0).stdin(Stdio::piped());
        Self(bash.spawn().expect("bash starts"))
    }

    fn rename(&mut self) {
        let stdin = self.0.stdin.as_mut().expect("it is piped");
        stdin.write_all(b"\n").expect("it reads");
        let renamed =
            || std::fs::read_to_string(format!("/proc/{}/cmdline", self.0.id())).unwrap().starts_with("another");
        while !renamed() {
            std::thread::yield_now();
        }
    }
}

impl Drop for Renamed {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(-self.0.id().cast_signed());
        let _ = nix::sys::signal::kill(group, Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

#[test]
fn second_target_that_goes_away_lets_the_first_be_signalled() {
    let mut scene = Scene::with_streams(1);
    let second = Shell::named(&scene.pod.target);
    let sidecar = scene.pod.start(&QUICK);
    sidecar.wait_for_unready("several targets");
    let _hook = sidecar.hook();
    sidecar.wait_for_status("/phase", "draining");
    sidecar.wait_for_readings(3);
    assert_eq!(second.signals(), 0);
    scene.target.wait_for("INT");
    sidecar.wait_for_status("/drain/signalled", true);
}

#[test]
fn target_that_does_not_catch_the_signal_is_not_sent_it() {
    for mode in ["default", "ignore"] {
        let (mut engine, pod) = engine(&["--on-signal", mode]);
        let mut sidecar = pod.start(&QUICK);
        let reason = sidecar.wait_for_unready("target does not catch SIGINT");
        assert!(reason.contains(&format!("SigCgt in /proc/{}/status", engine.pid())), "{reason}");
        assert!(reason.contains("--signal"), "no mend: {reason}");
        let outcome = sidecar.hook().outcome();
        assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &Value::Null));
        assert!(sidecar.wait_for("count alone")["reason"].as_str().unwrap().contains("SIGINT"));
        assert!(engine.program.is_running());
    }
}

#[test]
fn signal_none_needs_no_target_and_waits_for_zero() {
    let scene = Scene::with_streams(1);
    let sidecar = scene.serve(&[&QUICK[..], &["--signal", "none", "--target", "nobody-at-all"]].concat());
    let hook = sidecar.hook();
    sidecar.wait_for_status("/phase", "draining");
    sidecar.wait_for_readings(3);
    assert!(hook.is_silent());
    scene.page.count(0);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &Value::Null));
    assert_eq!(scene.target.signals(), 0);
}

#[test]
fn another_signal_can_be_chosen() {
    let mut scene = Scene::with_streams(1);
    let sidecar = scene.serve(&[&QUICK[..], &["--signal", "usr1"]].concat());
    let outcome = sidecar.hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("exited"), &json!("SIGUSR1")));
    scene.target = Shell::named(&scene.pod.target);
}

#[test]
fn target_is_signalled_even_where_zero_is_believed_at_once() {
    let scene = Scene::with_streams(0);
    let times = ["--grace-period", "10m", "--lame-duck", "0s", "--quiet-period", "0s", "--exit-wait", "0s"];
    let outcome = scene.serve(&times).hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &json!("SIGINT")));
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn target_port_finds_the_listener_and_signals_it_only() {
    let scene = Scene::with_streams(0);
    let (mut listener, pod) = engine(&["--exit-delay", "60s"]);
    let port = listener.ws.rsplit_once(':').unwrap().1.to_owned();
    // Its streams' port is closed by the signal, and it must not be lost with it.
    let sidecar = start_by_port(&pod, &port);
    sidecar.wait_for_status("/target/pid", listener.pid());
    sidecar.wait_for_ready();
    let outcome = sidecar.hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &json!("SIGINT")));
    listener.wait_for("SIGINT received (1)");
    assert_eq!(sidecar.status()["target"]["alive"], true);
    assert_eq!(scene.target.signals(), 0);
}

fn start_by_port(pod: &Pod, port: &str) -> Sidecar {
    let mut command = pod.command();
    command.env_remove("LAMEDUCK_TARGET").args(QUICK).args(["--target-port", port]).stderr(Stdio::null());
    pod.spawn(command)
}

#[test]
fn target_port_that_nobody_listens_on_finds_nobody() {
    let scene = Scene::with_streams(0);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let sidecar = start_by_port(&scene.pod, &free);
    sidecar.wait_for_unready("target not found");
    assert_eq!(sidecar.status()["target"], Value::Null);
}

#[test]
fn child_of_the_same_name_is_never_signalled() {
    let (mut engine, pod) = engine(&["--child", "--exit-delay", "60s"]);
    let sidecar = pod.start(&QUICK);
    sidecar.wait_for_ready();
    assert_eq!(sidecar.status()["target"]["pid"], engine.pid());
    assert_eq!(sidecar.hook().outcome()["signal"], "SIGINT");
    engine.wait_for("SIGINT received (1)");
    let child = engine.program.seen.iter().find_map(|line| line.strip_prefix("engine: child pid="));
    // Without a handler of its own the signal would have killed it.
    let child = child.and_then(|pid| pid.parse().ok()).unwrap();
    assert_eq!(lameduck_test_support::sim::first_argument(child).as_deref(), Some(pod.target.as_str()));
}

#[test]
fn sidecar_of_another_user_says_that_it_may_not_signal() {
    let scene = Scene::with_streams(0);
    let Some(mut command) = scene.pod.command_of_nobody() else { return };
    command.args(QUICK).stderr(Stdio::piped());
    let mut sidecar = scene.pod.spawn(command);
    let reason = sidecar.wait_for_unready("may not signal the target");
    for part in ["uid 0 ", "uid 65534", "SIGINT", "runAsUser", &format!("process {}", scene.target.pid)] {
        assert!(reason.contains(part), "{part:?} is not in {reason}");
    }
    let outcome = sidecar.hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &Value::Null));
    sidecar.wait_for("count alone");
    assert_eq!(scene.target.signals(), 0);
}

#[test]
fn sidecar_of_the_same_user_needs_no_other_right() {
    let page = Page::counting(1);
    let pod = Pod::new(&page.url());
    let Some(mut command) = pod.command_of_nobody() else { return };
    let mut target = Shell::of_user(&pod.target, NOBODY);
    command.args(QUICK).stderr(Stdio::null());
    let mut sidecar = pod.spawn(command);
    sidecar.wait_for_ready();
    let hook = sidecar.hook();
    target.wait_for("INT");
    target.signal(Signal::SIGTERM);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&json!("exited"), &json!(0)), "{outcome}");
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(0));
    assert_eq!(pod.termination_message().unwrap(), outcome);
}
