//! A pod is deleted while streams are open, or before there are any.

use crate::parallel;
use crate::support::manifest::{LAMEDUCK, Manifest};
use crate::support::namespace::Namespace;
use crate::support::pod::{ENDLESS, is_ready, is_terminating};
use crate::support::runner::Scenario;

/// Long enough for two more polls with zero streams, and shorter than the exit wait.
const SLOW_EXIT: &str = "--exit-delay 7s";

pub(crate) const SCENARIOS: &[Scenario] = &[
    parallel("delete: the pod goes once its streams have ended by themselves", streams_end_by_themselves),
    parallel("delete: streams open at the deadline are cut, counted and reported", stragglers_at_the_deadline),
    parallel("delete: a pod whose engine is still loading goes at once", engine_still_loading),
    parallel("delete: engine as root, lameduck as root without capabilities", as_root),
    parallel("delete: --grace-period=1 ends the pod at once", a_grace_period_of_one_second),
];

fn streams_end_by_themselves() -> String {
    let namespace = Namespace::new("delete-streams", "restricted");
    let pod = namespace.start(&Manifest::native("delete-streams", 600).engine(SLOW_EXIT));
    let client = pod.open_streams(6);
    pod.delete(&[]);
    pod.wait_until("unready while it is terminating", |pod| is_terminating(pod) && !is_ready(pod));
    pod.drain(&client, 6);
    pod.wait_gone();

    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    assert_eq!(pod.engine.count("SIGTERM received"), 0, "no SIGTERM");
    pod.assert_outcome("drained", 0, Some("SIGINT"));
    assert_eq!(pod.termination_message()["streams_at_start"], 6);
    assert_eq!(pod.exit_code(LAMEDUCK), Some(0), "no stream was cut");
    namespace.assert_hooks_succeeded();
    "6 streams clean, one SIGINT, drained".to_owned()
}

fn as_root() -> String {
    let namespace = Namespace::new("delete-root", "baseline");
    let pod = namespace.start(&Manifest::example("engine-as-root.yaml").pod("delete-root").grace(120));
    let client = pod.open_streams(2);
    pod.delete_and_drain(&client, 2);
    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    assert_eq!(pod.outcome()["stragglers"], 0);
    namespace.assert_hooks_succeeded();
    "2 streams clean, one SIGINT from root to root".to_owned()
}

fn stragglers_at_the_deadline() -> String {
    let namespace = Namespace::new("delete-stragglers", "restricted");
    // The Engine exits on the kubelet's SIGTERM, so there is time for the sidecar's exit.
    let manifest = Manifest::native("delete-stragglers", 30).engine("--second-signal-quits");
    let pod = namespace.start(&manifest.setting("LAMEDUCK_EXIT_MARGIN", "12s"));
    let (client, ending) = (pod.open_streams(2), pod.client(&["--durations", ENDLESS]));
    pod.engine.wait_for("stream 3 opened");
    pod.delete(&[]);
    pod.drain(&ending, 1);
    pod.wait_gone();

    let endings = client.endings();
    assert_eq!((endings.clean, endings.cut), (0, 2), "{endings:?}");
    let lines = pod.engine.lines();
    let position = |part: &str| lines.iter().position(|line| line.contains(part));
    assert!(position("SIGINT received (1)").unwrap() < position("SIGTERM received (2)").unwrap(), "{lines:#?}");
    pod.assert_outcome("expired", 2, Some("SIGINT"));
    assert_eq!(pod.exit_code(LAMEDUCK), Some(10), "streams were cut");
    namespace.assert_hooks_succeeded();
    format!("1 stream clean, 2 cut, expired with 2 stragglers, exit code 10; {}", endings.failures[0])
}

fn engine_still_loading() -> String {
    let namespace = Namespace::new("delete-loading", "restricted");
    let pod = namespace.start(&Manifest::native("delete-loading", 600).engine("--loading 1h"));
    pod.engine.wait_for("loading for");
    // The sidecar has polled: the reason is a refused connection.
    pod.lameduck.wait_for("no reading yet");
    pod.delete(&[]);
    pod.wait_gone();

    assert!(!pod.was_ever(is_ready), "it was never ready");
    // The hook is answered at once, so the kubelet's SIGTERM may be pending, too, when the engine looks.
    pod.engine.wait_for("received (1), still loading");
    pod.assert_outcome("never_served", 0, Some("SIGINT"));
    namespace.assert_hooks_succeeded();
    "never served, gone long before the end of the grace period".to_owned()
}

fn a_grace_period_of_one_second() -> String {
    let namespace = Namespace::new("delete-one-second", "restricted");
    let manifest = Manifest::native("delete-one-second", 600).setting("LAMEDUCK_LAME_DUCK", "60s");
    let pod = namespace.start(&manifest);
    let client = pod.open_streams(3);
    pod.delete(&["--grace-period=1"]);
    pod.wait_gone();

    assert_eq!(client.endings().cut, 3);
    assert_eq!(pod.engine.count("SIGINT received"), 0, "the lame duck period was not over");
    // The kubelet kills engine and sidecar at the same time: lameduck may see the engine exit, or be killed first.
    let sidecar = match pod.exit_code(LAMEDUCK) {
        Some(10) => {
            pod.assert_outcome("exited", 3, None);
            "reported as 3 stragglers"
        }
        Some(11) if pod.outcome()["stragglers"].is_null() => "reported as an unknown number: its last reading was old",
        Some(137) => "lameduck killed as well",
        code => panic!("lameduck exited with {code:?}"),
    };
    format!("3 streams cut by the kubelet, {sidecar}, gone long before the end of the grace period")
}
