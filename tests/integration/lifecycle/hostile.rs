//! Malformed requests, many clients, and logs and files that cannot be written.

use std::io::{PipeWriter, Write};
use std::process::Stdio;

use nix::sys::signal::Signal;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use serde_json::json;

use crate::lifecycle::Fixture;
use lameduck_test_support::http::{Call, request};
use lameduck_test_support::process::{stopwatch, wait_until};
use lameduck_test_support::sidecar::QUICK_TIMES;
use lameduck_test_support::skip::may_open_or_skip;

const TLS_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xa7\x9b\x00\x00\x20\x13\x02\x13\x03";

/// Requests that no client should send, with their names.
fn malformed_requests() -> Vec<(&'static str, Vec<u8>)> {
    let long = "x".repeat(1 << 20);
    let get = |rest: &str| format!("GET {rest}").into_bytes();
    vec![
        ("nothing", Vec::new()),
        ("TLS", TLS_HELLO.to_vec()),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("zeros", vec![0; 1 << 16]),
        ("newlines", b"\r\n".repeat(1 << 14)),
        ("half a line", get("/prestop HTT")),
        ("half a head", get("/prestop HTTP/1.1\r\nHost: a\r\nX: ")),
        ("huge path", get(&format!("/{long} HTTP/1.1\r\n\r\n"))),
        ("huge header", get(&format!("/prestop HTTP/1.1\r\nX: {long}\r\n\r\n"))),
        ("many headers", get(&format!("/prestop HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(5000)))),
        ("no host", get("/livez HTTP/1.0\r\n\r\n")),
        ("no version", get("/prestop\r\n\r\n")),
        ("two lengths", get("/prestop HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")),
        ("bad length", get("/status HTTP/1.1\r\nContent-Length: -1\r\n\r\n")),
        ("endless body", get(&format!("/status HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n{long}"))),
        ("pipeline", request("GET", "/metrics", "").replace("close", "keep-alive").repeat(50).into_bytes()),
        ("no text", get("/\u{fffd}\u{1f986} HTTP/1.1\r\nUser-Agent: kube-lifecycle/\u{7f}\r\n\r\n")),
        ("connect", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("upgrade", get("/status HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")),
    ]
}

#[test]
fn malformed_requests_affect_neither_probes_nor_drain() {
    let mut fixture = Fixture::with_streams(1);
    let mut sidecar = fixture.start_quick();
    let hook = sidecar.call_hook();
    fixture.target.wait_for("INT");
    // All of them stay open, as if more were to come.
    let open: Vec<_> =
        (0..5).flat_map(|_| malformed_requests()).map(|(_, bytes)| Call::send(fixture.env.address, bytes)).collect();
    assert_eq!(sidecar.get("/livez").status, 200);
    assert_eq!(sidecar.get("/readyz").body, "draining\n");
    sidecar.wait_for_readings(3);
    assert!(hook.is_pending());
    fixture.page.set_streams(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
    drop(open);
    assert_eq!(fixture.target.into_signal_count(), 1);
    assert!(sidecar.is_running());
}

#[test]
fn malformed_requests_start_no_drain() {
    let fixture = Fixture::with_streams(0);
    let sidecar = fixture.start_quick();
    for (name, bytes) in malformed_requests() {
        drop(Call::send(fixture.env.address, bytes));
        assert_eq!(sidecar.status()["phase"], "serving", "after {name}");
    }
    assert_eq!(fixture.target.into_signal_count(), 0);
}

#[test]
fn tls_gets_http_reply_so_kubelet_retries_in_plaintext() {
    let fixture = Fixture::with_streams(0);
    let _sidecar = fixture.start_quick();
    let answer = Call::send(fixture.env.address, TLS_HELLO).bytes();
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{:?}", String::from_utf8_lossy(&answer));
}

#[test]
fn probes_are_answered_with_many_held_callers() {
    if !may_open_or_skip(2000) {
        return;
    }
    let fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    let crowd: Vec<_> = (0..350).map(|_| Call::get(fixture.env.address, "/prestop")).collect();
    wait_until(|| sidecar.metric("lameduck_hook_callers") == Some(350.0));
    let silent: Vec<_> = (0..700).map(|_| Call::send(fixture.env.address, "GET /livez")).collect();
    assert_eq!(sidecar.get("/livez").status, 200);
    fixture.page.set_streams(0);
    for call in crowd {
        assert_eq!(call.outcome()["outcome"], "drained");
    }
    drop(silent);
}

#[test]
fn idle_clients_are_evicted_under_pressure() {
    if !may_open_or_skip(2000) {
        return;
    }
    let fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    let hook = sidecar.call_hook();
    let elapsed = stopwatch();
    let crowd: Vec<_> = (0..700).map(|_| Call::send(fixture.env.address, "GET /livez")).collect();
    assert_eq!(sidecar.get("/livez").status, 200);
    println!("a probe behind 700 silent callers was answered after {:?}", elapsed());
    assert!(hook.is_pending());
    fixture.page.set_streams(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
    drop(crowd);
}

#[test]
fn unread_log_blocks_nothing() {
    let fixture = Fixture::with_streams(1);
    let (unread, mut stderr) = std::io::pipe().unwrap();
    fill(&mut stderr);
    let mut command = fixture.env.sidecar_command();
    command.args(QUICK_TIMES).args(["--log-level", "trace"]).stderr(stderr);
    let mut sidecar = fixture.env.start_command(command);
    sidecar.wait_for_ready();
    for _ in 0..50 {
        sidecar.request("GET", "/wrong", "User-Agent: kube-lifecycle/1.33\r\n");
    }
    let hook = sidecar.call_hook();
    fixture.end_streams();
    assert_eq!(hook.outcome()["outcome"], "drained");
    assert_eq!(fixture.target.into_signal_count(), 1);
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(0));
    drop(unread);
}

/// Fills a pipe's buffer.
fn fill(pipe: &mut PipeWriter) {
    let flags = fcntl_getfl(&*pipe).unwrap();
    fcntl_setfl(&*pipe, flags | OFlags::NONBLOCK).unwrap();
    while pipe.write(b"\n").is_ok() {}
    fcntl_setfl(&*pipe, flags).unwrap();
}

#[test]
fn closed_log_blocks_nothing() {
    let fixture = Fixture::with_streams(1);
    let (reader, stderr) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = fixture.env.sidecar_command();
    command.args(QUICK_TIMES).stdout(Stdio::null()).stderr(stderr);
    let sidecar = fixture.env.start_command(command);
    sidecar.wait_for_ready();
    let hook = sidecar.call_hook();
    fixture.page.set_streams(0);
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &json!("SIGINT")));
    assert_eq!(sidecar.get("/livez").status, 200);
}

#[test]
fn unwritable_termination_log_blocks_nothing() {
    let fixture = Fixture::with_streams(0);
    // Opening a FIFO without a reader would block.
    let pipe = fixture.env.dir.join("pipe");
    let path = pipe.to_str().unwrap();
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    let mut sidecar = fixture.start_ready(&[&QUICK_TIMES[..], &["--termination-log", path]].concat());
    assert_eq!(sidecar.call_hook().outcome()["outcome"], "drained");
    assert_eq!(sidecar.wait_for_log("cannot write the termination message")["path"], path);
}
