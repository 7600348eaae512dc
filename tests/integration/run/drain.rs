//! A stop of `lameduck run` drains its command first.

use nix::sys::signal::Signal;
use serde_json::json;

use super::{Fixture, SCRIPT};

#[test]
fn stop_waits_for_streams_and_then_terminates_the_command() {
    let fixture = Fixture::with_streams(3);
    let mut run = fixture.start(&[], SCRIPT);
    run.signal(Signal::SIGTERM);
    run.program.wait_for("INT");
    assert_eq!(run.get("/readyz").status, 503);
    assert_eq!(run.get("/status").json()["drain"]["trigger"], "sigterm");
    assert!(run.get("/metrics").body.contains("lameduck_signals_total{signal=\"SIGINT\",result=\"sent\"} 1"));
    run.wait_until_served_on();
    fixture.page.set_streams(2);
    run.wait_for_status("/streams", 2);
    fixture.page.set_streams(0);
    assert_eq!(run.exit_code(), Some(7));
    assert_eq!(run.program.seen.iter().filter(|line| line.contains("INT")).count(), 1);
    let record = fixture.env.termination_message().unwrap();
    assert_eq!((&record["outcome"], &record["stragglers"]), (&json!("drained"), &json!(0)), "{record}");
    assert_eq!(run.logged("the command has exited").unwrap()["code"], 7);
}
