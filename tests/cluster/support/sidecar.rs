//! What a sidecar's status shows.

use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::support::clock::{TIMEOUT, poll};
use lameduck_test_support::http::Call;

/// How many seconds after the signal streams must be open so that no reading takes their end for the effect of the signal.
/// The machine compares the counts of the first 700 ms.
const SETTLE: f64 = 1.0;

/// Waits until the status satisfies the condition, and returns it. The sidecar may be about to start.
pub(crate) fn wait_for_status(address: SocketAddr, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
    let status = || TcpStream::connect(address).ok().map(|_| Call::get(address, "/status").response().json());
    poll(TIMEOUT, || status().filter(|status| condition(status)))
        .unwrap_or_else(|| panic!("timed out waiting for the status at {address} to show {what}"))
}

/// Waits until the sidecar has sent its signal, and has counted streams long enough after it: whether streams that end
/// sooner were cut is unknown to it. All times are the sidecar's.
pub(crate) fn wait_until_counted_after_signal(address: SocketAddr) {
    let seconds = |value: &Value| value.as_f64().expect("a number of seconds");
    let elapsed = |status: &Value| seconds(&status["drain"]["elapsed_seconds"]);
    let signalled = wait_for_status(address, "the signal", |status| status["drain"]["signalled"] == true);
    let settled = elapsed(&signalled) + SETTLE;
    wait_for_status(address, "a count after the signal", |status| {
        let counts = |source: &Value| {
            let has_streams = source["state"] == "ok" && source["streams"] != 0;
            has_streams && elapsed(status) - seconds(&source["age_seconds"]) >= settled
        };
        status["sources"].as_array().is_some_and(|sources| sources.iter().any(counts))
    });
}
