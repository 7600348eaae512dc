//! The pods that a stream of manifests describes.

use crate::yaml::{Document, Found, Kind, Node};

/// The kinds whose pods are found.
pub const KINDS: &str = "Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job and CronJob";

/// A pod, or the template of pods, and where it stands.
#[derive(Debug)]
pub struct Pod<'a> {
    /// The document that it stands in.
    pub document: &'a Document,
    /// The manifest: the document, or an item of a List.
    pub manifest: &'a Node,
    /// The kind of the workload.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The pod spec.
    pub spec: &'a Node,
    /// Why it cannot be edited where it stands.
    pub stuck: Option<String>,
}

/// What a stream of manifests holds.
#[derive(Debug, Default)]
pub struct Manifests<'a> {
    /// The pods.
    pub pods: Vec<Pod<'a>>,
    /// What else there is, as KIND/NAME.
    pub others: Vec<String>,
}

/// A container of a pod.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its map, with an alias followed.
    pub node: &'a Node,
    /// Its place in its list.
    pub index: usize,
    /// Whether it is written by an alias.
    pub is_alias: bool,
}

/// Finds the pods in documents.
#[must_use]
pub fn find(documents: &[Document]) -> Manifests<'_> {
    let mut found = Manifests::default();
    for document in documents {
        found.take(document, &document.root, document.is_repeated(&document.root), None);
    }
    found
}

impl<'a> Manifests<'a> {
    /// Takes a manifest, or those of a List; its items may leave their kind to it (a `DeploymentList`).
    fn take(
        &mut self,
        document: &'a Document,
        node: &'a Node,
        repeated: bool,
        list: Option<(&'a str, Option<&'a str>)>,
    ) {
        let manifest = document.resolve(node);
        if manifest.is_null() {
            return;
        }
        let text = |path: &[&str]| document.at(manifest, path).and_then(Node::text);
        let own = text(&["kind"]).map(|kind| (kind, text(&["apiVersion"])));
        let (kind, version) = own.or(list).unwrap_or(("(no kind)", None));
        let items = document.get(manifest, "items").filter(|items| matches!(items.kind, Kind::List { .. }));
        // A list that is repeated may hold itself.
        if let (Some(singular), Some(list), false) = (kind.strip_suffix("List"), items, repeated) {
            let repeated = document.is_repeated(list);
            let kind = (!singular.is_empty()).then_some((singular, version));
            for item in list.items() {
                self.take(document, item, repeated || document.is_repeated(item), kind);
            }
            return;
        }
        let name = text(&["metadata", "name"]).or_else(|| text(&["metadata", "generateName"])).unwrap_or("(no name)");
        match path(kind, version).and_then(|path| Some((path, document.at(manifest, path)?))) {
            Some((path, spec)) if !spec.entries().is_empty() => {
                let stuck = stuck(document, manifest, path, repeated);
                self.pods.push(Pod { document, manifest, kind, name, spec, stuck });
            }
            _ => self.others.push(format!("{kind}/{name}")),
        }
    }
}

/// The kind of a document that cannot be read, where it says plainly that it is none that could hold pods.
#[must_use]
pub fn other_kind(text: &str) -> Option<&str> {
    let doubtful = ["\"", "'", "{", "[", "<", "?", "...", "items"];
    let mut lines = text.lines().filter(|line| !line.starts_with([' ', '#', '\t']));
    if lines.clone().any(|line| doubtful.iter().any(|start| line.starts_with(start))) {
        return None;
    }
    let mut kinds = lines.by_ref().filter_map(|line| line.strip_prefix("kind:"));
    let (kind, None) = (kinds.next()?, kinds.next()) else { return None };
    let kind = kind.split('#').next()?.trim();
    let is_other = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !KINDS.contains(kind);
    (is_other && !kind.ends_with("List")).then_some(kind)
}

/// Where a kind of workload keeps its pod spec.
fn path(kind: &str, version: Option<&str>) -> Option<&'static [&'static str]> {
    let (groups, path): (&[&str], &'static [&'static str]) = match kind {
        "Pod" => (&["v1"], &["spec"]),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" => {
            (&["apps", "extensions"], &["spec", "template", "spec"])
        }
        "Job" => (&["batch"], &["spec", "template", "spec"]),
        "CronJob" => (&["batch"], &["spec", "jobTemplate", "spec", "template", "spec"]),
        _ => return None,
    };
    // A kind of the same name in another group has another shape.
    let group = version.map(|version| version.split('/').next().unwrap_or(version));
    group.is_none_or(|group| groups.contains(&group)).then_some(path)
}

fn stuck(document: &Document, manifest: &Node, path: &[&str], repeated: bool) -> Option<String> {
    let mend = "an edit here would be one there, too; write it out in both places";
    let mut node = manifest;
    let mut is_shared = repeated.then_some(node);
    for key in path {
        is_shared = is_shared.or_else(|| document.is_repeated(node).then_some(node));
        node = match document.find(node, key) {
            Found::Own(_, entry) if document.is_repeated(&entry.value) => {
                is_shared = is_shared.or(Some(&entry.value));
                document.resolve(&entry.value)
            }
            Found::Own(_, entry) => &entry.value,
            Found::Merged(value) => {
                return Some(format!("line {}: `{key}` comes from a map that is merged (<<); {mend}", value.line));
            }
            Found::Absent => return None,
        };
    }
    is_shared.map(|node| format!("line {}: an anchor and its aliases share what is to be changed; {mend}", node.line))
}

impl<'a> Pod<'a> {
    /// How it is called on the command line.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// The containers of a list: `containers` or `initContainers`.
    #[must_use]
    pub fn containers(&self, list: &str) -> Vec<Container<'a>> {
        let items = self.document.get(self.spec, list).map_or(&[][..], Node::items);
        let container = |(index, item): (usize, &'a Node)| {
            let node = self.document.resolve(item);
            let name = self.document.get(node, "name")?.text()?;
            Some(Container { name, node, index, is_alias: self.document.is_repeated(item) })
        };
        items.iter().enumerate().filter_map(container).collect()
    }

    /// A scalar of the pod spec, as it is written.
    #[must_use]
    pub fn text(&self, path: &[&str]) -> Option<&'a str> {
        self.document.at(self.spec, path)?.text()
    }
}
