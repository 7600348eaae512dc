//! Pods that lameduck cannot be added to, and why.

use super::{Planner, shared};
use crate::pods::Container;
use crate::request::{Mode, SIDECAR_NAME};
use crate::sidecar_spec::{self, BINARY_DIR, OWN_ANNOTATIONS};
use crate::yaml::{Document, Kind, Lookup, Node};

/// The fields of a pod spec that are read or edited.
const SPEC_KEYS: [&str; 10] = [
    "containers",
    "hostNetwork",
    "hostPID",
    "initContainers",
    "nodeSelector",
    "os",
    "securityContext",
    "shareProcessNamespace",
    "terminationGracePeriodSeconds",
    "volumes",
];
/// The fields of a container that are read or edited.
const CONTAINER_KEYS: [&str; 8] =
    ["args", "command", "image", "lifecycle", "name", "ports", "securityContext", "volumeMounts"];
/// The fields of a security context that are read.
const CONTEXT_KEYS: [&str; 4] = ["appArmorProfile", "privileged", "runAsGroup", "runAsUser"];

/// Why lameduck cannot be added to the kinds of Knative Serving (knative/serving, `pkg/apis/serving/fieldmask.go`).
pub const KNATIVE_DRAINS: &str = "Knative allows no preStop hook and no terminationGracePeriodSeconds, and drains requests itself with its queue-proxy";

