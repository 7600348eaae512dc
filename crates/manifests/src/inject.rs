//! Adding the sidecar.

use crate::plan::Planner;
use crate::pods::{Container, Pod};
use crate::remove::remove_from_pod;
use crate::request::{ContainerSelector, Edited, Request, SettingsCheck};
use crate::select::names;
use crate::stream::{self, Parsed};
use crate::text_edit::TextEdits;

/// Adds the sidecar to the selected pods, or updates an existing sidecar.
///
/// # Errors
/// Names the cause and the fix if the manifests cannot be read, nothing in them is selected, or a selected pod cannot be
/// changed safely.
pub fn inject(text: &str, request: &Request, check: SettingsCheck) -> Result<Edited, String> {
    let Parsed { documents, skipped } = stream::parse(text)?;
    let manifests = stream::find_pods(&documents, &request.selector)?;
    let mut planners = Vec::new();
    let mut unselected = manifests.others;
    for pod in &manifests.pods {
        match request.selector.select(pod)? {
            Some(selection) => planners.push(Planner::new(pod, selection, request, text)?),
            None => unselected.push(pod.title()),
        }
    }
    if planners.is_empty() {
        let containers: Vec<_> = manifests.pods.iter().flat_map(|pod| pod.containers("containers")).collect();
        return Err(nothing_selected(&request.selector, &unselected, &containers));
    }
    let outdated: Vec<_> = planners.iter().filter(|planner| planner.mode_differs()).map(Planner::pod).collect();
    if !outdated.is_empty() {
        return change_mode(text, &outdated, request, check);
    }
    let mut edits = TextEdits::new(text);
    let mut messages = skipped;
    for planner in planners {
        messages.extend(planner.plan(&mut edits, check)?);
    }
    messages.extend((!unselected.is_empty()).then(|| format!("left unchanged: {}", unselected.join(", "))));
    Ok(Edited { text: edits.apply(), messages })
}

/// Removes lameduck from pods where it runs in another mode, then injects as if it had never been there.
fn change_mode(text: &str, pods: &[&Pod], request: &Request, check: SettingsCheck) -> Result<Edited, String> {
    let mut edits = TextEdits::new(text);
    let mut messages = Vec::new();
    for pod in pods {
        messages.extend(remove_from_pod(pod, &mut edits)?);
    }
    let injected = inject(&edits.apply(), request, check)?;
    messages.extend(injected.messages);
    Ok(Edited { text: injected.text, messages })
}

fn nothing_selected(selector: &ContainerSelector, unselected: &[String], containers: &[Container]) -> String {
    let cause = match (&selector.container, &selector.program) {
        (Some(name), _) => format!("no workload has a container named {name}"),
        (None, Some(program)) => format!("no container runs {program}"),
        (None, None) => "no option says which container to drain".to_owned(),
    };
    let found = if unselected.is_empty() { "no manifests".to_owned() } else { unselected.join(", ") };
    let containers = match containers {
        [] => String::new(),
        some => format!("; their containers: {}", names(some)),
    };
    format!(
        "nothing to change: {cause}; found: {found}{containers}. Select one with --workload KIND/NAME or --container NAME"
    )
}
