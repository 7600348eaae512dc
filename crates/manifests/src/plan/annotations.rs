//! Lameduck's annotations on the pod template.

use super::{Changes, NewEntry, Planner, shared};
use crate::remove::{remove_annotations, unrestored};
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
