//! The queries of docs/accounting.md, run over the logs of real sidecars.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::Fixture;
use lameduck_test_support::process::{stopwatch, wait_until};
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar};
use lameduck_test_support::skip::skip;

const PAGE: &str = include_str!("../../../docs/accounting.md");

/// The commands of the page, in their order. Those that need a cluster are in blocks of another language.
fn commands() -> Vec<&'static str> {
    let blocks = PAGE.split("```sh\n").skip(1);
    blocks.map(|block| block.split_once("```").expect("the block ends").0).collect()
}

/// Runs a command in a directory, and returns what it prints: one JSON value per line.
fn run(dir: &Path, command: &str) -> Vec<Value> {
    let output = Command::new("sh").args(["-c", command]).current_dir(dir).output().unwrap();
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success() && stderr.is_empty(), "{command}{stderr}");
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Ends a sidecar as the kubelet does when the grace period is over, and returns its log.
fn killed(mut sidecar: Sidecar) -> Vec<Value> {
    sidecar.signal(Signal::SIGKILL);
    sidecar.log().to_vec()
}

/// A reading is valid for two poll intervals: on a busy machine, it must not be out of date.
const LONG_POLLS: [&str; 2] = ["--poll-interval", "10s"];

/// One stream, which ends by itself after the signal.
fn drained() -> Vec<Value> {
    let fixture = Fixture::with_streams(1);
    let mut sidecar = fixture.start_quick();
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/drain/signalled", true);
    // A zero counts only if a reading requested 700 ms after the signal or later has seen the target serving on.
    let since_signal = stopwatch();
    wait_until(|| since_signal() > Duration::from_millis(700));
    sidecar.wait_for_readings(2);
    fixture.page.set_streams(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
    // A thread writes the log.
    sidecar.wait_for_log("drain over");
    killed(sidecar)
}

/// Three streams at the deadline.
fn expired() -> Vec<Value> {
    let fixture = Fixture::with_streams(3);
    let args = [&QUICK_TIMES[..], &["--exit-margin", "597s"], &LONG_POLLS].concat();
    let mut sidecar = fixture.start_ready(&args);
    assert_eq!(sidecar.call_hook().outcome()["outcome"], "expired");
    sidecar.wait_for_log("drain over");
    killed(sidecar)
}

/// Two streams when the grace period ends before its time.
fn interrupted() -> Vec<Value> {
    let fixture = Fixture::with_streams(2);
    let mut sidecar = fixture.start_quick();
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    drop(hook);
    sidecar.wait_for_log("the hook caller has disconnected");
    killed(sidecar)
}

/// Four streams when the target crashes while serving.
fn crashed() -> Vec<Value> {
    let fixture = Fixture::with_streams(4);
    let mut sidecar = fixture.start_ready(&[&QUICK_TIMES[..], &LONG_POLLS].concat());
    fixture.target.signal(Signal::SIGKILL);
    sidecar.wait_for_log("the target has ended while it was serving");
    killed(sidecar)
}

/// The lines as `kubectl logs --prefix` prints them. A restarted sidecar may have reported the outcome of the first pod
/// once more, and one line is the message of a refused setting.
fn prefixed(pods: &[(&str, Vec<Value>)]) -> String {
    let mut text = String::new();
    for (pod, log) in pods {
        for line in log {
            writeln!(text, "[pod/{pod}/lameduck] {line}").unwrap();
        }
    }
    let (pod, log) = &pods[0];
    let outcome = log.iter().find(|line| line["message"] == "drain over").unwrap();
    writeln!(text, "[pod/{pod}/lameduck] {outcome}\n[pod/{pod}/lameduck] error: --grace-period is required").unwrap();
    text
}

#[test]
fn documented_queries_account_for_every_drain_once() {
    if !Command::new("jq").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return skip("no jq");
    }
    let pods = [("engine-1", drained()), ("engine-2", expired()), ("engine-3", interrupted()), ("engine-4", crashed())];
    let dir = std::env::temp_dir().join(format!("lameduck-accounting-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("prefixed.log"), prefixed(&pods)).unwrap();
    let results: Vec<Vec<Value>> = commands().into_iter().map(|command| run(&dir, command)).collect();
    let records = fs::read_to_string(dir.join("drains.jsonl")).unwrap();
    fs::remove_dir_all(&dir).unwrap();
    let [_, _, cut, sums, crashes, hours] = &results[..] else { panic!("{results:#?}") };

    assert_eq!(records.lines().count(), 3, "{records}");
    let mut cut: Vec<_> = cut.iter().map(|drain| (&drain["pod"], &drain["outcome"], &drain["stragglers"])).collect();
    cut.sort_by_key(|(pod, ..)| pod.as_str());
    let expected = [("engine-2", "expired", 3), ("engine-3", "interrupted", 2)];
    let expected = expected.map(|(pod, outcome, stragglers)| (json!(pod), json!(outcome), json!(stragglers)));
    assert_eq!(cut, expected.each_ref().map(|(pod, outcome, stragglers)| (pod, outcome, stragglers)));
    let expected = json!({
        "drains": 3, "streams": 6, "stragglers": 5, "idle_streams": 0, "unknown": 0, "interrupted": 1,
    });
    assert_eq!(sums[..], [expected], "{records}");
    assert_eq!(crashes[..], [json!({"crashes": 1, "streams": 4, "unknown": 0})]);
    let seconds: f64 =
        records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seconds"].as_f64().unwrap()).sum();
    assert!((hours[0].as_f64().unwrap() * 3600.0 - seconds).abs() < 1e-6 && seconds > 2.9, "{hours:?} {records}");
}
