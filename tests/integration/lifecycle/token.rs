//! Callers from other hosts with `--token-file`: without the token they are held, and have no effect.
//!
//! A call to a non-loopback address of this machine comes from that address, as from another host.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::lifecycle::Fixture;
use lameduck_test_support::check::CheckReport;
use lameduck_test_support::http::{Call, request};
use lameduck_test_support::process::wait_until;
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar};
use lameduck_test_support::skip::{has_ipv6_or_skip, skip};

const TOKEN: &str = "correct-horse.battery+staple";

/// A sidecar with a token file, and the address at which other hosts call it.
struct TokenFixture {
    fixture: Fixture,
    sidecar: Sidecar,
    outside: SocketAddr,
    token: PathBuf,
}

impl TokenFixture {
    /// `None`, and the skip is reported, where this machine has only loopback addresses.
    fn with_streams(streams: u64, args: &[&str]) -> Option<Self> {
        let mut fixture = Fixture::with_streams(streams);
        // Connecting a UDP socket sends no packet.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let Ok(()) = socket.connect("192.0.2.1:9") else {
            skip("no address besides loopback");
            return None;
        };
        let own = socket.local_addr().unwrap().ip();
        let token = fixture.env.dir.join("token");
        fs::write(&token, format!("{TOKEN}\n")).unwrap();
        let args = [&["--token-file", token.to_str().unwrap()], args].concat();
        let sidecar = fixture.env.start_on_free_port(own, own, &args);
        sidecar.wait_for_ready();
        let outside = fixture.env.address;
        Some(Self { fixture, sidecar, outside, token })
    }

    fn call(&self, authorization: &str) -> Call {
        Call::send(self.outside, request("GET", "/prestop", authorization))
    }

    fn wait_for_held(&self, held: u32) {
        wait_until(|| self.sidecar.metric("lameduck_hook_callers") == Some(f64::from(held)));
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[test]
fn authorized_call_starts_drain() {
    let Some(mut guarded) = TokenFixture::with_streams(1, &QUICK_TIMES) else { return };
    let hook = guarded.call(&bearer(TOKEN));
    guarded.fixture.target.wait_for("INT");
    guarded.fixture.page.set_streams(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
}

#[test]
fn unauthorized_call_is_held_without_any_effect() {
    let Some(mut guarded) = TokenFixture::with_streams(1, &QUICK_TIMES) else { return };
    let presented = [
        String::new(),
        bearer(""),
        bearer("wrong"),
        bearer(&TOKEN[..TOKEN.len() - 1]),
        bearer(&format!("{TOKEN}e")),
        bearer(&TOKEN.to_ascii_uppercase()),
        format!("Authorization: Basic {TOKEN}\r\n"),
        format!("X-Authorization: Bearer {TOKEN}\r\n"),
    ];
    let calls: Vec<_> = presented.iter().map(|authorization| guarded.call(authorization)).collect();
    guarded.wait_for_held(8);
    let line = guarded.sidecar.wait_for_log("hook call without the token: it is held");
    assert_eq!((&line["level"], &line["peer"]), (&json!("ERROR"), &json!(guarded.outside.ip().to_string())));
    guarded.sidecar.wait_for_readings(6);
    assert!(calls.iter().all(Call::is_pending));
    let status = guarded.sidecar.status();
    assert_eq!((&status["phase"], &status["drain"]), (&json!("serving"), &Value::Null));
    assert_eq!(guarded.sidecar.get("/readyz").body, "ready\n");
    assert!(fs::read_dir(&guarded.fixture.env.dir).unwrap().all(|entry| entry.unwrap().path() == guarded.token));

    guarded.fixture.page.set_streams(0);
    for call in calls {
        let outcome = call.outcome();
        assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &Value::Null));
    }
    assert_eq!(guarded.sidecar.get("/readyz").body, "ready\n");
    assert_eq!(guarded.sidecar.metric("lameduck_drains_total{outcome=\"drained\"}"), Some(0.0));
    assert_eq!(guarded.fixture.env.termination_message(), None);
    assert_eq!(guarded.fixture.target.into_signal_count(), 0);
}

#[test]
fn unauthorized_call_is_held_until_deadline_at_most() {
    let Some(mut guarded) = TokenFixture::with_streams(2, &["--grace-period", "1s"]) else { return };
    let outcome = guarded.call("").outcome();
    assert_eq!(outcome["outcome"], "expired");
    // On a slow machine the last reading may be too old to count.
    assert!(outcome["stragglers"] == 2 || outcome["stragglers"].is_null(), "{outcome}");
    let line = guarded.sidecar.wait_for_log("hook call without the token released");
    assert_eq!((&line["outcome"], &line["stragglers"]), (&outcome["outcome"], &outcome["stragglers"]));
    assert_eq!(guarded.fixture.target.into_signal_count(), 0);
}

