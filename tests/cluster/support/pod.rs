//! One pod: its logs, its HTTP answers, and its states as `kubectl` shows them.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::clock::{TIMEOUT, poll};
use crate::support::cluster::cluster_dir;
use crate::support::log::Log;
use crate::support::manifest::{ENGINE, LAMEDUCK};
use crate::support::namespace::{Namespace, text};
use crate::support::{node, sidecar};
use lameduck_test_support::http::{Call, Response};

/// The duration of a stream that its client ends earlier, or that the pod does not outlive.
pub(crate) const ENDLESS: &str = "3600s";

/// A pod of a scenario.
pub(crate) struct Pod<'a> {
    namespace: &'a Namespace,
    pub(crate) name: String,
    uid: String,
    /// Log of the engine container, before any restart.
    pub(crate) engine: Log,
    /// Log of the lameduck container, before any restart.
    pub(crate) lameduck: Log,
}

impl<'a> Pod<'a> {
    pub(crate) fn new(namespace: &'a Namespace, name: &str, uid: &str) -> Self {
        let log = |container: &str| log(namespace, name, uid, container, 0);
        Self { namespace, name: name.to_owned(), uid: uid.to_owned(), engine: log(ENGINE), lameduck: log(LAMEDUCK) }
    }

    /// Log of a container after this many restarts.
    pub(crate) fn log(&self, container: &str, restarts: u32) -> Log {
        log(self.namespace, &self.name, &self.uid, container, restarts)
    }

    /// The pid of one of its processes, by program name.
    pub(crate) fn process(&self, program: &str) -> i32 {
        node::process(&self.name, program)
    }

    /// All watch events of this pod, in order.
    pub(crate) fn history(&self) -> Vec<Value> {
        let ours = |event: &Value| event["object"]["metadata"]["uid"] == self.uid.as_str();
        self.namespace.history().into_iter().filter(ours).collect()
    }

    /// Waits until the pod's current state satisfies the condition.
    pub(crate) fn wait_until(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        self.wait_up_to(TIMEOUT, what, condition)
    }

    pub(crate) fn wait_up_to(&self, timeout: Duration, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let now = || self.history().pop().map(|event| event["object"].clone()).filter(|pod| condition(pod));
        poll(timeout, now).unwrap_or_else(|| panic!("timed out waiting for pod {} to be {what}", self.name))
    }

    pub(crate) fn wait_ready(&self) {
        self.wait_until("ready", is_ready);
    }

    /// Whether the pod ever satisfied the condition.
    pub(crate) fn was_ever(&self, condition: impl Fn(&Value) -> bool) -> bool {
        self.history().iter().any(|event| condition(&event["object"]))
    }

    /// Waits until the pod is deleted.
    pub(crate) fn wait_gone(&self) {
        let gone = || self.history().iter().any(|event| event["type"] == "DELETED").then_some(());
        poll(TIMEOUT * 2, gone).unwrap_or_else(|| panic!("timed out waiting for pod {} to be deleted", self.name));
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.history().iter().any(|event| event["type"] == "DELETED")
    }

    pub(crate) fn ip(&self) -> String {
        text(&self.wait_until("assigned an address", |pod| pod["status"]["podIP"].is_string())["status"]["podIP"])
    }

