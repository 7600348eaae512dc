//! The preStop hook of each selected container.

use super::{Changes, Planner, shared};
use crate::pods::Container;
use crate::remove::remove_hook;
use crate::request::Mode;
use crate::saved_hook::SavedHook;
use crate::sidecar_spec::{self, HOST};
use crate::waiting_call::WaitingCall;
use crate::yaml::{Entry, Kind, Lookup, Node};
use crate::yaml_value::YamlValue;

impl<'a> Planner<'a> {
    /// Writes the hook into a container, or updates it.
    pub(super) fn hook(
        &self,
        container: &Container<'a>,
        hook: &YamlValue,
        changes: &mut Changes,
    ) -> Result<(), String> {
        let mut new_entries = Vec::new();
        if self.request.mode == Mode::Standalone {
            let mount = sidecar_spec::binary_mount();
            new_entries.extend(self.write_item(container.node, "volumeMounts", &mount, changes.edits)?);
        }
        let lifecycle = YamlValue::Map(vec![("preStop", hook.clone())]);
        match self.lookup(container.node, "lifecycle") {
            Lookup::Absent => new_entries.push(("lifecycle", lifecycle)),
            Lookup::Merged(value) => return Err(shared(value)),
            Lookup::Own(_, entry) if self.pod.document.is_aliased(&entry.value) => return Err(shared(&entry.value)),
            Lookup::Own(_, entry) if entry.value.is_null() => changes.edits.fill(&entry.value, &lifecycle)?,
            Lookup::Own(_, entry) => self.pre_stop(container, &entry.value, hook, changes)?,
        }
        changes.edits.insert(container.node, hook_position(container.node), &new_entries)
    }

    fn pre_stop(
        &self,
        container: &Container<'a>,
        lifecycle: &'a Node,
        hook: &YamlValue,
        changes: &mut Changes,
    ) -> Result<(), String> {
        if !matches!(lifecycle.kind, Kind::Map { .. }) {
            return Err(format!("line {}: lifecycle is not a map; fix that first", lifecycle.line));
        }
        let entry = match self.lookup(lifecycle, "preStop") {
            Lookup::Absent => return changes.edits.insert(lifecycle, 0, &[("preStop", hook.clone())]),
            Lookup::Own(_, entry) if entry.value.is_null() => return changes.edits.fill(&entry.value, hook),
            Lookup::Own(_, entry) => entry,
            // An entry of the map itself overrides a merged one.
            Lookup::Merged(_) if self.replaces_hook(container) => {
                return changes.edits.insert(lifecycle, 0, &[("preStop", hook.clone())]);
            }
            Lookup::Merged(value) => return Err(not_replaced(value.line, self.request.port)),
        };
        match self.existing_hook(&entry.value) {
            ExistingHook::Ours => self.update_hook(&entry.value, hook, changes),
            ExistingHook::CallsSidecar => {
                self.save_hook(container, lifecycle, entry, changes)?;
                self.update_hook(&entry.value, hook, changes)
            }
            ExistingHook::Users(call) if !self.replaces_hook(container) || self.is_sound(container, &call) => {
                self.keep_hook(container, entry.key.line, &call, changes);
                Ok(())
            }
            ExistingHook::Users(_) | ExistingHook::Other if self.replaces_hook(container) => {
                self.save_hook(container, lifecycle, entry, changes)?;
                changes.edits.rewrite_entry(lifecycle, entry, "preStop", hook);
                Ok(())
            }
            ExistingHook::Users(_) | ExistingHook::Other => Err(not_replaced(entry.key.line, self.request.port)),
        }
    }

    /// Whether a hook that does something else is replaced: on request, or because an earlier run has replaced it.
    fn replaces_hook(&self, container: &Container) -> bool {
        let title = self.pod.title();
        let mut replaced = self.replaced.iter();
        self.request.replace_hook || replaced.any(|hook| hook.pod == title && hook.container == container.name)
    }

    /// Updates a hook that calls the sidecar. Only with `hostNetwork` does the kubelet reach the pod at the node's loopback
    /// address.
    fn update_hook(&self, existing: &'a Node, hook: &YamlValue, changes: &mut Changes) -> Result<(), String> {
        changes.edits.update(self.pod.document, existing, hook.entries())?;
        let Lookup::Own(_, get) = self.lookup(existing, "httpGet") else { return Ok(()) };
        if let (Lookup::Own(index, host), false) = (self.lookup(&get.value, HOST), self.is_host_network()) {
            changes.note(format!("line {}: host is removed from the hook", host.key.line));
            changes.edits.remove_entries(&get.value, &[index]);
        }
        Ok(())
    }