#[test]
fn manual_drain_from_other_host_needs_token() {
    let Some(guarded) = TokenFixture::with_streams(1, &QUICK_TIMES) else { return };
    let call = Call::get(guarded.outside, "/prestop?trigger=cli");
    guarded.wait_for_held(1);
    assert_eq!(guarded.sidecar.status()["phase"], "serving");
    guarded.fixture.page.set_streams(0);
    assert_eq!(call.outcome()["signal"], Value::Null);
}

#[test]
fn unauthorized_call_joins_authorized_drain() {
    let Some(mut guarded) = TokenFixture::with_streams(1, &QUICK_TIMES) else { return };
    let unauthorized = guarded.call("");
    guarded.wait_for_held(1);
    let hook = guarded.call(&bearer(TOKEN));
    guarded.fixture.target.wait_for("INT");
    guarded.wait_for_held(2);
    guarded.fixture.page.set_streams(0);
    assert_eq!(unauthorized.outcome(), hook.outcome());
}

#[test]
fn unauthorized_hook_limit_is_64_and_spares_authorized_callers() {
    let Some(mut guarded) = TokenFixture::with_streams(1, &QUICK_TIMES) else { return };
    let mut unauthorized: Vec<_> = (0..64).map(|_| guarded.call("")).collect();
    guarded.wait_for_held(64);
    let refused = guarded.call("").response();
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.body.contains("too many"), "{refused:?}");
    guarded.sidecar.wait_for_log("hook call without the token rejected");
    // A disconnect makes room for another caller.
    drop(unauthorized.pop());
    guarded.wait_for_held(63);
    unauthorized.push(guarded.call(""));
    guarded.wait_for_held(64);

    let hook = guarded.call(&bearer(TOKEN));
    guarded.fixture.target.wait_for("INT");
    guarded.fixture.page.set_streams(0);
    let outcome = hook.outcome();
    assert_eq!(outcome["signal"], "SIGINT");
    assert!(unauthorized.into_iter().all(|call| call.outcome() == outcome));
}

#[test]
fn changed_token_applies_at_once_and_deleted_one_stays_valid() {
    let Some(mut guarded) = TokenFixture::with_streams(1, &QUICK_TIMES) else { return };
    fs::write(&guarded.token, "another").unwrap();
    let unauthorized = guarded.call(&bearer(TOKEN));
    guarded.wait_for_held(1);
    assert_eq!(guarded.sidecar.status()["phase"], "serving");
    fs::remove_file(&guarded.token).unwrap();
    let hook = guarded.call(&bearer("another"));
    guarded.fixture.target.wait_for("INT");
    guarded.sidecar.wait_for_log("last tokens stay valid");
    guarded.fixture.page.set_streams(0);
    assert_eq!(unauthorized.outcome(), hook.outcome());
}

#[test]
fn listening_only_on_pod_address_is_logged_at_start() {
    let Some(mut guarded) = TokenFixture::with_streams(0, &QUICK_TIMES) else { return };
    let line = guarded.sidecar.wait_for_log("is not reachable on loopback");
    assert_eq!((&line["level"], &line["listen"]), (&json!("WARN"), &json!(guarded.outside.to_string())));
}

#[test]
fn other_routes_need_no_token() {
    let Some(guarded) = TokenFixture::with_streams(1, &QUICK_TIMES) else { return };
    for path in ["/readyz", "/livez", "/accepting", "/status", "/metrics"] {
        assert_eq!(guarded.sidecar.get(path).status, 200, "{path}");
    }
}

#[test]
fn loopback_needs_no_token_even_ipv4_mapped() {
    for (listen, host) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "[::1]"), ("[::]:0", "127.0.0.1")] {
        if listen.starts_with('[') && !has_ipv6_or_skip() {
            continue;
        }
        let mut fixture = Fixture::with_streams(0);
        let token = fixture.env.dir.join("token");
        fs::write(&token, TOKEN).unwrap();
        let mut command = fixture.env.sidecar_command();
        command.args(QUICK_TIMES).args(["--listen", listen, "--token-file", token.to_str().unwrap()]);
        command.stderr(std::process::Stdio::piped());
        let mut sidecar = fixture.env.spawn_command(command);
        let started = sidecar.wait_for_log("started");
        let port = started["listen"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        sidecar.wait_for_log("ready");
        let address: SocketAddr = format!("{host}:{port}").parse().unwrap();
        assert_eq!(Call::get(address, "/prestop").outcome()["signal"], "SIGINT", "{listen}");
        fixture.target.wait_for("INT");
    }
}

#[test]
fn check_reports_missing_token_file() {
    let fixture = Fixture::with_streams(0);
    let token = fixture.env.dir.join("token");
    let path = token.to_str().unwrap();
    let report = CheckReport::with_args(&fixture.env, &["--token-file", path]);
    report.assert_failed(&["token_file"], 64);
    report.assert("token_file", false, &[path, "No such file", "mount the Secret"]);
    fs::write(&token, TOKEN).unwrap();
    CheckReport::with_args(&fixture.env, &["--token-file", path]).assert(
        "token_file",
        true,
        &[path, "contains a token"],
    );
}
