//! `POST /deadline`, with which the controller of the fleet shortens the deadline of a drain.

use std::fs;

use serde_json::json;

use crate::lifecycle::Fixture;
use lameduck_test_support::http::{Call, Response};
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar};

const TOKEN: &str = "fleet-token";

struct Guarded {
    fixture: Fixture,
    sidecar: Sidecar,
}

impl Guarded {
    fn with_streams(streams: u64) -> Self {
        let fixture = Fixture::with_streams(streams);
        let token = fixture.env.dir.join("token");
        fs::write(&token, TOKEN).unwrap();
        let args = [&["--token-file", token.to_str().unwrap()], &QUICK_TIMES[..]].concat();
        let sidecar = fixture.start_ready(&args);
        Self { fixture, sidecar }
    }

    fn post(&self, body: &str) -> Response {
        post(&self.fixture, &format!("Authorization: Bearer {TOKEN}\r\n"), body)
    }
}

fn post(fixture: &Fixture, headers: &str, body: &str) -> Response {
    let length = body.len();
    let head = format!("POST /deadline HTTP/1.1\r\nHost: pod\r\nContent-Length: {length}\r\n{headers}\r\n");
    Call::send(fixture.env.address, head + body).response()
}

#[test]
fn drain_expires_at_shortened_deadline() {
    let guarded = Guarded::with_streams(2);
    let hook = guarded.sidecar.call_hook();
    guarded.sidecar.wait_for_status("/phase", "draining");
    let response = guarded.post(r#"{"remaining_seconds": 2.5}"#);
    assert_eq!(response.status, 200, "{response:?}");
    let remaining = response.json()["remaining_seconds"].as_f64().unwrap();
    assert!((1.0..=2.5).contains(&remaining), "{response:?}");
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&json!("expired"), &json!(2)));
    assert!(outcome["warnings"].as_array().unwrap().contains(&json!("deadline_shortened")), "{outcome}");
    assert_eq!(guarded.fixture.env.termination_message(), Some(outcome));
    assert!(guarded.post(r#"{"remaining_seconds": 1}"#).status == 409, "the drain is over");
}

#[test]
fn later_deadline_changes_nothing() {
    let guarded = Guarded::with_streams(1);
    let hook = guarded.sidecar.call_hook();
    guarded.sidecar.wait_for_status("/phase", "draining");
    let response = guarded.post(r#"{"remaining_seconds": 86400}"#);
    let remaining = response.json()["remaining_seconds"].as_f64().unwrap();
    assert!(response.status == 200 && remaining < 600.0, "{response:?}");
    guarded.fixture.end_streams();
    assert_eq!(hook.outcome()["warnings"], json!([]));
}

#[test]
fn deadline_always_needs_the_token() {
    let fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    let hook = sidecar.call_hook();
    let response = post(&fixture, "", r#"{"remaining_seconds": 0}"#);
    assert!(response.status == 403 && response.body.contains("--token-file"), "{response:?}");
    assert!(hook.is_pending());

    let guarded = Guarded::with_streams(1);
    let hook = guarded.sidecar.call_hook();
    for headers in ["", "Authorization: Bearer fleet-toke\r\n", "Authorization: Basic fleet-token\r\n"] {
        let response = post(&guarded.fixture, headers, r#"{"remaining_seconds": 0}"#);
        assert!(response.status == 403 && response.body.contains("Authorization"), "{response:?}");
    }
    guarded.sidecar.wait_for_status("/phase", "draining");
    assert!(hook.is_pending() && guarded.sidecar.status()["drain"]["remaining_seconds"].as_f64() > Some(60.0));
}

#[test]
fn invalid_deadline_is_refused() {
    let guarded = Guarded::with_streams(1);
    assert_eq!(guarded.post(r#"{"remaining_seconds": 5}"#).status, 409, "there is no drain");
    let hook = guarded.sidecar.call_hook();
    for body in ["", "{}", r#"{"remaining_seconds": -1}"#, r#"{"remaining_seconds": "5"}"#, &" ".repeat(2000)] {
        let response = guarded.post(body);
        assert!(response.status == 400 && response.body.contains("remaining_seconds"), "{body}: {response:?}");
    }
    let get = guarded.sidecar.get("/deadline");
    assert!(get.status == 405 && get.head.contains("allow: post"), "{get:?}");
    assert!(hook.is_pending());
}
