//! Idle streams with real engines, sockets and clients.

use std::thread;

use serde_json::{Value, json};

use crate::lifecycle::{Fixture, SHORT_SCRAPES, run_in_parallel, start_engine};
use lameduck_test_support::page::PageReply;
use lameduck_test_support::port::{Connection, Port};
use lameduck_test_support::process::wait_until;
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar, SidecarEnv};
use lameduck_test_support::sim::EngineSim;

/// The idle threshold: long compared to the pauses of a busy machine.
const IDLE_AFTER: &str = "4s";

fn start_with_idle_after(fixture: &Fixture, port: &Port) -> Sidecar {
    start_with_idle_args(fixture, port, &[])
}

fn start_with_idle_args(fixture: &Fixture, port: &Port, args: &[&str]) -> Sidecar {
    let port = port.number().to_string();
    let idle = ["--activity-port", &port, "--idle-after", IDLE_AFTER];
    fixture.start_ready(&[&QUICK_TIMES[..], &idle, args].concat())
}

#[test]
fn silence_and_keepalives_are_idle_but_2kb_per_second_is_work() {
    let (fixture, port) = (Fixture::with_streams(3), Port::open());
    let sidecar = start_with_idle_after(&fixture, &port);
    let (silent, keepalive) = (port.connect(), port.connect().sending(26));
    let working = port.connect().sending(2000);
    sidecar.wait_for_status("/idle_streams", 2);
    assert_eq!(sidecar.metric("lameduck_idle_streams"), Some(2.0));
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    sidecar.wait_for_readings(60);
    assert!(hook.is_pending(), "one active stream keeps the drain open");
    // The page first: a stream that it counts without a connection is idle.
    fixture.page.set_streams(2);
    sidecar.wait_for_status("/streams", 2);
    drop(working);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["idle_streams"]), (&json!("idle"), &json!(2)));
    assert_eq!((&outcome["stragglers"], &outcome["streams_at_start"]), (&json!(0), &json!(3)));
    drop((silent, keepalive));
}

/// The server sends 2 kB/s, the client only keep-alives: whether that is work depends on the direction.
#[test]
fn direction_decides_if_stream_that_only_server_sends_is_work() {
    let cases = [("received", true), ("sent", false), ("either", false)];
    run_in_parallel(cases.map(|(direction, idle)| (direction, move || assert_server_sent_is_idle(direction, idle))));
}

fn assert_server_sent_is_idle(direction: &str, idle: bool) {
    let (fixture, port) = (Fixture::with_streams(2), Port::open());
    let number = port.number().to_string();
    let args = ["--activity-port", &number, "--idle-after", IDLE_AFTER, "--idle-direction", direction];
    let sidecar = fixture.start_ready(&[&QUICK_TIMES[..], &args].concat());
    let keepalive = port.connect().sending(26).receiving(26);
    let events = port.connect().sending(26).receiving(2000);
    sidecar.wait_for_status("/idle_streams", if idle { 2 } else { 1 });
    let hook = sidecar.call_hook();
    if !idle {
        sidecar.wait_for_status("/phase", "draining");
        sidecar.wait_for_readings(60);
        assert!(hook.is_pending(), "{direction}: the stream is active");
        fixture.page.set_streams(1);
        sidecar.wait_for_status("/streams", 1);
        drop(events);
    }
    let outcome = hook.outcome();
    let remaining = if idle { 2 } else { 1 };
    assert_eq!((&outcome["outcome"], &outcome["idle_streams"]), (&json!("idle"), &json!(remaining)), "{direction}");
    drop(keepalive);
}

#[test]
fn idle_streams_end_no_drain_by_default() {
    let (fixture, port) = (Fixture::with_streams(1), Port::open());
    let _silent = port.connect();
    let args = ["--grace-period", "6s", "--lame-duck", "100ms", "--quiet-period", "200ms"];
    let sidecar = fixture.start_ready(&[&args[..], &["--activity-port", &port.number().to_string()]].concat());
    let outcome = sidecar.call_hook().outcome();
    assert_eq!(outcome["outcome"], "expired");
    // On a slow machine the last reading may be too old to count.
    assert!(outcome["stragglers"] == 1 || outcome["stragglers"].is_null(), "{outcome}");
}

#[test]
fn batch_unknown_count_or_wrong_port_prevents_idle() {
    let batch = "engine_active_requests{kind=\"stream\"} 1\nengine_active_requests{kind=\"batch\"} 1\n";
    let cases = [
        ("batch", PageReply::text(batch), true),
        ("unknown count", PageReply::Hang, true),
        ("wrong port", PageReply::streams(2), false),
    ];
    run_in_parallel(cases.map(|(name, reply, connected)| (name, move || assert_idle_is_prevented(reply, connected))));
}

