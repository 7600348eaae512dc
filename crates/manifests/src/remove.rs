//! Removing lameduck again: the inverse of [`crate::inject()`].

use crate::pods::{Container, Pod};
use crate::request::{ContainerSelector, Edited, Mode, SIDECAR_NAME};
use crate::sidecar_spec::{self, Existing};
use crate::stream::{self, Parsed};
use crate::text_edit::TextEdits;
use crate::yaml::{Layout, Lookup, Node};

/// The field that lets the sidecar see the target.
const SHARED: &str = "shareProcessNamespace";

/// Removes the sidecar, its hooks and everything else that lameduck wrote.
///
/// # Errors
/// Names the cause and the fix if the manifests cannot be read or contain nothing of lameduck.
pub fn remove(text: &str, selector: &ContainerSelector) -> Result<Edited, String> {
    let Parsed { documents, skipped } = stream::parse(text)?;
    let manifests = stream::find_pods(&documents, selector)?;
    let mut edits = TextEdits::new(text);
    let mut messages = skipped;
    for pod in manifests.pods.iter().filter(|pod| selector.includes(pod)) {
        let title = pod.title();
        if let Some(foreign) = Existing::find(pod).foreign {
            let line = foreign.node.line;
            messages.push(format!("{title}: line {line}: container {SIDECAR_NAME} is user-defined and was kept"));
        }
        if let Some(message) = remove_from_pod(pod, &mut edits)? {
            messages.push(message);
            messages.extend(pod.text(&["terminationGracePeriodSeconds"]).map(|seconds| {
                format!("{title}: terminationGracePeriodSeconds stays {seconds}: its earlier value is unknown")
            }));
        }
    }
    if edits.is_empty() {
        return Err("nothing to remove: no selected workload has a container named lameduck that runs lameduck".into());
    }
    Ok(Edited { text: edits.apply(), messages })
}

/// Removes lameduck from a pod. Returns a message, or `None` if there was nothing to remove.
///
/// # Errors
/// Names the cause and the fix if an edit would change more than this pod.
pub(crate) fn remove_from_pod(pod: &Pod, edits: &mut TextEdits) -> Result<Option<String>, String> {
    let existing = Existing::find(pod);
    let Some((list, sidecar)) = existing.container else { return Ok(None) };
    let title = pod.title();
    if let Some(reason) = &pod.not_editable {
        return Err(format!("{title}: {reason}"));
    }
    if sidecar.is_alias || pod.document.get(pod.spec, list).is_some_and(|list| pod.document.is_aliased(list)) {
        let line = sidecar.node.line;
        return Err(format!("{title}: line {line}: an anchor and its aliases share the sidecar; remove it by hand"));
    }
    let mut parts = vec![format!("the sidecar{}", with(&existing.additions(pod)))];
    for container in pod.containers("containers").iter().filter(|container| container.name != SIDECAR_NAME) {
        parts.extend(remove_hook(pod, &existing, None, container, edits));
    }
    let mut removed = Vec::new();
    if existing.mode == Some(Mode::Standalone) {
        removed.extend(remove_named(pod, pod.spec, "volumes", sidecar_spec::is_our_volume, edits));
    }
    removed.extend(remove_named(pod, pod.spec, list, |_, _| true, edits));
    let shared_before = remove_annotation(pod, edits);
    if existing.mode != Some(Mode::Standalone)
        && let Lookup::Own(index, entry) = pod.document.lookup(pod.spec, SHARED)
    {
        let is_ours = !shared_before && entry.value.plain() == Some("true") && is_where_we_insert(pod, index, &removed);
        let kept = || format!("but not {SHARED}, which may have been there before");
        parts.push(if is_ours { SHARED.to_owned() } else { kept() });
        removed.extend(is_ours.then_some(index));
    }
    removed.sort_unstable();
    edits.remove_entries(pod.spec, &removed);
    Ok(Some(format!("{title}: removed: {}", parts.join(", "))))
}