    /// The address of one of its ports.
    pub(crate) fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip().parse().expect("an address"), port)
    }

    /// Sends a GET request to lameduck.
    pub(crate) fn get(&self, path: &str) -> Response {
        Call::get(self.address(8089), path).response()
    }

    /// Waits until the sidecar's status satisfies the condition.
    pub(crate) fn wait_for_status(&self, what: &str, condition: impl Fn(&Value) -> bool) {
        sidecar::wait_for_status(self.address(8089), what, condition);
    }

    /// Waits until the sidecar has sent its signal, and has counted streams long enough after it.
    pub(crate) fn wait_until_counted_after_signal(&self) {
        sidecar::wait_until_counted_after_signal(self.address(8089));
    }

    /// Starts a client of its engine.
    pub(crate) fn client(&self, args: &[&str]) -> Client {
        Client::start(&self.address(8080).to_string(), args)
    }

    /// Waits until the pod is ready, and opens this many streams, which stay open until `Client::end_streams`.
    pub(crate) fn open_streams(&self, streams: usize) -> Client {
        self.wait_ready();
        let client = self.client(&["--streams", &streams.to_string(), "--durations", ENDLESS]);
        self.engine.wait_for(&format!("stream {streams} opened"));
        client
    }

    /// Deletes the pod, lets its streams end after the signal, and waits until it is gone. All of them must end cleanly.
    pub(crate) fn delete_and_drain(&self, client: &Client, streams: u64) {
        self.delete(&[]);
        self.drain(client, streams);
        self.wait_gone();
    }

    /// Lets the streams of this client end after the signal. All of them must end cleanly.
    pub(crate) fn drain(&self, client: &Client, streams: u64) {
        self.wait_until_counted_after_signal();
        client.end_streams();
        client.endings().assert_clean(streams);
    }

    /// The same for a drain without a sidecar, whose readings cannot be seen from outside.
    pub(crate) fn drain_standalone(&self, client: &Client, streams: u64) {
        self.engine.wait_for("SIGINT received (1)");
        thread::sleep(Duration::from_secs(5));
        client.end_streams();
        client.endings().assert_clean(streams);
    }

    pub(crate) fn delete(&self, args: &[&str]) {
        self.namespace.kubectl(&[&["delete", "pod", &self.name, "--wait=false"], args].concat());
    }

    /// The outcome in lameduck's log, which must be the last line.
    pub(crate) fn outcome(&self) -> Value {
        let lines = self.lameduck.lines();
        let last = lines.last().unwrap_or_else(|| panic!("lameduck in {} has logged nothing", self.name));
        let outcome: Value = serde_json::from_str(last).unwrap_or_default();
        assert!(outcome["outcome"].is_string(), "the last line is not an outcome: {last}");
        outcome
    }

    /// Panics unless both the log and the termination message of a deleted pod have this outcome.
    pub(crate) fn assert_outcome(&self, outcome: &str, stragglers: u64, signal: Option<&str>) {
        for report in [self.outcome(), self.termination_message()] {
            let facts = json!([report["outcome"], report["stragglers"], report["signal"]]);
            assert_eq!(facts, json!([outcome, stragglers, signal]), "{report}");
        }
    }

    /// The exit code of a container's first run.
    pub(crate) fn exit_code(&self, container: &str) -> Option<i64> {
        let code = |pod: &Value| status(pod, container)?["state"]["terminated"]["exitCode"].as_i64();
        self.history().iter().find_map(|event| code(&event["object"]))
    }

    /// The ids of its containers in the container runtime.
    pub(crate) fn container_ids(&self) -> Vec<String> {
        let id = |event: &Value| {
            let status = status(&event["object"], LAMEDUCK)?;
            Some(status["containerID"].as_str()?.strip_prefix("containerd://")?.to_owned())
        };
        self.history().iter().filter_map(id).collect()
    }

    /// The outcome that `kubectl get pod` shows as lameduck's termination message.
    pub(crate) fn termination_message(&self) -> Value {
        self.message_of(LAMEDUCK)
    }

    /// The outcome in this container's termination message.
    pub(crate) fn message_of(&self, container: &str) -> Value {
        let messages: Vec<String> =
            self.history().iter().filter_map(|event| terminated(&event["object"], container)).collect();
        let message = messages.last().unwrap_or_else(|| panic!("pod {} never had a termination message", self.name));
        serde_json::from_str(message).unwrap_or_else(|error| panic!("{error}: {message:?}"))
    }
}

impl Drop for Pod<'_> {
    /// Prints the logs of both containers if the scenario fails: `kubectl logs` fails once the pod is gone.
    fn drop(&mut self) {
        if thread::panicking() {
            for (container, log) in [(ENGINE, &self.engine), (LAMEDUCK, &self.lameduck)] {
                eprintln!("--- {}: log of {container}\n{}\n", self.name, log.lines().join("\n"));
            }
        }
    }
}

fn log(namespace: &Namespace, name: &str, uid: &str, container: &str, restarts: u32) -> Log {
    let pod = format!("{}_{name}_{uid}", namespace.name());
    Log::open(cluster_dir().join("log/pods").join(pod).join(container).join(format!("{restarts}.log")))
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready")
}

pub(crate) fn is_terminating(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_string()
}

fn condition(pod: &Value, name: &str) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.is_some_and(|all| all.iter().any(|one| one["type"] == name && one["status"] == "True"))
}

/// The status of a container or init container.
pub(crate) fn status<'a>(pod: &'a Value, container: &str) -> Option<&'a Value> {
    let lists = ["containerStatuses", "initContainerStatuses"].map(|list| pod["status"][list].as_array());
    lists.into_iter().flatten().flatten().find(|status| status["name"] == container)
}

/// The restart count of a container.
pub(crate) fn restarts(pod: &Value, container: &str) -> u64 {
    status(pod, container).and_then(|status| status["restartCount"].as_u64()).unwrap_or(0)
}

fn terminated(pod: &Value, container: &str) -> Option<String> {
    let status = status(pod, container)?;
    let ended = [&status["state"], &status["lastState"]].map(|state| &state["terminated"]["message"]);
    ended.into_iter().find_map(|message| message.as_str()).map(str::to_owned)
}
