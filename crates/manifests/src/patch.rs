//! The change of an injection as strategic-merge patches, which kustomize applies.
//!
//! A patch is what differs between two texts of the same manifests. So it always agrees with the manifests that `inject`
//! writes.

use crate::pods::ItemType;
use crate::stream::{self, Parsed};
use crate::yaml::{Document, Kind, Node};
use value::PatchValue;

mod value;

/// The kinds for which kustomize knows the keys of lists. It replaces the lists of all others as a whole.
const MERGED_KINDS: [(&str, &[&str]); 4] = [
    ("v1", &["Pod", "ReplicationController"]),
    ("apps/v1", &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"]),
    ("batch/v1", &["Job", "CronJob"]),
    ("batch/v1beta1", &["CronJob"]),
];

/// Returns one patch for each manifest that differs, as a stream of YAML documents.
///
/// # Errors
/// Names the manifest, the cause and the fix if a change cannot be written as a patch.
pub fn strategic_merge(before: &str, after: &str) -> Result<String, String> {
    let (Parsed { documents: old, .. }, Parsed { documents: new, .. }) =
        (stream::parse(before)?, stream::parse(after)?);
    let diff = Diff { before, after };
    let mut patches = Vec::new();
    for (old, new) in old.iter().zip(&new) {
        patches.extend(diff.manifest(&old.root, new, &new.root, None)?);
    }
    Ok(patches.join("---\n"))
}

/// Two texts of the same manifests. Parts with the same text do not differ; aliases are not followed, because `inject`
/// never edits a part that an alias shares.
struct Diff<'a> {
    before: &'a str,
    after: &'a str,
}

impl Diff<'_> {
    /// The patch of a manifest, or those of a List's items.
    fn manifest(
        &self,
        old: &Node,
        document: &Document,
        new: &Node,
        item_type: Option<ItemType>,
    ) -> Result<Vec<String>, String> {
        if !self.differ(old, new) {
            return Ok(Vec::new());
        }
        let text = |path: &[&str]| document.get_path(new, path).and_then(Node::text);
        let own_type = text(&["kind"]).map(|kind| (kind, text(&["apiVersion"])));
        let (kind, version) = own_type.or(item_type).unwrap_or_default();
        if let Some(singular) = kind.strip_suffix("List")
            && let (Some(old), Some(new)) = (entry(old, "items"), entry(new, "items"))
        {
            let item_type = (!singular.is_empty()).then_some((singular, version));
            let pairs = old.items().iter().zip(new.items());
            let patches: Result<Vec<_>, _> =
                pairs.map(|(old, new)| self.manifest(old, document, new, item_type)).collect();
            return patches.map(|patches| patches.concat());
        }
        self.workload(old, document, new, (kind, version.unwrap_or_default())).map(|patch| vec![patch])
    }

    /// The patch of a manifest that is not a List, with this kind and API version.
    fn workload(
        &self,
        old: &Node,
        document: &Document,
        new: &Node,
        (kind, version): (&str, &str),
    ) -> Result<String, String> {
        let text = |path: &[&str]| document.get_path(new, path).and_then(Node::text);
        let Some(name) = text(&["metadata", "name"]) else {
            return Err(format!(
                "--output patch: line {}: {kind} has no metadata.name, by which kustomize finds it; add one",
                new.line
            ));
        };
        let title = format!("{kind}/{name}");
        if !MERGED_KINDS.iter().any(|(merged, kinds)| *merged == version && kinds.contains(&kind)) {
            return Err(format!(
                "{title}: --output patch: kustomize replaces the lists of a {kind} with apiVersion {version:?} instead of merging them; run inject as a function of kustomize, or commit the manifests that inject writes"
            ));
        }
        let changes = self.map(old, new).map_err(|error| format!("{title}: --output patch: {error}"))?;
        let namespace =
            text(&["metadata", "namespace"]).map(|namespace| ("namespace".into(), PatchValue::text(namespace)));
        let metadata = [("name".into(), PatchValue::text(name))].into_iter().chain(namespace).collect();
        let mut patch = vec![
            ("apiVersion".into(), PatchValue::text(version)),
            ("kind".into(), PatchValue::text(kind)),
            ("metadata".into(), PatchValue::Map(metadata)),
        ];
        for (key, value) in changes {
            merge(&mut patch, key, value);
        }
        Ok(PatchValue::Map(patch).to_yaml())
    }

    fn differ(&self, old: &Node, new: &Node) -> bool {
        self.before[old.span.clone()] != self.after[new.span.clone()]
    }

    /// The entries of a map that are new or differ, and null for those that are gone.
    fn map(&self, old: &Node, new: &Node) -> Result<Vec<(String, PatchValue)>, String> {
        let mut changes = Vec::new();
        let is_last = |key: &Node, value: &Node| {
            key.text().is_none_or(|key| entry(new, key).is_some_and(|last| std::ptr::eq(last, value)))
        };
        for new in new.entries().iter().filter(|one| is_last(&one.key, &one.value)) {
            let key = new
                .key
                .text()
                .ok_or_else(|| format!("line {}: a key is not a scalar; fix that first", new.key.line))?;
            match entry(old, key) {
                None => changes.push((key.to_owned(), PatchValue::whole(&new.value)?)),
                Some(old) if self.differ(old, &new.value) => {
                    changes.push((key.to_owned(), self.value(key, old, &new.value)?));
                }
                Some(_) => {}
            }
        }
        let keys = old.entries().iter().filter_map(|entry| entry.key.text());
        let removed = keys.filter(|key| entry(new, key).is_none());
        changes.extend(removed.map(|key| (key.to_owned(), PatchValue::null())));
        Ok(changes)
    }

    fn value(&self, key: &str, old: &Node, new: &Node) -> Result<PatchValue, String> {
        match (&old.kind, &new.kind, merge_key(key)) {
            (Kind::Map { .. }, Kind::Map { .. }, _) => self.map(old, new).map(PatchValue::Map),
            (Kind::List { .. }, Kind::List { .. }, Some(id)) => self.list(id, old, new),
            _ => PatchValue::whole(new),
        }
    }

    /// The items that are new or differ. kustomize puts the items of a patch first, in their order, so every unchanged
    /// item before them is named as well.
    fn list(&self, id: &'static str, old: &Node, new: &Node) -> Result<PatchValue, String> {
        let (old, new) = (identified(id, old)?, identified(id, new)?);
        let (mut items, mut until_last_change) = (Vec::new(), 0);
        for (key, node) in &new {
            let known = old.iter().find(|(other, _)| other == key);
            let item = match known {
                None => PatchValue::whole(node)?,
                Some((_, old)) => {
                    let mut entries = vec![(id.to_owned(), PatchValue::whole_entry(node, id)?)];
                    entries.extend(self.map(old, node)?);
                    PatchValue::Map(entries)
                }
            };
            items.push(item);
            if known.is_none_or(|(_, old)| self.differ(old, node)) {
                until_last_change = items.len();
            }
        }
        items.truncate(until_last_change);
        for (_, node) in old.iter().filter(|(key, _)| !new.iter().any(|(other, _)| other == key)) {
            let delete = ("$patch".to_owned(), PatchValue::text("delete"));
            items.push(PatchValue::Map(vec![(id.to_owned(), PatchValue::whole_entry(node, id)?), delete]));
        }
        Ok(PatchValue::List(items))
    }
}

