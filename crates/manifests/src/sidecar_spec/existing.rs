//! Recognizing lameduck's own work in a pod.

use super::{
    BINARY, BINARY_DIR, FALLBACK_TO_LOGS, GRACE_PERIOD, HOST, LOOPBACK, MANAGED_KEYS, MOUNTS, PRESTOP_PATH, STANDALONE,
    TERMINATION_POLICY,
};
use crate::pods::{Container, Pod};
use crate::request::{Mode, SIDECAR_NAME};
use crate::yaml::Node;

/// What is already in a pod under lameduck's name.
#[derive(Debug)]
pub struct Existing<'a> {
    /// Lameduck's container, and the list that contains it.
    pub container: Option<(&'static str, Container<'a>)>,
    /// A container of the same name that runs something else.
    pub foreign: Option<Container<'a>>,
    /// How lameduck runs in the pod.
    pub mode: Option<Mode>,
    /// The port that the sidecar listens on.
    pub port: Option<u16>,
}

impl<'a> Existing<'a> {
    /// Searches a pod.
    #[must_use]
    pub fn find(pod: &Pod<'a>) -> Self {
        let lists = ["initContainers", "containers"].into_iter();
        let mut all = lists.flat_map(|list| pod.containers(list).into_iter().map(move |container| (list, container)));
        let Some((list, container)) = all.find(|(_, container)| container.name == SIDECAR_NAME) else {
            return Self { container: None, foreign: None, mode: None, port: None };
        };
        let mode = if runs_command(pod, &container, "install") && list == "initContainers" {
            Mode::Standalone
        } else if runs_command(pod, &container, "sidecar") {
            if list == "containers" { Mode::Classic } else { Mode::Native }
        } else {
            return Self { container: None, foreign: Some(container), mode: None, port: None };
        };
        let port = ports(pod, &container).next();
        Self { container: Some((list, container)), foreign: None, mode: Some(mode), port }
    }

    /// Whether lameduck wrote a preStop hook: it calls the sidecar, on its port or the given one, or runs the standalone
    /// drain.
    #[must_use]
    pub fn is_our_hook(&self, pod: &Pod, hook: &Node, port: Option<u16>) -> bool {
        let command = pod.document.get_path(hook, &["exec", "command"]).map_or(&[][..], Node::items);
        let runs_drain = command.first().and_then(Node::text) == Some(BINARY)
            && command.iter().any(|word| word.text() == Some(STANDALONE));
        self.container.is_some() && (self.calls_sidecar(pod, hook, port) || runs_drain)
    }

    /// Whether a hook calls the sidecar, on its port or the given one.
    #[must_use]
    pub fn calls_sidecar(&self, pod: &Pod, hook: &Node, port: Option<u16>) -> bool {
        let text = |path: &[&str]| pod.document.get_path(hook, path).and_then(Node::text);
        let hook_port = pod.document.get_path(hook, &["httpGet", "port"]).and_then(port_number);
        let is_our_port = hook_port.is_some() && (hook_port == port || hook_port == self.port);
        let is_this_pod = text(&["httpGet", HOST]).is_none_or(|host| host == LOOPBACK)
            && text(&["httpGet", "scheme"]).is_none_or(|scheme| scheme == "HTTP");
        is_our_port && is_this_pod && text(&["httpGet", "path"]) == Some(PRESTOP_PATH)
    }

    /// The value of a variable of lameduck's container.
    #[must_use]
    pub fn variable(&self, pod: &Pod<'a>, name: &str) -> Option<&'a str> {
        let (_, container) = self.container.as_ref()?;
        let env = pod.document.get(container.node, "env").map_or(&[][..], Node::items);
        let is_it = |variable: &&Node| pod.document.get(variable, "name").and_then(Node::text) == Some(name);
        pod.document.get(env.iter().find(is_it)?, "value")?.text()
    }

    /// Fields and environment variables of lameduck's container that `inject` may not have written.
    #[must_use]
    pub fn additions(&self, pod: &Pod) -> Vec<String> {
        let Some((_, container)) = self.container else { return Vec::new() };
        let is_installer = self.mode == Some(Mode::Standalone);
        let is_managed = |key: &str| MANAGED_KEYS.contains(&key) || is_installer && key == MOUNTS;
        let is_own_value = |value: &Node| value.is_null() || value.text() == Some(FALLBACK_TO_LOGS);
        let entries = container.node.entries().iter().filter_map(|entry| Some((entry.key.text()?, &entry.value)));
        let is_added =
            |(key, value): &(&str, &Node)| !is_managed(key) || *key == TERMINATION_POLICY && !is_own_value(value);
        let env = pod.document.get(container.node, "env").map_or(&[][..], Node::items);
        let names = env.iter().filter_map(|variable| pod.document.get(variable, "name")?.text());
        let keys = entries.filter(is_added).map(|(key, _)| key);
        keys.chain(names.filter(|name| *name != GRACE_PERIOD)).map(str::to_owned).collect()
    }
}

/// Fields and flags of one of lameduck's hooks that `inject` may not have written.
#[must_use]
pub fn hook_additions(pod: &Pod, hook: &Node) -> Vec<String> {
    let get = pod.document.get(hook, "httpGet").map_or(&[][..], Node::entries);
    let keys =
        get.iter().filter_map(|entry| entry.key.text()).filter(|key| !["path", "port", "scheme", HOST].contains(key));
    let command = pod.document.get_path(hook, &["exec", "command"]).map_or(&[][..], Node::items);
    let words = command.iter().skip(4).filter_map(Node::text).filter(|word| !word.starts_with("--grace-period"));
    keys.chain(words).map(str::to_owned).collect()
}

/// Whether a container runs a subcommand of lameduck.
fn runs_command(pod: &Pod, container: &Container, command: &str) -> bool {
    let words = |key| pod.document.get(container.node, key).map_or(&[][..], Node::items).iter();
    words("command").chain(words("args")).take(2).any(|word| word.text() == Some(command))
}

/// The item of a list that has lameduck's name.
#[must_use]
pub fn find_named<'a>(pod: &Pod<'a>, map: &'a Node, list: &str) -> Option<&'a Node> {
    let items = pod.document.get(map, list).map_or(&[][..], Node::items);
    items.iter().find(|item| pod.document.get(item, "name").and_then(Node::text) == Some(SIDECAR_NAME))
}

/// Whether lameduck may have written a volume of its name.
#[must_use]
pub fn is_our_volume(pod: &Pod, volume: &Node) -> bool {
    pod.document.get(volume, "emptyDir").is_some()
}

/// Whether lameduck may have written a mount of its name.
#[must_use]
pub fn is_our_mount(pod: &Pod, mount: &Node) -> bool {
    pod.document.get(mount, "mountPath").and_then(Node::text) == Some(BINARY_DIR)
}

/// The ports that a container declares.
pub fn ports<'a>(pod: &Pod<'a>, container: &Container<'a>) -> impl Iterator<Item = u16> {
    let document = pod.document;
    let ports = document.get(container.node, "ports").map_or(&[][..], Node::items);
    ports.iter().filter_map(|port| document.get(port, "containerPort").and_then(port_number))
}

fn port_number(node: &Node) -> Option<u16> {
    node.plain()?.parse().ok()
}
