//! Reading the annotations of a pod template.

use super::{APP_ARMOR, NAMESPACE_BEFORE, ORIGINAL_HOOKS};
use crate::pods::Pod;
use crate::yaml::{self, DocumentText, Node};

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
#[must_use]
pub fn original_hooks(pod: &Pod) -> Vec<(String, String)> {
    let Some(text) = annotation(pod, ORIGINAL_HOOKS) else { return Vec::new() };
    let documents = yaml::read(text, &DocumentText { range: 0..text.len(), line: 1 }).unwrap_or_default();
    let entries = documents.first().map_or(&[][..], |document| document.root.entries());
    let hooks = entries.iter().filter_map(|entry| Some((entry.key.text()?.to_owned(), entry.value.text()?.to_owned())));
    hooks.collect()
}
