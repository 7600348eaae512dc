//! `lameduck check` of the page, its selectors and the ports.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::Value;

use super::Busy;
use crate::lifecycle::Fixture;
use lameduck_test_support::check::CheckReport;
use lameduck_test_support::page::PageReply;
use lameduck_test_support::port::ClosedPort;

#[test]
fn selector_without_match_gets_suggestion() {
    let fixture = Fixture::with_streams(1);
    fixture.page.set_reply(PageReply::text(include_str!("../../../fixtures/deepgram-engine.prom")));
    let report = CheckReport::with_args(&fixture.env, &["--streams", "engine_active_request"]);
    report.assert_failed(&["streams"], 69);
    report.assert("page", true, &["streams unknown"]);
    report.assert("streams", false, &["engine_max_active_requests", "--streams 'engine_active_requests'"]);

    let args = ["--streams", "engine_active_requests", "--streams", "engine_active_requests{kind=\"steam\"}"];
    let report = CheckReport::with_args(&fixture.env, &args);
    report.assert_failed(&["streams"], 69);
    report.assert("streams", true, &["matches 3 series, whose sum is 44"]);
    let second = report.checks("streams")[1];
    assert_eq!(second["fix"].as_str().unwrap().split(' ').next(), Some("engine_active_requests{kind=\"stream\"}"));
}

#[test]
fn idle_selector_without_counted_series_fails() {
    let fixture = Fixture::with_streams(1);
    let busy = Busy::with(0);
    let args = ["--activity-port", &busy.port, "--idle-streams", "engine_active_requests{kind='tts'}"];
    let report = CheckReport::with_args(&fixture.env, &args);
    report.assert_failed(&[], 0);
    report.assert("idle_streams", Value::Null, &["matches none of the counted series"]);
    let report = CheckReport::with_args(&fixture.env, &[&args[..], &["--idle-after", "1m"]].concat());
    report.assert_failed(&["idle_streams"], 69);
    report.assert("idle_streams", false, &["--idle-streams 'engine_active_requests{kind=\"stream\"}'"]);

    fixture.page.set_reply(PageReply::text("engine_active_requests 1\ncalls 1\n"));
    let args = ["--activity-port", &busy.port, "--idle-streams", "calls", "--idle-after", "1m"];
    let report = CheckReport::with_args(&fixture.env, &args);
    report.assert("idle_streams", false, &["it matches others, which --streams does not count"]);
}

/// A page that shows each count for this many readings.
fn refreshed_every(readings: usize) -> PageReply {
    PageReply::InTurn([0, 1].iter().flat_map(|count| vec![PageReply::streams(*count); readings]).collect())
}

