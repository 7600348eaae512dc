//! What every record of a pod's end says, compared with what the clients saw. The table is in docs/records.md.

mod expected;
mod run;

use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use self::run::Run;
use crate::parallel;
use crate::support::cluster::program;
use crate::support::manifest::{ENGINE, LAMEDUCK, Manifest};
use crate::support::namespace::Namespace;
use crate::support::node::signal;
use crate::support::pod::{Pod, restarts, status};
use crate::support::records::terminations;
use crate::support::runner::Scenario;

/// The number of rows in the table.
pub(crate) const ROWS: usize = expected::ALL.len();

pub(crate) const SCENARIOS: &[Scenario] = &[
    parallel("records: a clean drain is not accused of anything", clean_drain),
    parallel("records: streams cut at the deadline are in every record", deadline),
    parallel("records: streams dropped on the signal are unknown, with a warning", dropped_on_signal),
    parallel("records: idle streams that --idle-after ends are counted as idle", idle_streams),
    parallel("records: after a shortened grace period, message and log have the cut streams", shortened),
    parallel(
        "records: with LAMEDUCK_GRACE_PERIOD too long, message and log have the cut streams",
        longer_than_the_pods,
    ),
    parallel("records: after a forced deletion, only the log has the cut streams", forced),
    parallel("records: an engine's exit while it serves is reported with its streams", crash_by_exit_code),
    parallel("records: a killed engine's streams are logged and counted", crash_and_restart),
    parallel("records: a hook on a native sidecar is reported", hook_on_native_sidecar),
    parallel("records: a hook on a classic sidecar is reported", hook_on_classic_sidecar),
    parallel("records: streams dropped on the second signal are unknown, with two warnings", second_signal),
    parallel("records: a missing hook is reported, with the cut streams", no_hook_native),
    parallel("records: without a hook, a classic sidecar leaves a record of the cut streams", no_hook_classic),
    parallel("records: a missing hook is reported, with streams dropped on SIGTERM", no_hook_and_dropped),
    parallel("records: a sidecar killed while its pod is deleted leaves its last record", sidecar_killed),
    parallel("records: a sidecar killed during a drain resumes it with the same id", sidecar_resumes),
    parallel("records: kubectl describe shows why a setting was refused", refused_setting),
];

fn clean_drain() -> String {
    let namespace = Namespace::new("records-clean", "restricted");
    let run = Run::start(&namespace, &Manifest::native("records-clean", 120));
    run.drain_and_wait();
    run.finish(&expected::CLEAN_DRAIN)
}

/// The Engine exits on the kubelet's SIGTERM, so there is time for the sidecar's exit.
fn deadline() -> String {
    let namespace = Namespace::new("records-deadline", "restricted");
    let manifest = Manifest::native("records-deadline", 30).engine("--second-signal-quits");
    let run = Run::start(&namespace, &manifest.setting("LAMEDUCK_EXIT_MARGIN", "12s"));
    run.delete_and_wait(&[]);
    run.finish(&expected::DEADLINE)
}

fn dropped_on_signal() -> String {
    let namespace = Namespace::new("records-dropped", "restricted");
    let manifest = Manifest::native("records-dropped", 60).engine("--on-signal quit");
    let run = Run::start(&namespace, &manifest);
    run.delete_and_wait(&[]);
    run.finish(&expected::DROPPED_ON_SIGNAL)
}

fn idle_streams() -> String {
    let namespace = Namespace::new("records-idle", "restricted");
    let manifest = Manifest::native("records-idle", 120).setting("LAMEDUCK_IDLE_AFTER", "10s");
    let run = Run::start_with(&namespace, &manifest, &["1:audio", "2:audio:2s:keepalive"]);
    run.drain_and_wait();
    run.finish(&expected::IDLE_STREAMS)
}

/// As an eviction or the cluster autoscaler does: no process in the pod can know.
fn shortened() -> String {
    let namespace = Namespace::new("records-shortened", "restricted");
    let run = Run::start(&namespace, &Manifest::native("records-shortened", 120));
    run.delete_and_wait(&["--grace-period=15"]);
    run.finish(&expected::SHORTENED)
}

