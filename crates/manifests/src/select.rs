//! Which containers get the hook.

use crate::SIDECAR;
use crate::pods::{Container, Pod};
use crate::yaml::Node;

/// What users said of the containers that they mean.
#[derive(Clone, Debug, Default)]
pub struct ContainerSelector {
    /// `KIND/NAME` of workloads; all if there is none.
    pub workloads: Vec<String>,
    /// The main container's name.
    pub container: Option<String>,
    /// Further containers that get the hook.
    pub hold: Vec<String>,
    /// What the main container runs, if its name is not said.
    pub program: Option<String>,
    /// The last yaml_value of the name of an image that runs it.
    pub image: Option<&'static str>,
}

/// The containers of a pod that get the hook.
#[derive(Debug)]
pub struct Picked<'a> {
    /// The one whose streams are counted.
    pub main: Container<'a>,
    /// The others.
    pub held: Vec<Container<'a>>,
}

impl ContainerSelector {
    /// Whether this workload is meant at all.
    #[must_use]
    pub fn includes(&self, pod: &Pod) -> bool {
        self.workloads.is_empty() || self.workloads.iter().any(|title| title.eq_ignore_ascii_case(&pod.title()))
    }

    /// The workloads that were named, and are not there.
    pub fn missing<'a>(&'a self, pods: &'a [Pod]) -> impl Iterator<Item = &'a str> {
        let is_there = |title: &&String| pods.iter().any(|pod| title.eq_ignore_ascii_case(&pod.title()));
        self.workloads.iter().filter(move |title| !is_there(title)).map(String::as_str)
    }

    /// Picks the containers of a pod; `None` if it has nothing to do with us.
    ///
    /// # Errors
    /// Fails where several could be meant, or one that was named is not there.
    pub fn select<'a>(&self, pod: &Pod<'a>) -> Result<Option<Picked<'a>>, String> {
        if !self.includes(pod) {
            return Ok(None);
        }
        let mut containers = pod.containers("containers");
        containers.retain(|container| container.name != SIDECAR);
        let Some(main) = self.main(pod, &containers)? else { return Ok(None) };
        let mut held = Vec::new();
        for name in self.hold.iter().filter(|name| **name != main.name) {
            held.push(*containers.iter().find(|container| container.name == name).ok_or_else(|| {
                format!("--hold {name}: {} has no such container; it has {}", pod.title(), names(&containers))
            })?);
        }
        Ok(Some(Picked { main, held }))
    }

    fn main<'a>(&self, pod: &Pod<'a>, containers: &[Container<'a>]) -> Result<Option<Container<'a>>, String> {
        let title = pod.title();
        if let Some(name) = &self.container {
            let found = containers.iter().find(|container| container.name == name);
            return match found {
                None if self.workloads.is_empty() => Ok(None),
                None => Err(format!("--container {name}: {title} has no such container; it has {}", names(containers))),
                Some(found) => Ok(Some(*found)),
            };
        }
        let candidates: Vec<_> = containers.iter().filter(|container| self.runs(pod, container)).copied().collect();
        match candidates[..] {
            [one] => Ok(Some(one)),
            [] if self.workloads.is_empty() => Ok(None),
            [] if containers.len() == 1 => Ok(Some(containers[0])),
            [] if containers.is_empty() => Err(format!("{title}: it has no containers; mend that first")),
            [] => Err(format!(
                "{title}: none of its containers ({}) is known to be the one to drain; name it with --container",
                names(containers)
            )),
            _ => Err(format!(
                "{title}: several containers could be the one to drain ({}); name it with --container, and the others, if their streams must not be cut either, with --hold",
                names(&candidates)
            )),
        }
    }

    fn runs(&self, pod: &Pod, container: &Container) -> bool {
        let words = |key| pod.document.get(container.node, key).map_or(&[][..], Node::items).iter();
        let mut words =
            words("command").chain(words("args").take(1)).filter_map(|word| pod.document.resolve(word).text());
        let is_it = |word: &str| self.program.as_deref().is_some_and(|program| basename(word) == program);
        let image = pod.document.get(container.node, "image").and_then(|image| image.text());
        words.any(is_it) || self.image.zip(image).is_some_and(|(wanted, image)| basename(repository(image)) == wanted)
    }
}

fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// An image's name without tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

fn names(containers: &[Container]) -> String {
    if containers.is_empty() {
        return "none".into();
    }
    containers.iter().map(|container| container.name).collect::<Vec<_>>().join(", ")
}
