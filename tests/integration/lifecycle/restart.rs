//! The sidecar's own sudden death, and what the next one knows.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::Scene;
use lameduck_test_support::shell::Shell;
use lameduck_test_support::sidecar::{Pod, QUICK};
use lameduck_test_support::sim::wait_until;

/// Where a sidecar of this pod notes its drain.
pub(crate) fn note(pod: &Pod) -> PathBuf {
    let network = fs::metadata("/proc/self/ns/net").unwrap().ino();
    pod.dir.join(format!("lameduck-{}-{network}.json", pod.address.port()))
}

#[test]
fn drain_goes_on_with_the_same_deadline_and_no_second_signal() {
    let mut scene = Scene::with_streams(2);
    let first = scene.serve_quick();
    let _hook = first.hook();
    scene.target.wait_for("INT");
    first.wait_for_status("/drain/signalled", true);
    let before = first.status()["drain"].take();
    first.kill();

    let mut second = scene.pod.start(&QUICK);
    assert_eq!(second.wait_for("going on with a drain")["signalled"], true);
    assert_eq!(second.get("/readyz").body, "draining\n");
    let after = second.status()["drain"].take();
    let number = |drain: &Value, key: &str| drain[key].as_f64().unwrap();
    assert!(number(&after, "elapsed_seconds") > number(&before, "elapsed_seconds"), "{before} {after}");
    let budget = |drain: &Value| number(drain, "elapsed_seconds") + number(drain, "remaining_seconds");
    assert!((budget(&after) - budget(&before)).abs() < 0.01, "{before} {after}");
    let kept =
        |drain: &Value| [drain["trigger"].clone(), drain["streams_at_start"].clone(), drain["signalled"].clone()];
    assert_eq!(kept(&after), kept(&before));

    // Whoever was held has been cut off, and calls again.
    let hook = second.hook();
    second.wait_for_status("/streams", 2);
    second.wait_for_readings(3);
    assert!(hook.is_silent());
    scene.page.count(0);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["streams_at_start"]), (&json!("drained"), &json!(2)));
    assert_eq!(outcome["signal"], "SIGINT", "it was sent, if not by this process");
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn drain_ends_without_any_caller_after_a_restart() {
    let mut scene = Scene::with_streams(2);
    let first = scene.serve_quick();
    let _hook = first.hook();
    scene.target.wait_for("INT");
    first.kill();
    scene.page.count(0);
    let second = scene.pod.start(&QUICK);
    second.wait_for_status("/outcome/outcome", "drained");
    assert_eq!(scene.pod.termination_message().unwrap()["outcome"], "drained");
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn deaths_at_any_moment_never_make_a_second_signal() {
    let scene = Scene::with_streams(1);
    let times = ["--grace-period", "10m", "--lame-duck", "150ms", "--quiet-period", "100ms", "--exit-wait", "0s"];
    drop(scene.serve(&times).hook());
    for _ in 0..12 {
        let sidecar = scene.pod.start(&times);
        drop(sidecar.hook());
        sidecar.kill();
    }
    scene.page.count(0);
    let last = scene.pod.start(&times);
    assert_eq!(last.hook().outcome()["outcome"], "drained");
    assert!(scene.target.signals() <= 1);
}

#[test]
fn lame_duck_is_gone_on_with() {
    let mut scene = Scene::with_streams(1);
    let times = ["--grace-period", "10m", "--lame-duck", "3s", "--quiet-period", "100ms"];
    let first = scene.serve(&times);
    let _hook = first.hook();
    first.kill();
    let second = scene.pod.start(&times);
    assert_ne!(second.get("/readyz").status, 200);
    scene.target.wait_for("INT");
    second.wait_for_status("/phase", "draining");
    assert!(second.status()["drain"]["elapsed_seconds"].as_f64() >= Some(3.0));
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn drain_that_was_over_stays_over() {
    let scene = Scene::with_streams(0);
    let first = scene.serve_quick();
    let outcome = first.hook().outcome();
    first.kill();
    scene.page.count(1);
    let second = scene.pod.start(&QUICK);
    assert_eq!(second.get("/readyz").body, "done\n");
    assert_eq!(second.hook().outcome(), outcome);
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn drain_that_had_expired_opens_again_without_a_second_signal() {
    let scene = Scene::with_streams(1);
    let times = ["--grace-period", "1s", "--lame-duck", "0s", "--quiet-period", "100ms"];
    let first = scene.serve(&times);
    assert_eq!(first.hook().outcome()["outcome"], "expired");
    first.kill();
    let second = scene.pod.start(&times);
    let hook = second.hook();
    scene.page.count(0);
    let outcome = hook.outcome();
    assert!(matches!(outcome["outcome"].as_str(), Some("drained" | "expired")), "{outcome}");
    assert!(scene.target.signals() <= 1);
}

#[test]
fn target_that_ended_meanwhile_ends_the_drain() {
    let mut scene = Scene::with_streams(1);
    let first = scene.serve_quick();
    let _hook = first.hook();
    scene.target.wait_for("INT");
    first.kill();
    scene.target.signal(Signal::SIGKILL);
    let second = scene.pod.start(&QUICK);
    second.wait_for_status("/outcome/outcome", "exited");
    let outcome = second.hook().outcome();
    assert_eq!(outcome["stragglers"], Value::Null, "nobody was there to see: {outcome}");
    assert_eq!(scene.pod.termination_message().unwrap(), outcome);
}

#[test]
fn target_that_was_replaced_meanwhile_inherits_nothing() {
    let mut scene = Scene::with_streams(1);
    let first = scene.serve_quick();
    let _hook = first.hook();
    scene.target.wait_for("INT");
    first.kill();
    scene.target = Shell::named(&scene.pod.target);
    let second = scene.pod.start(&QUICK);
    second.wait_for_ready();
    assert_eq!(second.status()["drain"], Value::Null);
    assert!(!note(&scene.pod).exists());
    assert_eq!(scene.target.signals(), 0);
}

#[test]
fn note_that_cannot_be_used_is_set_aside_and_said() {
    let huge = " ".repeat(1 << 20);
    for text in ["", "{", "[]", "null", "\u{0}", "{\"boot\":1}", &huge] {
        let scene = Scene::with_streams(0);
        fs::write(note(&scene.pod), text).unwrap();
        let mut sidecar = scene.serve_quick();
        sidecar.wait_for("set aside");
        assert_eq!(sidecar.hook().outcome()["outcome"], "drained");
        assert!(fs::read_to_string(note(&scene.pod)).unwrap().contains("drained"));
    }
}

#[test]
fn what_is_no_file_in_the_place_of_the_note_does_not_keep_the_sidecar_from_its_work() {
    let scene = Scene::with_streams(0);
    let made = std::process::Command::new("mkfifo").arg(note(&scene.pod)).status().unwrap();
    assert!(made.success());
    assert_eq!(scene.serve_quick().hook().outcome()["outcome"], "drained");

    let scene = Scene::with_streams(0);
    fs::create_dir(note(&scene.pod)).unwrap();
    let mut sidecar = scene.serve_quick();
    sidecar.wait_for("set aside");
    assert_eq!(sidecar.hook().outcome()["outcome"], "drained");
    assert!(note(&scene.pod).is_file(), "it made room");
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn note_of_other_settings_is_not_believed() {
    let scene = Scene::with_streams(0);
    let first = scene.serve_quick();
    first.hook().outcome();
    first.kill();
    let second = scene.pod.start(&[&QUICK[..], &["--signal", "SIGTERM"]].concat());
    second.wait_for_ready();
}

#[test]
fn without_a_state_dir_nothing_is_kept_and_that_is_said() {
    let scene = Scene::with_streams(1);
    let times = [&QUICK[..], &["--state-dir", "none"]].concat();
    let mut first = scene.serve(&times);
    first.wait_for("no state dir");
    let _hook = first.hook();
    first.kill();
    let second = scene.pod.start(&times);
    wait_until(|| second.get("/readyz").status == 200);
    assert!(fs::read_dir(&scene.pod.dir).unwrap().all(|entry| entry.unwrap().file_name() == "termination"));
}
