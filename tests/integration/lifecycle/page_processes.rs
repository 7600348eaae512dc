//! A metrics port on which several processes answer in turn.

use lameduck_test_support::check::CheckReport;
use lameduck_test_support::page::PageReply;
use lameduck_test_support::process::wait_until;
use lameduck_test_support::sim::EngineSim;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::lifecycle::{Fixture, start_engine};

/// The page of a process that started at this second.
fn page_of(started_at: u64, streams: u64) -> PageReply {
    PageReply::text(&format!("process_start_time_seconds {started_at}\nengine_active_requests {streams}\n"))
}

#[test]
fn stream_of_one_process_is_not_missed_on_another() {
    let share = "--share-metrics-port";
    let (idle, env) = start_engine(&[share, "--started-at", "1700000000"]);
    let mut busy = EngineSim::start_as("worker", &[share, "--started-at", "1700000123", "--metrics", &idle.metrics]);
    let _client = busy.client("/v1/listen", &["--durations", "1h"]);
    busy.wait_for("opened");
    let mut sidecar = env.start(&["--grace-period", "8s", "--signal", "none", "--quiet-period", "200ms"]);
    // The kernel picks the process that answers.
    let error = || sidecar.status()["sources"][0]["error"].to_string();
    wait_until(|| error().contains("the page is answered by several processes in turn"));
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    assert_eq!(sidecar.status()["streams"], Value::Null);
    assert_eq!(sidecar.metric("lameduck_source_up{source=\"metrics\"}"), Some(0.0));
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&Value::from("expired"), &Value::Null), "{outcome}");
    drop((idle, busy));
    sidecar.signal(Signal::SIGTERM);
    let is_shared = |line: &&Value| line["error"].as_str().is_some_and(|error| error.contains("several processes"));
    // One line for each source of the page. On a slow machine, a poll in between may have no answer.
    let lines = sidecar.log().iter().filter(is_shared).count();
    assert!((2..10).contains(&lines), "{lines} lines");
}

#[test]
fn drain_after_one_restart_of_the_page_ends_at_zero() {
    let fixture = Fixture::with_streams(0);
    fixture.page.set_reply(page_of(1_700_000_000, 2));
    let sidecar = fixture.start_quick();
    sidecar.wait_for_status("/streams", 2);
    let hook = sidecar.call_hook();
    fixture.page.set_reply(page_of(1_700_000_123, 0));
    assert_eq!(hook.outcome()["outcome"], "drained");
}

#[test]
fn check_reports_several_processes() {
    let fixture = Fixture::with_streams(0);
    fixture.page.set_reply(PageReply::InTurn(vec![page_of(1_700_000_000, 0), page_of(1_700_000_123, 0)]));
    let report = CheckReport::with_args(&fixture.env, &[]);
    report.assert_failed(&["page_process"], 69);
    let parts = ["several processes", "1700000000 (5×), 1700000123 (5×)", "--streams-port"];
    report.assert("page_process", false, &parts);

    let counter =
        |value: u64| PageReply::text(&format!("process_cpu_seconds_total {value}\nengine_active_requests 0\n"));
    // Eleven readings in each run, so that the counter falls at the same readings in every run.
    fixture.page.set_reply(PageReply::InTurn((0..11).map(|n| counter(if n % 2 == 0 { 5 } else { 3 })).collect()));
    let report = CheckReport::with_args(&fixture.env, &[]);
    report.assert_failed(&["page_process"], 69);
    report.assert("page_process", false, &["process_cpu_seconds_total fell "]);
}

#[test]
fn check_passes_page_of_one_process_and_skips_page_without_facts() {
    let fixture = Fixture::with_streams(0);
    fixture.page.set_reply(page_of(1_700_000_000, 0));
    let report = CheckReport::with_args(&fixture.env, &[]);
    report.assert_failed(&[], 0);
    report.assert("page_process", true, &["10 readings on new connections"]);
    fixture.page.set_streams(0);
    let report = CheckReport::with_args(&fixture.env, &[]);
    report.assert_failed(&[], 0);
    report.assert("page_process", Value::Null, &["does not show which process answers"]);
}
