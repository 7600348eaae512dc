//! Generated manifests in many styles; each choice is taken from a tape of bytes.

pub mod libyaml;
pub mod writing;

use writing::{finish, json, yaml_stream};

/// A value to write; the variant limits the styles it may have.
#[derive(Clone, Debug)]
pub enum Tree {
    /// A scalar that is the same in YAML and JSON.
    Bare(&'static str),
    /// A string.
    Text(String),
    /// A string of several lines.
    Lines(&'static str),
    /// A list.
    List(Vec<Tree>),
    /// A map, in this order.
    Map(Vec<(&'static str, Tree)>),
}

use Tree::{Bare, Lines, List, Map, Text};

/// A source of choices. At its end, every choice is the first option.
pub struct Tape(std::vec::IntoIter<u8>);

impl Tape {
    /// Creates a tape.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into_iter())
    }

    /// Chooses a number below `options`.
    pub fn pick(&mut self, options: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(byte) % options)
    }

    /// Returns true once in `options` times.
    pub fn one_in(&mut self, options: usize) -> bool {
        self.pick(options) == options - 1
    }

    /// Shuffles items.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = last - self.pick(last + 1);
            items.swap(last, other);
        }
    }
}

fn text(text: &str) -> Tree {
    Text(text.into())
}

/// A stream of manifests with one workload that runs the Engine.
pub fn stream(tape: &mut Tape) -> String {
    let workload = workload(tape);
    match tape.pick(9) {
        6 => json(&workload, tape, None),
        7 => json(&workload, tape, Some(0)),
        8 => json_objects(&workload, tape),
        style => {
            let tree = if style == 5 { list(workload, tape) } else { workload };
            finish(&yaml_stream(&tree, tape), tape)
        }
    }
}

/// A stream like that of [`stream`] whose Engine has a preStop hook of its own.
pub fn stream_with_hook(tape: &mut Tape) -> String {
    let mut workload = workload(tape);
    let command = List(vec![text("sh"), text("-c"), Lines("sleep 5\n# done\n\necho \"$0\"\n")]);
    let sleep = Map(vec![("sleep", Map(vec![("seconds", Bare("5"))]))]);
    let exec = Map(vec![("exec", Map(vec![("command", command)]))]);
    let mut lifecycle = vec![("preStop", if tape.one_in(2) { sleep } else { exec })];
    if tape.one_in(2) {
        lifecycle.push(("postStart", Map(vec![("sleep", Map(vec![("seconds", Bare("1"))]))])));
    }
    tape.shuffle(&mut lifecycle);
    set_lifecycle(&mut workload, &Map(lifecycle));
    if tape.one_in(4) { json(&workload, tape, Some(0)) } else { finish(&yaml_stream(&workload, tape), tape) }
}

/// Sets the lifecycle of the Engine's container, wherever it is.
fn set_lifecycle(tree: &mut Tree, lifecycle: &Tree) {
    match tree {
        Map(entries)
            if entries.iter().any(|(_, value)| matches!(value, Text(name) if name.contains("self-hosted-engine"))) =>
        {
            entries.retain(|(key, _)| *key != "lifecycle");
            entries.push(("lifecycle", lifecycle.clone()));
        }
        Map(entries) => entries.iter_mut().for_each(|(_, value)| set_lifecycle(value, lifecycle)),
        List(items) => items.iter_mut().for_each(|item| set_lifecycle(item, lifecycle)),
        Bare(_) | Text(_) | Lines(_) => {}
    }
}

/// A list of one workload: one of `kubectl`, or one that is passed to a function of Kustomize.
fn list(workload: Tree, tape: &mut Tape) -> Tree {
    let items = ("items", List(vec![workload]));
    if tape.one_in(2) {
        return Map(vec![("apiVersion", text("v1")), ("kind", text("List")), items]);
    }
    let function = Map(vec![("kind", text("Inject")), ("spec", Map(vec![("containers", List(Vec::new()))]))]);
    let kind = [("apiVersion", text("config.kubernetes.io/v1")), ("kind", text("ResourceList"))];
    Map(kind.into_iter().chain([("functionConfig", function), items]).collect())
}

