//! The pods that a stream of manifests describes.

use crate::yaml::{Document, Kind, Lookup, Node};

/// The kinds whose pods are found.
pub const KINDS: &str = "Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job and CronJob";

/// A pod or pod template.
#[derive(Debug)]
pub struct Pod<'a> {
    /// The document that contains it.
    pub document: &'a Document,
    /// The manifest: the document's root, or an item of a List.
    pub manifest: &'a Node,
    /// The kind of the workload.
    pub kind: &'a str,
    /// The name of the workload.
    pub name: &'a str,
    /// The map that holds the pod's metadata and spec.
    pub template: &'a Node,
    /// The pod spec.
    pub spec: &'a Node,
    /// Why the spec cannot be edited where it is.
    pub not_editable: Option<String>,
}

/// The contents of a stream of manifests.
#[derive(Debug, Default)]
pub struct Manifests<'a> {
    /// The pods.
    pub pods: Vec<Pod<'a>>,
    /// Every other manifest, as KIND/NAME.
    pub others: Vec<String>,
}

/// A container of a pod.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its map; an alias is resolved.
    pub node: &'a Node,
    /// Its index in the list.
    pub index: usize,
    /// Whether the list item is an alias or has one elsewhere.
    pub is_alias: bool,
}

/// The kind and API version that items of a typed List (`DeploymentList`) may leave out.
type ItemType<'a> = (&'a str, Option<&'a str>);

/// Finds the pods in documents.
#[must_use]
pub fn find(documents: &[Document]) -> Manifests<'_> {
    let mut manifests = Manifests::default();
    for document in documents {
        manifests.add(document, &document.root, document.is_aliased(&document.root), None);
    }
    manifests
}

impl<'a> Manifests<'a> {
    /// Adds a manifest, or the items of a List.
    fn add(&mut self, document: &'a Document, node: &'a Node, is_aliased: bool, item_type: Option<ItemType<'a>>) {
        let manifest = document.resolve(node);
        if manifest.is_null() {
            return;
        }
        let text = |path: &[&str]| document.get_path(manifest, path).and_then(Node::text);
        let own_type = text(&["kind"]).map(|kind| (kind, text(&["apiVersion"])));
        let (kind, version) = own_type.or(item_type).unwrap_or(("(no kind)", None));
        let items = document.get(manifest, "items").filter(|items| matches!(items.kind, Kind::List { .. }));
        // An aliased list may contain itself.
        if let (Some(singular), Some(list), false) = (kind.strip_suffix("List"), items, is_aliased) {
            let is_aliased = document.is_aliased(list);
            let item_type = (!singular.is_empty()).then_some((singular, version));
            for item in list.items() {
                self.add(document, item, is_aliased || document.is_aliased(item), item_type);
            }
            return;
        }
        let name = text(&["metadata", "name"]).or_else(|| text(&["metadata", "generateName"])).unwrap_or("(no name)");
        let template = template_path(kind, version).and_then(|path| Some((path, document.get_path(manifest, path)?)));
        let spec = template.and_then(|(path, template)| Some((path, template, document.get(template, "spec")?)));
        match spec {
            Some((path, template, spec)) if !spec.entries().is_empty() => {
                let path = path.iter().copied().chain(["spec"]);
                let not_editable = not_editable(document, manifest, path, is_aliased);
                self.pods.push(Pod { document, manifest, kind, name, template, spec, not_editable });
            }
            _ => self.others.push(format!("{kind}/{name}")),
        }
    }
}

/// The kind of an unreadable document if its text shows that it cannot contain pods.
#[must_use]
pub fn non_pod_kind(text: &str) -> Option<&str> {
    let ambiguous = ["\"", "'", "{", "[", "<", "?", "...", "items"];
    let mut lines = text.lines().filter(|line| !line.starts_with([' ', '#', '\t']));
    if lines.clone().any(|line| ambiguous.iter().any(|start| line.starts_with(start))) {
        return None;
    }
    let mut kinds = lines.by_ref().filter_map(|line| line.strip_prefix("kind:"));
    let (kind, None) = (kinds.next()?, kinds.next()) else { return None };
    let kind = kind.split('#').next()?.trim();
    let is_other = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !KINDS.contains(kind);
    (is_other && !kind.ends_with("List")).then_some(kind)
}

/// The path from a workload to the map that holds its pod's metadata and spec.
fn template_path(kind: &str, version: Option<&str>) -> Option<&'static [&'static str]> {
    let (groups, path): (&[&str], &'static [&'static str]) = match kind {
        "Pod" => (&["v1"], &[]),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" => (&["apps", "extensions"], &["spec", "template"]),
        "Job" => (&["batch"], &["spec", "template"]),
        "CronJob" => (&["batch"], &["spec", "jobTemplate", "spec", "template"]),
        _ => return None,
    };
    // Another API group may define a kind of the same name with other fields.
    let group = version.map(|version| version.split('/').next().unwrap_or(version));
    group.is_none_or(|group| groups.contains(&group)).then_some(path)
}

/// Why the node at a path cannot be edited: an anchor or a merge shares it or a map above it.
fn not_editable<'p>(
    document: &Document,
    manifest: &Node,
    path: impl Iterator<Item = &'p str>,
    is_aliased: bool,
) -> Option<String> {
    let fix = "an edit here would also change the other place; write it out in both places";
    let mut node = manifest;
    let mut shared = is_aliased.then_some(node);
    for key in path {
        shared = shared.or_else(|| document.is_aliased(node).then_some(node));
        node = match document.lookup(node, key) {
            Lookup::Own(_, entry) if document.is_aliased(&entry.value) => {
                shared = shared.or(Some(&entry.value));
                document.resolve(&entry.value)
            }
            Lookup::Own(_, entry) => &entry.value,
            Lookup::Merged(value) => {
                return Some(format!("line {}: `{key}` comes from a merged map (<<); {fix}", value.line));
            }
            Lookup::Absent => return None,
        };
    }
    shared.map(|node| format!("line {}: an anchor and its aliases share this part; {fix}", node.line))
}

impl<'a> Pod<'a> {
    /// Its name on the command line: KIND/NAME.
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
            Some(Container { name, node, index, is_alias: self.document.is_aliased(item) })
        };
        items.iter().enumerate().filter_map(container).collect()
    }

    /// The text of a scalar in the pod spec.
    #[must_use]
    pub fn text(&self, path: &[&str]) -> Option<&'a str> {
        self.document.get_path(self.spec, path)?.text()
    }
}
