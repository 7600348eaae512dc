//! SIGTERM to the sidecar: when it drains, when it exits, and with which code.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::{Fixture, SHORT_SCRAPES};
use lameduck_test_support::page::{PageReply, PageServer};
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar, SidecarEnv};

fn on_sigterm(policy: &'static str) -> Vec<&'static str> {
    [&QUICK_TIMES[..], &["--on-sigterm", policy]].concat()
}

/// Asserts that the last log line is the outcome, equal to the termination message.
fn assert_last_line(sidecar: &mut Sidecar, env: &SidecarEnv) {
    let mut line = sidecar.log().last().unwrap().clone();
    for key in ["timestamp", "level", "message"] {
        assert!(line.as_object_mut().unwrap().remove(key).is_some(), "{line}");
    }
    assert_eq!(line, env.termination_message().unwrap());
}

#[test]
fn drain_policy_starts_drain_and_exits_after_target() {
    let mut fixture = Fixture::with_streams(1);
    let mut sidecar = fixture.start_ready(&on_sigterm("drain"));
    sidecar.signal(Signal::SIGTERM);
    let line = sidecar.wait_for_log("SIGTERM received");
    assert_eq!(line["sender"], std::process::id());
    fixture.target.wait_for("INT");
    assert_eq!(sidecar.status()["drain"]["trigger"], "sigterm");
    let hook = sidecar.call_hook();
    fixture.end_streams();
    assert_eq!(hook.outcome()["outcome"], "drained");
    sidecar.wait_for_readings(3);
    assert!(sidecar.is_running(), "the target has not exited");
    assert_eq!(fixture.target.into_signal_count(), 1);
    assert_eq!(sidecar.exit_code(), Some(0));
    assert_last_line(&mut sidecar, &fixture.env);
}

#[test]
fn second_sigterm_changes_nothing() {
    let mut fixture = Fixture::with_streams(1);
    let mut sidecar = fixture.start_ready(&on_sigterm("drain"));
    sidecar.signal(Signal::SIGTERM);
    fixture.target.wait_for("INT");
    sidecar.wait_for_log("SIGTERM received");
    sidecar.signal(Signal::SIGTERM);
    sidecar.wait_for_log("SIGTERM received");
    sidecar.wait_for_readings(3);
    assert_eq!(sidecar.status()["phase"], "draining");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn exit_policy_exits_immediately_without_signal() {
    let fixture = Fixture::with_streams(5);
    let mut sidecar = fixture.start_ready(&on_sigterm("exit"));
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(11), "it does not know how the streams end");
    assert_eq!(fixture.target.into_signal_count(), 0);
    let record = fixture.env.termination_message().unwrap();
    assert_eq!((&record["outcome"], &record["stragglers"]), (&json!("interrupted"), &json!(5)));
}

#[test]
fn exit_policy_during_drain_does_not_report_clean() {
    let mut fixture = Fixture::with_streams(5);
    let mut sidecar = fixture.start_ready(&on_sigterm("exit"));
    let hook = sidecar.call_hook();
    fixture.target.wait_for("INT");
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(11));
    assert!(!String::from_utf8(hook.bytes()).unwrap().contains("drained"));
}

#[test]
fn auto_exits_if_no_stream_is_left() {
    let fixture = Fixture::with_streams(0);
    let mut sidecar = fixture.start_quick();
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(0));
    assert_eq!(fixture.target.into_signal_count(), 0);

    let page = PageServer::new(PageReply::Refuse);
    let env = SidecarEnv::new(&page.url());
    let mut alone = env.start(&QUICK_TIMES);
    alone.wait_for_not_ready("target not found");
    alone.signal(Signal::SIGTERM);
    assert_eq!(alone.exit_code(), Some(0));
}

#[test]
fn auto_waits_for_hook_while_streams_may_be_open() {
    for known in [true, false] {
        let fixture = Fixture::with_streams(1);
        let mut sidecar = fixture.start_quick();
        if !known {
            fixture.page.set_reply(PageReply::Refuse);
            sidecar.wait_for_status("/streams", Value::Null);
        }
        sidecar.signal(Signal::SIGTERM);
        sidecar.wait_for_log("SIGTERM received");
        sidecar.wait_for_readings(3);
        assert_eq!(sidecar.status()["phase"], "serving");
        let hook = sidecar.call_hook();
        fixture.page.set_streams(1);
        fixture.end_streams();
        assert_eq!(hook.outcome()["outcome"], "drained");
        assert_eq!(sidecar.status()["drain"]["trigger"], "hook");
        assert!(sidecar.is_running());
        assert_eq!(fixture.target.into_signal_count(), 1);
        assert_eq!(sidecar.exit_code(), Some(0));
    }
}

#[test]
fn auto_exits_without_hook_after_last_stream_and_says_unknown() {
    let fixture = Fixture::with_streams(1);
    let mut sidecar = fixture.start_quick();
    sidecar.signal(Signal::SIGTERM);
    sidecar.wait_for_log("SIGTERM received");
    fixture.page.set_streams(0);
    // SIGTERM may have reached the target too, which may then have cut its streams.
    assert_eq!(sidecar.exit_code(), Some(11));
    let record = fixture.env.termination_message().unwrap();
    assert_eq!((&record["outcome"], &record["stragglers"]), (&json!("interrupted"), &Value::Null));
    assert_eq!(fixture.target.into_signal_count(), 0);
}

#[test]
fn exit_code_reports_stragglers() {
    // A reading is valid for two polls.
    for (stragglers, poll, code) in [(Some(2), "10s", 10), (None, "50ms", 11)] {
        let fixture = Fixture::with_streams(2);
        let times = ["--grace-period", "1s", "--lame-duck", "0s", "--quiet-period", "100ms", "--on-sigterm", "drain"];
        let mut sidecar = fixture.start_ready(&[&times[..], &["--poll-interval", poll], &SHORT_SCRAPES].concat());
        if stragglers.is_none() {
            fixture.page.set_reply(PageReply::Hang);
            sidecar.wait_for_status("/streams", Value::Null);
        }
        sidecar.signal(Signal::SIGTERM);
        sidecar.wait_for_status("/phase", "done");
        assert!(fixture.target.into_signal_count() <= 1);
        assert_eq!(sidecar.exit_code(), Some(code));
        assert_eq!(fixture.env.termination_message().unwrap()["stragglers"], json!(stragglers));
        assert_last_line(&mut sidecar, &fixture.env);
    }
}

#[test]
fn outcome_is_last_log_line_after_later_sigterm() {
    let fixture = Fixture::with_streams(0);
    let mut sidecar = fixture.start_quick();
    let outcome = sidecar.call_hook().outcome();
    assert_eq!(fixture.target.into_signal_count(), 1);
    sidecar.wait_for_status("/target/alive", false);
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(0));
    assert_eq!(fixture.env.termination_message().unwrap(), outcome);
    assert_last_line(&mut sidecar, &fixture.env);
}

#[test]
fn without_target_sidecar_exits_after_last_answer() {
    let page = PageServer::with_streams(1);
    let env = SidecarEnv::new(&page.url());
    let mut sidecar = env.start(&[&on_sigterm("drain")[..], &["--signal", "none"]].concat());
    sidecar.wait_for_ready();
    sidecar.signal(Signal::SIGTERM);
    sidecar.wait_for_status("/phase", "draining");
    let hooks = [sidecar.call_hook(), sidecar.call_hook()];
    page.set_streams(0);
    for hook in hooks {
        assert_eq!(hook.outcome()["outcome"], "drained");
    }
    assert_eq!(sidecar.exit_code(), Some(0));
}
