//! Every route that answers immediately.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::Fixture;
use lameduck_test_support::http::Call;
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar};
use lameduck_test_support::skip::{has_ipv6_or_skip, skip};

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap_or_else(|| panic!("no object: {object}")).keys().map(String::as_str).collect()
}

#[test]
fn livez_is_ok_before_during_and_after_drain() {
    let mut fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    let is_live = || assert_eq!((sidecar.get("/livez").status, sidecar.get("/livez").body), (200, "ok\n".into()));
    is_live();
    let hook = sidecar.call_hook();
    fixture.target.wait_for("INT");
    is_live();
    fixture.page.set_streams(0);
    hook.outcome();
    is_live();
}

#[test]
fn status_has_every_key_in_every_phase() {
    let fixture = Fixture::with_streams(3);
    let sidecar = fixture.start_quick();
    let all_keys = [
        "disagreement_seconds",
        "drain",
        "durations",
        "idle_streams",
        "outcome",
        "phase",
        "sources",
        "streams",
        "target",
        "version",
    ];
    let status = sidecar.status();
    assert_eq!(keys(&status), all_keys);
    assert_eq!(keys(&status["target"]), ["alive", "name", "pid"]);
    assert_eq!(keys(&status["sources"][0]), ["age_seconds", "error", "name", "state", "streams"]);
    assert_eq!((&status["drain"], &status["outcome"]), (&Value::Null, &Value::Null));
    assert_eq!(status["target"], json!({"pid": fixture.target.pid, "name": fixture.env.target_name, "alive": true}));
    assert_eq!((&status["streams"], &status["phase"]), (&json!(3), &json!("serving")));

    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    let status = sidecar.status();
    assert_eq!(keys(&status), all_keys);
    let drain = ["elapsed_seconds", "remaining_seconds", "signalled", "streams_at_start", "trigger"];
    assert_eq!(keys(&status["drain"]), drain);
    assert_eq!((&status["drain"]["trigger"], &status["outcome"]), (&json!("hook"), &Value::Null));
    fixture.page.set_streams(0);
    let outcome = hook.outcome();
    let status = sidecar.status();
    assert_eq!((&status["outcome"], &status["phase"]), (&outcome, &json!("done")));
    let record = [
        "id",
        "idle_streams",
        "outcome",
        "seconds",
        "signal",
        "stragglers",
        "streams_at_signal",
        "streams_at_start",
        "warnings",
    ];
    assert_eq!(keys(&outcome), record);
}

#[test]
fn metrics_are_valid_before_during_and_after_drain() {
    let mut fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    assert_valid_page(&sidecar, "serving");
    let hook = sidecar.call_hook();
    fixture.target.wait_for("INT");
    sidecar.wait_for_status("/phase", "draining");
    assert_valid_page(&sidecar, "draining");
    assert_eq!(sidecar.metric("lameduck_streams"), Some(1.0));
    assert_eq!(sidecar.metric("lameduck_hook_callers"), Some(1.0));
    assert_eq!(sidecar.metric("lameduck_target_up"), Some(1.0));
    fixture.page.set_streams(0);
    hook.outcome();
    assert_valid_page(&sidecar, "done");
    assert_eq!(sidecar.metric("lameduck_drain_duration_seconds_count"), Some(1.0));
}

fn assert_valid_page(sidecar: &Sidecar, phase: &str) {
    let response = sidecar.get("/metrics");
    assert!(response.head.contains("content-type: text/plain; version=0.0.4"), "{}", response.head);
    let page = response.body;
    let scrape = prometheus_parse::Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap();
    assert!(scrape.samples.iter().all(|sample| sample.metric.starts_with("lameduck_")));
    let samples = page.lines().filter(|line| !line.starts_with('#')).count();
    let buckets = page.lines().filter(|line| line.contains("_bucket{")).count();
    let histograms = page.lines().filter(|line| line.ends_with(" histogram")).count();
    assert_eq!(scrape.samples.len(), samples - buckets + histograms, "a line was not parsed:\n{page}");
    for line in page.lines().filter(|line| line.starts_with("lameduck_phase{")) {
        assert_eq!(line.ends_with(" 1"), line.contains(&format!("\"{phase}\"")), "{line}");
    }
    lint(&page);
}

