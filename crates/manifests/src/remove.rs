//! Removing lameduck again: the inverse of [`crate::inject()`].

use crate::plan::detect_style;
use crate::pods::{Container, Pod};
use crate::request::{ContainerSelector, Edited, Message, Mode, SIDECAR_NAME};
use crate::saved_hook::{self, Place, SavedHook};
use crate::sidecar_spec::{self, Existing, LABEL, ORIGINAL_HOOKS, OWN_ANNOTATIONS};
use crate::stream::{self, Parsed};
use crate::text_edit::TextEdits;
use crate::yaml::{Entry, Layout, Lookup, Node};
use crate::yaml_value::quote;

/// The field that lets the sidecar see the target.
const SHARED: &str = "shareProcessNamespace";
/// The only null of JSON.
const JSON_NULL: &str = "null";

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
            let message = format!("{title}: line {line}: container {SIDECAR_NAME} is user-defined and was kept");
            messages.push(Message::Note(message));
        }
        let removed = remove_from_pod(pod, &mut edits)?.messages;
        if !removed.is_empty() {
            messages.extend(removed);
            messages.extend(pod.text(&["terminationGracePeriodSeconds"]).map(|seconds| {
                let message =
                    format!("{title}: terminationGracePeriodSeconds stays {seconds}: its earlier value is unknown");
                Message::Note(message)
            }));
        }
    }
    if edits.is_empty() {
        return Err("nothing to remove: no selected workload has a container named lameduck that runs lameduck".into());
    }
    let text = edits.apply();
    check_result(&text, documents.len())?;
    Ok(Edited { text, messages })
}

/// Checks that the result can be read, because restored hooks come from annotations that others may have edited.
fn check_result(text: &str, documents: usize) -> Result<(), String> {
    match stream::parse(text) {
        Ok(parsed) if parsed.documents.len() == documents => Ok(()),
        Ok(_) => Err("the result would have another number of documents; remove lameduck by hand".to_owned()),
        Err(error) => Err(format!("the result would not be valid; remove lameduck by hand: {error}")),
    }
}

/// What was removed from a pod.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    /// Messages; none if there was nothing to remove.
    pub(crate) messages: Vec<Message>,
    /// The containers whose original hooks are restored.
    pub(crate) restored_hooks: Vec<String>,
}

/// Removes lameduck from a pod.
///
/// # Errors
/// Names the cause and the fix if an edit would change more than this pod, or a saved hook cannot be restored.
pub(crate) fn remove_from_pod(pod: &Pod, edits: &mut TextEdits) -> Result<Removed, String> {
    let existing = Existing::find(pod);
    let Some((list, sidecar)) = existing.container else { return Ok(Removed::default()) };
    let title = pod.title();
    if let Some(reason) = &pod.not_editable {
        return Err(format!("{title}: {reason}"));
    }
    if sidecar.is_alias || pod.document.get(pod.spec, list).is_some_and(|list| pod.document.is_aliased(list)) {
        let line = sidecar.node.line;
        return Err(format!("{title}: line {line}: an anchor and its aliases share the sidecar; remove it by hand"));
    }
    let mut parts = vec![format!("the sidecar{}", with(&existing.additions(pod)))];
    let originals = sidecar_spec::original_hooks(pod).map_err(|error| format!("{title}: {error}"))?;
    let mut with_hook = Vec::new();
    for container in pod.containers("containers").iter().filter(|container| container.name != SIDECAR_NAME) {
        let part = remove_hook(pod, &existing, None, container, edits).map_err(|error| format!("{title}: {error}"))?;
        with_hook.extend(part.is_some().then_some(container.name));
        parts.extend(part);
    }
    let mut removed = Vec::new();
    if existing.mode == Some(Mode::Standalone) {
        removed.extend(remove_named(pod, pod.spec, "volumes", sidecar_spec::is_our_volume, edits));
    }
    removed.extend(remove_named(pod, pod.spec, list, |_, _| true, edits));
    if existing.mode != Some(Mode::Standalone) {
        let (removed_index, part) = remove_shared(pod, &removed, edits);
        parts.extend(part);
        removed.extend(removed_index);
    }
    remove_metadata(pod, &[("labels", &[LABEL.0]), ("annotations", &OWN_ANNOTATIONS)], edits);
    removed.sort_unstable();
    edits.remove_entries(pod.spec, &removed);
    let mut messages = vec![Message::Note(format!("{title}: removed: {}", parts.join(", ")))];
    let (restored, unrestored_hooks): (Vec<_>, Vec<_>) =
        originals.into_iter().partition(|(name, _)| with_hook.contains(&name.as_str()));
    messages.extend(unrestored_hooks.iter().map(|(name, text)| {
        let exists = pod.containers("containers").iter().any(|container| container.name == name);
        let cause = if exists { "its hook is no longer lameduck's" } else { "there is no container of this name" };
        Message::Warning(format!("{title}: {}", unrestored(name, text, cause)))
    }));
    Ok(Removed { messages, restored_hooks: restored.into_iter().map(|(name, _)| name).collect() })
}

