//! lameduck as an ordinary container next to the engine.

use crate::parallel;
use crate::support::manifest::{LAMEDUCK, Manifest};
use crate::support::namespace::Namespace;
use crate::support::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] =
    &[parallel("classic: after SIGTERM the sidecar finishes its drain, then exits", exits_after_its_drain)];

fn exits_after_its_drain() -> String {
    let namespace = Namespace::new("classic", "restricted");
    let pod = namespace.start(&Manifest::example("classic-sidecar.yaml").pod("classic").grace(600));
    let client = pod.open_streams(3);
    pod.delete(&[]);
    pod.lameduck.wait_for("SIGTERM received");
    pod.drain(&client, 3);
    pod.wait_gone();

    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    assert_eq!(pod.outcome()["stragglers"], 0);
    assert_eq!(pod.termination_message()["streams_at_start"], 3);
    assert_eq!(pod.exit_code(LAMEDUCK), Some(0));
    namespace.assert_hooks_succeeded();
    "3 streams clean though SIGTERM came at once".to_owned()
}
