//! The socket table as a source: on its own, and together with a page that is wrong or fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::lifecycle::Fixture;
use lameduck_test_support::page::PageReply;
use lameduck_test_support::port::{ClosedPort, Connection, Port};
use lameduck_test_support::process::wait_until;
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar, SidecarEnv};
use lameduck_test_support::skip::has_ipv6_or_skip;

/// Starts a sidecar that counts only the connections to this port.
fn start_counting(env: &SidecarEnv, port: &Port) -> Sidecar {
    let mut command = env.sidecar_command();
    command.env_remove("LAMEDUCK_METRICS_URL").env_remove("LAMEDUCK_TARGET").args(QUICK_TIMES).args([
        "--preset",
        "generic",
        "--streams-port",
        &port.number().to_string(),
    ]);
    let sidecar = env.start_command(command);
    sidecar.wait_for_ready();
    sidecar
}

/// Starts a sidecar that also counts the connections to this port.
fn start_with_port(fixture: &Fixture, port: &Port) -> Sidecar {
    fixture.start_ready(&[&QUICK_TIMES[..], &["--streams-port", &port.number().to_string()]].concat())
}

#[test]
fn connections_are_counted_on_every_listener_family() {
    for (listens, by) in [
        ("127.0.0.1:0", ["127.0.0.1", "127.0.0.1"]),
        ("[::1]:0", ["[::1]", "[::1]"]),
        ("[::]:0", ["127.0.0.1", "[::1]"]),
    ] {
        if listens.starts_with('[') && !has_ipv6_or_skip() {
            continue;
        }
        let port = Port::open_on(listens);
        let env = SidecarEnv::new("");
        let sidecar = start_counting(&env, &port);
        sidecar.wait_for_status("/streams", 0);
        let mut connections: Vec<Connection> = (0..5).map(|n| port.connect_to(by[n % 2])).collect();
        sidecar.wait_for_status("/streams", 5);
        assert_eq!(sidecar.status()["sources"][0]["name"], "sockets");
        // The client has disconnected, but the target has not closed its end.
        connections[0].shut_down_client();
        connections.truncate(3);
        sidecar.wait_for_status("/streams", 3);
        connections[0].close_server();
        sidecar.wait_for_status("/streams", 2);
    }
}

/// Health checks on the streams' port, each shorter than the time between two polls. A check begins every 150 ms and
/// lasts 60 ms, and a poll reads every 200 ms: of three successive polls, one or two show a check. So some polls of
/// every quiet period show a check.
#[test]
fn health_checks_do_not_hold_an_unsignalled_drain() {
    let port = Port::open();
    let (env, number) = (SidecarEnv::new(""), port.number().to_string());
    let mut command = env.sidecar_command();
    command.env_remove("LAMEDUCK_METRICS_URL").env_remove("LAMEDUCK_TARGET");
    command.args(["--preset", "generic", "--streams-port", &number, "--grace-period", "10m"]);
    command.args(["--lame-duck", "100ms", "--quiet-period", "3s", "--poll-interval", "200ms"]);
    let sidecar = env.start_command(command);
    sidecar.wait_for_ready();
    let stream = port.connect();
    sidecar.wait_for_status("/streams", 1);
    let (checks, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let checker = thread::spawn({
        let (checks, stop) = (Arc::clone(&checks), Arc::clone(&stop));
        move || {
            while !stop.load(Ordering::Relaxed) {
                let check = port.connect();
                thread::sleep(Duration::from_millis(60));
                drop(check);
                checks.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(90));
            }
        }
    });
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    // A check is counted as long as it is open.
    sidecar.wait_for_status("/streams", 2);
    wait_until(|| checks.load(Ordering::Relaxed) >= 20);
    assert!(hook.is_pending(), "released with a stream alive");
    let before = checks.load(Ordering::Relaxed);
    drop(stream);
    let outcome = hook.outcome();
    let during = checks.load(Ordering::Relaxed) - before;
    stop.store(true, Ordering::Relaxed);
    checker.join().unwrap();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&json!("drained"), &json!(0)));
    assert!(during >= 5, "only {during} health checks in the quiet period");
}

#[test]
fn zero_on_page_does_not_override_open_connections() {
    let (fixture, port) = (Fixture::with_streams(0), Port::open());
    let sidecar = start_with_port(&fixture, &port);
    let connection = port.connect();
    sidecar.wait_for_status("/streams", 1);
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    port.close();
    sidecar.wait_for_readings(30);
    assert!(hook.is_pending(), "released with a stream alive");
    drop(connection);
    assert_eq!(hook.outcome()["outcome"], "drained");
}