/// A message about a saved hook whose text is no longer in the manifest.
pub(crate) fn unrestored(container: &str, text: &str, cause: &str) -> String {
    let text = if text.contains('\n') { quote(text) } else { text.to_owned() };
    format!("the original hook of container {container} is not restored: {cause}; its text was: {text}")
}

/// Removes or restores `shareProcessNamespace`. Returns its index, for the caller to remove, and a description.
fn remove_shared(pod: &Pod, removed: &[usize], edits: &mut TextEdits) -> (Option<usize>, Option<String>) {
    let Lookup::Own(index, entry) = pod.document.lookup(pod.spec, SHARED) else { return (None, None) };
    if entry.value.plain() == Some("true") {
        let before = sidecar_spec::namespace_before(pod);
        // A manifest that was converted to JSON has only one spelling of null.
        let is_other_null = before.is_some_and(|spelling| ["", "~", "Null", "NULL"].contains(&spelling));
        let is_converted = is_other_null && saved_hook::is_json(pod.manifest, edits.text());
        match if is_converted { Some(JSON_NULL) } else { before } {
            Some(spelling) if edits.write_null(entry, spelling) => return (None, Some(SHARED.to_owned())),
            None if is_where_we_insert(pod, index, removed) => return (Some(index), Some(SHARED.to_owned())),
            Some(_) | None => {}
        }
    }
    (None, Some(format!("but not {SHARED}, which may have been there before")))
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
    if items.len() == 1 {
        if edits.restore_null(entry) {
            return None;
        }
        if wrote_collection(map, &entry.value, edits) {
            return Some(entry_index);
        }
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

/// Removes annotations, with the maps that lameduck wrote for them.
pub(crate) fn remove_annotations(pod: &Pod, keys: &[&str], edits: &mut TextEdits) {
    remove_metadata(pod, &[("annotations", keys)], edits);
}

/// Removes entries of maps in the template's metadata, with the maps that lameduck wrote for them.
fn remove_metadata(pod: &Pod, maps: &[(&str, &[&str])], edits: &mut TextEdits) {
    let document = pod.document;
    let Lookup::Own(metadata_index, metadata) = document.lookup(pod.template, "metadata") else { return };
    // Shared with other places, which must not change.
    if document.is_aliased(&metadata.value) {
        return;
    }
    let mut emptied = Vec::new();
    for (key, keys) in maps {
        let Lookup::Own(index, map) = document.lookup(&metadata.value, key) else { continue };
        let is_ours = |entry: &Entry| entry.key.text().is_some_and(|key| keys.contains(&key));
        let entries = map.value.entries().iter().enumerate();
        let removed: Vec<_> = entries.filter(|(_, entry)| is_ours(entry)).map(|(index, _)| index).collect();
        let is_shared = document.is_aliased(&map.value);
        if !is_shared && !removed.is_empty() && remove_from(&metadata.value, map, &removed, edits) {
            emptied.push(index);
        }
    }
    emptied.sort_unstable();
    if !emptied.is_empty() && remove_from(pod.template, metadata, &emptied, edits) {
        edits.remove_entries(pod.template, &[metadata_index]);
    }
}

/// Removes entries from the map under a key. If it would be empty and lameduck wrote it, returns true instead, for the
/// caller to remove the key.
fn remove_from(parent: &Node, entry: &Entry, removed: &[usize], edits: &mut TextEdits) -> bool {
    let map = &entry.value;
    if removed.len() == map.entries().len() {
        if edits.restore_null(entry) {
            return false;
        }
        if wrote_collection(parent, map, edits) {
            return true;
        }
    }
    edits.remove_entries(map, removed);
    false
}

/// Names what is removed together with something else although lameduck did not write it.
fn with(additions: &[String]) -> String {
    if additions.is_empty() { String::new() } else { format!(" (with {})", additions.join(", ")) }
}

/// Removes lameduck's hook, and the mount that it needs, from a container, and restores the hook that it has replaced.
/// Returns a description if there was one.
///
/// # Errors
/// Fails if the original hook no longer fits.
pub(crate) fn remove_hook(
    pod: &Pod,
    existing: &Existing,
    port: Option<u16>,
    container: &Container,
    edits: &mut TextEdits,
) -> Result<Option<String>, String> {
    let found = pod.document.lookup(container.node, "lifecycle");
    let Lookup::Own(lifecycle_index, lifecycle) = found else { return Ok(None) };
    let Lookup::Own(index, hook) = pod.document.lookup(&lifecycle.value, "preStop") else { return Ok(None) };
    if container.is_alias || !existing.is_our_hook(pod, &hook.value, port) {
        return Ok(None);
    }
    let additions = with(&sidecar_spec::hook_additions(pod, &hook.value));
    let mut removed: Vec<_> =
        remove_named(pod, container.node, "volumeMounts", sidecar_spec::is_our_mount, edits).into_iter().collect();
    let originals = sidecar_spec::original_hooks(pod)?;
    let original = originals.iter().find(|(name, _)| name == container.name);
    let mut restored = "";
    match original {
        Some((_, text)) => {
            restored = restore_hook(pod, &lifecycle.value, hook, text, edits)
                .map_err(|cause| not_restored(hook, container, text, &cause))?;
        }
        None if edits.restore_null(hook) => {}
        None if remove_from(container.node, lifecycle, &[index], edits) => removed.push(lifecycle_index),
        None => {}
    }
    removed.sort_unstable();
    edits.remove_entries(container.node, &removed);
    Ok(Some(format!("the hook of container {}{additions}{restored}", container.name)))
}

/// Restores a hook from its saved text, or writes its value in the style of its surroundings if the text does not fit
/// there. Returns a description.
///
/// # Errors
/// Returns the cause if the text is not a hook, or cannot be written in this style.
fn restore_hook(
    pod: &Pod,
    lifecycle: &Node,
    hook: &Entry,
    text: &str,
    edits: &mut TextEdits,
) -> Result<&'static str, String> {
    let saved = SavedHook::parse(text)?;
    let place = Place {
        is_flow: matches!(lifecycle.layout(), Some(Layout::Flow(_))),
        column: hook.key.column,
        is_json: saved_hook::is_json(pod.manifest, edits.text()),
        after: edits.text_after(hook),
    };
    if let Some(verbatim) = saved.verbatim(place) {
        edits.replace_entry(hook, verbatim);
        return Ok(" (its original hook is restored)");
    }
    edits.replace_entry(hook, &saved.one_line(detect_style(pod, edits.text()))?);
    Ok(" (its original hook is restored, in the style of the manifest)")
}

fn not_restored(hook: &Entry, container: &Container, text: &str, cause: &str) -> String {
    format!(
        "line {}: the original hook of container {} cannot be restored from the annotation {ORIGINAL_HOOKS}: {cause}; its text is {}; correct it, or remove it from the annotation and restore the hook by hand",
        hook.key.line,
        container.name,
        quote(text)
    )
}
