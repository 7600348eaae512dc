//! Reading the annotations of a pod template.

use super::{APP_ARMOR, NAMESPACE_BEFORE, ORIGINAL_HOOKS};
use crate::pods::Pod;
use crate::saved_hook::SavedHook;
use crate::yaml::{self, Document, DocumentText, Entry, Kind, Node};
use crate::yaml_value::quote;

/// The value of an annotation.
fn annotation<'a>(pod: &Pod<'a>, key: &str) -> Option<&'a str> {
    pod.document.get_path(pod.template, &["metadata", "annotations", key]).and_then(Node::text)
}

/// What `shareProcessNamespace` was before lameduck was injected: true, or the text of a null.
#[must_use]
pub fn namespace_before<'a>(pod: &Pod<'a>) -> Option<&'a str> {
    annotation(pod, NAMESPACE_BEFORE)
}

/// The AppArmor profile of a container, from its annotation.
#[must_use]
pub fn app_armor_annotation<'a>(pod: &Pod<'a>, container: &str) -> Option<&'a str> {
    annotation(pod, &format!("{APP_ARMOR}{container}"))
}

/// The hooks that lameduck has replaced or taken over: the text of each entry, by the name of its container.
///
/// # Errors
/// Fails if the annotation is not a map of container names to texts, each of one hook.
pub fn original_hooks(pod: &Pod) -> Result<Vec<(String, String)>, String> {
    let path = ["metadata", "annotations", ORIGINAL_HOOKS];
    let Some(node) = pod.document.get_path(pod.template, &path) else { return Ok(Vec::new()) };
    let text = node.text().unwrap_or_default();
    let documents = yaml::read(text, &DocumentText { range: 0..text.len(), line: 1 }).unwrap_or_default();
    let hook = |entry: &Entry| Some((entry.key.text()?.to_owned(), entry.value.text()?.to_owned()));
    let hooks = match &documents[..] {
        [Document { root: Node { kind: Kind::Map { entries, .. }, .. }, .. }] => {
            entries.iter().map(hook).collect::<Option<Vec<_>>>()
        }
        _ => None,
    };
    let hooks = hooks.ok_or_else(|| {
        format!(
            "line {}: the annotation {ORIGINAL_HOOKS} has the value {}, which is not a map of container names to the texts of their hooks; correct it, or remove it and restore the hooks by hand",
            node.line,
            quote(text)
        )
    })?;
    for (container, text) in &hooks {
        SavedHook::parse(text).map_err(|cause| {
            format!(
                "line {}: the annotation {ORIGINAL_HOOKS} has a text for container {container} that is not a preStop hook: {cause}; its text is {}; correct it, or remove it from the annotation and restore the hook by hand",
                node.line,
                quote(text)
            )
        })?;
    }
    Ok(hooks)
}