/// Adds an entry. If its value is a map and the key is already there, adds the entries of the map.
fn merge(map: &mut Vec<(String, PatchValue)>, key: String, value: PatchValue) {
    match (map.iter_mut().find(|(other, _)| *other == key), value) {
        (Some((_, PatchValue::Map(entries))), PatchValue::Map(more)) => entries.extend(more),
        (_, value) => map.push((key, value)),
    }
}

/// The field by which Kubernetes merges the items of a list.
fn merge_key(list: &str) -> Option<&'static str> {
    match list {
        "containers" | "initContainers" | "volumes" | "env" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "ports" => Some("containerPort"),
        _ => None,
    }
}

/// The items of a list with their keys.
fn identified<'a>(id: &str, list: &'a Node) -> Result<Vec<(&'a str, &'a Node)>, String> {
    let mut items: Vec<(&str, &Node)> = Vec::new();
    for item in list.items() {
        let key = entry(item, id).and_then(Node::text).ok_or_else(|| {
            format!(
                "line {}: kustomize merges this list by `{id}`, which this item does not have itself; write it out",
                item.line
            )
        })?;
        if items.iter().any(|(other, _)| *other == key) {
            return Err(format!(
                "line {}: {id} {key} occurs twice in this list, which kustomize merges by `{id}`; remove one",
                item.line
            ));
        }
        items.push((key, item));
    }
    Ok(items)
}

/// The value of a map's own entry. Of two with the same key, Kubernetes uses the last.
fn entry<'a>(map: &'a Node, key: &str) -> Option<&'a Node> {
    map.entries().iter().rev().find(|entry| entry.key.text() == Some(key)).map(|entry| &entry.value)
}
