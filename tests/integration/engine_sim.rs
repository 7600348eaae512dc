//! The simulated engine and its client by themselves: other tests rely on their behaviour.

mod api;
mod client;
mod page;

use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::Signal;

use lameduck_test_support::process::{Program, example, first_argument, wait_until};
use lameduck_test_support::sim::{EngineSim, start_client};
use lameduck_test_support::skip::has_ipv6_or_skip;

const STREAM: &str = r#"engine_active_requests{kind="stream"} "#;

#[test]
fn sigint_closes_listener_and_lets_streams_finish() {
    let mut engine = EngineSim::start(&["--exit-code", "3"]);
    let mut client = engine.client("/v1/listen", &["--streams", "2", "--durations", "1h"]);
    engine.wait_for("stream 2 opened");

    engine.signal(Signal::SIGINT);
    engine.wait_for("SIGINT received (1), listener closed, 2 streams open");
    let mut late = engine.client("/v1/listen", &[]);
    late.wait_for("stream 1 REFUSED: connection refused");
    assert_eq!(late.exit_code(), Some(1));
    assert!(engine.page().contains(&format!("{STREAM}2\n")));
    engine.signal(Signal::SIGTERM);
    engine.wait_for("SIGTERM received (2), ignored");
    client.signal(Signal::SIGTERM);

    client.wait_for("2 streams: 2 clean, 0 cut, 0 refused");
    engine.wait_for("exit code=3");
    assert_eq!(engine.exit_code(), Some(3));
}

#[test]
fn second_signal_can_quit_and_cut_streams() {
    let mut engine = EngineSim::start(&["--second-signal-quits"]);
    let mut client = engine.client("/v1/listen", &["--durations", "60s"]);
    engine.wait_for("stream 1 opened");
    engine.signal(Signal::SIGTERM);
    engine.wait_for("SIGTERM received (1), listener closed, 1 streams open");
    engine.signal(Signal::SIGINT);
    engine.wait_for("SIGINT received (2), quitting, 1 streams cut");
    assert_eq!(engine.exit_code(), Some(1));
    client.wait_for("stream 1 CUT after");
    assert_eq!(client.exit_code(), Some(1));
}

#[test]
fn quit_mode_cuts_streams_on_first_signal() {
    let mut engine = EngineSim::start(&["--on-signal", "quit", "--exit-code", "7"]);
    let mut client = engine.client("/v1/listen", &["--durations", "60s"]);
    engine.wait_for("stream 1 opened");
    engine.signal(Signal::SIGTERM);
    assert_eq!(engine.exit_code(), Some(7));
    client.wait_for("stream 1 CUT after");
}

#[test]
fn metrics_port_can_close_on_signal() {
    let mut engine = EngineSim::start(&["--metrics-close-on-signal"]);
    let _client = engine.client("/v1/listen", &["--durations", "60s"]);
    engine.wait_for("stream 1 opened");
    engine.signal(Signal::SIGINT);
    engine.wait_for("listener closed");
    assert!(TcpStream::connect(&engine.metrics).is_err());
}

#[test]
fn silent_stream_is_closed_with_1011() {
    let mut engine = EngineSim::start(&["--no-data-timeout", "300ms"]);
    let mut client = engine.client("/v1/listen", &["--streams", "1:silent", "--durations", "60s"]);
    client.wait_for("closed with 1011 NET-0001");
    engine.wait_for("stream 1 closed after");
}

#[test]
fn keepalive_keeps_stream_open_without_audio() {
    let mut engine = EngineSim::start(&["--no-data-timeout", "4s"]);
    let idle = ["--streams", "1:keepalive", "--keepalive-every", "100ms", "--durations", "6s"];
    let mut client = engine.client("/v1/listen", &idle);
    client.wait_for("stream 1 ended cleanly");
    assert!(engine.wait_for("stream 1 closed").contains("code=1000 audio=0B"));
}

#[test]
fn batch_and_synthesis_need_no_incoming_data() {
    let engine = EngineSim::start(&["--no-data-timeout", "300ms"]);
    for path in ["/batch", "/v1/speak"] {
        let mut client = engine.client(path, &["--streams", "1:silent", "--durations", "1s"]);
        client.wait_for("stream 1 ended cleanly");
    }
}