/// Measures the changes of the only gauge for this long, with a quiet period of 200 ms, and returns that check.
fn measure(fixture: &Fixture, reply: PageReply, time: &str) -> Value {
    fixture.page.set_reply(reply);
    let mut command = fixture.env.check_command();
    command.args(["--quiet-period", "200ms", "--poll-interval", "20ms", "--measure", time, "--json"]);
    let output = command.args(["--grace-period", "10m"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == "gauge_changes").unwrap().clone()
}

#[test]
fn measurement_compares_changes_of_gauge_with_quiet_period() {
    let fixture = Fixture::with_streams(1);
    let contains = |text: &Value, part| text.as_str().is_some_and(|text| text.contains(part));
    let slow = measure(&fixture, refreshed_every(20), "3s");
    assert!(contains(&slow["detail"], "confirms an old zero") && slow["ok"].is_null(), "{slow}");
    assert!(contains(&slow["fix"], "--quiet-period") && contains(&slow["fix"], "--streams-port"), "{slow}");
    let quick = measure(&fixture, refreshed_every(1), "3s");
    assert!(contains(&quick["detail"], "engine_active_requests changed") && quick["ok"] == true, "{quick}");
    let unchanged = measure(&fixture, PageReply::streams(1), "1ms");
    assert!(contains(&unchanged["detail"], "in 1ms (1 reading), so it is unknown"), "{unchanged}");
    assert!(unchanged["ok"].is_null() && unchanged["fix"].is_null(), "{unchanged}");
}

#[test]
fn measurement_without_a_readable_page_says_so() {
    let fixture = Fixture::with_streams(1);
    let failed = PageReply::Raw(b"HTTP/1.1 500 Failed\r\ncontent-length: 0\r\n\r\n".to_vec());
    for (reply, part) in [(PageReply::Refuse, "refused"), (failed, "500")] {
        let unread = measure(&fixture, reply, "50ms");
        let detail = unread["detail"].as_str().unwrap();
        assert!(detail.contains("no count was read from the page in 50ms") && detail.contains(part), "{unread}");
        assert!(!detail.contains("was not on any page"), "{unread}");
    }
}

#[test]
fn missing_capacity_series_fails() {
    let fixture = Fixture::with_streams(1);
    let report = CheckReport::with_args(&fixture.env, &["--accept-below", "capacity"]);
    report.assert_failed(&["capacity"], 69);
    report.assert("capacity", false, &["engine_max_active_requests", "--accept-below"]);
    for (limit, part) in [("0", "any number"), ("30", "is 30")] {
        fixture
            .page
            .set_reply(PageReply::text(&format!("engine_active_requests 1\nengine_max_active_requests {limit}\n")));
        let report = CheckReport::with_args(&fixture.env, &["--accept-below", "capacity"]);
        report.assert_failed(&[], 0);
        report.assert("capacity", true, &[part]);
    }
}

#[test]
fn unreachable_and_invalid_pages_are_distinguished() {
    let fixture = Fixture::with_streams(1);
    for (answer, part) in [
        (PageReply::ok("text/html", "<html>"), "an HTML page"),
        (PageReply::text("engine_active_requests many\n"), "many"),
        (PageReply::Refuse, "connection refused"),
    ] {
        fixture.page.set_reply(answer);
        let report = CheckReport::with_args(&fixture.env, &[]);
        report.assert_failed(&["page"], 69);
        report.assert("page", false, &[&fixture.page.url(), part]);
        report.assert("streams", Value::Null, &["no page"]);
    }
}

#[test]
fn slow_page_fails_after_scrape_timeout() {
    let fixture = Fixture::with_streams(1);
    fixture.page.set_reply(PageReply::Hang);
    let report = CheckReport::with_args(&fixture.env, &["--scrape-timeout", "300ms"]);
    // On a busy machine the processes may be late as well.
    assert_eq!(report.code, Some(69));
    report.assert("page", false, &["no complete page within 300ms", "--scrape-timeout"]);
}

#[test]
fn ports_without_listener_fail() {
    let fixture = Fixture::with_streams(0);
    let ports = [ClosedPort::open(), ClosedPort::open()];
    let [streams, activity] = ports.each_ref().map(|port| port.number().to_string());
    let report = CheckReport::with_args(&fixture.env, &["--streams-port", &streams, "--activity-port", &activity]);
    report.assert_failed(&["streams_port", "activity_port"], 69);
    report.assert("streams_port", false, &[&streams, "--streams-port"]);
    report.assert("activity_port", false, &[&activity, "--activity-port"]);
}

#[test]
fn own_status_connection_is_not_a_stream() {
    let fixture = Fixture::with_streams(0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    thread::spawn(move || {
        let page = r#"{"active_batch_requests":1,"active_stream_requests":2}"#;
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", page.len());
            let _ = stream.write_all((head + page).as_bytes());
        }
    });
    let api = |port| {
        let mut command = fixture.env.check_command();
        command.env_remove("LAMEDUCK_METRICS_URL").args([
            "--preset",
            "deepgram-api",
            "--streams-port",
            port,
            "--activity-port",
            port,
        ]);
        command
    };
    let report = CheckReport::run(&|| api(&port));
    report.assert_failed(&[], 0);
    report.assert("page", Value::Null, &[]);
    report.assert("status_page", true, &[&port, "3 streams"]);
    report.assert("streams_port", true, &["0 streams"]);
    let closed = ClosedPort::open();
    let number = closed.number().to_string();
    let report = CheckReport::run(&|| api(&number));
    report.assert_failed(&["streams_port", "activity_port", "status_page"], 69);
}