#[test]
fn socket_count_continues_when_page_fails_on_signal() {
    let (mut fixture, port) = (Fixture::with_streams(1), Port::open());
    let sidecar = start_with_port(&fixture, &port);
    let connection = port.connect();
    sidecar.wait_for_status("/sources/2/streams", 1);
    let hook = sidecar.call_hook();
    fixture.target.wait_for("INT");
    fixture.page.set_reply(PageReply::Refuse);
    port.close();
    sidecar.wait_for_status("/sources/0/state", "unknown");
    sidecar.wait_for_readings(30);
    assert_eq!(sidecar.status()["streams"], 1, "{}", sidecar.status());
    assert!(hook.is_pending(), "released with a stream alive");
    drop(connection);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&json!("drained"), &json!(0)));
}

#[test]
fn socket_zero_without_evidence_does_not_override_failed_page() {
    let (fixture, port) = (Fixture::with_streams(3), Port::open());
    let sidecar = start_with_port(&fixture, &port);
    let hook = sidecar.call_hook();
    fixture.page.set_reply(PageReply::Refuse);
    sidecar.wait_for_status("/sources/0/state", "unknown");
    sidecar.wait_for_readings(30);
    assert_eq!(sidecar.status()["streams"], Value::Null);
    assert!(hook.is_pending(), "released by a socket table without evidence");
    // A table that has seen streams does override it.
    let connection = port.connect();
    sidecar.wait_for_status("/streams", 1);
    drop(connection);
    assert_eq!(hook.outcome()["outcome"], "drained");
}

#[test]
fn leaked_gauge_is_overruled_only_without_connections() {
    let (fixture, port) = (Fixture::with_streams(2), Port::open());
    let number = port.number().to_string();
    let args = ["--streams-port", &number, "--gauge-leak-after", "1s"];
    let mut sidecar = fixture.start_ready(&[&QUICK_TIMES[..], &args].concat());
    let connection = port.connect();
    sidecar.wait_for_status("/sources/2/streams", 1);
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    sidecar.wait_for_readings(60);
    assert!(hook.is_pending(), "released with a stream alive");
    assert_eq!(sidecar.status()["streams"], 2);
    drop(connection);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&json!("drained"), &json!(0)));
    let warnings = outcome["warnings"].as_array().unwrap();
    assert!(warnings.contains(&json!("gauge_leak")), "{outcome}");
    let line = sidecar.wait_for_log("its count is overruled");
    assert_eq!((&line["level"], &line["streams"]), (&json!("WARN"), &json!(2)));
}

#[test]
fn streams_port_without_listener_is_not_ready() {
    let fixture = Fixture::with_streams(0);
    let unused = ClosedPort::open();
    let number = unused.number().to_string();
    let sidecar = fixture.env.start(&[&QUICK_TIMES[..], &["--streams-port", &number]].concat());
    let reason = sidecar.wait_for_not_ready(&format!("nothing listens on port {number}; listening ports: "));
    let own = fixture.env.address.port().to_string();
    assert!(reason.contains("--streams-port") && (reason.contains(&own) || reason.contains(" more")), "{reason}");
    assert_eq!(sidecar.status()["sources"][2]["state"], "absent");
}

#[test]
fn disagreement_is_logged_once_and_shown() {
    let (fixture, port) = (Fixture::with_streams(0), Port::open());
    let mut command = fixture.env.sidecar_command();
    command.args(QUICK_TIMES).args(["--streams-port", &port.number().to_string()]).stderr(std::process::Stdio::piped());
    let mut sidecar = fixture.env.start_command(command);
    sidecar.wait_for_ready();
    assert_eq!(sidecar.status()["disagreement_seconds"], Value::Null);
    for _ in 0..2 {
        let connection = port.connect();
        lameduck_test_support::process::wait_until(|| sidecar.status()["disagreement_seconds"].is_number());
        drop(connection);
        sidecar.wait_for_status("/disagreement_seconds", Value::Null);
    }
    sidecar.signal(nix::sys::signal::Signal::SIGTERM);
    let lines = sidecar.log().iter().filter(|line| line["message"].as_str().unwrap().contains("disagree")).count();
    assert_eq!(lines, 1);
}

