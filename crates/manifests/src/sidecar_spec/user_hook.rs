//! Hooks that users wrote and that call lameduck.

use crate::pods::{Container, Pod};
use crate::select::{basename, repository};
use crate::yaml::Node;

/// The name of the program and of its image.
const PROGRAM: &str = "lameduck";

/// The words of an exec hook.
#[must_use]
pub fn exec_command<'a>(pod: &Pod<'a>, hook: &'a Node) -> Vec<&'a str> {
    let command = pod.document.get_path(hook, &["exec", "command"]).map_or(&[][..], Node::items);
    command.iter().filter_map(|word| pod.document.resolve(word).text()).collect()
}

/// Whether a container may not have the program of its hook: its image is not lameduck's, and no volume that an init
/// container fills is mounted where the program is.
#[must_use]
pub fn runs_missing_program(pod: &Pod, container: &Container, program: &str) -> bool {
    let image = pod.document.get(container.node, "image").and_then(Node::text).unwrap_or_default();
    let init = pod.containers("initContainers");
    let filled: Vec<_> = init.iter().flat_map(|init| mounts(pod, init)).map(|(name, _)| name).collect();
    let is_filled = |(name, path): (&str, &str)| {
        let rest = program.strip_prefix(path.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.starts_with('/')) && filled.contains(&name)
    };
    basename(repository(image)) != PROGRAM && !mounts(pod, container).into_iter().any(is_filled)
}

/// The volumes that a container mounts: their names and paths.
fn mounts<'a>(pod: &Pod<'a>, container: &Container<'a>) -> Vec<(&'a str, &'a str)> {
    let text = |node, key| pod.document.get(node, key).and_then(Node::text);
    let items = pod.document.get(container.node, "volumeMounts").map_or(&[][..], Node::items);
    items.iter().filter_map(|mount| Some((text(mount, "name")?, text(mount, "mountPath")?))).collect()
}