#[test]
fn listens_on_ipv4_ipv6_and_both() {
    for (listen, loopbacks) in
        [("127.0.0.1:0", &["127.0.0.1"][..]), ("[::1]:0", &["[::1]"]), ("[::]:0", &["127.0.0.1", "[::1]"])]
    {
        if listen.starts_with('[') && !has_ipv6_or_skip() {
            continue;
        }
        let mut engine = EngineSim::start(&["--listen", listen]);
        let port = engine.port().to_owned();
        for loopback in loopbacks {
            let _client = start_client(&format!("{loopback}:{port}"), "/v1/listen", &["--durations", "60s"]);
            engine.wait_for(" opened kind=stream");
        }
    }
}

#[test]
fn full_engine_refuses_streams_with_503() {
    let mut engine = EngineSim::start(&["--max-active", "1"]);
    let _client = engine.client("/v1/listen", &["--durations", "60s"]);
    engine.wait_for("stream 1 opened");
    engine.client("/v1/listen", &[]).wait_for("stream 1 REFUSED: HTTP 503");
    assert!(engine.page().contains("engine_max_active_requests 1\n"));
}

#[test]
fn sigusr1_closes_only_the_listener() {
    let mut engine = EngineSim::start(&[]);
    let mut client = engine.client("/v1/listen", &["--durations", "60s"]);
    engine.wait_for("stream 1 opened");
    engine.signal(Signal::SIGUSR1);
    engine.wait_for("SIGUSR1 received, listener closed, 1 streams open");
    assert!(TcpStream::connect(&engine.ws).is_err());
    assert!(engine.page().contains(&format!("{STREAM}1\n")));
    engine.signal(Signal::SIGINT);
    engine.wait_for("SIGINT received (1)");
    client.signal(Signal::SIGTERM);
    client.wait_for("1 streams: 1 clean");
    assert_eq!(engine.exit_code(), Some(0));
}

#[test]
fn sigusr2_crashes_engine_and_cuts_streams() {
    let mut engine = EngineSim::start(&[]);
    let mut client = engine.client("/v1/listen", &["--durations", "60s"]);
    engine.wait_for("stream 1 opened");
    engine.signal(Signal::SIGUSR2);
    client.wait_for("stream 1 CUT after");
    assert_eq!(engine.exit_code(), None);
}

#[test]
fn accepts_command_line_of_real_engine() {
    let mut command = Command::new(example("engine_sim"));
    command.arg0("impeller").args(["-v", "serve", "/etc/config/engine.toml", "--exit-code", "5"]);
    command.env("ENGINE_SIM_ARGS", "--listen 127.0.0.1:0 --metrics 127.0.0.1:0 --exit-code 4");
    let mut engine = Program::start(command);
    engine.wait_for("listening ws=127.0.0.1:");
    engine.signal(Signal::SIGTERM);
    assert_eq!(engine.exit_code(), Some(5));
}

#[test]
fn default_mode_installs_no_handler_and_signal_kills() {
    let mut engine = EngineSim::start(&["--on-signal", "default"]);
    assert!(!engine.has_signal("SigCgt", Signal::SIGINT) && !engine.has_signal("SigCgt", Signal::SIGTERM));
    engine.signal(Signal::SIGINT);
    assert_eq!(engine.exit_code(), None);
}

#[test]
fn ignore_mode_ignores_in_kernel_with_same_name_and_pid() {
    let engine = EngineSim::start(&["--on-signal", "ignore"]);
    assert!(engine.has_signal("SigIgn", Signal::SIGINT) && engine.has_signal("SigIgn", Signal::SIGTERM));
    assert_eq!(first_argument(engine.pid()).as_deref(), Some("impeller"));
    assert!(engine.listening.ends_with(&format!(" pid={}", engine.pid())));
}

#[test]
fn child_has_same_name_and_exits_with_parent() {
    let engine = EngineSim::start(&["--child"]);
    let child = engine.program.seen.iter().find_map(|line| line.strip_prefix("engine: child pid="));
    let child: i32 = child.and_then(|pid| pid.parse().ok()).expect("a line with the child's pid");
    // A process that has just been executed has no arguments yet.
    wait_until(|| first_argument(child).as_deref() == Some("impeller"));
    drop(engine);
    wait_until(|| first_argument(child).is_none());
}