fn assert_idle_is_prevented(reply: PageReply, connected: bool) {
    let (fixture, port) = (Fixture::with_streams(1), Port::open());
    let _silent = connected.then(|| port.connect());
    let sidecar = start_with_idle_args(&fixture, &port, &SHORT_SCRAPES);
    if connected {
        sidecar.wait_for_status("/idle_streams", 1);
    }
    fixture.page.set_reply(reply);
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    sidecar.wait_for_readings(2);
    assert!(hook.is_pending(), "{}", sidecar.status());
    assert_eq!(sidecar.status()["outcome"], Value::Null);
    fixture.page.set_streams(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
}

#[test]
fn idle_drain_kills_lingering_target_after_exit_margin() {
    let (mut engine, env) = start_engine(&["--no-data-timeout", "10m"]);
    let sidecar = start_for_engine(&engine, &env, "10m");
    let _client = engine.client("/v1/listen", &["--streams", "1:keepalive", "--durations", "1h"]);
    engine.wait_for("stream 1 opened");
    let outcome = sidecar.call_hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["idle_streams"]), (&json!("idle"), &json!(1)));
    assert_eq!(outcome["signal"], "SIGINT");
    assert_eq!(engine.exit_code(), None, "SIGKILL ended it");
    wait_until(|| sidecar.metric("lameduck_signals_total{signal=\"SIGKILL\",result=\"sent\"}") == Some(1.0));
}

/// Starts a sidecar that detects this engine's idle streams.
fn start_for_engine(engine: &EngineSim, env: &SidecarEnv, grace: &str) -> Sidecar {
    let port = engine.ws.rsplit(':').next().unwrap();
    let times = ["--grace-period", grace, "--lame-duck", "100ms", "--quiet-period", "200ms", "--exit-margin", "1s"];
    let idle = ["--poll-interval", "200ms", "--activity-port", port, "--idle-after", IDLE_AFTER];
    let sidecar = env.start(&[&times[..], &idle].concat());
    sidecar.wait_for_ready();
    sidecar
}

/// How many mixes are tried, and how many at the same time: they mostly wait.
const MIXES: u64 = 100;
const WORKERS: usize = 25;

#[test]
fn random_mixes_end_idle_unless_audio_flows() {
    let workers: Vec<_> = (0..MIXES)
        .take(WORKERS)
        .map(|first| thread::spawn(move || (first..MIXES).step_by(WORKERS).for_each(drain_mix)))
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
}

/// Drains one mix of streams, which its number determines.
fn drain_mix(number: u64) {
    let mut random = Random(number);
    let (keepalive, silent, audio) = (random.below(3), random.below(3), random.below(5).saturating_sub(2));
    let total = keepalive + silent + audio;
    if total == 0 {
        return;
    }
    let (rate, chunk) = (2000 + random.below(14_000), 20 + random.below(230));
    let (mut engine, env) = start_engine(&["--no-data-timeout", "10m"]);
    // With audio the drain lasts until its deadline; without, the deadline is out of reach.
    let sidecar = start_for_engine(&engine, &env, if audio == 0 { "10m" } else { "7s" });
    let streams = [format!("{keepalive}:keepalive"), format!("{silent}:silent"), format!("{audio}:audio@{rate}")];
    let mut args = vec!["--durations".to_owned(), "1h".to_owned(), "--chunk".to_owned(), format!("{chunk}ms")];
    for group in streams.iter().filter(|group| !group.starts_with('0')) {
        args.extend(["--streams".to_owned(), group.clone()]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let _client = engine.client("/v1/listen", &args);
    engine.wait_for(&format!("stream {total} opened"));
    let outcome = sidecar.call_hook().outcome();
    let description = format!("mix {number}: {streams:?}, chunks of {chunk} ms: {outcome}");
    if audio == 0 {
        assert_eq!((&outcome["outcome"], &outcome["idle_streams"]), (&json!("idle"), &json!(total)), "{description}");
    } else {
        assert_eq!(outcome["outcome"], "expired", "{description}");
    }
}

/// A deterministic random number generator (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[test]
fn reused_port_number_is_a_new_connection() {
    let (fixture, port) = (Fixture::with_streams(1), Port::open());
    let sidecar = start_with_idle_after(&fixture, &port);
    let old: Connection = port.connect();
    sidecar.wait_for_status("/idle_streams", 1);
    drop(old);
    // A new connection has no idle time yet, whatever its port.
    let _new = port.connect();
    sidecar.wait_for_status("/idle_streams", 0);
    sidecar.wait_for_status("/idle_streams", 1);
}

#[test]
fn idle_streams_are_shown_without_idle_after() {
    let (mut engine, env) = start_engine(&["--no-data-timeout", "10m"]);
    let port = engine.ws.rsplit(':').next().unwrap().to_owned();
    let sidecar = env.start(&[&QUICK_TIMES[..], &["--activity-port", &port]].concat());
    sidecar.wait_for_ready();
    sidecar.wait_for_status("/idle_streams", 0);
    let _client = engine.client("/v1/listen", &["--streams", "1:audio", "--durations", "1h"]);
    engine.wait_for("stream 1 opened");
    sidecar.wait_for_status("/streams", 1);
    sidecar.wait_for_status("/idle_streams", 0);
}

#[test]
fn streams_without_activity_data_are_never_idle() {
    let (fixture, counted, active) = (Fixture::with_streams(0), Port::open(), Port::open());
    let [streams, activity] = [&counted, &active].map(|port| port.number().to_string());
    let (_counted, _silent) = (counted.connect(), active.connect());
    let sidecar =
        fixture.start_ready(&[&QUICK_TIMES[..], &["--streams-port", &streams, "--activity-port", &activity]].concat());
    sidecar.wait_for_status("/streams", 1);
    sidecar.wait_for_status("/idle_streams", 0);
}
