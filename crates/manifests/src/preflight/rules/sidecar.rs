//! Whether there is a sidecar, and whether it keeps running.

use crate::preflight::container::{Container, List, Role};
use crate::preflight::pod::PodView;
use crate::preflight::rule::{Evaluated, fail, pass, skip};

/// Exactly one container runs the sidecar.
pub(super) fn presence(pod: &PodView) -> Vec<Evaluated> {
    let sidecars: Vec<_> = pod.sidecars().collect();
    vec![match sidecars[..] {
        [] if pod.is_standalone() => pass("none: the hook drains without a sidecar"),
        [] if !pod.requires_sidecar() => skip("none, and no hook calls one"),
        [] => fail(
            format!("a hook calls lameduck, but no container runs it ({})", names(pod)),
            "add the sidecar, e.g. with lameduck inject; or remove the hook",
        ),
        [sidecar] if sidecar.list == List::Init => pass(format!("native sidecar {} (initContainers)", sidecar.name)),
        [sidecar] => pass(format!("ordinary container {}", sidecar.name)),
        [first, second, ..] => fail(
            format!("containers {} and {} both run the sidecar", first.name, second.name),
            "keep one: two sidecars would listen on one port and signal one target twice",
        ),
    }]
}

fn names(pod: &PodView) -> String {
    pod.containers.iter().map(|container| container.name).collect::<Vec<_>>().join(", ")
}

/// A native sidecar always restarts; an installer ends; a Job ends although a sidecar runs.
pub(super) fn restart_policy(pod: &PodView) -> Vec<Evaluated> {
    pod.own_containers().map(|container| restart_policy_of(pod, container)).collect()
}

fn restart_policy_of(pod: &PodView, container: &Container) -> Evaluated {
    let name = container.name;
    let line = container.view.line();
    match (&container.role, container.list, container.restarts_always()) {
        (Role::Installer, List::Init, false) => {
            pass(format!("init container {name} ends after it has copied the binary"))
        }
        (Role::Installer, List::Init, true) => fail(
            format!(
                "line {line}: init container {name} only copies the binary, but restartPolicy: Always repeats it forever"
            ),
            "remove its restartPolicy",
        ),
        (Role::Installer, List::Ordinary, _) => fail(
            format!(
                "line {line}: container {name} copies the binary while the main container already runs, and restarts forever"
            ),
            "move it to initContainers",
        ),
        (_, List::Init, true) => pass(format!("Always: {name} runs next to the main container")),
        (_, List::Init, false) => fail(
            format!(
                "line {line}: init container {name} does not have restartPolicy: Always, so the pod waits forever for it to exit"
            ),
            "set restartPolicy: Always on it (Kubernetes 1.29 or later), or move it to containers",
        ),
        (_, List::Ordinary, _) if matches!(pod.kind, "Job" | "CronJob") => fail(
            format!("line {line}: the pod of a {} never completes while ordinary container {name} runs", pod.kind),
            "move it to initContainers and set restartPolicy: Always on it (Kubernetes 1.29 or later)",
        ),
        (_, List::Ordinary, _) => pass(format!("{name} is an ordinary container")),
    }
}

/// The image has a tag or a digest, and the tag is a version.
pub(super) fn image(pod: &PodView) -> Vec<Evaluated> {
    pod.own_containers().map(image_of).collect()
}

fn image_of(container: &Container) -> Evaluated {
    const FIX: &str = "give it a version tag, e.g. lameduck:0.1.0, or a digest";
    let name = container.name;
    let Some(view) = container.view.get("image") else {
        return skip(format!("container {name} has no image: its workload's controller must set one"));
    };
    let (line, image) = (view.line(), view.text().unwrap_or_default());
    if image.contains("@sha256:") {
        return pass(image);
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    match last.split_once(':') {
        Some((_, "latest")) => fail(
            format!(
                "line {line}: {image}: the tag latest can point to another image later, so pods of one workload may run different versions"
            ),
            FIX,
        ),
        Some((_, tag)) if !tag.is_empty() => pass(image),
        Some(_) | None => fail(
            format!(
                "line {line}: {image} has no tag, which means latest: pods of one workload may run different versions"
            ),
            FIX,
        ),
    }
}
