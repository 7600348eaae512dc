//! Which containers get the hook.

use crate::pods::{Container, Pod};
use crate::request::{ContainerSelector, SIDECAR_NAME};
use crate::yaml::Node;

/// The containers of a pod that get the hook.
#[derive(Debug)]
pub struct Selection<'a> {
    /// The container whose streams are counted.
    pub main: Container<'a>,
    /// The other containers.
    pub extra_hooked: Vec<Container<'a>>,
}

impl<'a> Selection<'a> {
    /// The main container, then the others.
    pub fn containers(&self) -> impl Iterator<Item = &Container<'a>> {
        std::iter::once(&self.main).chain(&self.extra_hooked)
    }
}

impl ContainerSelector {
    /// Whether this workload is selected.
    #[must_use]
    pub fn includes(&self, pod: &Pod) -> bool {
        self.workloads.is_empty() || self.workloads.iter().any(|name| pod.is_named(name))
    }

    /// The workloads that were named but do not exist.
    pub fn missing_workloads<'a>(&'a self, pods: &'a [Pod]) -> impl Iterator<Item = &'a str> {
        let exists = |name: &&String| pods.iter().any(|pod| pod.is_named(name));
        self.workloads.iter().filter(move |name| !exists(name)).map(String::as_str)
    }

    /// Selects the containers of a pod; `None` if the pod is not selected.
    ///
    /// # Errors
    /// Fails if several containers match, or a named container does not exist.
    pub fn select<'a>(&self, pod: &Pod<'a>) -> Result<Option<Selection<'a>>, String> {
        let is_chosen = pod.is_known || !self.workloads.is_empty();
        if !is_chosen || !self.includes(pod) {
            return Ok(None);
        }
        let mut containers = pod.containers("containers");
        containers.retain(|container| container.name != SIDECAR_NAME);
        let Some(main) = self.main(pod, &containers)? else { return Ok(None) };
        let mut extra_hooked = Vec::new();
        for name in self.also_hook.iter().filter(|name| **name != main.name) {
            extra_hooked.push(*containers.iter().find(|container| container.name == name).ok_or_else(|| {
                format!("--also-hook {name}: {} has no such container; it has {}", pod.title(), names(&containers))
            })?);
        }
        Ok(Some(Selection { main, extra_hooked }))
    }

    fn main<'a>(&self, pod: &Pod<'a>, containers: &[Container<'a>]) -> Result<Option<Container<'a>>, String> {
        let title = pod.title();
        // Of several templates of one workload, some may have nothing to drain.
        let is_optional = self.workloads.is_empty() || pod.template_key.is_some();
        if let Some(name) = &self.container {
            let found = containers.iter().find(|container| container.name == name);
            return match found {
                None if is_optional => Ok(None),
                None => Err(format!("--container {name}: {title} has no such container; it has {}", names(containers))),
                Some(found) => Ok(Some(*found)),
            };
        }
        let candidates: Vec<_> =
            containers.iter().filter(|container| self.runs_program(pod, container)).copied().collect();
        match candidates[..] {
            [one] => Ok(Some(one)),
            [] if is_optional => Ok(None),
            [] if containers.len() == 1 => Ok(Some(containers[0])),
            [] if containers.is_empty() => Err(format!("{title}: it has no containers; fix that first")),
            [] => Err(format!(
                "{title}: none of its containers ({}) is known as the one to drain; name it with --container",
                names(containers)
            )),
            _ => Err(format!(
                "{title}: several containers could be the one to drain ({}); name it with --container, and any others whose streams must not be cut with --also-hook",
                names(&candidates)
            )),
        }
    }

    fn runs_program(&self, pod: &Pod, container: &Container) -> bool {
        let words = |key| pod.document.get(container.node, key).map_or(&[][..], Node::items).iter();
        let mut words =
            words("command").chain(words("args").take(1)).filter_map(|word| pod.document.resolve(word).text());
        let is_program = |word: &str| self.program.as_deref().is_some_and(|program| basename(word) == program);
        let image = pod.document.get(container.node, "image").and_then(|image| image.text());
        words.any(is_program)
            || self.image.zip(image).is_some_and(|(expected, image)| basename(repository(image)) == expected)
    }
}

/// The last component of a path.
pub(crate) fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// An image's name without tag and digest.
pub(crate) fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

pub(crate) fn names(containers: &[Container]) -> String {
    if containers.is_empty() {
        return "none".into();
    }
    containers.iter().map(|container| container.name).collect::<Vec<_>>().join(", ")
}