/// JSON objects, one after the other.
fn json_objects(workload: &Tree, tape: &mut Tape) -> String {
    let indent = [None, Some(0)][tape.pick(2)];
    let mut objects = vec![json(workload, tape, indent), json(&config(), tape, None)];
    tape.shuffle(&mut objects);
    objects.concat()
}

/// A `ConfigMap` whose text looks like a workload.
pub fn config() -> Tree {
    let script = Lines("#!/bin/sh\n# spec:\n#   containers:\necho \"kind: Deployment\"\n\n  indented\n");
    let data = Map(vec![("run.sh", script), ("on", text("yes")), ("mode", Bare("0644"))]);
    Map(vec![("apiVersion", text("v1")), ("kind", text("ConfigMap")), ("data", data)])
}

const KINDS: [(&str, &str); 11] = [
    ("Deployment", "apps/v1"),
    ("StatefulSet", "apps/v1"),
    ("DaemonSet", "apps/v1"),
    ("ReplicaSet", "apps/v1"),
    ("Job", "batch/v1"),
    ("CronJob", "batch/v1"),
    ("Pod", "v1"),
    ("ReplicationController", "v1"),
    ("Rollout", "argoproj.io/v1alpha1"),
    ("DeploymentConfig", "apps.openshift.io/v1"),
    ("CloneSet", "apps.kruise.io/v1alpha1"),
];

fn workload(tape: &mut Tape) -> Tree {
    let (kind, version) = KINDS[tape.pick(KINDS.len())];
    let mut spec = pod_spec(tape);
    let wraps = match kind {
        "Pod" => 0,
        "CronJob" => 2,
        _ => 1,
    };
    for wrap in 0..wraps {
        let key = if wrap == 0 { "template" } else { "jobTemplate" };
        let mut template = vec![("spec", spec)];
        template.extend(template_metadata(tape).map(|metadata| ("metadata", metadata)));
        tape.shuffle(&mut template);
        let template = Map(template);
        spec = Map(vec![("replicas", Bare("2")), (key, template)]);
        if tape.one_in(2)
            && let Map(entries) = &mut spec
        {
            entries.swap(0, 1);
        }
    }
    let mut metadata = vec![("name", text("engine"))];
    metadata.extend(annotations(tape).map(|annotations| ("annotations", annotations)));
    tape.shuffle(&mut metadata);
    let metadata = Map(metadata);
    let mut entries = vec![("apiVersion", text(version)), ("kind", text(kind)), ("metadata", metadata), ("spec", spec)];
    if tape.one_in(3) {
        tape.shuffle(&mut entries);
    }
    Map(entries)
}

/// The metadata of a pod template, which may be missing, null or empty.
fn template_metadata(tape: &mut Tape) -> Option<Tree> {
    let mut entries = Vec::new();
    match tape.pick(5) {
        0 => return None,
        1 => return Some(Bare("null")),
        2 => return Some(Map(Vec::new())),
        3 => entries.push(("labels", Map(duplicated(("app", text("engine")), tape)))),
        _ => {}
    }
    entries.extend(annotations(tape).map(|annotations| ("annotations", annotations)));
    tape.shuffle(&mut entries);
    Some(Map(entries))
}

/// Annotations, which may be missing, null or empty.
fn annotations(tape: &mut Tape) -> Option<Tree> {
    let all = [("on", text("yes")), ("number", text("0644")), ("é", text("ü: # 𝄞")), ("empty", text(""))];
    match tape.pick(7) {
        5 => None,
        6 => Some(Bare("null")),
        count => Some(Map(all.into_iter().take(count).collect())),
    }
}

