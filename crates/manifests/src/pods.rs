//! The pods that a stream of manifests describes.

use crate::yaml::{Document, Entry, Kind, Lookup, Node};

/// The path from a workload to the map that holds its pod's metadata and spec.
type TemplatePath = &'static [&'static str];

/// Where most kinds have their pod template.
const TEMPLATE: TemplatePath = &["spec", "template"];
/// Where kinds that create Jobs have it.
const JOB_TEMPLATE: TemplatePath = &["spec", "jobTemplate", "spec", "template"];
/// The field of the pod spec that lists the containers.
const CONTAINERS: &str = "containers";

/// Where a `LeaderWorkerSet` has its two pod templates. Without `leaderTemplate`, the leader uses `workerTemplate`.
const LEADER_AND_WORKER: [TemplatePath; 2] =
    [&["spec", "leaderWorkerTemplate", "leaderTemplate"], &["spec", "leaderWorkerTemplate", "workerTemplate"]];

/// The kinds that are recognized without being named: their API groups and the paths of their pod templates.
const KNOWN_KINDS: [(&str, &[&str], &[TemplatePath]); 12] = [
    ("Pod", &["v1"], &[&[]]),
    ("Deployment", &["apps", "extensions"], &[TEMPLATE]),
    ("StatefulSet", &["apps", "apps.kruise.io"], &[TEMPLATE]),
    ("DaemonSet", &["apps", "extensions", "apps.kruise.io"], &[TEMPLATE]),
    ("ReplicaSet", &["apps", "extensions"], &[TEMPLATE]),
    ("ReplicationController", &["v1"], &[TEMPLATE]),
    ("Job", &["batch"], &[TEMPLATE]),
    ("CronJob", &["batch"], &[JOB_TEMPLATE]),
    ("Rollout", &["argoproj.io"], &[TEMPLATE]),
    ("DeploymentConfig", &["apps.openshift.io", "v1"], &[TEMPLATE]),
    ("CloneSet", &["apps.kruise.io"], &[TEMPLATE]),
    ("LeaderWorkerSet", &["leaderworkerset.x-k8s.io"], &LEADER_AND_WORKER),
];
/// The API group of Knative Serving.
const KNATIVE: &str = "serving.knative.dev/";
/// Kinds whose text may mention containers although they create no pods.
const TEXT_KINDS: [&str; 3] = ["ConfigMap", "CustomResourceDefinition", "Secret"];

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
    /// Its namespace, if the manifest gives one.
    pub namespace: Option<&'a str>,
    /// Whether the kind is known to create pods from this template. Otherwise it only looks like it.
    pub is_known: bool,
    /// Whether it is a kind of Knative Serving, to which lameduck cannot be added.
    pub is_knative: bool,
    /// The key of its template, if the workload has several.
    pub template_key: Option<&'static str>,
    /// The path from the manifest to `template`.
    pub path: &'static [&'static str],
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
    /// Every other manifest.
    pub others: Vec<Other>,
}

/// A manifest without a pod template at a known place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// KIND/NAME, with the namespace in front if the manifest gives one.
    pub title: String,
    /// Whether there are containers somewhere in it.
    pub has_containers: bool,
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
pub(crate) type ItemType<'a> = (&'a str, Option<&'a str>);

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
        self.add_workload(document, manifest, is_aliased, (kind, version));
    }

    /// Adds a manifest that is not a List.
    fn add_workload(
        &mut self,
        document: &'a Document,
        manifest: &'a Node,
        is_aliased: bool,
        (kind, version): ItemType<'a>,
    ) {
        let text = |path: &[&str]| document.get_path(manifest, path).and_then(Node::text);
        let name = text(&["metadata", "name"]).or_else(|| text(&["metadata", "generateName"])).unwrap_or("(no name)");
        let namespace = text(&["metadata", "namespace"]);
        let known = known_paths(kind, version);
        let templates = templates(document, manifest, known.or_else(|| unknown_path(document, manifest)));
        if templates.is_empty() {
            let has_containers = has_containers(document, manifest);
            self.others.push(Other { title: title(namespace, kind, name), has_containers });
        }
        let has_several = templates.len() > 1;
        self.pods.extend(templates.into_iter().map(|(path, template, spec)| {
            let keys = path.iter().copied().chain(["spec"]);
            let not_editable = not_editable(document, manifest, keys, is_aliased);
            let is_known = known.is_some();
            let is_knative = version.is_some_and(|version| version.starts_with(KNATIVE));
            let template_key = path.last().copied().filter(|_| has_several);
            Pod {
                document,
                manifest,
                kind,
                name,
                namespace,
                is_known,
                is_knative,
                template_key,
                path,
                template,
                spec,
                not_editable,
            }
        }));
    }
}