/// Removes lameduck's item from a list. If lameduck wrote the whole list, returns the index of its entry instead, for the
/// caller to remove.
fn remove_named(
    pod: &Pod,
    map: &Node,
    key: &str,
    is_ours: fn(&Pod, &Node) -> bool,
    edits: &mut TextEdits,
) -> Option<usize> {
    let Lookup::Own(entry_index, entry) = pod.document.lookup(map, key) else { return None };
    let items = entry.value.items();
    let named = sidecar_spec::find_named(pod, map, key).filter(|item| is_ours(pod, item))?;
    let index = items.iter().position(|item| std::ptr::eq(item, named))?;
    if items.len() == 1 && wrote_collection(map, &entry.value, edits) {
        return Some(entry_index);
    }
    edits.remove_item(&entry.value, index);
    None
}

/// Whether lameduck wrote a list or map that holds only lameduck's entry: it has the style of its surroundings.
/// Otherwise it was there and empty, like `initContainers: []`.
fn wrote_collection(parent: &Node, value: &Node, edits: &TextEdits) -> bool {
    match (parent.layout(), value.layout()) {
        (Some(Layout::Block), Some(Layout::Block)) => true,
        (Some(Layout::Flow(_)), Some(Layout::Flow(open))) => !edits.was_empty(open),
        _ => false,
    }
}

/// Whether an entry of the pod spec is at a place where `inject` inserts entries, given those that are removed.
fn is_where_we_insert(pod: &Pod, index: usize, removed: &[usize]) -> bool {
    let next = pod.spec.entries().get(index + 1);
    let is_before_containers = next.is_some_and(|next| next.key.text() == Some("containers"));
    let is_at_front = matches!(pod.spec.layout(), Some(Layout::Flow(_))) && index <= 1;
    removed.contains(&(index + 1)) || is_before_containers || is_at_front
}

/// Removes the annotation that the processes were shared before lameduck came, with the maps that lameduck wrote for it.
/// Returns whether there was one.
fn remove_annotation(pod: &Pod, edits: &mut TextEdits) -> bool {
    let document = pod.document;
    let Some(node) = document.get_path(pod.template, &["metadata", "annotations"]) else { return false };
    let found = sidecar_spec::find_was_shared(pod, node);
    if matches!(found, Lookup::Absent) {
        return false;
    }
    let (Lookup::Own(metadata_index, metadata), Lookup::Own(index, _)) =
        (document.lookup(pod.template, "metadata"), found)
    else {
        return true;
    };
    let metadata = &metadata.value;
    let Lookup::Own(annotations_index, annotations) = document.lookup(metadata, "annotations") else { return true };
    let annotations = &annotations.value;
    // Shared with other places, which must not change.
    if document.is_aliased(metadata) || document.is_aliased(annotations) {
        return true;
    }
    let is_single = |map: &Node| map.entries().len() == 1;
    if !is_single(annotations) || !wrote_collection(metadata, annotations, edits) {
        edits.remove_entries(annotations, &[index]);
    } else if !is_single(metadata) || !wrote_collection(pod.template, metadata, edits) {
        edits.remove_entries(metadata, &[annotations_index]);
    } else {
        edits.remove_entries(pod.template, &[metadata_index]);
    }
    true
}

/// Names what is removed together with something else although lameduck did not write it.
fn with(additions: &[String]) -> String {
    if additions.is_empty() { String::new() } else { format!(" (with {})", additions.join(", ")) }
}

/// Removes lameduck's hook, and the mount that it needs, from a container. Returns a description if there was one.
pub(crate) fn remove_hook(
    pod: &Pod,
    existing: &Existing,
    port: Option<u16>,
    container: &Container,
    edits: &mut TextEdits,
) -> Option<String> {
    let Lookup::Own(lifecycle_index, lifecycle) = pod.document.lookup(container.node, "lifecycle") else { return None };
    let Lookup::Own(index, hook) = pod.document.lookup(&lifecycle.value, "preStop") else { return None };
    if container.is_alias || !existing.is_our_hook(pod, &hook.value, port) {
        return None;
    }
    let additions = sidecar_spec::hook_additions(pod, &hook.value);
    let mut removed: Vec<_> =
        remove_named(pod, container.node, "volumeMounts", sidecar_spec::is_our_mount, edits).into_iter().collect();
    if lifecycle.value.entries().len() == 1 && wrote_collection(container.node, &lifecycle.value, edits) {
        removed.push(lifecycle_index);
    } else {
        edits.remove_entries(&lifecycle.value, &[index]);
    }
    removed.sort_unstable();
    edits.remove_entries(container.node, &removed);
    Some(format!("the hook of container {}{}", container.name, with(&additions)))
}