/// An entry, which by chance occurs twice, as in charts that merge maps.
fn duplicated(entry: (&'static str, Tree), tape: &mut Tape) -> Vec<(&'static str, Tree)> {
    vec![entry; 1 + tape.pick(2)]
}

fn pod_spec(tape: &mut Tape) -> Tree {
    let mut entries = vec![("containers", containers(tape))];
    match tape.pick(5) {
        0 => {}
        1 => entries.push(("initContainers", Bare("null"))),
        2 => entries.push(("initContainers", List(Vec::new()))),
        _ => {
            entries
                .push(("initContainers", List(vec![plain_container("before", tape), plain_container("then", tape)])));
        }
    }
    match tape.pick(4) {
        0 => entries.push(("terminationGracePeriodSeconds", Bare("1800"))),
        1 => entries.push(("terminationGracePeriodSeconds", Bare("60"))),
        _ => {}
    }
    match tape.pick(3) {
        0 => entries.push(("securityContext", Map(Vec::new()))),
        1 => entries.push(("securityContext", Map(vec![("runAsUser", Bare("7")), ("runAsGroup", Bare("8"))]))),
        _ => {}
    }
    match tape.pick(4) {
        1 => entries.push(("volumes", List(vec![Map(vec![("name", text("v")), ("emptyDir", Map(Vec::new()))])]))),
        2 => entries.push(("volumes", List(Vec::new()))),
        3 => entries.push(("volumes", Bare("null"))),
        _ => {}
    }
    if tape.one_in(3) {
        entries.extend(duplicated(("schedulerName", text("default")), tape));
    }
    if tape.one_in(3) {
        entries.push(("shareProcessNamespace", Bare(["true", "null"][tape.pick(2)])));
    }
    tape.shuffle(&mut entries);
    Map(entries)
}

fn containers(tape: &mut Tape) -> Tree {
    let mut items = vec![engine(tape)];
    for name in ["log-shipper", "proxy"].into_iter().take(tape.pick(3)) {
        items.push(plain_container(name, tape));
    }
    tape.shuffle(&mut items);
    List(items)
}

fn plain_container(name: &'static str, tape: &mut Tape) -> Tree {
    let mut entries = vec![("name", text(name)), ("image", text("busybox:1"))];
    if tape.one_in(2) {
        entries.push(("args", List(vec![text("-c"), Lines("while true; do\n  # impeller\n  sleep 1\ndone\n")])));
    }
    Map(entries)
}

fn engine(tape: &mut Tape) -> Tree {
    let mut entries = vec![("image", text("quay.io/deepgram/self-hosted-engine:release-1"))];
    match tape.pick(6) {
        0 | 1 => {}
        2 => entries.push(("lifecycle", Bare("null"))),
        3 => entries.push(("lifecycle", Map(Vec::new()))),
        4 => entries.push(("lifecycle", Map(vec![("preStop", Bare("null"))]))),
        _ => {
            let exec = Map(vec![("exec", Map(vec![("command", List(vec![text("/sbin/ldconfig")]))]))]);
            entries.push(("lifecycle", Map(vec![("postStart", exec)])));
        }
    }
    if tape.one_in(2) {
        entries.push(("command", List(vec![text("impeller")])));
    }
    if tape.one_in(2) {
        entries.push(("securityContext", Map(Vec::new())));
    }
    if tape.one_in(3) {
        entries.extend(duplicated(("imagePullPolicy", text("Always")), tape));
    }
    if tape.one_in(2) {
        let mount = Map(vec![("name", text("v")), ("mountPath", text("/v"))]);
        entries.push(("volumeMounts", List(vec![mount])));
    }
    if tape.one_in(2) {
        let limits = Map(vec![("nvidia.com/gpu", Bare("1"))]);
        entries.push(("resources", Map(vec![("limits", limits)])));
    }
    entries.push(("name", text("engine")));
    tape.shuffle(&mut entries);
    Map(entries)
}
