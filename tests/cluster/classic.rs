//! lameduck as an ordinary container beside the engine.

use crate::support::clock::{now, since};
use crate::support::manifest::{LAMEDUCK, Manifest};
use crate::support::namespace::Place;
use crate::support::runner::Scenario;
use crate::together;

pub(crate) const SCENARIOS: &[Scenario] = &[together(
    "classic: SIGTERM does not end the sidecar before its drain, and the drain does",
    leaves_after_its_drain,
)];

fn leaves_after_its_drain() -> String {
    let place = Place::new("classic", "restricted");
    let pod = place.start(&Manifest::example("classic-sidecar.yaml").pod("classic").grace(60));
    let client = pod.busy("12s,15s,18s");
    let deleted = now();
    pod.delete(&[]);
    pod.lameduck.wait_for("SIGTERM received");
    client.endings().assert_clean(3);
    pod.wait_gone();
    let seconds = since(deleted).as_secs();

    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    assert_eq!(pod.outcome()["stragglers"], 0);
    assert_eq!(pod.termination_message()["streams_at_start"], 3);
    assert_eq!(pod.exit_code(LAMEDUCK), Some(0));
    place.assert_hooks_succeeded();
    assert!(seconds < 50, "gone after {seconds} s of 60");
    format!("3 streams clean though SIGTERM came at once, gone after {seconds} s of 60")
}