/// A pod template and its spec, with the path of the template.
type Template<'a> = (TemplatePath, &'a Node, &'a Node);

/// The pod templates that a manifest has at these paths.
fn templates<'a>(document: &'a Document, manifest: &'a Node, paths: Option<&[TemplatePath]>) -> Vec<Template<'a>> {
    let template = |path: &TemplatePath| {
        let template = document.get_path(manifest, path)?;
        let spec = document.get(template, "spec").filter(|spec| !spec.entries().is_empty())?;
        Some((*path, template, spec))
    };
    paths.unwrap_or_default().iter().filter_map(template).collect()
}

/// KIND/NAME, with the namespace in front if there is one.
fn title(namespace: Option<&str>, kind: &str, name: &str) -> String {
    let namespace = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!("{namespace}{kind}/{name}")
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
    let is_word = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_known = KNOWN_KINDS.iter().any(|(known, _, _)| *known == kind);
    let is_other = TEXT_KINDS.contains(&kind) || !is_known && !text.contains(CONTAINERS);
    (is_word && is_other && !kind.ends_with("List")).then_some(kind)
}

/// Where a known kind has its pod templates.
fn known_paths(kind: &str, version: Option<&str>) -> Option<&'static [TemplatePath]> {
    // Another API group may define a kind of the same name with other fields.
    let group = version.map(|version| version.split('/').next().unwrap_or(version));
    let is_it = |known: &str, groups: &[&str]| known == kind && group.is_none_or(|group| groups.contains(&group));
    KNOWN_KINDS.iter().find(|(known, groups, _)| is_it(known, groups)).map(|(_, _, paths)| *paths)
}

/// Where another kind has its pod template: at the usual places.
fn unknown_path(document: &Document, manifest: &Node) -> Option<&'static [TemplatePath]> {
    const USUAL: [&[TemplatePath]; 2] = [&[TEMPLATE], &[JOB_TEMPLATE]];
    let is_pod_spec = |paths: &&&[TemplatePath]| {
        let template = document.get_path(manifest, paths[0]);
        let containers = template.and_then(|template| document.get_path(template, &["spec", CONTAINERS]));
        containers.is_some_and(|containers| is_container_list(document, containers))
    };
    USUAL.iter().find(is_pod_spec).copied()
}

/// Whether a node is a list of containers.
fn is_container_list(document: &Document, node: &Node) -> bool {
    let keys = |item| document.resolve(item).entries().iter().filter_map(|entry| entry.key.text());
    let is_container = |item| keys(item).any(|key| ["name", "image"].contains(&key));
    document.resolve(node).items().iter().any(is_container)
}

/// Whether there are containers somewhere in a node.
fn has_containers(document: &Document, node: &Node) -> bool {
    let lists = |entry: &Entry| entry.key.text() == Some(CONTAINERS) && is_container_list(document, &entry.value);
    node.entries().iter().any(lists) || node.children().any(|child| has_containers(document, child))
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
    /// Its name in messages: NAMESPACE/KIND/NAME, or KIND/NAME if the manifest gives no namespace; and the key of its
    /// template, if the workload has several.
    #[must_use]
    pub fn title(&self) -> String {
        let key = self.template_key.map(|key| format!(" ({key})")).unwrap_or_default();
        title(self.namespace, self.kind, self.name) + &key
    }

    /// Whether a name on the command line means it, with or without its namespace.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case(&title(self.namespace, self.kind, self.name))
            || name.eq_ignore_ascii_case(&title(None, self.kind, self.name))
    }

    /// Whether its pods end when their work is done.
    #[must_use]
    pub fn is_job(&self) -> bool {
        self.kind.ends_with("Job") || self.path == JOB_TEMPLATE
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