/// Runs Prometheus's linter on the page, if it is installed.
fn lint(page: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut linter) = command.spawn() else {
        return skip("no promtool");
    };
    linter.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = linter.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn head_is_answered_like_get_without_the_body() {
    let fixture = Fixture::with_streams(0);
    let sidecar = fixture.start_quick();
    for path in ["/readyz", "/accepting", "/livez", "/status", "/metrics"] {
        let (get, head) = (sidecar.get(path), sidecar.request("HEAD", path, ""));
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        assert!(head.head.contains("content-length: "), "{path}: {}", head.head);
    }
}

#[test]
fn other_methods_are_refused_and_start_nothing() {
    let fixture = Fixture::with_streams(0);
    let sidecar = fixture.start_quick();
    for (path, method, allowed) in [
        ("/prestop", "HEAD", "get"),
        ("/prestop", "POST", "get"),
        ("/prestop", "BREW", "get"),
        ("/readyz", "POST", "get, head"),
        ("/metrics", "DELETE", "get, head"),
        ("/status", "OPTIONS", "get, head"),
    ] {
        let answer = sidecar.request(method, path, "");
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(answer.head.contains(&format!("\r\nallow: {allowed}\r\n")), "{}", answer.head);
    }
    assert_eq!((sidecar.status()["phase"].as_str(), sidecar.get("/readyz").status), (Some("serving"), 200));
    assert_eq!(fixture.target.into_signal_count(), 0);
}

#[test]
fn unknown_hook_path_is_logged_with_correct_path() {
    for path in ["/", "/preStop", "/prestop/", "//prestop", "/drain?x=1"] {
        let fixture = Fixture::with_streams(0);
        let mut sidecar = fixture.start_quick();
        let answer = sidecar.request("GET", path, "User-Agent: kube-lifecycle/1.33\r\n");
        assert_eq!(answer.status, 404, "{path}");
        let line = sidecar.wait_for_log("hook call to an unknown path");
        assert_eq!((&line["level"], line["message"].as_str().unwrap().contains("/prestop")), (&json!("ERROR"), true));
        assert_eq!(line["path"], path.split('?').next().unwrap());
        assert_eq!(sidecar.get("/prestopp").status, 404);
        assert_eq!(sidecar.status()["phase"], "serving");
    }
}

#[test]
fn many_unknown_hook_paths_do_not_fill_log() {
    let fixture = Fixture::with_streams(0);
    let mut sidecar = fixture.start_quick();
    let long = format!("/{}", "x".repeat(5000));
    for _ in 0..50 {
        sidecar.request("GET", &long, "User-Agent: kube-lifecycle/1.33\r\n");
    }
    sidecar.signal(Signal::SIGTERM);
    let errors: Vec<_> = sidecar.log().iter().filter(|line| line["level"] == "ERROR").collect();
    assert!(matches!(errors[..], [line] if line["path"].as_str().unwrap().len() == 100), "{errors:?}");
}

#[test]
fn hook_accepts_arbitrary_headers_and_body() {
    let fixture = Fixture::with_streams(0);
    let sidecar = fixture.start_quick();
    let headers = "User-Agent: kube-lifecycle/1.33\r\nAccept: */*\r\nContent-Length: 5\r\nExpect: 100-continue\r\n";
    let call = Call::send(
        fixture.env.address,
        format!("GET http://10.0.0.1:8089/prestop?reason=bye HTTP/1.1\r\nHost: a\r\n{headers}\r\nhello"),
    );
    assert_eq!(call.outcome()["outcome"], "drained");
    drop(sidecar);
}

#[test]
fn one_listener_serves_both_families() {
    let fixture = Fixture::with_streams(0);
    if !has_ipv6_or_skip() {
        return;
    }
    let mut env = fixture.env;
    let sidecar = env.start_on_free_port(Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into(), &QUICK_TIMES);
    let port = env.address.port();
    for address in [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), (Ipv6Addr::LOCALHOST, port).into()] {
        assert_eq!(Call::get(address, "/livez").response().status, 200);
    }
    drop(sidecar);
}
