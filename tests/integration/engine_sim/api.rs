//! The simulated API in front of engines: its status page shares the port of its streams.

use std::io::{Read, Write};
use std::net::TcpStream;

use nix::sys::signal::Signal;
use serde_json::Value;

use lameduck_test_support::sim::EngineSim;

#[test]
fn api_status_page_counts_and_closes_with_listener() {
    let mut api = EngineSim::start_as("stem", &["--role", "api"]);
    let paths = ["/v1/listen", "/v2/listen", "/batch"];
    assert_eq!(counts(&api.status()), [0, 0, 0]);
    let clients = paths.map(|path| {
        let client = api.client(path, &["--durations", "60s"]);
        api.wait_for(" opened kind=");
        (client, counts(&api.status()))
    });
    assert_eq!(clients.each_ref().map(|(_, counts)| *counts), [[0, 1, 0], [0, 1, 1], [1, 1, 1]]);

    api.signal(Signal::SIGINT);
    api.wait_for("SIGINT received (1), listener closed, 3 streams open");
    assert!(TcpStream::connect(&api.metrics).is_err());
    for (mut client, _) in clients {
        client.signal(Signal::SIGTERM);
        client.wait_for("1 streams: 1 clean");
    }
    assert_eq!(api.exit_code(), Some(0));
}

#[test]
fn kept_alive_page_connection_closes_with_listener() {
    let mut api = EngineSim::start(&["--role", "api"]);
    let _client = api.client("/v1/listen", &["--durations", "60s"]);
    api.wait_for("stream 1 opened");
    let mut tcp = TcpStream::connect(&api.metrics).expect("the port is open");
    write!(tcp, "GET /v1/status HTTP/1.1\r\nHost: api\r\n\r\n").expect("the request is sent");
    let mut response = [0; 12];
    tcp.read_exact(&mut response).expect("a response");
    assert_eq!(&response, b"HTTP/1.1 200");
    api.signal(Signal::SIGINT);
    api.wait_for("listener closed, 1 streams open");
    // Both may fail: the connection may already be closed.
    let mut rest = Vec::new();
    let _ = write!(tcp, "GET /v1/status HTTP/1.1\r\nHost: api\r\n\r\n");
    let _ = tcp.read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("HTTP/1.1 200"));
}

/// The counts of batch, stream and Flux requests on the status page.
fn counts(response: &str) -> [u64; 3] {
    let (head, body) = response.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("connection: close"), "{head}");
    let status: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(status["system_health"], "Healthy");
    ["active_batch_requests", "active_stream_requests", "active_listen_v2_stream_requests"]
        .map(|name| status[name].as_u64().expect("a count"))
}
