//! Lameduck's annotations on the pod template.

use super::{Changes, NewEntry, Planner, shared};
use crate::remove::{remove_annotations, unrestored};
use crate::request::{Message, Mode};
use crate::sidecar_spec::{self, ORIGINAL_HOOKS};
use crate::text_edit::TextEdits;
use crate::yaml::{Kind, Lookup, Node};
use crate::yaml_value::YamlValue;

impl<'a> Planner<'a> {
    /// Writes the annotations, or updates them.
    pub(super) fn annotate(&self, changes: &mut Changes) -> Result<(), String> {
        let mut wanted = std::mem::take(&mut changes.annotations);
        match self.hooks_to_save(changes)? {
            Some(hooks) if hooks.is_empty() => remove_annotations(self.pod, &[ORIGINAL_HOOKS], changes.edits),
            Some(hooks) => wanted.push(sidecar_spec::original_hooks_annotation(&hooks)),
            None => {}
        }
        let labels = self.labels(changes);
        self.write_metadata([("labels", labels), ("annotations", wanted)], changes.edits)
    }

    /// The label by which `lameduck-fleet` finds the pod, unless the pod has it. A drain does not need it, so labels that
    /// cannot be changed are no error.
    fn labels(&self, changes: &mut Changes) -> Vec<NewEntry> {
        let (key, value) = sidecar_spec::LABEL;
        let has_label = self.pod.document.get_path(self.pod.template, &["metadata", "labels", key]).is_some();
        if has_label || self.request.mode == Mode::Standalone {
            return Vec::new();
        }
        if !self.can_label() {
            changes.messages.push(Message::Note(format!(
                "the label {key}: \"{value}\" is not written, because the labels are shared with another place; \
                 lameduck-fleet finds pods by this label"
            )));
            return Vec::new();
        }
        vec![(key, YamlValue::text(value))]
    }

    fn can_label(&self) -> bool {
        let own = |map, key| match self.lookup(map, key) {
            Lookup::Absent => Some(None),
            Lookup::Merged(_) => None,
            Lookup::Own(_, entry) => (!self.pod.document.is_aliased(&entry.value)).then_some(Some(&entry.value)),
        };
        let is_map = |node: &Node| node.is_null() || matches!(node.kind, Kind::Map { .. });
        let metadata = match own(self.pod.template, "metadata") {
            Some(Some(metadata)) if !metadata.is_null() => metadata,
            metadata => return metadata.is_some(),
        };
        is_map(metadata) && own(metadata, "labels").is_some_and(|labels| labels.is_none_or(is_map))
    }

    /// Writes these entries of the maps in the template's metadata, or updates them.
    fn write_metadata(&self, maps: [(&'static str, Vec<NewEntry>); 2], edits: &mut TextEdits) -> Result<(), String> {
        let maps: Vec<_> = maps.into_iter().filter(|(_, entries)| !entries.is_empty()).collect();
        if maps.is_empty() {
            return Ok(());
        }
        let template = self.pod.template;
        let before_spec = match self.lookup(template, "spec") {
            Lookup::Own(index, _) => index,
            Lookup::Merged(_) | Lookup::Absent => 0,
        };
        let values: Vec<NewEntry> = maps.iter().map(|(key, entries)| (*key, YamlValue::Map(entries.clone()))).collect();
        let metadata = ("metadata", YamlValue::Map(values.clone()));
        let Some(metadata) = self.own_map(template, before_spec, metadata, edits)? else { return Ok(()) };
        let mut absent = Vec::new();
        for (value, (key, entries)) in values.into_iter().zip(maps) {
            if matches!(self.lookup(metadata, key), Lookup::Absent) {
                absent.push(value);
            } else if let Some(map) = self.own_map(metadata, 0, value, edits)? {
                self.write_entries(map, entries, edits)?;
            }
        }
        edits.insert(metadata, 0, &absent)
    }

    fn write_entries(&self, map: &Node, entries: Vec<NewEntry>, edits: &mut TextEdits) -> Result<(), String> {
        let mut missing = Vec::new();
        for (key, value) in entries {
            match self.lookup(map, key) {
                Lookup::Own(_, entry) => edits.rewrite_entry(map, entry, key, &value),
                Lookup::Absent | Lookup::Merged(_) => missing.push((key, value)),
            }
        }
        edits.insert(map, 0, &missing)
    }

    /// The original hooks that are not restored, if the annotation must change. They stay if their container has another
    /// name now, because nothing else has their text.
    fn hooks_to_save(&self, changes: &mut Changes) -> Result<Option<Vec<(String, String)>>, String> {
        let saved = sidecar_spec::original_hooks(self.pod)?;
        let mut hooks = Vec::new();
        for (name, text) in &saved {
            if let Some((_, new)) = changes.original_hooks.iter().find(|(other, _)| other == name) {
                if new != text {
                    let cause = "its hook has changed since, and the new hook is saved instead";
                    changes.warn(unrestored(name, text, cause));
                }
            } else if !changes.restored.contains(name) {
                hooks.push((name.clone(), text.clone()));
            }
        }
        hooks.extend(changes.original_hooks.iter().cloned());
        Ok((hooks != saved).then_some(hooks))
    }

    /// The map under a key. If there is none, writes the given entry instead, and returns `None`.
    fn own_map(
        &self,
        map: &'a Node,
        before: usize,
        (key, value): NewEntry,
        edits: &mut TextEdits,
    ) -> Result<Option<&'a Node>, String> {
        match self.lookup(map, key) {
            Lookup::Absent => edits.insert(map, before, &[(key, value)]).map(|()| None),
            Lookup::Merged(node) => Err(shared(node)),
            Lookup::Own(_, entry) if self.pod.document.is_aliased(&entry.value) => Err(shared(&entry.value)),
            Lookup::Own(_, entry) if entry.value.is_null() => edits.fill(&entry.value, &value).map(|()| None),
            Lookup::Own(_, entry) if matches!(entry.value.kind, Kind::Map { .. }) => Ok(Some(&entry.value)),
            Lookup::Own(_, entry) => Err(format!("line {}: {key} is not a map; fix that first", entry.value.line)),
        }
    }
}
