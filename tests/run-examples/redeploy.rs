//! A rolling redeployment behind `HAProxy`, under load: with `lameduck run`, and with SIGTERM and 10 s as `docker stop`
//! does by default.

use std::fs;
use std::thread;

use lameduck_test_support::process::{Program, stopwatch, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::namespaces::{Namespaces, repository, run};
use crate::systemd::{Systemd, drop_in, example_unit};

/// Where `HAProxy` shows its statistics.
const STATISTICS: &str = "http://127.0.0.1:8404/stats;csv";
const INSTANCES: [&str; 3] = ["1", "2", "3"];
/// 40 streams a second: some of them last longer than 10 s after a signal. Each sends one message a second.
const LOAD: [&str; 8] = ["--arrivals", "40/s", "--duration", "5s..20s", "--rate", "400", "--chunk", "1s"];
/// The unit without lameduck.
const PLAIN_UNIT: &str = "[Service]\nExecStart=/opt/bin/impeller\nTimeoutStopSec=10\n";

/// How a unit is run and asked.
struct Arm {
    name: &'static str,
    unit: String,
    /// What rolling-redeploy asks whether an instance is ready.
    ready: &'static str,
    haproxy: fn(String) -> String,
}

/// Replaces three instances twice over, once per arm, and compares what the clients saw.
pub(crate) fn nothing_is_refused_or_cut() {
    let ours = Arm {
        name: "lameduck run",
        unit: example_unit(),
        ready: "http://127.0.0.1:809{}/readyz",
        haproxy: |config| config,
    };
    let plain = Arm {
        name: "SIGTERM, SIGKILL after 10 s",
        unit: PLAIN_UNIT.to_owned(),
        ready: "http://127.0.0.1:999{}/metrics",
        // The engine has no health check of its own: HAProxy connects to the port of the streams.
        haproxy: |config| {
            let without_check = config.lines().filter(|line| !line.contains("httpchk") && !line.contains("http-check"));
            let lines = without_check.map(|line| line.split(" port 809").next().expect("a first part"));
            lines.map(|line| [line, "\n"].concat()).collect()
        },
    };
    let [ours, plain] = thread::scope(|scope| {
        let threads = [ours, plain].map(|arm| scope.spawn(move || arm.redeploy()));
        threads.map(|thread| thread.join().expect("the arm passes"))
    });
    assert_eq!((&ours["refused"], &ours["cut"]), (&Value::from(0), &Value::from(0)), "{ours:?}");
    assert!(plain["cut"].as_u64() > Some(0), "the load cuts nothing without lameduck: {plain:?}");
}

impl Arm {
    fn redeploy(self) -> Value {
        let config = fs::read_to_string(repository("run-examples/systemd/haproxy.cfg")).expect("the configuration");
        let haproxy = "[Service]\nExecStart=/usr/sbin/haproxy -db -f /opt/bin/haproxy.cfg\nStandardError=append:/run/out/haproxy\n";
        let units = [
            ("engine@.service", self.unit.clone()),
            ("engine@.service.d/test.conf", drop_in("")),
            ("haproxy.service", haproxy.to_owned()),
        ];
        let systemd = Systemd::start(&units, &[&repository("run-examples/rolling-redeploy")]);
        fs::write(systemd.0.dir.join("bin/haproxy.cfg"), (self.haproxy)(config)).expect("the configuration is written");
        for instance in INSTANCES {
            systemd.start_unit(&format!("engine@{instance}"));
        }
        systemd.start_unit("haproxy");
        wait_until(|| up(&systemd.0) == INSTANCES.len());
        let pids = main_pids(&systemd);
        let client = systemd.0.client(8000, &LOAD);
        wait_until(|| sessions(&systemd.0) > 100);
        let mut script = systemd.0.inside("/opt/bin/rolling-redeploy");
        script.args(arguments("systemctl restart engine@{}", self.ready));
        let elapsed = stopwatch();
        println!("{}", run(script.args(INSTANCES)));
        let replaced_in = elapsed().as_secs();
        assert!(main_pids(&systemd).iter().zip(&pids).all(|(new, old)| new != old && new != "0"), "not all are new");
        let totals = totals(client);
        println!("{}: three instances replaced in {replaced_in} s; {totals}", self.name);
        if totals["refused"] != 0 {
            println!("HAProxy: {}", fs::read_to_string(systemd.0.dir.join("out/haproxy")).unwrap_or_default());
        }
        totals
    }
}

/// The arguments of rolling-redeploy, without the instances.
pub(crate) fn arguments(replace: &'static str, ready: &'static str) -> [&'static str; 8] {
    ["--replace", replace, "--ready", ready, "--balancer", STATISTICS, "--server", "engines/engine-{}"]
}

fn main_pids(systemd: &Systemd) -> Vec<String> {
    INSTANCES.iter().map(|instance| systemd.property(&format!("engine@{instance}"), "MainPID")).collect()
}

/// Number of servers that `HAProxy` sends streams to.
pub(crate) fn up(balancer: &Namespaces) -> usize {
    let page = balancer.get(STATISTICS).unwrap_or_default();
    page.lines().filter(|line| line.starts_with("engines,engine-") && line.contains(",UP,")).count()
}

/// Number of open streams through `HAProxy`.
pub(crate) fn sessions(balancer: &Namespaces) -> u64 {
    let page = balancer.get(STATISTICS).expect("HAProxy answers");
    let line = page.lines().find(|line| line.starts_with("engines,BACKEND,")).expect("the backend");
    line.split(',').nth(4).and_then(|field| field.parse().ok()).expect("the current sessions")
}

/// Ends the load; returns what the client counted.
pub(crate) fn totals(mut client: Program) -> Value {
    client.signal(Signal::SIGTERM);
    let line = client.wait_for("\"attempted\"");
    serde_json::from_str(&line).expect("JSON")
}