fn longer_than_the_pods() -> String {
    let namespace = Namespace::new("records-mismatch", "restricted");
    let manifest = Manifest::native("records-mismatch", 20).setting("LAMEDUCK_GRACE_PERIOD", "3600");
    let run = Run::start(&namespace, &manifest);
    run.delete_and_wait(&[]);
    run.finish(&expected::LONGER_THAN_THE_PODS)
}

fn forced() -> String {
    let namespace = Namespace::new("records-forced", "restricted");
    let run = Run::start(&namespace, &Manifest::native("records-forced", 60));
    run.delete_and_wait(&["--force", "--grace-period=0"]);
    run.finish(&expected::FORCED)
}

fn crash_by_exit_code() -> String {
    let namespace = Namespace::new("records-crash", "restricted");
    let mut manifest = Manifest::native("records-crash", 60).engine("--on-signal quit --exit-code 1");
    manifest.spec()["restartPolicy"] = json!("Never");
    let run = Run::start(&namespace, &manifest);
    signal(run.pod.process("impeller"), Signal::SIGTERM);
    run.pod.wait_until("in phase Failed", |pod| pod["status"]["phase"] == "Failed");
    run.finish(&expected::CRASH_BY_EXIT_CODE)
}

fn crash_and_restart() -> String {
    let namespace = Namespace::new("records-restart", "restricted");
    let run = Run::start(&namespace, &Manifest::native("records-restart", 60));
    signal(run.pod.process("impeller"), Signal::SIGKILL);
    run.pod.wait_until("running another Engine", |pod| restarts(pod, ENGINE) == 1);
    run.pod.lameduck.wait_for("the target has ended while it was serving");
    run.finish(&expected::CRASH_AND_RESTART)
}

/// Moves the hook from the Engine's container to lameduck's.
fn move_hook(mut manifest: Manifest) -> Manifest {
    let lifecycle = manifest.container(ENGINE).as_object_mut().unwrap().remove("lifecycle").unwrap();
    manifest.container(LAMEDUCK)["lifecycle"] = lifecycle;
    manifest
}

/// Leaves time for a late SIGTERM to the Engine before lameduck's signal, and for a late hook call before the deadline.
fn with_margins(manifest: Manifest) -> Manifest {
    manifest.setting("LAMEDUCK_LAME_DUCK", "10s").setting("LAMEDUCK_EXIT_MARGIN", "10s")
}

fn hook_on_native_sidecar() -> String {
    let namespace = Namespace::new("records-hook-native", "restricted");
    let run = Run::start(&namespace, &with_margins(move_hook(Manifest::native("records-hook-native", 30))));
    run.delete_and_wait(&[]);
    run.finish(&expected::HOOK_ON_NATIVE_SIDECAR)
}

fn hook_on_classic_sidecar() -> String {
    let namespace = Namespace::new("records-hook-classic", "restricted");
    let run = Run::start(&namespace, &with_margins(move_hook(classic("records-hook-classic", 30))));
    run.delete_and_wait(&[]);
    run.finish(&expected::HOOK_ON_CLASSIC_SIDECAR)
}

fn second_signal() -> String {
    let namespace = Namespace::new("records-second", "restricted");
    let manifest = with_margins(move_hook(Manifest::native("records-second", 60))).engine("--second-signal-quits");
    let run = Run::start(&namespace, &manifest);
    run.delete_and_wait(&[]);
    run.finish(&expected::SECOND_SIGNAL)
}

/// Removes the hook.
fn without_hook(mut manifest: Manifest) -> Manifest {
    manifest.container(ENGINE).as_object_mut().unwrap().remove("lifecycle").unwrap();
    manifest
}

fn no_hook_native() -> String {
    let namespace = Namespace::new("records-none-native", "restricted");
    let run = Run::start(&namespace, &without_hook(Manifest::native("records-none-native", 20)));
    run.delete_and_wait(&[]);
    run.finish(&expected::NO_HOOK_NATIVE)
}

