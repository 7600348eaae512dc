//! One pod: what it says, and what is shown of it.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::clock::{PATIENCE, poll};
use crate::support::cluster::folder;
use crate::support::log::Log;
use crate::support::manifest::{ENGINE, LAMEDUCK};
use crate::support::namespace::{Place, text};
use crate::support::node;
use lameduck_test_support::http::{Call, Response};

/// A pod of a scenario.
pub(crate) struct Pod<'a> {
    place: &'a Place,
    pub(crate) name: String,
    uid: String,
    /// What the engine says, in its first life.
    pub(crate) engine: Log,
    /// What lameduck says, in its first life.
    pub(crate) lameduck: Log,
}

impl<'a> Pod<'a> {
    pub(crate) fn new(place: &'a Place, name: &str, uid: &str) -> Self {
        let log = |container: &str| log(place, name, uid, container, 0);
        Self { place, name: name.to_owned(), uid: uid.to_owned(), engine: log(ENGINE), lameduck: log(LAMEDUCK) }
    }

    /// What a later life of a container says; the first is number 0.
    pub(crate) fn log(&self, container: &str, life: u32) -> Log {
        log(self.place, &self.name, &self.uid, container, life)
    }

    /// The process of one of its containers, by its program's name.
    pub(crate) fn process(&self, program: &str) -> i32 {
        node::process(&self.name, program)
    }

    /// Everything that was shown of it, in order.
    pub(crate) fn history(&self) -> Vec<Value> {
        let ours = |event: &Value| event["object"]["metadata"]["uid"] == self.uid.as_str();
        self.place.history().into_iter().filter(ours).collect()
    }

    /// Waits until what is shown of it now is like this.
    pub(crate) fn wait_until(&self, what: &str, like_this: impl Fn(&Value) -> bool) -> Value {
        self.wait_longer(PATIENCE, what, like_this)
    }

    pub(crate) fn wait_longer(&self, patience: Duration, what: &str, like_this: impl Fn(&Value) -> bool) -> Value {
        let now = || self.history().pop().map(|event| event["object"].clone()).filter(|pod| like_this(pod));
        poll(patience, now).unwrap_or_else(|| panic!("pod {} is not {what}", self.name))
    }

    pub(crate) fn wait_ready(&self) {
        self.wait_until("ready", is_ready);
    }

    /// Whether it was ever shown like this.
    pub(crate) fn was(&self, like_this: impl Fn(&Value) -> bool) -> bool {
        self.history().iter().any(|event| like_this(&event["object"]))
    }

    /// Waits until nothing is left of it.
    pub(crate) fn wait_gone(&self) {
        let gone = || self.history().iter().any(|event| event["type"] == "DELETED").then_some(());
        poll(PATIENCE * 2, gone).unwrap_or_else(|| panic!("pod {} does not go", self.name));
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.history().iter().any(|event| event["type"] == "DELETED")
    }

    pub(crate) fn ip(&self) -> String {
        text(&self.wait_until("given an address", |pod| pod["status"]["podIP"].is_string())["status"]["podIP"])
    }

    /// Where one of its ports is.
    pub(crate) fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip().parse().expect("an address"), port)
    }

    /// What lameduck answers on this path.
    pub(crate) fn ask(&self, path: &str) -> Response {
        Call::get(self.address(8089), path).response()
    }

    /// Callers of its engine.
    pub(crate) fn client(&self, args: &[&str]) -> Client {
        Client::start(&self.address(8080).to_string(), args)
    }

    /// Waits until it is ready, and opens a stream of each of these durations: `10s,12s`.
    pub(crate) fn busy(&self, durations: &str) -> Client {
        self.wait_ready();
        let streams = durations.split(',').count();
        let client = self.client(&["--streams", &streams.to_string(), "--durations", durations]);
        self.engine.wait_for(&format!("stream {streams} opened"));
        client
    }

    /// Deletes it, and waits until all streams of its callers have ended, so many and cleanly, and it is gone.
    pub(crate) fn drains(&self, client: &Client, streams: u64) {
        self.delete(&[]);
        client.endings().assert_clean(streams);
        self.wait_gone();
    }

    pub(crate) fn delete(&self, args: &[&str]) {
        self.place.kubectl(&[&["delete", "pod", &self.name, "--wait=false"], args].concat());
    }

    /// The outcome in lameduck's log, which must be its last word.
    pub(crate) fn outcome(&self) -> Value {
        let lines = self.lameduck.lines();
        let last = lines.last().unwrap_or_else(|| panic!("lameduck of {} has said nothing", self.name));
        let outcome: Value = serde_json::from_str(last).unwrap_or_default();
        assert!(outcome["outcome"].is_string(), "the last word is no outcome: {last}");
        outcome
    }

    /// Panics unless the log and the termination message of a pod that is gone both tell this outcome.
    pub(crate) fn assert_outcome(&self, outcome: &str, stragglers: u64, signal: Option<&str>) {
        for told in [self.outcome(), self.termination_message()] {
            let facts = json!([told["outcome"], told["stragglers"], told["signal"]]);
            assert_eq!(facts, json!([outcome, stragglers, signal]), "{told}");
        }
    }

    /// The exit code that was shown of a container's first life.
    pub(crate) fn exit_code(&self, container: &str) -> Option<i64> {
        let code = |pod: &Value| status(pod, container)?["state"]["terminated"]["exitCode"].as_i64();
        self.history().iter().find_map(|event| code(&event["object"]))
    }

    /// The outcome that `kubectl get pod` shows as lameduck's termination message.
    pub(crate) fn termination_message(&self) -> Value {
        self.message_of(LAMEDUCK)
    }

    /// The same where this container shows it.
    pub(crate) fn message_of(&self, container: &str) -> Value {
        let messages: Vec<String> =
            self.history().iter().filter_map(|event| terminated(&event["object"], container)).collect();
        let message = messages.last().unwrap_or_else(|| panic!("no termination message was shown of {}", self.name));
        serde_json::from_str(message).unwrap_or_else(|error| panic!("{error}: {message:?}"))
    }
}

impl Drop for Pod<'_> {
    /// Says what both containers said, if the scenario fails: by then `kubectl logs` may have no pod to ask.
    fn drop(&mut self) {
        if thread::panicking() {
            for (container, log) in [(ENGINE, &self.engine), (LAMEDUCK, &self.lameduck)] {
                eprintln!("--- {}: log of {container}\n{}\n", self.name, log.lines().join("\n"));
            }
        }
    }
}

fn log(place: &Place, name: &str, uid: &str, container: &str, life: u32) -> Log {
    let pod = format!("{}_{name}_{uid}", place.name());
    Log::open(folder().join("log/pods").join(pod).join(container).join(format!("{life}.log")))
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

/// What is shown of a container, whichever list it stands in.
pub(crate) fn status<'a>(pod: &'a Value, container: &str) -> Option<&'a Value> {
    let lists = ["containerStatuses", "initContainerStatuses"].map(|list| pod["status"][list].as_array());
    lists.into_iter().flatten().flatten().find(|status| status["name"] == container)
}

/// How often a container was started again.
pub(crate) fn restarts(pod: &Value, container: &str) -> u64 {
    status(pod, container).and_then(|status| status["restartCount"].as_u64()).unwrap_or(0)
}

fn terminated(pod: &Value, container: &str) -> Option<String> {
    let status = status(pod, container)?;
    let ended = [&status["state"], &status["lastState"]].map(|state| &state["terminated"]["message"]);
    ended.into_iter().find_map(|message| message.as_str()).map(str::to_owned)
}
