//! SIGTERM to the sidecar: when it drains, when it leaves, and with which code.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::Scene;
use lameduck_test_support::page::{Answer, Page};
use lameduck_test_support::sidecar::{Pod, QUICK, Sidecar};

fn on_sigterm(policy: &'static str) -> Vec<&'static str> {
    [&QUICK[..], &["--on-sigterm", policy]].concat()
}

/// The last line of the log must be the outcome, the same that was left for the kubelet.
fn assert_last_line(sidecar: &mut Sidecar, pod: &Pod) {
    let mut line = sidecar.log().last().unwrap().clone();
    for key in ["timestamp", "level", "message"] {
        assert!(line.as_object_mut().unwrap().remove(key).is_some(), "{line}");
    }
    assert_eq!(line, pod.termination_message().unwrap());
}

#[test]
fn drain_is_a_trigger_and_the_sidecar_leaves_when_the_target_is_gone() {
    let mut scene = Scene::with_streams(1);
    let mut sidecar = scene.serve(&on_sigterm("drain"));
    sidecar.signal(Signal::SIGTERM);
    let line = sidecar.wait_for("SIGTERM received");
    assert_eq!(line["sender"], std::process::id());
    scene.target.wait_for("INT");
    assert_eq!(sidecar.status()["drain"]["trigger"], "sigterm");
    let hook = sidecar.hook();
    scene.page.count(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
    sidecar.wait_for_readings(3);
    assert!(sidecar.is_running(), "the target has not ended");
    assert_eq!(scene.target.signals(), 1);
    assert_eq!(sidecar.exit_code(), Some(0));
    assert_last_line(&mut sidecar, &scene.pod);
}

#[test]
fn second_sigterm_changes_nothing() {
    let mut scene = Scene::with_streams(1);
    let mut sidecar = scene.serve(&on_sigterm("drain"));
    sidecar.signal(Signal::SIGTERM);
    scene.target.wait_for("INT");
    sidecar.wait_for("SIGTERM received");
    sidecar.signal(Signal::SIGTERM);
    sidecar.wait_for("SIGTERM received");
    sidecar.wait_for_readings(3);
    assert_eq!(sidecar.status()["phase"], "draining");
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn exit_leaves_at_once_and_signals_nobody() {
    let scene = Scene::with_streams(5);
    let mut sidecar = scene.serve(&on_sigterm("exit"));
    sidecar.signal(Signal::SIGTERM);
    assert!(sidecar.exit_code().is_some());
    assert_eq!(scene.target.signals(), 0);
    assert_eq!(scene.pod.termination_message(), None);
}

#[test]
fn exit_in_mid_drain_does_not_claim_that_nothing_was_cut() {
    let mut scene = Scene::with_streams(5);
    let mut sidecar = scene.serve(&on_sigterm("exit"));
    let hook = sidecar.hook();
    scene.target.wait_for("INT");
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(11));
    assert!(!String::from_utf8(hook.bytes()).unwrap().contains("drained"));
}

#[test]
fn auto_leaves_where_no_work_is_left() {
    let scene = Scene::with_streams(0);
    let mut sidecar = scene.serve_quick();
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(0));
    assert_eq!(scene.target.signals(), 0);

    let page = Page::new(Answer::Refuse);
    let pod = Pod::new(&page.url());
    let mut alone = pod.start(&QUICK);
    alone.wait_for_unready("target not found");
    alone.signal(Signal::SIGTERM);
    assert_eq!(alone.exit_code(), Some(0));
}

#[test]
fn auto_waits_for_a_hook_while_there_may_be_streams() {
    for known in [true, false] {
        let scene = Scene::with_streams(1);
        let mut sidecar = scene.serve_quick();
        if !known {
            scene.page.set(Answer::Refuse);
            sidecar.wait_for_status("/streams", Value::Null);
        }
        sidecar.signal(Signal::SIGTERM);
        sidecar.wait_for("SIGTERM received");
        sidecar.wait_for_readings(3);
        assert_eq!(sidecar.status()["phase"], "serving");
        let hook = sidecar.hook();
        scene.page.count(0);
        assert_eq!(hook.outcome()["outcome"], "drained");
        assert_eq!(sidecar.status()["drain"]["trigger"], "hook");
        assert!(sidecar.is_running());
        assert_eq!(scene.target.signals(), 1);
        assert_eq!(sidecar.exit_code(), Some(0));
    }
}

#[test]
fn auto_leaves_without_a_hook_when_the_last_stream_has_ended() {
    let scene = Scene::with_streams(1);
    let mut sidecar = scene.serve_quick();
    sidecar.signal(Signal::SIGTERM);
    sidecar.wait_for("SIGTERM received");
    scene.page.count(0);
    assert_eq!(sidecar.exit_code(), Some(0));
    assert_eq!(scene.target.signals(), 0);
}

#[test]
fn code_says_what_was_cut() {
    // A reading is believed for two polls.
    for (stragglers, poll, code) in [(Some(2), "1s", 10), (None, "50ms", 11)] {
        let scene = Scene::with_streams(2);
        let times = ["--grace-period", "1s", "--lame-duck", "0s", "--quiet-period", "100ms", "--on-sigterm", "drain"];
        let mut sidecar = scene.serve(&[&times[..], &["--poll-interval", poll]].concat());
        if stragglers.is_none() {
            scene.page.set(Answer::Hang);
            sidecar.wait_for_status("/streams", Value::Null);
        }
        sidecar.signal(Signal::SIGTERM);
        sidecar.wait_for_status("/phase", "done");
        assert!(scene.target.signals() <= 1);
        assert_eq!(sidecar.exit_code(), Some(code));
        assert_eq!(scene.pod.termination_message().unwrap()["stragglers"], json!(stragglers));
        assert_last_line(&mut sidecar, &scene.pod);
    }
}

#[test]
fn outcome_is_the_last_line_even_where_sigterm_comes_after_it() {
    let scene = Scene::with_streams(0);
    let mut sidecar = scene.serve_quick();
    let outcome = sidecar.hook().outcome();
    assert_eq!(scene.target.signals(), 1);
    sidecar.wait_for_status("/target/alive", false);
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(0));
    assert_eq!(scene.pod.termination_message().unwrap(), outcome);
    assert_last_line(&mut sidecar, &scene.pod);
}

#[test]
fn sidecar_without_a_target_leaves_when_every_caller_has_its_answer() {
    let page = Page::counting(1);
    let pod = Pod::new(&page.url());
    let mut sidecar = pod.start(&[&on_sigterm("drain")[..], &["--signal", "none"]].concat());
    sidecar.wait_for_ready();
    sidecar.signal(Signal::SIGTERM);
    sidecar.wait_for_status("/phase", "draining");
    let hooks = [sidecar.hook(), sidecar.hook()];
    page.count(0);
    for hook in hooks {
        assert_eq!(hook.outcome()["outcome"], "drained");
    }
    assert_eq!(sidecar.exit_code(), Some(0));
}
