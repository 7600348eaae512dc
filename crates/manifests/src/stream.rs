//! A stream of manifests: its documents, and the pods that they describe.

use crate::pods::{self, Manifests, Pod};
use crate::request::{ContainerSelector, Message};
use crate::yaml;

/// The documents of a stream.
pub(crate) struct Parsed {
    pub(crate) documents: Vec<yaml::Document>,
    /// One message for each unreadable document that certainly is not a workload.
    pub(crate) skipped: Vec<Message>,
}

/// Parses all documents.
///
/// # Errors
/// Fails on an unreadable document that may describe a pod.
pub(crate) fn parse(text: &str) -> Result<Parsed, String> {
    let mut parsed = Parsed { documents: Vec::new(), skipped: Vec::new() };
    for document in yaml::split_documents(text) {
        match yaml::read(text, &document) {
            Ok(documents) => parsed.documents.extend(documents),
            Err(error) => match pods::non_pod_kind(&text[document.range]) {
                Some(kind) => {
                    let message = format!("a {kind} cannot be read and is left unchanged: {error}");
                    parsed.skipped.push(Message::Note(message));
                }
                None => {
                    return Err(format!("the manifests cannot be read: {error}; fix that line, or render them again"));
                }
            },
        }
    }
    Ok(parsed)
}

/// Finds the pods in documents.
///
/// # Errors
/// Fails if a workload that was named with `--workload` is not among them.
pub(crate) fn find_pods<'a>(
    documents: &'a [yaml::Document],
    selector: &ContainerSelector,
) -> Result<Manifests<'a>, String> {
    let manifests = pods::find(documents);
    let missing: Vec<_> = selector.missing_workloads(&manifests.pods).collect();
    if missing.is_empty() {
        return Ok(manifests);
    }
    let is_other = |name: &&&str| manifests.others.iter().any(|other| other.title.eq_ignore_ascii_case(name));
    if let Some(name) = missing.iter().find(is_other) {
        return Err(format!(
            "--workload {name}: there are no containers at spec.template.spec, where most kinds have them; add the sidecar by hand"
        ));
    }
    let titles: Vec<_> = manifests.pods.iter().map(Pod::title).collect();
    let found = if titles.is_empty() { "none".to_owned() } else { titles.join(", ") };
    Err(format!("--workload {}: not among the manifests; workloads found: {found}", missing.join(", ")))
}
