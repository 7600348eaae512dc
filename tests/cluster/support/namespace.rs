//! A namespace for one scenario, and a record of everything that its pods go through.

use std::io::BufReader;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::support::clock::{TIMEOUT, poll};
use crate::support::cluster::{kubectl, kubectl_with, program, try_kubectl};
use crate::support::manifest::Manifest;
use crate::support::pod::Pod;

/// The events of `kubectl get pods --watch`, in order.
type History = Arc<Mutex<Vec<Value>>>;

/// A namespace, deleted on drop.
pub(crate) struct Namespace {
    name: String,
    watch: Child,
    history: History,
}

impl Namespace {
    /// Creates a namespace that enforces this Pod Security level.
    pub(crate) fn new(name: &str, level: &str) -> Self {
        kubectl(&["create", "namespace", name]);
        let labels = ["enforce", "warn"].map(|mode| format!("pod-security.kubernetes.io/{mode}={level}"));
        kubectl(&["label", "namespace", name, &labels[0], &labels[1]]);
        poll(TIMEOUT, || {
            try_kubectl("", &["-n", name, "get", "serviceaccount", "default"]).status.success().then_some(())
        });
        let (watch, history) = watch(name);
        Self { name: name.to_owned(), watch, history }
    }

    pub(crate) fn kubectl(&self, args: &[&str]) -> String {
        kubectl(&[&["--namespace", &self.name], args].concat())
    }

    pub(crate) fn apply(&self, manifest: &Manifest) {
        self.apply_text(&manifest.0.to_string());
    }

    pub(crate) fn apply_text(&self, manifests: &str) {
        kubectl_with(manifests, &["--namespace", &self.name, "apply", "--validate=strict", "--filename", "-"]);
    }

    /// Panics unless these manifests pass the API server's strict validation without a warning.
    pub(crate) fn validate(&self, input: &str, manifests: &[&str]) {
        let args = ["--namespace", &self.name, "apply", "--dry-run=server", "--validate=strict"];
        let output = try_kubectl(input, &[&args, manifests].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        // If a workload's pods would violate the level, that is only a warning.
        assert!(output.status.success() && errors.is_empty(), "{}: {errors}", manifests.join(" "));
    }

    /// Creates a pod, and waits until it exists.
    pub(crate) fn start(&self, manifest: &Manifest) -> Pod<'_> {
        self.apply(manifest);
        let name = manifest.0["metadata"]["name"].as_str().expect("a pod has a name");
        let uid = |pod: &Value| (pod["metadata"]["name"] == name).then(|| text(&pod["metadata"]["uid"]));
        let uid = poll(TIMEOUT, || self.history().iter().find_map(|event| uid(&event["object"])));
        Pod::new(self, name, &uid.expect("the pod appears in the watch"))
    }

    /// All current pods, oldest first.
    pub(crate) fn pods(&self) -> Vec<Pod<'_>> {
        let list: Value = serde_json::from_str(&self.kubectl(&["get", "pods", "--output", "json"])).unwrap();
        let mut pods: Vec<&Value> = list["items"].as_array().expect("a list").iter().collect();
        pods.sort_by_key(|pod| text(&pod["metadata"]["creationTimestamp"]));
        pods.iter().map(|pod| Pod::new(self, &text(&pod["metadata"]["name"]), &text(&pod["metadata"]["uid"]))).collect()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// All watch events so far: `{"type": …, "object": a pod}`.
    pub(crate) fn history(&self) -> Vec<Value> {
        self.history.lock().expect("no thread panics here").clone()
    }

    /// The messages of all events with this reason.
    pub(crate) fn events(&self, reason: &str) -> Vec<String> {
        let selector = format!("reason={reason}");
        let list = self.kubectl(&["get", "events", "--field-selector", &selector, "--output", "json"]);
        let list: Value = serde_json::from_str(&list).unwrap();
        list["items"].as_array().expect("a list").iter().map(|event| text(&event["message"])).collect()
    }

    /// Waits for an event with this reason, and returns its message.
    pub(crate) fn wait_for_event(&self, reason: &str) -> String {
        poll(TIMEOUT, || self.events(reason).pop()).unwrap_or_else(|| panic!("timed out waiting for a {reason} event"))
    }

    /// Panics if a hook call failed for the kubelet.
    pub(crate) fn assert_hooks_succeeded(&self) {
        assert_eq!(self.events("FailedPreStopHook"), Vec::<String>::new());
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if thread::panicking() {
            for args in [&["get", "pods", "--output", "wide"][..], &["get", "events"], &["describe", "pods"]] {
                eprintln!("--- {}: kubectl {}", self.name, args.join(" "));
                let output = try_kubectl("", &[&["--namespace", &self.name], args].concat());
                eprintln!("{}", String::from_utf8_lossy(&output.stdout));
            }
        }
        let _ = self.watch.kill();
        let _ = self.watch.wait();
        try_kubectl("", &["--namespace", &self.name, "delete", "all", "--all", "--grace-period", "1", "--wait=false"]);
        try_kubectl("", &["delete", "namespace", &self.name, "--wait=false"]);
    }
}

fn watch(namespace: &str) -> (Child, History) {
    let mut watch = Command::new(program("kubectl"))
        .args(["--namespace", namespace, "get", "pods", "--watch", "--output-watch-events", "--output", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("kubectl was built");
    let (stdout, history) = (watch.stdout.take().expect("stdout is piped"), History::default());
    let received = Arc::clone(&history);
    thread::spawn(move || {
        let events = serde_json::Deserializer::from_reader(BufReader::new(stdout)).into_iter::<Value>();
        events.map_while(Result::ok).for_each(|event| received.lock().expect("no thread panics here").push(event));
    });
    (watch, history)
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