impl Planner<'_> {
    pub(super) fn refuse(&self) -> Result<(), String> {
        if let Some(reason) = &self.pod.not_editable {
            return Err(reason.clone());
        }
        if let Some(key) = self.duplicate_key() {
            let name = key.text().unwrap_or_default();
            return Err(format!("line {}: duplicate key `{name}`; remove one", key.line));
        }
        if self.pod.is_knative {
            return Err(format!("{KNATIVE_DRAINS}; leave it out of --workload"));
        }
        self.refuse_foreign()?;
        self.refuse_windows()?;
        self.refuse_network()?;
        self.refuse_mode()?;
        self.refuse_containers()
    }

    /// A duplicate key whose value is read or edited. Others do not matter here: the API server uses the last.
    fn duplicate_key(&self) -> Option<&Node> {
        let (document, pod) = (self.pod.document, self.pod);
        let within = |map, path: &[&str], keys: &[&str]| document.get_path(map, path)?.duplicate_key(keys);
        let mut path = pod.manifest;
        for key in pod.path {
            if let Some(duplicate) = path.duplicate_key(&[key]) {
                return Some(duplicate);
            }
            path = document.get(path, key)?;
        }
        let sidecar = self.existing.container.as_ref().map(|(_, container)| container.node);
        (pod.manifest.duplicate_key(&["apiVersion", "kind", "metadata"]))
            .or_else(|| within(pod.manifest, &["metadata"], &["name", "namespace"]))
            .or_else(|| pod.template.duplicate_key(&["metadata", "spec"]))
            .or_else(|| within(pod.template, &["metadata"], &["annotations"]))
            .or_else(|| within(pod.template, &["metadata", "annotations"], &OWN_ANNOTATIONS))
            .or_else(|| pod.spec.duplicate_key(&SPEC_KEYS))
            .or_else(|| within(pod.spec, &["securityContext"], &CONTEXT_KEYS))
            .or_else(|| self.selection.containers().find_map(|container| duplicate_key_of(document, container)))
            .or_else(|| sidecar?.duplicate_key_within())
    }

    /// Refuses objects that use lameduck's name but were not added by it: a later run would change or remove them.
    fn refuse_foreign(&self) -> Result<(), String> {
        if let Some(foreign) = &self.existing.foreign {
            return Err(format!(
                "line {}: container {SIDECAR_NAME} is user-defined (it runs neither `sidecar` nor `install`); give it another name",
                foreign.node.line
            ));
        }
        if self.request.mode != Mode::Standalone {
            return Ok(());
        }
        let volume = sidecar_spec::find_named(self.pod, self.pod.spec, "volumes");
        let is_ours = self.existing.mode == Some(Mode::Standalone);
        if let Some(volume) = volume.filter(|volume| !(is_ours && sidecar_spec::is_our_volume(self.pod, volume))) {
            return Err(format!("line {}: volume {SIDECAR_NAME} is user-defined; give it another name", volume.line));
        }
        let mount = sidecar_spec::find_named(self.pod, self.selection.main.node, "volumeMounts");
        match mount.filter(|mount| !sidecar_spec::is_our_mount(self.pod, mount)) {
            Some(mount) => Err(format!(
                "line {}: it mounts {SIDECAR_NAME} at another path than lameduck does; remove that mount",
                mount.line
            )),
            None => self.refuse_occupied_path(),
        }
    }

    /// Refuses another volume at the path of the program: the API server allows one mount at each path.
    fn refuse_occupied_path(&self) -> Result<(), String> {
        let (document, main) = (self.pod.document, &self.selection.main);
        let name = |mount: &Node| document.get(mount, "name").and_then(Node::text).unwrap_or("(no name)").to_owned();
        let is_occupied = |mount: &&Node| {
            let path = document.get(mount, "mountPath").and_then(Node::text);
            path.is_some_and(|path| path.trim_end_matches('/') == BINARY_DIR) && name(mount) != SIDECAR_NAME
        };
        let mounts = document.get(main.node, "volumeMounts").map_or(&[][..], Node::items);
        match mounts.iter().map(|mount| document.resolve(mount)).find(is_occupied) {
            Some(mount) => Err(format!(
                "line {}: container {} mounts volume {} at {BINARY_DIR}, where --standalone mounts lameduck's program; mount that volume at another path, or inject without --standalone",
                mount.line,
                main.name,
                name(mount),
            )),
            None => Ok(()),
        }
    }

    fn refuse_windows(&self) -> Result<(), String> {
        let selected = |key| self.pod.text(&["nodeSelector", key]);
        let systems = [self.pod.text(&["os", "name"]), selected("kubernetes.io/os"), selected("beta.kubernetes.io/os")];
        if systems.contains(&Some("windows")) {
            return Err("it is a Windows pod, and lameduck needs Linux; select other workloads with --workload".into());
        }
        Ok(())
    }

    fn refuse_network(&self) -> Result<(), String> {
        if self.request.mode == Mode::Standalone {
            return Ok(());
        }
        let is_set = |key| self.pod.document.get(self.pod.spec, key).is_some_and(Node::is_true);
        if is_set("hostPID") && self.signal().is_some() {
            return Err("hostPID: true: Kubernetes does not allow shareProcessNamespace with it; remove that field, or use --signal none or --standalone".into());
        }
        let port = self.request.port;
        let lists = ["containers", "initContainers"].into_iter();
        let mut others = lists.flat_map(|list| self.pod.containers(list)).filter(|other| other.name != SIDECAR_NAME);
        match others.find(|other| sidecar_spec::ports(self.pod, other).any(|taken| taken == port)) {
            Some(other) => Err(format!(
                "port {port} is already in use by container {}; choose another for lameduck, e.g. --listen [::]:{}",
                other.name,
                if port < u16::MAX { port + 1 } else { 8089 }
            )),
            None => Ok(()),
        }
    }

    fn refuse_mode(&self) -> Result<(), String> {
        match self.request.mode {
            Mode::Classic if self.pod.is_job() => {
                Err("a Job's pod would never complete with an ordinary container that keeps running; remove --classic"
                    .into())
            }
            Mode::Standalone if !self.selection.extra_hooked.is_empty() => Err(
                "--also-hook: a standalone drain sees only its own container; leave out --also-hook or --standalone"
                    .into(),
            ),
            Mode::Native | Mode::Classic | Mode::Standalone => Ok(()),
        }
    }

    fn refuse_containers(&self) -> Result<(), String> {
        let list = match self.pod.document.lookup(self.pod.spec, "containers") {
            Lookup::Own(_, entry) => &entry.value,
            Lookup::Merged(value) => return Err(shared(value)),
            Lookup::Absent => return Err("it has no containers; fix that first".into()),
        };
        if self.pod.document.is_aliased(list) {
            return Err(shared(list));
        }
        if !matches!(list.kind, Kind::List { .. }) {
            return Err(format!("line {}: containers is not a list; fix that first", list.line));
        }
        let existing = self.existing.container.iter().map(|(_, container)| container);
        match self.selection.containers().chain(existing).find(|container| container.is_alias) {
            Some(container) => Err(shared(container.node)),
            None => Ok(()),
        }
    }
}

/// The same for a container that gets the hook.
fn duplicate_key_of<'a>(document: &'a Document, container: &Container<'a>) -> Option<&'a Node> {
    let within = |path: &[&str], keys: &[&str]| document.get_path(container.node, path)?.duplicate_key(keys);
    let hook = document.get_path(container.node, &["lifecycle", "preStop"]);
    (container.node.duplicate_key(&CONTAINER_KEYS))
        .or_else(|| within(&["securityContext"], &CONTEXT_KEYS))
        .or_else(|| within(&["lifecycle"], &["preStop", "stopSignal"]))
        .or_else(|| hook?.duplicate_key_within())
}
