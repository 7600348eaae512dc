//! Deletions that are harder than others: cut short, forced, at once, or with a sidecar that dies.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::clock::{now, since};
use crate::support::cluster::folder;
use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Place;
use crate::support::node::signal;
use crate::support::pod::{restarts, status};
use crate::support::runner::Scenario;
use crate::together;

pub(crate) const SCENARIOS: &[Scenario] = &[
    together("harder: a grace period cut to 12 s is the kubelet's to end, with its own SIGTERM", cut_short),
    together("harder: forced in mid-drain, the pod is off the API and its streams end by themselves", forced),
    together("harder: deleted in the instant that the engine runs, the hook is heard", in_the_first_instant),
    together("harder: a sidecar that dies in mid-drain is not started again", a_sidecar_that_dies),
    together("harder: where seccomp refuses pidfds, the signal goes by pid", without_pidfds),
];

fn native(name: &str) -> Manifest {
    Manifest::example("native-sidecar.yaml").pod(name).grace(60)
}

/// As the cluster autoscaler does it: the pod's own grace period is longer, and nothing in the pod can tell.
fn cut_short() -> String {
    let place = Place::new("harder-short", "restricted");
    let pod = place.start(&native("harder-short"));
    let client = pod.busy("8s,90s");
    let deleted = now();
    pod.delete(&["--grace-period=12"]);
    pod.wait_gone();
    let seconds = since(deleted).as_secs();

    let endings = client.endings();
    assert_eq!((endings.clean, endings.cut), (1, 1), "{endings:?}");
    let lines = pod.engine.lines();
    let place_of = |part: &str| lines.iter().position(|line| line.contains(part));
    assert!(place_of("SIGINT received (1)").unwrap() < place_of("SIGTERM received (2)").unwrap(), "{lines:#?}");
    // The kubelet kills engine and sidecar in the same instant: lameduck may see that, or go itself.
    let told = match pod.exit_code(LAMEDUCK) {
        Some(10) => {
            pod.assert_outcome("exited", 1, Some("SIGINT"));
            "told as 1 straggler"
        }
        Some(137) => "and lameduck killed with them",
        code => panic!("lameduck exits with {code:?}"),
    };
    assert!((12..45).contains(&seconds), "gone after {seconds} s");
    format!("1 stream clean, 1 cut by the kubelet, {told}, gone after {seconds} s of 60")
}

fn forced() -> String {
    let place = Place::new("harder-forced", "restricted");
    let pod = place.start(&native("harder-forced"));
    let client = pod.busy("20s,22s,24s");
    pod.delete(&[]);
    pod.engine.wait_for("SIGINT received (1)");
    pod.delete(&["--force", "--grace-period=0"]);
    pod.wait_gone();
    assert_eq!(pod.engine.count("stream 1 closed"), 0, "the API forgets it while its streams are open");
    client.endings().assert_clean(3);

    pod.lameduck.wait_for("\"stragglers\":0");
    assert_eq!(pod.engine.count("SIGINT received"), 1, "one signal");
    "3 streams clean, though the API had forgotten their pod".to_owned()
}

/// The kubelet starts the engine only when the sidecar's startup probe has succeeded, which comes late here.
fn in_the_first_instant() -> String {
    let place = Place::new("harder-first", "restricted");
    let mut manifest = native("harder-first").engine("--loading 10m");
    manifest.container(LAMEDUCK)["startupProbe"]["initialDelaySeconds"] = json!(5);
    let pod = place.start(&manifest);
    let runs = |pod: &Value, name: &str| status(pod, name).is_some_and(|one| one["state"]["running"].is_object());
    let heard = |pod: &Value| status(pod, LAMEDUCK).is_some_and(|sidecar| sidecar["started"] == true);
    pod.wait_until("one with a running engine", |pod| runs(pod, ENGINE));
    let deleted = now();
    pod.delete(&[]);
    pod.wait_gone();
    let seconds = since(deleted).as_secs();

    assert!(pod.was(|pod| runs(pod, LAMEDUCK) && !heard(pod)), "the probe came too early to show anything");
    assert!(!pod.was(|pod| runs(pod, ENGINE) && !heard(pod)), "the engine ran before the sidecar was heard");
    assert_eq!(pod.outcome()["outcome"], "never_served");
    place.assert_hooks_succeeded();
    assert!(seconds < 30, "gone after {seconds} s of 60");
    format!("the engine started after the sidecar was heard; unserved, gone after {seconds} s of 60")
}

/// No sidecar can help this; it shows why ours must not die, and that the kubelet is still like that.
fn a_sidecar_that_dies() -> String {
    let place = Place::new("harder-dies", "restricted");
    let pod = place.start(&native("harder-dies"));
    let client = pod.busy("20s,22s");
    pod.delete(&[]);
    pod.engine.wait_for("SIGINT received (1)");
    signal(pod.process("lameduck"), Signal::SIGKILL);
    pod.engine.wait_for("SIGTERM received (2)");
    assert_eq!(pod.engine.count("stream 1 closed"), 0, "the kubelet's SIGTERM follows at once");
    client.endings().assert_clean(2);
    pod.wait_gone();

    assert!(!pod.was(|pod| restarts(pod, LAMEDUCK) > 0), "it is not started again");
    let failure = place.wait_for_event("FailedPreStopHook");
    format!("SIGTERM at once, no restart ({failure})")
}

/// As the default profiles of older container runtimes do.
fn without_pidfds() -> String {
    let profiles = folder().join("kubelet/seccomp");
    fs::create_dir_all(&profiles).unwrap();
    let refused = json!({"names": ["pidfd_open", "pidfd_send_signal"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1});
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]});
    fs::write(profiles.join("no-pidfd.json"), profile.to_string()).unwrap();

    let place = Place::new("harder-pidfd", "restricted");
    let mut manifest = native("harder-pidfd").engine("--exit-delay 4s");
    manifest.container(LAMEDUCK)["securityContext"]["seccompProfile"] =
        json!({"type": "Localhost", "localhostProfile": "no-pidfd.json"});
    let pod = place.start(&manifest);
    let client = pod.busy("10s,12s");
    let deleted = now();
    pod.drains(&client, 2);
    let seconds = since(deleted).as_secs();

    assert_eq!((pod.engine.count("SIGINT received"), pod.engine.count("SIGTERM received")), (1, 0));
    pod.assert_outcome("drained", 0, Some("SIGINT"));
    assert_eq!(pod.exit_code(LAMEDUCK), Some(0));
    place.assert_hooks_succeeded();
    assert!(seconds < 55, "gone after {seconds} s of 60: the engine's exit was not seen");
    format!("2 streams clean, one SIGINT, its exit seen, gone after {seconds} s of 60")
}
