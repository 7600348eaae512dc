//! Scenarios with a real systemd.

use std::process::Command;

use lameduck_test_support::process::{Program, stopwatch, wait_until};

use crate::namespaces::{output, repository, run};
use crate::systemd::{Systemd, drop_in, example_unit};

const UNIT: &str = "engine@1";
/// The port of the streams of instance 1.
const PORT: u16 = 8081;
const READYZ: &str = "http://127.0.0.1:8091/readyz";
/// Times with which a stop takes longer than `TimeoutStopSec`, unless a test says otherwise.
const SHORT_STOP: &str = "TimeoutStopSec=5\nEnvironment=LAMEDUCK_LAME_DUCK=1s LAMEDUCK_GRACE_PERIOD=60s\n";
/// Streams that outlast that.
const STREAMS: [&str; 4] = ["--streams", "5", "--durations", "16s"];

/// Starts the unit, and opens streams.
fn open(systemd: &Systemd, args: &[&str]) -> Program {
    systemd.start_unit(UNIT);
    wait_until(|| systemd.0.get("http://127.0.0.1:9991/metrics").is_some());
    let client = systemd.0.client(PORT, args);
    let gauge = format!("engine_active_requests{{kind=\"stream\"}} {}\n", args[1]);
    wait_until(|| systemd.0.get("http://127.0.0.1:9991/metrics").is_some_and(|page| page.contains(&gauge)));
    client
}

fn assert_clean(mut client: Program, systemd: &Systemd) {
    let summary = client.wait_for(" streams: ");
    assert!(summary.contains(" clean, 0 cut, 0 refused"), "{summary}\n{}", systemd.log(1));
    assert_eq!(systemd.property(UNIT, "Result"), "success", "{}", systemd.log(1));
}

/// A stop lasts as long as the drain, although `TimeoutStopSec` is shorter; without lameduck it does not.
pub(crate) fn stop_lasts_as_long_as_the_drain() {
    let systemd = Systemd::with_example(SHORT_STOP);
    let client = open(&systemd, &STREAMS);
    assert_eq!(systemd.property(UNIT, "ActiveState"), "active");
    assert!(systemd.0.get(READYZ).is_some(), "the unit is active before lameduck is ready");
    let elapsed = stopwatch();
    systemd.systemctl(&["stop", UNIT]);
    let seconds = elapsed().as_secs();
    assert_clean(client, &systemd);
    let log = systemd.log(1);
    // Nothing but lameduck has sent a signal to the engine.
    assert!(log.contains("\"stragglers\":0") && !log.contains("told_by_others"), "{log}");
    assert!((10..60).contains(&seconds), "{seconds} s");

    let plain = format!("[Service]\nExecStart=/opt/bin/impeller\n{SHORT_STOP}");
    let systemd = Systemd::start(&[("engine@.service", plain), ("engine@.service.d/test.conf", drop_in(""))], &[]);
    let mut client = open(&systemd, &STREAMS);
    systemd.systemctl(&["stop", UNIT]);
    let summary = client.wait_for(" streams: ");
    assert!(summary.contains("0 clean, 5 cut"), "{summary}");
    assert_eq!(systemd.property(UNIT, "Result"), "timeout");
    println!("systemctl stop, TimeoutStopSec=5: 5 clean after {seconds} s with lameduck run; without, {summary}");
}

/// `lameduck drain` changes the status text only, and can be cancelled.
pub(crate) fn drain_leaves_the_unit_active() {
    let systemd = Systemd::with_example("Environment=LAMEDUCK_LAME_DUCK=30s\n");
    let client = open(&systemd, &["--streams", "2", "--durations", "16s"]);
    let lameduck = |args: &[&str]| {
        let mut command = systemd.0.inside("/opt/bin/lameduck");
        command.args(args).args(["--address", "http://127.0.0.1:8091"]);
        command
    };
    let drain = lameduck(&["drain"]).spawn();
    wait_until(|| systemd.0.get(READYZ).is_none());
    wait_until(|| systemd.property(UNIT, "StatusText").contains("2 streams"));
    let state = systemd.systemctl(&["show", "--value", "--property", "ActiveState,SubState", UNIT]);
    assert_eq!(state, "active\nrunning");
    run(&mut lameduck(&["drain", "--cancel"]));
    assert_eq!(drain.and_then(|mut drain| drain.wait()).expect("lameduck").code(), Some(1));
    wait_until(|| systemd.0.get(READYZ).is_some());
    assert_clean(client, &systemd);
}

/// With `KillMode=control-group`, systemd stops the engine at the same time as lameduck, which reports that.
pub(crate) fn control_group_is_reported() {
    let systemd = Systemd::with_example("KillMode=control-group\n");
    let client = open(&systemd, &STREAMS);
    wait_until(|| systemd.0.get(READYZ).is_some());
    systemd.systemctl(&["stop", UNIT]);
    let log = systemd.log(1);
    assert!(log.contains("told_by_others"), "{log}");
    // The simulated engine drains on SIGTERM too.
    assert_clean(client, &systemd);
}

/// The drain ends at the deadline; streams that are still open are in the record.
pub(crate) fn deadline_ends_the_stop() {
    let systemd =
        Systemd::with_example("TimeoutStopSec=5\nEnvironment=LAMEDUCK_LAME_DUCK=1s LAMEDUCK_GRACE_PERIOD=15s\n");
    let mut client = open(&systemd, &["--streams", "3", "--durations", "50s"]);
    let elapsed = stopwatch();
    systemd.systemctl(&["stop", UNIT]);
    let seconds = elapsed().as_secs();
    assert!((8..30).contains(&seconds), "{seconds} s");
    let summary = client.wait_for(" streams: ");
    assert!(summary.contains("0 clean, 3 cut"), "{summary}");
    let log = systemd.log(1);
    assert!(log.contains("\"outcome\":\"expired\"") && log.contains("\"stragglers\":3"), "{log}");
}

/// The unit has no mistakes that systemd finds, and is hardened.
pub(crate) fn unit_is_verified() {
    let systemd = Systemd::with_example("");
    let verified =
        output(systemd.0.inside("systemd-analyze").args(["verify", "--man=no", "/etc/systemd/system/engine@.service"]));
    let messages = String::from_utf8_lossy(&verified.stderr);
    let messages: Vec<&str> = messages.lines().filter(|line| line.contains("engine@")).collect();
    assert!(verified.status.success() && messages.is_empty(), "{messages:#?}");
    let unit = repository("run-examples/systemd/engine@.service");
    // The scale of systemd-analyze ends at 10, for no hardening at all.
    let mut security = Command::new("systemd-analyze");
    run(security.args(["security", "--offline=true", "--threshold=20"]).arg(unit));
    assert!(example_unit().contains("KillMode=mixed\n"));
}
