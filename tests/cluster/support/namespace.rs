//! A namespace for one scenario, whose pods are watched from the first moment to the last.

use std::io::BufReader;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use crate::support::clock::{PATIENCE, poll};
use crate::support::cluster::{kubectl, kubectl_with, program, try_kubectl};
use crate::support::manifest::Manifest;
use crate::support::pod::Pod;

/// What `kubectl get pods --watch` has shown, in order.
type History = Arc<Mutex<Vec<Value>>>;

/// A namespace; it is deleted on drop.
pub(crate) struct Place {
    name: String,
    watch: Child,
    history: History,
}

impl Place {
    /// A namespace that holds its pods to this Pod Security level.
    pub(crate) fn new(name: &str, level: &str) -> Self {
        kubectl(&["create", "namespace", name]);
        let labels = ["enforce", "warn"].map(|mode| format!("pod-security.kubernetes.io/{mode}={level}"));
        kubectl(&["label", "namespace", name, &labels[0], &labels[1]]);
        poll(PATIENCE, || {
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

    /// Panics unless the API server takes these manifests in strict validation, and has nothing to say.
    pub(crate) fn validate(&self, input: &str, manifests: &[&str]) {
        let args = ["--namespace", &self.name, "apply", "--dry-run=server", "--validate=strict"];
        let output = try_kubectl(input, &[&args, manifests].concat());
        let complaint = String::from_utf8_lossy(&output.stderr);
        // What a workload's pods would violate is only a warning.
        assert!(output.status.success() && complaint.is_empty(), "{}: {complaint}", manifests.join(" "));
    }

    /// Creates one pod, which is also its name.
    pub(crate) fn start(&self, manifest: &Manifest) -> Pod<'_> {
        self.apply(manifest);
        let name = manifest.0["metadata"]["name"].as_str().expect("a pod has a name");
        let uid = |pod: &Value| (pod["metadata"]["name"] == name).then(|| text(&pod["metadata"]["uid"]));
        let uid = poll(PATIENCE, || self.history().iter().find_map(|event| uid(&event["object"])));
        Pod::new(self, name, &uid.expect("the pod is seen"))
    }

    /// All pods that are there now, oldest first.
    pub(crate) fn pods(&self) -> Vec<Pod<'_>> {
        let list: Value = serde_json::from_str(&self.kubectl(&["get", "pods", "--output", "json"])).unwrap();
        let mut pods: Vec<&Value> = list["items"].as_array().expect("a list").iter().collect();
        pods.sort_by_key(|pod| text(&pod["metadata"]["creationTimestamp"]));
        pods.iter().map(|pod| Pod::new(self, &text(&pod["metadata"]["name"]), &text(&pod["metadata"]["uid"]))).collect()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Everything seen until now: `{"type": …, "object": a pod}`.
    pub(crate) fn history(&self) -> Vec<Value> {
        self.history.lock().expect("nobody panics here").clone()
    }

    /// The messages of all events with this reason.
    pub(crate) fn events(&self, reason: &str) -> Vec<String> {
        let selector = format!("reason={reason}");
        let list = self.kubectl(&["get", "events", "--field-selector", &selector, "--output", "json"]);
        let list: Value = serde_json::from_str(&list).unwrap();
        list["items"].as_array().expect("a list").iter().map(|event| text(&event["message"])).collect()
    }

    /// The message of an event with this reason, which may come late.
    pub(crate) fn wait_for_event(&self, reason: &str) -> String {
        poll(PATIENCE, || self.events(reason).pop()).unwrap_or_else(|| panic!("no event tells of {reason}"))
    }

    /// Panics if the kubelet could not call a hook, or lost its answer.
    pub(crate) fn assert_hooks_succeeded(&self) {
        assert_eq!(self.events("FailedPreStopHook"), Vec::<String>::new());
    }
}

impl Drop for Place {
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
    let seen = Arc::clone(&history);
    thread::spawn(move || {
        let events = serde_json::Deserializer::from_reader(BufReader::new(stdout)).into_iter::<Value>();
        events.map_while(Result::ok).for_each(|event| seen.lock().expect("nobody panics here").push(event));
    });
    (watch, history)
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
