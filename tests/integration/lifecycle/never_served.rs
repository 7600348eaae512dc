//! A drain does not wait for a target that never served.

use std::net::TcpStream;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::{Fixture, SHORT_SCRAPES};
use lameduck_test_support::http::Call;
use lameduck_test_support::page::{PageReply, PageServer};
use lameduck_test_support::process::Program;
use lameduck_test_support::shell::ShellTarget;
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar, SidecarEnv};
use lameduck_test_support::sim::engine_command;

const LONG_LAME_DUCK: [&str; 4] = ["--grace-period", "10m", "--lame-duck", "1m"];

#[test]
fn loading_engine_is_signalled_and_not_waited_for() {
    let page = PageServer::new(PageReply::Refuse);
    let env = SidecarEnv::new(&page.url());
    let mut sidecar = env.start(&LONG_LAME_DUCK);
    sidecar.wait_for_not_ready("target not found");
    let mut command = engine_command(&env.target_name);
    command.args(["--loading", "1h"]);
    let mut engine = Program::start(command);
    engine.wait_for("loading for 1h");
    sidecar.wait_for_not_ready("connection refused");

    let outcome = sidecar.call_hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("never_served"), &json!("SIGINT")));
    assert_eq!(outcome["stragglers"], 0);
    engine.wait_for("SIGINT received (1), still loading");
    assert_eq!(engine.exit_code(), Some(0));
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(0));
}

#[test]
fn no_target_and_closed_port_end_drain_immediately() {
    let page = PageServer::new(PageReply::Refuse);
    let env = SidecarEnv::new(&page.url());
    let sidecar = env.start(&LONG_LAME_DUCK);
    sidecar.wait_for_not_ready("target not found");
    let outcome = sidecar.call_hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("never_served"), &Value::Null));
}

#[test]
fn without_target_drain_waits_while_page_is_served() {
    let page = PageServer::with_streams(1);
    let env = SidecarEnv::new(&page.url());
    let sidecar = env.start(&[&QUICK_TIMES[..], &SHORT_SCRAPES].concat());
    sidecar.wait_for_not_ready("target not found");
    page.set_reply(PageReply::Hang);
    let hook = sidecar.call_hook();
    sidecar.wait_for_readings(5);
    assert!(hook.is_pending());
    page.set_streams(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
}

#[test]
fn ambiguous_targets_are_waited_for() {
    let fixture = Fixture::with_streams(0);
    fixture.page.set_reply(PageReply::Refuse);
    let _second = ShellTarget::start(&fixture.env.target_name);
    let sidecar = fixture.env.start(&QUICK_TIMES);
    sidecar.wait_for_not_ready("several targets");
    assert_hook_is_held_until_page_returns(&fixture, &sidecar);
}

#[test]
fn target_older_than_sidecar_is_waited_for() {
    let fixture = Fixture::with_streams(0);
    fixture.page.set_reply(PageReply::Refuse);
    // A target started in the same clock tick as the sidecar counts as older.
    let sidecar = fixture.env.start(&QUICK_TIMES);
    sidecar.wait_for_not_ready("no reading yet");
    assert_hook_is_held_until_page_returns(&fixture, &sidecar);
    assert_eq!(fixture.target.into_signal_count(), 1);
}

#[test]
fn hook_before_first_search_still_finds_target() {
    let fixture = Fixture::with_streams(0);
    fixture.page.set_reply(PageReply::Refuse);
    let mut command = fixture.env.sidecar_command();
    command.args(LONG_LAME_DUCK).stderr(Stdio::null());
    let sidecar = fixture.env.spawn_command(command);
    while TcpStream::connect(fixture.env.address).is_err() {}
    let hook = Call::get(fixture.env.address, "/prestop");
    sidecar.wait_for_status("/target/pid", fixture.target.pid);
    sidecar.wait_for_readings(3);
    assert!(hook.is_pending(), "the drain ended without its target");
}

fn assert_hook_is_held_until_page_returns(fixture: &Fixture, sidecar: &Sidecar) {
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    sidecar.wait_for_readings(5);
    assert!(hook.is_pending());
    fixture.page.set_streams(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
}
