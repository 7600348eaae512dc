//! The deadline: no caller is held longer, and stragglers are counted.

use serde_json::Value;

use crate::lifecycle::{Fixture, SHORT_SCRAPES};
use lameduck_test_support::http::Call;
use lameduck_test_support::page::PageReply;

/// A deadline after 6 s, before which a test does what it must on a busy machine.
const SHORT: [&str; 8] =
    ["--grace-period", "7s", "--exit-margin", "1s", "--lame-duck", "100ms", "--quiet-period", "200ms"];
/// A reading is valid for two poll intervals; these are long enough for a busy machine. Another poll comes 600 ms before
/// the deadline.
const LONG_POLLS: [&str; 2] = ["--poll-interval", "10s"];

#[test]
fn deadline_releases_all_hooks_and_counts_stragglers() {
    let fixture = Fixture::with_streams(3);
    let sidecar = fixture.start_ready(&[&SHORT[..], &LONG_POLLS].concat());
    let first = sidecar.call_hook();
    fixture.page.set_streams(2);
    let hooks = [first, sidecar.call_hook(), sidecar.call_hook()];
    for outcome in hooks.map(Call::outcome) {
        assert_eq!(outcome["outcome"], "expired");
        assert_eq!(outcome["streams_at_start"], 3);
        assert_eq!(outcome["stragglers"], 2);
        assert!(outcome["seconds"].as_f64() >= Some(6.0), "{outcome}");
    }
    assert_eq!(sidecar.metric("lameduck_stragglers_total"), Some(2.0));
    assert!(fixture.target.into_signal_count() <= 1);
}

#[test]
fn unreadable_page_makes_stragglers_unknown() {
    for answer in [PageReply::Hang, PageReply::Refuse] {
        let fixture = Fixture::with_streams(3);
        let sidecar = fixture.start_ready(&[&SHORT[..], &SHORT_SCRAPES].concat());
        let hook = sidecar.call_hook();
        fixture.page.set_reply(answer);
        let outcome = hook.outcome();
        assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&Value::from("expired"), &Value::Null));
        assert_eq!(outcome["streams_at_start"], 3);
    }
}

#[test]
fn hook_after_deadline_is_held_without_second_signal() {
    let fixture = Fixture::with_streams(2);
    let sidecar = fixture.start_ready(&SHORT);
    assert_eq!(sidecar.call_hook().outcome()["outcome"], "expired");
    let again = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    assert!(again.is_pending());
    fixture.page.set_streams(0);
    let outcome = again.outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&Value::from("drained"), &Value::from(0)));
    assert!(fixture.target.into_signal_count() <= 1);
}

#[test]
fn unconfirmed_zero_at_deadline_is_expired() {
    let fixture = Fixture::with_streams(1);
    let times = ["--grace-period", "6s", "--exit-margin", "1s", "--lame-duck", "0s", "--quiet-period", "4900ms"];
    let sidecar = fixture.start_ready(&[&times[..], &LONG_POLLS].concat());
    let hook = sidecar.call_hook();
    sidecar.wait_for_status("/phase", "draining");
    fixture.end_streams();
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["stragglers"]), (&Value::from("expired"), &Value::from(0)));
}
