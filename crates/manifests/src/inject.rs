//! Adding the sidecar.

use crate::plan::{KNATIVE_DRAINS, Planner, ReplacedHook};
use crate::pods::{Manifests, Other, Pod};
use crate::preflight::SettingsCheck;
use crate::remove::remove_from_pod;
use crate::request::{ContainerSelector, Edited, Message, Request};
use crate::select::names;
use crate::stream::{self, Parsed};
use crate::text_edit::TextEdits;

/// Adds the sidecar to the selected pods, or updates an existing sidecar.
///
/// # Errors
/// Names the cause and the fix if the manifests cannot be read, nothing in them is selected, or a selected pod cannot be
/// changed safely.
pub fn inject(text: &str, request: &Request, check: SettingsCheck) -> Result<Edited, String> {
    inject_over(text, &[], request, check)
}

/// Injects; also replaces these hooks, which an earlier run has replaced.
fn inject_over(
    text: &str,
    replaced: &[ReplacedHook],
    request: &Request,
    check: SettingsCheck,
) -> Result<Edited, String> {
    let Parsed { documents, skipped } = stream::parse(text)?;
    let manifests = stream::find_pods(&documents, &request.selector)?;
    let mut planners = Vec::new();
    let mut unselected = Vec::new();
    for pod in &manifests.pods {
        match request.selector.select(pod)? {
            Some(selection) => planners.push(Planner::new(pod, selection, request, replaced, text)?),
            None => unselected.push(pod),
        }
    }
    if planners.is_empty() {
        return Err(nothing_selected(&request.selector, &manifests));
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
    messages.extend(unchanged(&request.selector, &unselected, &manifests.others));
    Ok(Edited { text: edits.apply(), messages })
}

/// Removes lameduck from pods where it runs in another mode, then injects as if it had never been there.
fn change_mode(text: &str, pods: &[&Pod], request: &Request, check: SettingsCheck) -> Result<Edited, String> {
    let mut edits = TextEdits::new(text);
    let (mut messages, mut replaced) = (Vec::new(), Vec::new());
    for pod in pods {
        let removed = remove_from_pod(pod, &mut edits)?;
        messages.extend(removed.messages);
        let hook = |container| ReplacedHook { pod: pod.title(), container };
        replaced.extend(removed.restored_hooks.into_iter().map(hook));
    }
    let injected = inject_over(&edits.apply(), &replaced, request, check)?;
    messages.extend(injected.messages);
    Ok(Edited { text: injected.text, messages })
}

/// Messages about what was left unchanged. Pods without lameduck are worth a warning, unless the workloads were named.
fn unchanged(selector: &ContainerSelector, pods: &[&Pod], others: &[Other]) -> Vec<Message> {
    let titles = |has_containers: bool| {
        let others = others.iter().filter(|other| other.has_containers == has_containers);
        others.map(|other| other.title.as_str()).collect::<Vec<_>>().join(", ")
    };
    let of_pods = |is_knative: bool| {
        let pods = pods.iter().filter(|pod| pod.is_knative == is_knative);
        pods.map(|pod| pod.title()).collect::<Vec<_>>().join(", ")
    };
    let knative = format!(": {KNATIVE_DRAINS}");
    let message = if selector.workloads.is_empty() { Message::Warning } else { Message::Note };
    let messages = [
        (titles(false), Message::Note as fn(String) -> Message, "left unchanged", ""),
        (
            of_pods(false),
            message,
            "left unchanged, although they create pods",
            "; --workload selects workloads by their names",
        ),
        (of_pods(true), message, "left unchanged, because lameduck cannot be added to them", &knative),
        (
            titles(true),
            message,
            "left unchanged, although containers occur in them",
            ": their pod templates are not at spec.template, so add the sidecar by hand where it is needed",
        ),
    ];
    let messages = messages.into_iter().filter(|(titles, ..)| !titles.is_empty());
    messages.map(|(titles, message, what, advice)| message(format!("{what}: {titles}{advice}"))).collect()
}

fn nothing_selected(selector: &ContainerSelector, manifests: &Manifests) -> String {
    let cause = match (&selector.container, &selector.program) {
        (Some(name), _) => format!("no workload has a container named {name}"),
        (None, Some(program)) => format!("no container runs {program}"),
        (None, None) => "no option says which container to drain".to_owned(),
    };
    let others = manifests.others.iter().map(|other| other.title.clone());
    let found: Vec<_> = others.chain(manifests.pods.iter().map(Pod::title)).collect();
    let found = if found.is_empty() { "no manifests".to_owned() } else { found.join(", ") };
    let containers: Vec<_> = manifests.pods.iter().flat_map(|pod| pod.containers("containers")).collect();
    let containers = match &containers[..] {
        [] => String::new(),
        some => format!("; their containers: {}", names(some)),
    };
    format!(
        "nothing to change: {cause}; found: {found}{containers}. Select one with --workload KIND/NAME or --container NAME"
    )
}
