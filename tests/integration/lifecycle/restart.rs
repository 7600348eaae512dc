//! The sidecar is killed during a drain, and the next one resumes from the saved state.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::Fixture;
use lameduck_test_support::process::wait_until;
use lameduck_test_support::shell::ShellTarget;
use lameduck_test_support::sidecar::{QUICK_TIMES, SidecarEnv};

/// The file in which a sidecar of this environment saves its drain.
pub(crate) fn state_path(env: &SidecarEnv) -> PathBuf {
    let network = fs::metadata("/proc/self/ns/net").unwrap().ino();
    env.dir.join(format!("lameduck-{}-{network}.json", env.address.port()))
}

#[test]
fn drain_resumes_with_same_deadline_and_no_second_signal() {
    let mut fixture = Fixture::with_streams(2);
    let first = fixture.start_quick();
    let _hook = first.call_hook();
    fixture.target.wait_for("INT");
    first.wait_for_status("/drain/signalled", true);
    let before = first.status()["drain"].take();
    first.kill();

    let mut second = fixture.env.start(&QUICK_TIMES);
    assert_eq!(second.wait_for_log("resuming the drain")["signalled"], true);
    assert_eq!(second.get("/readyz").body, "draining\n");
    let after = second.status()["drain"].take();
    let number = |drain: &Value, key: &str| drain[key].as_f64().unwrap();
    assert!(number(&after, "elapsed_seconds") > number(&before, "elapsed_seconds"), "{before} {after}");
    let budget = |drain: &Value| number(drain, "elapsed_seconds") + number(drain, "remaining_seconds");
    assert!((budget(&after) - budget(&before)).abs() < 0.01, "{before} {after}");
    let kept =
        |drain: &Value| [drain["trigger"].clone(), drain["streams_at_start"].clone(), drain["signalled"].clone()];
    assert_eq!(kept(&after), kept(&before));

    // Held callers were disconnected, and call again.
    let hook = second.call_hook();
    second.wait_for_status("/streams", 2);
    second.wait_for_readings(3);
    assert!(hook.is_pending());
    fixture.page.set_streams(0);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["streams_at_start"]), (&json!("drained"), &json!(2)));
    assert_eq!(outcome["signal"], "SIGINT", "the previous process sent it");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn resumed_drain_ends_without_callers() {
    let mut fixture = Fixture::with_streams(2);
    let first = fixture.start_quick();
    let _hook = first.call_hook();
    fixture.target.wait_for("INT");
    first.kill();
    fixture.page.set_streams(0);
    let second = fixture.env.start(&QUICK_TIMES);
    second.wait_for_status("/outcome/outcome", "drained");
    assert_eq!(fixture.env.termination_message().unwrap()["outcome"], "drained");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn crash_at_any_time_never_sends_second_signal() {
    let fixture = Fixture::with_streams(1);
    let times = ["--grace-period", "10m", "--lame-duck", "150ms", "--quiet-period", "100ms", "--exit-wait", "0s"];
    drop(fixture.start_ready(&times).call_hook());
    for _ in 0..12 {
        let sidecar = fixture.env.start(&times);
        drop(sidecar.call_hook());
        sidecar.kill();
    }
    fixture.page.set_streams(0);
    let last = fixture.env.start(&times);
    assert_eq!(last.call_hook().outcome()["outcome"], "drained");
    assert!(fixture.target.into_signal_count() <= 1);
}

#[test]
fn lame_duck_continues_after_restart() {
    let mut fixture = Fixture::with_streams(1);
    let times = ["--grace-period", "10m", "--lame-duck", "3s", "--quiet-period", "100ms"];
    let first = fixture.start_ready(&times);
    let _hook = first.call_hook();
    first.kill();
    let second = fixture.env.start(&times);
    assert_ne!(second.get("/readyz").status, 200);
    fixture.target.wait_for("INT");
    second.wait_for_status("/phase", "draining");
    assert!(second.status()["drain"]["elapsed_seconds"].as_f64() >= Some(3.0));
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn finished_drain_stays_finished_after_restart() {
    let fixture = Fixture::with_streams(0);
    let first = fixture.start_quick();
    let outcome = first.call_hook().outcome();
    first.kill();
    fixture.page.set_streams(1);
    let second = fixture.env.start(&QUICK_TIMES);
    assert_eq!(second.get("/readyz").body, "done\n");
    assert_eq!(second.call_hook().outcome(), outcome);
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn expired_drain_reopens_without_second_signal() {
    let fixture = Fixture::with_streams(1);
    let times = ["--grace-period", "1s", "--lame-duck", "0s", "--quiet-period", "100ms"];
    let first = fixture.start_ready(&times);
    assert_eq!(first.call_hook().outcome()["outcome"], "expired");
    first.kill();
    let second = fixture.env.start(&times);
    let hook = second.call_hook();
    fixture.page.set_streams(0);
    let outcome = hook.outcome();
    assert!(matches!(outcome["outcome"].as_str(), Some("drained" | "expired")), "{outcome}");
    assert!(fixture.target.into_signal_count() <= 1);
}

#[test]
fn target_exit_during_restart_ends_drain() {
    let mut fixture = Fixture::with_streams(1);
    let first = fixture.start_quick();
    let _hook = first.call_hook();
    fixture.target.wait_for("INT");
    first.kill();
    fixture.target.signal(Signal::SIGKILL);
    let second = fixture.env.start(&QUICK_TIMES);
    second.wait_for_status("/outcome/outcome", "exited");
    let outcome = second.call_hook().outcome();
    assert_eq!(outcome["stragglers"], Value::Null, "no sidecar was running to count them: {outcome}");
    assert_eq!(fixture.env.termination_message().unwrap(), outcome);
}

#[test]
fn target_replaced_during_restart_inherits_nothing() {
    let mut fixture = Fixture::with_streams(1);
    let first = fixture.start_quick();
    let _hook = first.call_hook();
    fixture.target.wait_for("INT");
    first.kill();
    fixture.target = ShellTarget::start(&fixture.env.target_name);
    let second = fixture.env.start(&QUICK_TIMES);
    second.wait_for_ready();
    assert_eq!(second.status()["drain"], Value::Null);
    assert!(!state_path(&fixture.env).exists());
    assert_eq!(fixture.target.into_signal_count(), 0);
}

#[test]
fn unusable_state_file_is_quarantined_and_logged() {
    let huge = " ".repeat(1 << 20);
    for text in ["", "{", "[]", "null", "\u{0}", "{\"boot\":1}", &huge] {
        let fixture = Fixture::with_streams(0);
        fs::write(state_path(&fixture.env), text).unwrap();
        let mut sidecar = fixture.start_quick();
        sidecar.wait_for_log("set aside");
        assert_eq!(sidecar.call_hook().outcome()["outcome"], "drained");
        assert!(fs::read_to_string(state_path(&fixture.env)).unwrap().contains("drained"));
    }
}

#[test]
fn non_regular_state_file_does_not_block_startup() {
    let fixture = Fixture::with_streams(0);
    let made = std::process::Command::new("mkfifo").arg(state_path(&fixture.env)).status().unwrap();
    assert!(made.success());
    assert_eq!(fixture.start_quick().call_hook().outcome()["outcome"], "drained");

    let fixture = Fixture::with_streams(0);
    fs::create_dir(state_path(&fixture.env)).unwrap();
    let mut sidecar = fixture.start_quick();
    sidecar.wait_for_log("set aside");
    assert_eq!(sidecar.call_hook().outcome()["outcome"], "drained");
    assert!(state_path(&fixture.env).is_file(), "the directory was moved away");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn state_of_other_settings_is_ignored() {
    let fixture = Fixture::with_streams(0);
    let first = fixture.start_quick();
    first.call_hook().outcome();
    first.kill();
    let second = fixture.env.start(&[&QUICK_TIMES[..], &["--signal", "SIGTERM"]].concat());
    second.wait_for_ready();
}

#[test]
fn without_state_dir_nothing_is_saved_and_it_is_logged() {
    let fixture = Fixture::with_streams(1);
    let times = [&QUICK_TIMES[..], &["--state-dir", "none"]].concat();
    let mut first = fixture.start_ready(&times);
    first.wait_for_log("no state dir");
    let _hook = first.call_hook();
    first.kill();
    let second = fixture.env.start(&times);
    wait_until(|| second.get("/readyz").status == 200);
    assert!(fs::read_dir(&fixture.env.dir).unwrap().all(|entry| entry.unwrap().file_name() == "termination"));
}
