//! The answers of real sidecars match the JSON Schemas in `docs/schema`.

use serde_json::{Value, json};

use crate::lifecycle::Fixture;
use lameduck_test_support::json_schema::Schema;
use lameduck_test_support::page::{PageReply, PageServer};
use lameduck_test_support::port::Port;
use lameduck_test_support::process::wait_until;
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar, SidecarEnv};

#[track_caller]
fn assert_outcome(outcome: &Value) {
    assert_eq!(Schema::load("outcome.json").violations(outcome), [""; 0], "{outcome}");
}

/// A status that matches the schema.
#[track_caller]
fn valid_status(sidecar: &Sidecar) -> Value {
    let status = sidecar.status();
    assert_eq!(Schema::load("status.json").violations(&status), [""; 0], "{status}");
    status
}

#[test]
fn status_matches_schema_before_the_target_is_found() {
    let page = PageServer::new(PageReply::Refuse);
    let env = SidecarEnv::new(&page.url());
    let sidecar = env.start(&QUICK_TIMES);
    sidecar.wait_for_not_ready("target not found");
    sidecar.wait_for_readings(1);
    let status = valid_status(&sidecar);
    assert_eq!((&status["target"], &status["streams"]), (&Value::Null, &Value::Null));
    assert!(status["sources"][0]["error"].is_string(), "{status}");
    page.set_reply(PageReply::text("other_gauge 1\n"));
    sidecar.wait_for_status("/sources/0/state", "absent");
    valid_status(&sidecar);
}

#[test]
fn outcome_without_a_target_matches_schema() {
    let env = SidecarEnv::new(&PageServer::new(PageReply::Refuse).url());
    let sidecar = env.start(&QUICK_TIMES);
    sidecar.wait_for_not_ready("target not found");
    let outcome = sidecar.call_hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("never_served"), &Value::Null));
    assert_outcome(&outcome);
    assert_eq!(valid_status(&sidecar)["outcome"], outcome);
}

#[test]
fn status_and_outcome_match_schemas_in_every_phase() {
    let fixture = Fixture::with_streams(3);
    let sidecar = fixture.start_quick();
    assert_eq!(valid_status(&sidecar)["phase"], "serving");
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    assert!(valid_status(&sidecar)["drain"].is_object());
    assert_outcome(&fixture.env.termination_message().expect("a provisional record"));
    fixture.end_streams();
    assert_outcome(&hook.outcome());
    assert_eq!(valid_status(&sidecar)["phase"], "done");
    assert_outcome(&fixture.env.termination_message().unwrap());
    let (code, stdout, _) = fixture.env.run_client(&["status", "--json"]);
    assert_eq!(code, Some(0));
    assert_eq!(Schema::load("status.json").violations(&serde_json::from_str(&stdout).unwrap()), [""; 0]);
}

#[test]
fn status_and_provisional_record_match_schemas_in_lame_duck() {
    let fixture = Fixture::with_streams(3);
    let sidecar = fixture.start_ready(&["--grace-period", "10m", "--lame-duck", "1m"]);
    let _hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "lame_duck");
    valid_status(&sidecar);
    let record = fixture.env.termination_message().expect("a provisional record");
    assert_eq!(record["outcome"], "interrupted");
    assert_outcome(&record);
}

#[test]
fn durations_and_disagreement_match_schema() {
    let fixture = Fixture::with_streams(5);
    let port = Port::open();
    let number = port.number().to_string();
    let args = [&QUICK_TIMES[..], &["--streams-port", &number]].concat();
    let sidecar = fixture.start_ready(&args);
    let connection = port.connect();
    sidecar.wait_for_status("/sources/2/streams", 1);
    drop(connection);
    wait_until(|| valid_status(&sidecar)["durations"].is_object());
    wait_until(|| valid_status(&sidecar)["disagreement_seconds"].is_number());
}

#[test]
fn outcome_at_deadline_matches_schema() {
    let fixture = Fixture::with_streams(1);
    let sidecar = fixture.start_ready(&["--grace-period", "2s", "--lame-duck", "100ms", "--quiet-period", "0s"]);
    let outcome = sidecar.call_hook().outcome();
    assert_eq!(outcome["outcome"], json!("expired"));
    assert_outcome(&outcome);
}
