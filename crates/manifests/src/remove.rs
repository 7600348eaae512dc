//! Taking the sidecar out again.

use crate::pods::{Container, Pod};
use crate::select::ContainerSelector;
use crate::sidecar_spec::{self, Mode, Present};
use crate::splice::Splice;
use crate::yaml::{Found, Layout, Node};
use crate::{Done, Read, SIDECAR, find, read};

/// Where our hook could be if no sidecar of sidecar_spec says where it listens.
const NO_PORT: u16 = 0;

/// What lets the sidecar see the target.
const SHARED: &str = "shareProcessNamespace";

/// Takes the sidecar, its hooks and what belongs to them out of manifests.
///
/// # Errors
/// Names the cause and the mend, where the manifests cannot be read or nothing of sidecar_spec is in them.
pub fn remove(text: &str, wanted: &ContainerSelector) -> Result<Done, String> {
    let Read { documents, unread } = read(text)?;
    let manifests = find(&documents, wanted)?;
    let mut splice = Splice::new(text);
    let mut told = unread;
    for pod in manifests.pods.iter().filter(|pod| wanted.includes(pod)) {
        if let Some(stranger) = Present::find(pod).stranger {
            let line = stranger.node.line;
            told.push(format!("{}: line {line}: container {SIDECAR} is not lameduck's, and stays", pod.title()));
        }
        if let Some(line) = take_out(pod, &mut splice)? {
            told.push(line);
            told.extend(pod.text(&["terminationGracePeriodSeconds"]).map(|seconds| {
                let title = pod.title();
                format!("{title}: terminationGracePeriodSeconds stays {seconds}: what it was before is not known")
            }));
        }
    }
    if splice.is_empty() {
        return Err(
            "nothing to remove: no workload that is meant has a container named lameduck that runs lameduck".into()
        );
    }
    Ok(Done { text: splice.apply(), told })
}

/// Takes everything of sidecar_spec out of a pod, and says what; `None` if there is nothing.
///
/// # Errors
/// Names the cause and the mend, where that would change more than this pod.
pub(super) fn take_out(pod: &Pod, splice: &mut Splice) -> Result<Option<String>, String> {
    let present = Present::find(pod);
    let Some((list, sidecar)) = present.container else { return Ok(None) };
    let title = pod.title();
    if let Some(stuck) = &pod.stuck {
        return Err(format!("{title}: {stuck}"));
    }
    if sidecar.is_alias || pod.document.get(pod.spec, list).is_some_and(|list| pod.document.is_repeated(list)) {
        let line = sidecar.node.line;
        return Err(format!("{title}: line {line}: an anchor and its aliases share the sidecar; take it out by hand"));
    }
    let mut parts = vec![format!("the sidecar{}", with(&present.additions(pod)))];
    for container in pod.containers("containers").iter().filter(|container| container.name != SIDECAR) {
        parts.extend(hook(pod, &present, present.port.unwrap_or(NO_PORT), container, splice));
    }
    let mut gone = Vec::new();
    if present.shape == Some(Mode::Standalone) {
        item(pod, pod.spec, "volumes", sidecar_spec::is_volume, &mut gone, splice);
    }
    item(pod, pod.spec, list, |_, _| true, &mut gone, splice);
    if present.shape != Some(Mode::Standalone)
        && let Some((index, is_ours)) = shared_processes(pod, &present, &gone)
    {
        parts.push(if is_ours {
            SHARED.to_owned()
        } else {
            format!("but not {SHARED}, which may have been there before")
        });
        gone.extend(is_ours.then_some(index));
    }
    gone.sort_unstable();
    splice.remove_entries(pod.spec, &gone);
    Ok(Some(format!("{title}: taken out: {}", parts.join(", "))))
}

/// Takes our item out of a list, or marks the whole entry as gone if nothing else was ever in it.
fn item(
    pod: &Pod,
    map: &Node,
    key: &str,
    is_ours: fn(&Pod, &Node) -> bool,
    gone: &mut Vec<usize>,
    splice: &mut Splice,
) {
    let Found::Own(place, entry) = pod.document.find(map, key) else { return };
    let items = entry.value.items();
    let Some(sidecar_spec) = sidecar_spec::named(pod, map, key).filter(|item| is_ours(pod, item)) else { return };
    let Some(index) = items.iter().position(|item| std::ptr::eq(item, sidecar_spec)) else { return };
    if items.len() == 1 && is_ours_whole(map, &entry.value, splice) {
        gone.push(place);
    } else {
        splice.remove_item(&entry.value, index);
    }
}

/// Whether an entry that holds only sidecar_spec was written by us, in the style of its surroundings. Otherwise it was there and
/// empty, like `initContainers: []`.
fn is_ours_whole(map: &Node, value: &Node, splice: &Splice) -> bool {
    match (map.layout(), value.layout()) {
        (Some(Layout::Block), Some(Layout::Block)) => true,
        (Some(Layout::Flow(_)), Some(Layout::Flow(open))) => !splice.was_empty(open),
        _ => false,
    }
}

/// The entry that shares the process namespace, and whether it is sidecar_spec: it stands where we write it, and nothing says
/// that it was there before.
fn shared_processes(pod: &Pod, present: &Present, gone: &[usize]) -> Option<(usize, bool)> {
    let Found::Own(index, entry) = pod.document.find(pod.spec, SHARED) else { return None };
    let next = pod.spec.entries().get(index + 1);
    let is_before_ours = gone.contains(&(index + 1));
    let is_before_containers = next.is_some_and(|next| next.key.text() == Some("containers"));
    let is_at_front = matches!(pod.spec.layout(), Some(Layout::Flow(_))) && index <= 1;
    let is_in_place = is_before_ours || is_before_containers || is_at_front;
    Some((index, entry.value.plain() == Some("true") && is_in_place && !present.found_shared(pod)))
}

/// What goes with something that is taken out, though we did not write it.
fn with(additions: &[String]) -> String {
    if additions.is_empty() { String::new() } else { format!(" (with {})", additions.join(", ")) }
}

/// Takes our hook, and what belongs to it, out of a container. Says so if there was one.
pub(super) fn hook(
    pod: &Pod,
    present: &Present,
    port: u16,
    container: &Container,
    splice: &mut Splice,
) -> Option<String> {
    let Found::Own(place, lifecycle) = pod.document.find(container.node, "lifecycle") else { return None };
    let Found::Own(index, hook) = pod.document.find(&lifecycle.value, "preStop") else { return None };
    if container.is_alias || !present.owns(pod, &hook.value, port) {
        return None;
    }
    let told =
        format!("the hook of container {}{}", container.name, with(&sidecar_spec::hook_additions(pod, &hook.value)));
    let mut gone = Vec::new();
    item(pod, container.node, "volumeMounts", sidecar_spec::is_mount, &mut gone, splice);
    if lifecycle.value.entries().len() == 1 && is_ours_whole(container.node, &lifecycle.value, splice) {
        gone.push(place);
    } else {
        splice.remove_entries(&lifecycle.value, &[index]);
    }
    gone.sort_unstable();
    splice.remove_entries(container.node, &gone);
    Some(told)
}
