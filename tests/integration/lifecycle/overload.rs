//! The open port under load: many clients and unusual requests must leave room for probes and hooks.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::lifecycle::Fixture;
use lameduck_test_support::http::{Call, TIMEOUT, request};
use lameduck_test_support::process::{binary, wait_until};
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar};
use lameduck_test_support::skip::may_open_or_skip;

/// More clients than the sidecar has connection slots.
const CROWD: usize = 1200;
/// The descriptors of a crowd, and of all else in this process.
const CROWD_DESCRIPTORS: u64 = 2000;
/// The address of a client outside the crowd.
const OTHER_ADDRESS: [u8; 4] = [127, 9, 9, 9];

/// Connects from this source address.
fn connect_from(source: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::from((Ipv4Addr::from(source), 0))).unwrap();
    connect(&socket, &address).unwrap();
    TcpStream::from(socket)
}

/// Sends a GET request from this source address.
fn call_from(source: [u8; 4], address: SocketAddr, path: &str) -> Call {
    let mut stream = connect_from(source, address);
    stream.write_all(request("GET", path, "").as_bytes()).unwrap();
    Call::from_stream(stream)
}

/// Sends these bytes on as many connections as make a crowd, all from one address.
fn crowd(address: SocketAddr, bytes: &str) -> Vec<Call> {
    (0..CROWD).map(|_| Call::send(address, bytes)).collect()
}

fn budget(sidecar: &Sidecar) -> f64 {
    let drain = sidecar.status()["drain"].take();
    drain["elapsed_seconds"].as_f64().unwrap() + drain["remaining_seconds"].as_f64().unwrap()
}

fn callers(sidecar: &Sidecar) -> Option<f64> {
    sidecar.metric("lameduck_hook_callers")
}

