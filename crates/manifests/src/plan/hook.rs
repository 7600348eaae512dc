//! The preStop hook of each selected container.

use super::{Changes, Planner, shared};
use crate::pods::Container;
use crate::remove::remove_hook;
use crate::request::Mode;
use crate::sidecar_spec;
use crate::text_edit::TextEdits;
use crate::yaml::{Kind, Lookup, Node};
use crate::yaml_value::YamlValue;

impl<'a> Planner<'a> {
    /// Writes the hook into a container, or updates it.
    pub(super) fn hook(
        &self,
        container: &Container<'a>,
        hook: &YamlValue,
        edits: &mut TextEdits,
    ) -> Result<(), String> {
        let mut new_entries = Vec::new();
        if self.request.mode == Mode::Standalone {
            let mount = sidecar_spec::binary_mount();
            new_entries.extend(self.write_item(container.node, "volumeMounts", &mount, edits)?);
        }
        let lifecycle = YamlValue::Map(vec![("preStop", hook.clone())]);
        match self.lookup(container.node, "lifecycle") {
            Lookup::Absent => new_entries.push(("lifecycle", lifecycle)),
            Lookup::Merged(value) => return Err(shared(value)),
            Lookup::Own(_, entry) if self.pod.document.is_aliased(&entry.value) => return Err(shared(&entry.value)),
            Lookup::Own(_, entry) if entry.value.is_null() => edits.fill(&entry.value, &lifecycle)?,
            Lookup::Own(_, entry) => self.pre_stop(&entry.value, hook, edits)?,
        }
        edits.insert(container.node, hook_position(container.node), &new_entries)
    }

    fn pre_stop(&self, lifecycle: &'a Node, hook: &YamlValue, edits: &mut TextEdits) -> Result<(), String> {
        if !matches!(lifecycle.kind, Kind::Map { .. }) {
            return Err(format!("line {}: lifecycle is not a map; fix that first", lifecycle.line));
        }
        let port = Some(self.request.port);
        let is_sidecar = self.request.mode != Mode::Standalone;
        let existing = match self.lookup(lifecycle, "preStop") {
            Lookup::Absent => return edits.insert(lifecycle, 0, &[("preStop", hook.clone())]),
            Lookup::Own(_, entry) if entry.value.is_null() => return edits.fill(&entry.value, hook),
            Lookup::Own(_, entry) if self.existing.is_our_hook(self.pod, &entry.value, port) => {
                return edits.update(self.pod.document, &entry.value, hook.entries());
            }
            Lookup::Own(_, entry) if is_sidecar && sidecar_spec::is_drain_hook(self.pod, &entry.value) => {
                return Ok(());
            }
            Lookup::Own(_, entry) => &entry.key,
            Lookup::Merged(value) => value,
        };
        Err(format!(
            "line {}: it already has a preStop hook, which is not replaced; remove it (lameduck waits for the streams itself), or run `lameduck drain --hook` at its end",
            existing.line
        ))
    }

    /// Removes the hook from containers that are no longer selected.
    pub(super) fn remove_stale_hooks(&self, changes: &mut Changes) {
        let is_selected = |name| self.selection.containers().any(|container| container.name == name);
        for container in self.pod.containers("containers").iter().filter(|container| !is_selected(container.name)) {
            let removed = remove_hook(self.pod, &self.existing, Some(self.request.port), container, changes.edits);
            changes.messages.extend(removed.map(|hook| format!("removed: {hook}")));
        }
    }
}

/// The index of the entry before which the hook is inserted: the one after the image, if any.
fn hook_position(container: &Node) -> usize {
    let entries = container.entries();
    let image = entries.iter().position(|entry| entry.key.text() == Some("image"));
    match image {
        Some(index) if index + 1 < entries.len() => index + 1,
        _ => 1.min(entries.len().saturating_sub(1)),
    }
}
