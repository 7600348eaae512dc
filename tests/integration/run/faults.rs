//! Commands and pages that misbehave during a stop.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{Fixture, SCRIPT};
use lameduck_test_support::page::PageReply;
use lameduck_test_support::run::Run;

/// A grace period that a test reaches.
const SHORT: [&str; 8] =
    ["--grace-period", "4s", "--exit-margin", "1s", "--lame-duck", "100ms", "--quiet-period", "200ms"];

fn signal_command(run: &Run, signal: Signal) {
    let pid = run.wait_for_log("command started")["pid"].as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// The outcome and the stragglers of the record.
fn record(fixture: &Fixture) -> (Value, Value) {
    let record = fixture.env.termination_message().unwrap();
    (record["outcome"].clone(), record["stragglers"].clone())
}

#[test]
fn command_that_is_killed_during_the_drain_has_cut_its_streams() {
    let fixture = Fixture::with_streams(3);
    let mut run = fixture.start(&["--poll-interval", "1s"], SCRIPT);
    run.signal(Signal::SIGTERM);
    run.program.wait_for("INT");
    signal_command(&run, Signal::SIGKILL);
    assert_eq!(run.exit_code(), None, "it dies of the same signal");
    assert_eq!(record(&fixture), (json!("exited"), json!(3)));
}

#[test]
fn stopped_command_is_continued_to_be_terminated() {
    let fixture = Fixture::with_streams(1);
    let mut run = fixture.env.start_script(&SHORT, SCRIPT);
    run.wait_for_ready();
    signal_command(&run, Signal::SIGSTOP);
    run.wait_for_log("the command is stopped");
    run.signal(Signal::SIGTERM);
    assert_eq!(run.exit_code(), Some(7));
    assert_eq!(record(&fixture).0, "expired");
}

#[test]
fn page_that_fails_during_the_drain_leaves_the_end_to_the_deadline() {
    for reply in [PageReply::Hang, PageReply::Refuse, PageReply::text("<html>\n")] {
        let fixture = Fixture::with_streams(2);
        let mut run = fixture.env.start_script(&[&SHORT[..], &["--exit-code", "outcome"]].concat(), SCRIPT);
        run.wait_for_ready();
        run.signal(Signal::SIGTERM);
        run.program.wait_for("INT");
        fixture.page.set_reply(reply);
        run.program.wait_for("TERM");
        assert_eq!(run.exit_code(), Some(11), "{}", run.log_text());
        assert_eq!(record(&fixture), (json!("expired"), Value::Null));
    }
}
