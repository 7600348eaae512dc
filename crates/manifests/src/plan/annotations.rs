//! Lameduck's annotations on the pod template.

use super::{Changes, NewEntry, Planner, shared};
use crate::remove::remove_annotations;
use crate::sidecar_spec::{self, ORIGINAL_HOOKS};
use crate::text_edit::TextEdits;
use crate::yaml::{Kind, Lookup, Node};
use crate::yaml_value::YamlValue;

impl<'a> Planner<'a> {
    /// Writes the annotations, or updates them.
    pub(super) fn annotate(&self, changes: &mut Changes) -> Result<(), String> {
        let mut wanted = std::mem::take(&mut changes.annotations);
        match self.hooks_to_save(changes) {
            Some(hooks) if hooks.is_empty() => remove_annotations(self.pod, &[ORIGINAL_HOOKS], changes.edits),
            Some(hooks) => wanted.push(sidecar_spec::original_hooks_annotation(&hooks)),
            None => {}
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let template = self.pod.template;
        let before_spec = match self.lookup(template, "spec") {
            Lookup::Own(index, _) => index,
            Lookup::Merged(_) | Lookup::Absent => 0,
        };
        let edits = &mut *changes.edits;
        let annotations = ("annotations", YamlValue::Map(wanted.clone()));
        let metadata = ("metadata", YamlValue::Map(vec![annotations.clone()]));
        let Some(metadata) = self.own_map(template, before_spec, metadata, edits)? else { return Ok(()) };
        let Some(annotations) = self.own_map(metadata, 0, annotations, edits)? else { return Ok(()) };
        let mut missing = Vec::new();
        for (key, value) in wanted {
            match self.lookup(annotations, key) {
                Lookup::Own(_, entry) => edits.rewrite_entry(annotations, entry, key, &value),
                Lookup::Absent | Lookup::Merged(_) => missing.push((key, value)),
            }
        }
        edits.insert(annotations, 0, &missing)
    }

    /// The original hooks of the selected containers, if the annotation must change.
    fn hooks_to_save(&self, changes: &Changes) -> Option<Vec<(String, String)>> {
        let saved = sidecar_spec::original_hooks(self.pod);
        let is_new = |name: &str| changes.original_hooks.iter().any(|(other, _)| other == name);
        let is_selected = |name: &str| self.selection.containers().any(|container| container.name == name);
        let kept = saved.iter().filter(|(name, _)| is_selected(name) && !is_new(name)).cloned();
        let hooks: Vec<_> = kept.chain(changes.original_hooks.iter().cloned()).collect();
        (hooks != saved).then_some(hooks)
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