#[test]
fn disconnect_is_noticed_after_excess_request_bytes() {
    let fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    let hook = request("GET", "/prestop", "");
    let with_body = request("GET", "/prestop", "Content-Length: 5000\r\n");
    for (name, bytes) in [
        ("nothing", hook.clone()),
        ("another request", hook.clone() + &request("GET", "/livez", "")),
        ("another hook", hook.repeat(2)),
        ("half a line", hook.clone() + "GET /pre"),
        ("a body", with_body.clone() + &"x".repeat(5000)),
        ("half a body", with_body + &"x".repeat(2500)),
        ("chunks", request("GET", "/prestop", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n"),
        ("much", hook + &"x".repeat(30_000)),
    ] {
        let call = Call::send(fixture.env.address, bytes);
        wait_until(|| callers(&sidecar) == Some(1.0));
        assert!(call.is_pending(), "{name}");
        drop(call);
        println!("disconnected after {name}");
        wait_until(|| callers(&sidecar) == Some(0.0));
    }
}

#[test]
fn hook_restarts_grace_period_after_oversized_caller_left() {
    let fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    let hook = request("GET", "/prestop", "");
    let first = Call::send(fixture.env.address, hook.repeat(2));
    wait_until(|| callers(&sidecar) == Some(1.0));
    sidecar.wait_for_readings(3);
    let before = budget(&sidecar);
    drop(first);
    wait_until(|| callers(&sidecar) == Some(0.0));
    let _again = sidecar.call_hook();
    assert!(budget(&sidecar) > before, "{} is not more than {before}", budget(&sidecar));
}

#[test]
fn flooding_held_caller_is_evicted_and_drain_continues() {
    let fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    let hook = sidecar.call_hook();
    let mut flood = connect_from(OTHER_ADDRESS, fixture.env.address);
    flood.write_all(request("GET", "/prestop", "").as_bytes()).unwrap();
    wait_until(|| callers(&sidecar) == Some(2.0));
    flood.set_write_timeout(Some(TIMEOUT)).unwrap();
    // Until the sidecar closes the connection.
    while flood.write_all(&[b'x'; 4096]).is_ok() {}
    wait_until(|| callers(&sidecar) == Some(1.0));
    fixture.page.set_streams(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn held_callers_leave_room_for_probes_and_other_hooks() {
    if !may_open_or_skip(CROWD_DESCRIPTORS) {
        return;
    }
    let fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    let first = call_from(OTHER_ADDRESS, fixture.env.address, "/prestop");
    wait_until(|| callers(&sidecar) == Some(1.0));
    let before = budget(&sidecar);
    let crowd = crowd(fixture.env.address, &request("GET", "/prestop", ""));
    assert_eq!(sidecar.get("/livez").status, 200, "from the crowd's address");
    assert_eq!(call_from([127, 9, 9, 8], fixture.env.address, "/livez").response().status, 200, "from another address");
    let second = call_from([127, 9, 9, 7], fixture.env.address, "/prestop");
    assert_eq!(
        call_from([127, 9, 9, 7], fixture.env.address, "/livez").response().status,
        200,
        "from the hook's address"
    );
    assert!(first.is_pending() && second.is_pending());
    assert!((budget(&sidecar) - before).abs() < 0.01, "{} is not {before}", budget(&sidecar));
    fixture.page.set_streams(0);
    for hook in [first, second] {
        assert_eq!(hook.outcome()["outcome"], "drained");
    }
    assert_eq!(fixture.target.into_signal_count(), 1);
    drop(crowd);
}

#[test]
fn earliest_held_callers_are_never_evicted() {
    if !may_open_or_skip(CROWD_DESCRIPTORS) {
        return;
    }
    let fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    let early: Vec<_> = (0..100).map(|_| sidecar.call_hook()).collect();
    let crowd = crowd(fixture.env.address, &request("GET", "/prestop", ""));
    assert_eq!(sidecar.get("/livez").status, 200);
    fixture.page.set_streams(0);
    for hook in early {
        assert_eq!(hook.outcome()["outcome"], "drained");
    }
    drop(crowd);
}

#[test]
fn crowd_from_one_address_evicts_no_other_address() {
    if !may_open_or_skip(CROWD_DESCRIPTORS) {
        return;
    }
    let fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_quick();
    let mut slow = connect_from(OTHER_ADDRESS, fixture.env.address);
    let probe = request("GET", "/livez", "");
    let (half, rest) = probe.split_at(20);
    slow.write_all(half.as_bytes()).unwrap();
    let crowd = crowd(fixture.env.address, "GET /livez");
    // Connections are accepted in order: the whole crowd has been accepted.
    assert_eq!(sidecar.get("/livez").status, 200);
    slow.write_all(rest.as_bytes()).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
    drop(crowd);
}

/// Starts a sidecar with these limits of open descriptors.
fn start_with_descriptors(fixture: &Fixture, soft: u32, hard: u32) -> Sidecar {
    let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
    let mut command = fixture.env.with_env(Command::new("/bin/sh"), &["-c", &script, binary(), "sidecar"]);
    command.args(QUICK_TIMES).stderr(Stdio::piped());
    let sidecar = fixture.env.start_command(command);
    sidecar.wait_for_ready();
    sidecar
}

#[test]
fn low_descriptor_limit_is_logged_and_reserved_for_drain() {
    if !may_open_or_skip(CROWD_DESCRIPTORS) {
        return;
    }
    for limit in [32, 64, 256] {
        let fixture = Fixture::with_streams(1);
        let mut sidecar = start_with_descriptors(&fixture, limit, limit);
        assert_eq!(sidecar.wait_for_log("descriptors")["level"], "WARN");
        let silent = crowd(fixture.env.address, "GET /livez");
        let hook = call_from(OTHER_ADDRESS, fixture.env.address, "/prestop");
        wait_until(|| callers(&sidecar) == Some(1.0));
        sidecar.wait_for_readings(3);
        assert_eq!(sidecar.get("/livez").status, 200);
        fixture.page.set_streams(0);
        let outcome = hook.outcome();
        assert_eq!(outcome["outcome"], "drained", "with {limit}");
        assert_eq!(fixture.env.termination_message().unwrap(), outcome, "with {limit}");
        assert_eq!(fixture.target.into_signal_count(), 1);
        sidecar.signal(nix::sys::signal::Signal::SIGKILL);
        let log = sidecar.log();
        assert!(log.iter().all(|line| line["message"] != "cannot accept a connection"), "with {limit}: {log:#?}");
        drop(silent);
    }
}

#[test]
fn soft_descriptor_limit_is_raised() {
    if !may_open_or_skip(4096) {
        return;
    }
    let fixture = Fixture::with_streams(1);
    let sidecar = start_with_descriptors(&fixture, 64, 4096);
    let hooks: Vec<_> = (0..300).map(|_| Call::get(fixture.env.address, "/prestop")).collect();
    wait_until(|| callers(&sidecar) == Some(300.0));
    fixture.page.set_streams(0);
    assert!(hooks.into_iter().all(|hook| hook.outcome()["outcome"] == "drained"));
}

#[test]
fn lookalike_hook_paths_start_no_drain() {
    let fixture = Fixture::with_streams(0);
    let sidecar = fixture.start_quick();
    let close = "HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for (line, status) in [
        ("GET //prestop", "404"),
        ("GET /prestop/", "404"),
        ("GET /%70restop", "404"),
        ("GET /PRESTOP", "404"),
        ("GET /./prestop", "404"),
        ("GET /a/../prestop", "404"),
        ("GET /prestop%00", "404"),
        ("GET /prestop;x", "404"),
        ("GET *", "404"),
        ("OPTIONS *", "404"),
        ("GET prestop", "404"),
        ("GET http://prestop", "404"),
        ("GET /livez?/prestop", "200"),
        ("get /prestop", "405"),
        ("HEAD /prestop", "405"),
        ("POST /prestop", "405"),
        ("OPTIONS /prestop", "405"),
        ("CONNECT /prestop", "405"),
        ("CONNECT a:80", "404"),
        (" GET /prestop", "400"),
        ("GET\t/prestop", "400"),
        ("GET  /prestop", "400"),
        ("GET /pre stop", "400"),
    ] {
        let answer = Call::send(fixture.env.address, format!("{line} {close}")).bytes();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
        assert_eq!(sidecar.status()["phase"], "serving", "after {line}");
    }
    assert_eq!(fixture.target.into_signal_count(), 0);
}

#[test]
fn smuggled_request_does_not_reach_hook() {
    let fixture = Fixture::with_streams(0);
    let sidecar = fixture.start_quick();
    let inner = request("GET", "/prestop", "");
    let length = inner.len();
    for (name, head, between) in [
        ("a body", format!("Content-Length: {length}\r\n\r\n"), ""),
        (
            "a length and chunks",
            format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n", length + 5),
            "0\r\n\r\n",
        ),
        (
            "chunks and a length",
            format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n\r\n", length + 5),
            "0\r\n\r\n",
        ),
        ("chunks twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n".into(), "0\r\n\r\n"),
        ("chunks of another kind", "Transfer-Encoding: xchunked\r\n\r\n".into(), "0\r\n\r\n"),
        ("identity and chunks", "Transfer-Encoding: identity, chunked\r\n\r\n".into(), "0\r\n\r\n"),
        ("a space before the colon", format!("Content-Length : {length}\r\n\r\n"), ""),
        ("a space, then chunks", "Transfer-Encoding : chunked\r\n\r\n".into(), "0\r\n\r\n"),
        ("a folded header", format!("X: a\r\n Content-Length: {length}\r\n\r\n"), ""),
        ("a folded encoding", "Transfer-Encoding:\r\n chunked\r\n\r\n".into(), "0\r\n\r\n"),
        ("two lengths", format!("Content-Length: {length}\r\nContent-Length: 0\r\n\r\n"), ""),
        ("a length with a sign", format!("Content-Length: +{length}\r\n\r\n"), ""),
        ("a NUL", "X: a\0b\r\n\r\n".into(), ""),
        ("a bare CR", "X: a\rb\r\n\r\n".into(), ""),
        ("bare line feeds", format!("X: a\nContent-Length: {length}\n\n"), ""),
    ] {
        let outer = format!("GET /livez HTTP/1.1\r\nHost: a\r\n{head}{between}{inner}");
        drop(Call::send(fixture.env.address, outer).bytes());
        assert_eq!(sidecar.status()["phase"], "serving", "after {name}");
    }
    assert_eq!(fixture.target.into_signal_count(), 0);
}

#[test]
fn hook_accepts_http10_absolute_form_and_query() {
    for line in ["GET /prestop HTTP/1.0", "GET http://x/prestop HTTP/1.1", "GET /prestop?x=y HTTP/1.1"] {
        let fixture = Fixture::with_streams(0);
        let _sidecar = fixture.start_quick();
        let call = Call::send(fixture.env.address, format!("{line}\r\nHost: a\r\nHost: b\r\n\r\n"));
        assert_eq!(call.outcome()["outcome"], "drained", "{line}");
        assert_eq!(fixture.target.into_signal_count(), 1);
    }
}

#[test]
fn request_head_limit_fits_longest_token() {
    let fixture = Fixture::with_streams(0);
    let sidecar = fixture.start_quick();
    let head = |length: usize| format!("Authorization: Bearer {}\r\n", "x".repeat(length));
    assert_eq!(sidecar.request("GET", "/livez", &head(4096)).status, 200);
    let refused = Call::send(fixture.env.address, request("GET", "/livez", &head(9000))).bytes();
    assert!(!refused.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&refused));
}