#[test]
fn api_preset_excludes_own_status_connection() {
    let env = SidecarEnv::new("");
    let mut api = lameduck_test_support::sim::EngineSim::start_as(&env.target_name, &["--role", "api"]);
    let port = api.ws.rsplit(':').next().unwrap().to_owned();
    let mut command = env.sidecar_command();
    command.env_remove("LAMEDUCK_METRICS_URL").args(QUICK_TIMES);
    command.args(["--preset", "deepgram-api", "--streams-port", &port, "--activity-port", &port]);
    let sidecar = env.start_command(command);
    sidecar.wait_for_ready();
    let named = |at: usize| sidecar.status()["sources"][at]["name"].clone();
    assert_eq!((named(0), named(1)), (json!("sockets"), json!("status")));
    let client = api.client("/v1/listen", &["--streams", "2", "--durations", "1h"]);
    sidecar.wait_for_status("/sources/0/streams", 2);
    sidecar.wait_for_status("/sources/1/streams", 2);
    assert_eq!(sidecar.status()["streams"], 2);

    let hook = sidecar.call_hook();
    api.wait_for("SIGINT received");
    // The page closes with the port; it is unknown then, not zero.
    sidecar.wait_for_status("/sources/1/state", "unknown");
    assert_eq!(sidecar.status()["streams"], 2);
    env.wait_until_served_on();
    drop(client);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&json!("exited"), &json!(0)));
    assert_eq!(api.exit_code(), Some(0));
}

#[test]
fn durations_recommend_a_grace_period() {
    let port = Port::open();
    let env = SidecarEnv::new("");
    let sidecar = start_counting(&env, &port);
    assert_eq!(sidecar.status()["durations"], Value::Null);
    let connections: Vec<Connection> = (0..4).map(|_| port.connect()).collect();
    sidecar.wait_for_status("/streams", 4);
    let lifetime = lameduck_test_support::process::stopwatch();
    // The lifetimes are what is measured here.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let at_least = lifetime().as_secs_f64() - 0.5;
    drop(connections);
    sidecar.wait_for_status("/durations/count", 4);
    let durations = sidecar.status()["durations"].clone();
    for key in ["p50_seconds", "p90_seconds", "p99_seconds", "longest_seconds"] {
        let seconds = durations[key].as_f64().unwrap();
        assert!(seconds >= at_least && seconds < lifetime().as_secs_f64() + 0.5, "{key}: {durations}");
    }
    assert_eq!(
        (&durations["low_sample_count"], &durations["recommended_grace_period_seconds"]),
        (&json!(true), &json!(30.0))
    );
    assert_eq!(sidecar.metric("lameduck_stream_duration_seconds_count"), Some(4.0));
    assert_eq!(sidecar.metric("lameduck_stream_duration_seconds_bucket{le=\"1\"}"), Some(0.0));
    assert_eq!(sidecar.metric("lameduck_stream_duration_seconds_bucket{le=\"14400\"}"), Some(4.0));
    let (_, text, _) = env.run_client(&["status"]);
    assert!(text.contains("4 streams from start to end: p50 ") && text.contains("grace period 30s"), "{text}");
}

#[test]
fn full_pod_stops_accepting_but_stays_ready() {
    let fixture = Fixture::with_streams(9);
    let sidecar = fixture.start_ready(&[&QUICK_TIMES[..], &["--accept-below", "10"]].concat());
    let accepts = |status| lameduck_test_support::process::wait_until(|| sidecar.get("/accepting").status == status);
    accepts(200);
    fixture.page.set_streams(10);
    accepts(503);
    assert!(sidecar.get("/accepting").body.contains("at capacity: the limit is 10 streams"));
    assert_eq!(sidecar.get("/readyz").status, 200);
    fixture.page.set_streams(9);
    sidecar.wait_for_status("/streams", 9);
    assert_eq!(sidecar.get("/accepting").status, 503);
    fixture.page.set_streams(8);
    accepts(200);
}

#[test]
fn accept_below_capacity_uses_limit_on_page() {
    let page = |streams: u64| {
        PageReply::text(&format!("engine_active_requests{{kind=\"stream\"}} {streams}\nengine_max_active_requests 3\n"))
    };
    let fixture = Fixture::with_streams(0);
    fixture.page.set_reply(page(2));
    let sidecar = fixture.start_ready(&[&QUICK_TIMES[..], &["--accept-below", "capacity"]].concat());
    assert_eq!(sidecar.get("/accepting").status, 200);
    fixture.page.set_reply(page(3));
    lameduck_test_support::process::wait_until(|| sidecar.get("/accepting").status == 503);
}

#[test]
fn own_page_request_on_streams_port_is_not_counted() {
    let fixture = Fixture::with_streams(0);
    let port = fixture.env.metrics_url.trim_end_matches("/metrics").rsplit(':').next().unwrap().to_owned();
    let sidecar = fixture.start_ready(&[&QUICK_TIMES[..], &["--streams-port", &port]].concat());
    for _ in 0..50 {
        sidecar.wait_for_readings(1);
        assert_eq!(sidecar.status()["streams"], 0, "{}", sidecar.status());
    }
    assert_eq!(sidecar.call_hook().outcome()["outcome"], "drained");
}
