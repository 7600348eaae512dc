//! Unusual deletions: with a shortened grace period, forced, right after the start, or with a sidecar that dies.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::parallel;
use crate::support::clock::{now, since};
use crate::support::cluster::cluster_dir;
use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Namespace;
use crate::support::node::signal;
use crate::support::pod::{ENDLESS, restarts, status};
use crate::support::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    parallel("edge cases: a grace period shortened to 20 s ends with the kubelet's SIGTERM", cut_short),
    parallel("edge cases: force-deleted during a drain, the pod's streams still end by themselves", forced),
    parallel("edge cases: deleted the moment the engine runs, the hook is called", deleted_at_engine_start),
    parallel("edge cases: a sidecar that dies during a drain is not restarted", sidecar_dies_during_drain),
    parallel("edge cases: if seccomp blocks pidfds, the signal is sent by pid", without_pidfds),
];

/// As the cluster autoscaler does: the pod's own grace period is longer, and no process in the pod can know.
fn cut_short() -> String {
    let namespace = Namespace::new("edge-short", "restricted");
    let pod = namespace.start(&Manifest::native("edge-short", 600).setting("LAMEDUCK_LAME_DUCK", "3s"));
    let (client, ending) = (pod.open_streams(1), pod.client(&["--durations", ENDLESS]));
    pod.engine.wait_for("stream 2 opened");
    let deleted = now();
    pod.delete(&["--grace-period=20"]);
    pod.drain(&ending, 1);
    pod.wait_gone();
    let seconds = since(deleted).as_secs();

    assert_eq!(client.endings().cut, 1);
    let lines = pod.engine.lines();
    let position = |part: &str| lines.iter().position(|line| line.contains(part));
    assert!(position("SIGINT received (1)").unwrap() < position("SIGTERM received (2)").unwrap(), "{lines:#?}");
    // The kubelet kills engine and sidecar at the same time: lameduck may see the engine exit, or be killed first.
    let sidecar = match pod.exit_code(LAMEDUCK) {
        Some(10) => {
            pod.assert_outcome("exited", 1, Some("SIGINT"));
            "reported as 1 straggler"
        }
        Some(11) if pod.outcome()["stragglers"].is_null() => "reported as an unknown number: its last reading was old",
        Some(137) => "lameduck killed as well",
        code => panic!("lameduck exited with {code:?}"),
    };
    assert!(seconds >= 20, "gone after {seconds} s");
    format!("1 stream clean, 1 cut by the kubelet, {sidecar}, gone after {seconds} s of 600")
}

fn forced() -> String {
    let namespace = Namespace::new("edge-forced", "restricted");
    let pod = namespace.start(&Manifest::native("edge-forced", 120));
    let client = pod.open_streams(3);
    pod.delete(&[]);
    pod.wait_until_counted_after_signal();
    pod.delete(&["--force", "--grace-period=0"]);
    // The API server forgets the pod while its streams are open.
    pod.wait_gone();
    client.end_streams();
    client.endings().assert_clean(3);

    pod.lameduck.wait_for("\"stragglers\":0");
    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    "3 streams clean, after the API server had forgotten their pod".to_owned()
}

/// The kubelet starts the engine only after the sidecar's startup probe has succeeded. Here the probe is delayed.
fn deleted_at_engine_start() -> String {
    let namespace = Namespace::new("edge-first", "restricted");
    let mut manifest = Manifest::native("edge-first", 600).engine("--loading 1h");
    manifest.container(LAMEDUCK)["startupProbe"]["initialDelaySeconds"] = json!(15);
    let pod = namespace.start(&manifest);
    let runs = |pod: &Value, name: &str| status(pod, name).is_some_and(|one| one["state"]["running"].is_object());
    let started = |pod: &Value| status(pod, LAMEDUCK).is_some_and(|sidecar| sidecar["started"] == true);
    pod.wait_until("running its engine", |pod| runs(pod, ENGINE));
    pod.delete(&[]);
    pod.wait_gone();

    assert!(pod.was_ever(|pod| runs(pod, LAMEDUCK) && !started(pod)), "the probe came too early for this test");
    assert!(!pod.was_ever(|pod| runs(pod, ENGINE) && !started(pod)), "the engine ran before the sidecar had started");
    assert_eq!(pod.outcome()["outcome"], "never_served");
    namespace.assert_hooks_succeeded();
    "the engine started after the sidecar; never served".to_owned()
}

/// No sidecar can prevent this. It shows why ours must not die, and that the kubelet still behaves this way.
fn sidecar_dies_during_drain() -> String {
    let namespace = Namespace::new("edge-dies", "restricted");
    let pod = namespace.start(&Manifest::native("edge-dies", 120));
    let client = pod.open_streams(2);
    pod.delete(&[]);
    pod.engine.wait_for("SIGINT received (1)");
    signal(pod.process("lameduck"), Signal::SIGKILL);
    // The kubelet sends SIGTERM while streams are open.
    pod.engine.wait_for("SIGTERM received (2)");
    client.end_streams();
    client.endings().assert_clean(2);
    pod.wait_gone();

    assert!(!pod.was_ever(|pod| restarts(pod, LAMEDUCK) > 0), "the sidecar is not restarted");
    let failure = namespace.wait_for_event("FailedPreStopHook");
    format!("SIGTERM at once, no restart ({failure})")
}

/// The default profiles of older container runtimes block pidfds.
fn without_pidfds() -> String {
    let profiles = cluster_dir().join("kubelet/seccomp");
    fs::create_dir_all(&profiles).unwrap();
    let refused = json!({"names": ["pidfd_open", "pidfd_send_signal"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1});
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]});
    fs::write(profiles.join("no-pidfd.json"), profile.to_string()).unwrap();

    let namespace = Namespace::new("edge-pidfd", "restricted");
    let mut manifest = Manifest::native("edge-pidfd", 600).engine("--exit-delay 7s");
    manifest.container(LAMEDUCK)["securityContext"]["seccompProfile"] =
        json!({"type": "Localhost", "localhostProfile": "no-pidfd.json"});
    let pod = namespace.start(&manifest);
    let client = pod.open_streams(2);
    // If lameduck missed the Engine's exit, the pod would stay for the whole grace period.
    pod.delete_and_drain(&client, 2);

    assert_eq!((pod.engine.count("SIGINT received"), pod.engine.count("SIGTERM received")), (1, 0));
    pod.assert_outcome("drained", 0, Some("SIGINT"));
    assert_eq!(pod.exit_code(LAMEDUCK), Some(0));
    namespace.assert_hooks_succeeded();
    "2 streams clean, one SIGINT, exit seen".to_owned()
}