fn no_hook_classic() -> String {
    let namespace = Namespace::new("records-none-classic", "restricted");
    let run = Run::start(&namespace, &without_hook(classic("records-none-classic", 20)));
    run.delete_and_wait(&[]);
    run.finish(&expected::NO_HOOK_CLASSIC)
}

fn no_hook_and_dropped() -> String {
    let namespace = Namespace::new("records-none-dropped", "restricted");
    let manifest = without_hook(Manifest::native("records-none-dropped", 20)).engine("--on-signal quit");
    let run = Run::start(&namespace, &manifest);
    run.delete_and_wait(&[]);
    run.finish(&expected::NO_HOOK_AND_DROPPED)
}

/// A native sidecar that dies while its pod is deleted is not restarted, and the Engine gets SIGTERM at once.
fn sidecar_killed() -> String {
    let namespace = Namespace::new("records-killed", "restricted");
    let run = Run::start(&namespace, &Manifest::native("records-killed", 120).engine("--second-signal-quits"));
    run.pod.delete(&[]);
    run.pod.engine.wait_for("SIGINT received (1)");
    run.pod.lameduck.wait_for("signal sent");
    signal(run.pod.process("lameduck"), Signal::SIGKILL);
    run.pod.wait_gone();
    run.finish(&expected::SIDECAR_KILLED)
}

/// The pod is not deleted: a user's drain has ended its Engine.
fn sidecar_resumes() -> String {
    let namespace = Namespace::new("records-resumes", "restricted");
    let mut manifest = Manifest::native("records-resumes", 120);
    manifest.spec()["restartPolicy"] = json!("Never");
    let mut run = Run::start(&namespace, &manifest);
    let sidecar = run.pod.process("lameduck");
    let _drain = ExecDrain::start(&namespace, &run.pod);
    run.pod.engine.wait_for("SIGINT received (1)");
    signal(sidecar, Signal::SIGKILL);
    run.pod.wait_until("running another sidecar", |pod| restarts(pod, LAMEDUCK) == 1);
    run.follow_restarted_sidecar();
    run.end_streams();
    run.pod.wait_until("in phase Succeeded", |pod| pod["status"]["phase"] == "Succeeded");
    let ids: Vec<Value> =
        terminations(&run.pod).iter().map(|end| end.record().expect("a record")["id"].clone()).collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "both records are of one drain: {ids:?}");
    run.finish(&expected::SIDECAR_RESUMES)
}

/// `lameduck drain` in the sidecar's container, ended on drop.
struct ExecDrain(Child);

impl ExecDrain {
    fn start(namespace: &Namespace, pod: &Pod) -> Self {
        let args =
            ["--namespace", namespace.name(), "exec", &pod.name, "--container", LAMEDUCK, "--", "/lameduck", "drain"];
        let mut command = Command::new(program("kubectl"));
        Self(command.args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("kubectl was built"))
    }
}

impl Drop for ExecDrain {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn refused_setting() -> String {
    let namespace = Namespace::new("records-refused", "restricted");
    let mut manifest = Manifest::native("records-refused", 60).setting("LAMEDUCK_QUIET_PERIOD", "soon");
    assert_eq!(manifest.container(LAMEDUCK)["terminationMessagePolicy"], "FallbackToLogsOnError", "as in the example");
    let pod = namespace.start(&manifest);
    let refused = |pod: &Value| {
        let status = status(pod, LAMEDUCK)?;
        let ends = [&status["state"]["terminated"], &status["lastState"]["terminated"]];
        ends.into_iter().find(|end| end["exitCode"] == 64).cloned()
    };
    let pod_object = pod.wait_until("refusing the setting", |pod| refused(pod).is_some());
    let message = refused(&pod_object).unwrap()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("invalid value 'soon' for '--quiet-period"), "{message:?}");
    let described = namespace.kubectl(&["describe", "pod", &pod.name]);
    assert!(described.contains(message.lines().next().unwrap()), "{described}");
    format!("exit code 64, and in kubectl describe: {}", message.lines().next().unwrap())
}

/// The classic sidecar's example in a pod of this name, with this grace period in seconds.
fn classic(name: &str, grace: u32) -> Manifest {
    Manifest::example("classic-sidecar.yaml").pod(name).grace(grace)
}