    fn existing_hook(&self, hook: &'a Node) -> ExistingHook {
        let port = self.request.port;
        if self.existing.is_our_hook(self.pod, hook, Some(port)) {
            return ExistingHook::Ours;
        }
        if self.request.mode == Mode::Standalone {
            return ExistingHook::Other;
        }
        if self.existing.calls_sidecar(self.pod, hook, Some(port)) {
            return ExistingHook::CallsSidecar;
        }
        let call = WaitingCall::find(&sidecar_spec::exec_command(self.pod, hook), port);
        call.map_or(ExistingHook::Other, ExistingHook::Users)
    }

    /// Whether a call is known to wait, and its program is not probably missing.
    fn is_sound(&self, container: &Container, call: &WaitingCall) -> bool {
        call.doubt.is_none() && !self.is_program_missing(container, call)
    }

    fn is_program_missing(&self, container: &Container, call: &WaitingCall) -> bool {
        call.is_lameduck && sidecar_spec::runs_missing_program(self.pod, container, &call.program)
    }

    /// Keeps a hook of a user that ends in a call of the sidecar.
    fn keep_hook(&self, container: &Container, line: usize, call: &WaitingCall, changes: &mut Changes) {
        let (name, port) = (container.name, self.request.port);
        match &call.doubt {
            None => changes.note(format!("container {name}: its hook already waits for lameduck, and is kept")),
            Some(doubt) => changes.warn(format!(
                "line {line}: the hook of container {name} is kept, but it may end before the drain: {doubt}. Let it run `curl -sS http://127.0.0.1:{port}/prestop` at its end, or use --replace-hook"
            )),
        }
        if self.is_program_missing(container, call) {
            changes.warn(format!(
                "container {name}: its hook runs {}, which its image must contain: otherwise the hook fails and SIGTERM follows at once. An init container can bring it (args: [install, /DIR], with a volume that {name} mounts too; the hook then runs /DIR/lameduck); or use --replace-hook",
                call.program
            ));
        }
    }

    /// Saves a hook, so that removal restores it.
    fn save_hook(
        &self,
        container: &Container<'a>,
        lifecycle: &Node,
        entry: &Entry,
        changes: &mut Changes,
    ) -> Result<(), String> {
        if let Some(node) = self.pod.document.shared_part(&entry.value) {
            return Err(shared(node));
        }
        let text = changes.edits.entry_text(lifecycle, entry);
        SavedHook::parse(&text).map_err(|cause| {
            format!(
                "line {}: its preStop hook cannot be saved for --remove: {cause}; write it as one entry, without anchors and aliases",
                entry.key.line
            )
        })?;
        changes.original_hooks.push((container.name.to_owned(), text));
        Ok(())
    }

    /// Removes the hook from containers that are no longer selected.
    pub(super) fn remove_stale_hooks(&self, changes: &mut Changes) -> Result<(), String> {
        let is_selected = |name| self.selection.containers().any(|container| container.name == name);
        for container in self.pod.containers("containers").iter().filter(|container| !is_selected(container.name)) {
            let removed = remove_hook(self.pod, &self.existing, Some(self.request.port), container, changes.edits)?;
            if let Some(hook) = removed {
                changes.note(format!("removed: {hook}"));
                changes.restored.push(container.name.to_owned());
            }
        }
        Ok(())
    }
}

/// A preStop hook that a container already has.
enum ExistingHook {
    /// Lameduck wrote it.
    Ours,
    /// It is like lameduck's, but was there before the sidecar.
    CallsSidecar,
    /// A command of a user that ends in a call of the sidecar.
    Users(WaitingCall),
    /// Anything else.
    Other,
}

fn not_replaced(line: usize, port: u16) -> String {
    format!(
        "line {line}: it already has a preStop hook, which is not replaced; remove it (lameduck waits for the streams itself), replace it with --replace-hook, or run `curl -sS http://127.0.0.1:{port}/prestop` or `lameduck drain --hook` at its end"
    )
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
