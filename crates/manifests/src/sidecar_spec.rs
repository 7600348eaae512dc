//! What is sidecar_spec in a pod: what it looks like, and how it is found again.

use crate::pods::{Container, Pod};
use crate::yaml::Node;
use crate::yaml_value::Part;
use crate::{Request, SIDECAR, Setting};

/// Where a standalone drain's binary is mounted.
pub const MOUNT: &str = "/lameduck";
/// Where the volume is in the container that fills it: in its image, `MOUNT` is the binary itself.
const INSTALL: &str = "/install";
/// The standalone binary.
pub const BINARY: &str = "/lameduck/lameduck";
/// What makes a drain do without a sidecar.
const STANDALONE: &str = "--standalone";
/// The sidecar's grace period.
const GRACE_PERIOD: &str = "LAMEDUCK_GRACE_PERIOD";
/// A variable that the sidecar does not read: it reminds us not to take out what was there before us.
pub const SHARED_BEFORE: &str = "LAMEDUCK_SHARED_BEFORE";
/// What we write into a container.
const KEYS: [&str; 10] = [
    "name",
    "image",
    "args",
    "restartPolicy",
    "env",
    "ports",
    "startupProbe",
    "readinessProbe",
    "securityContext",
    "resources",
];
/// What only the container that brings the binary needs.
const MOUNTS: &str = "volumeMounts";
/// The hook's path.
const PRESTOP: &str = "/prestop";
/// A user that is not root, for a container that signals nobody.
pub const NOBODY: u32 = 65532;

/// How lameduck is put into a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As an init container that is restarted always (Kubernetes 1.29 or later).
    Native,
    /// As an ordinary container.
    Classic,
    /// As a process of the main container's own hook.
    Standalone,
}

/// The user that signals the target: the target's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Its uid.
    pub uid: u32,
    /// Its gid, where the manifest says it.
    pub gid: Option<u32>,
}

/// What is found of sidecar_spec in a pod.
#[derive(Debug)]
pub struct Present<'a> {
    /// The container that is sidecar_spec, and the list that it is in.
    pub container: Option<(&'static str, Container<'a>)>,
    /// One that has our name, and does something else.
    pub stranger: Option<Container<'a>>,
    /// As what it is there.
    pub shape: Option<Mode>,
    /// The port that it listens on.
    pub port: Option<u16>,
}

impl<'a> Present<'a> {
    /// Looks into a pod.
    #[must_use]
    pub fn find(pod: &Pod<'a>) -> Self {
        let lists = ["initContainers", "containers"].into_iter();
        let mut all = lists.flat_map(|list| pod.containers(list).into_iter().map(move |container| (list, container)));
        let Some((list, container)) = all.find(|(_, container)| container.name == SIDECAR) else {
            return Self { container: None, stranger: None, shape: None, port: None };
        };
        let shape = if runs(pod, &container, "install") && list == "initContainers" {
            Mode::Standalone
        } else if runs(pod, &container, "sidecar") {
            if list == "containers" { Mode::Classic } else { Mode::Native }
        } else {
            return Self { container: None, stranger: Some(container), shape: None, port: None };
        };
        let port = ports(pod, &container).next();
        Self { container: Some((list, container)), stranger: None, shape: Some(shape), port }
    }

    /// Whether a preStop hook is sidecar_spec: it calls the sidecar, or is the standalone drain.
    #[must_use]
    pub fn owns(&self, pod: &Pod, hook: &Node, port: u16) -> bool {
        let text = |path: &[&str]| pod.document.at(hook, path).and_then(Node::text);
        let number = pod.document.at(hook, &["httpGet", "port"]).and_then(number);
        let is_port = number.is_some_and(|number| number == port || Some(number) == self.port);
        let is_here =
            text(&["httpGet", "host"]).is_none() && text(&["httpGet", "scheme"]).is_none_or(|scheme| scheme == "HTTP");
        let calls = is_port && is_here && text(&["httpGet", "path"]) == Some(PRESTOP);
        let command = pod.document.at(hook, &["exec", "command"]).map_or(&[][..], Node::items);
        let drains = command.first().and_then(Node::text) == Some(BINARY);
        self.container.is_some() && (calls || drains && command.iter().any(|word| word.text() == Some(STANDALONE)))
    }

    /// What people added to our container, as far as that can be told from what we write.
    #[must_use]
    pub fn additions(&self, pod: &Pod) -> Vec<String> {
        let Some((_, container)) = self.container else { return Vec::new() };
        let keys = container.node.entries().iter().filter_map(|entry| entry.key.text());
        let is_installer = self.shape == Some(Mode::Standalone);
        let is_ours = |key: &&str| KEYS.contains(key) || is_installer && *key == MOUNTS;
        let keys = keys.filter(|key| !is_ours(key)).map(str::to_owned);
        let env = pod.document.get(container.node, "env").map_or(&[][..], Node::items);
        let names = env.iter().filter_map(|variable| pod.document.get(variable, "name")?.text());
        keys.chain(names.filter(|name| ![GRACE_PERIOD, SHARED_BEFORE].contains(name)).map(str::to_owned)).collect()
    }

    /// Whether the processes were shared before we came.
    #[must_use]
    pub fn found_shared(&self, pod: &Pod) -> bool {
        let Some((_, container)) = self.container else { return false };
        let env = pod.document.get(container.node, "env").map_or(&[][..], Node::items);
        env.iter().any(|variable| pod.document.get(variable, "name").and_then(Node::text) == Some(SHARED_BEFORE))
    }
}

/// Whether a hook of people's own waits for the sidecar: it calls `lameduck drain --hook`, itself or in a script.
#[must_use]
pub fn waits(pod: &Pod, hook: &Node) -> bool {
    let command = pod.document.at(hook, &["exec", "command"]).map_or(&[][..], Node::items);
    let line = command.iter().filter_map(Node::text).collect::<Vec<_>>().join(" ");
    line.contains("lameduck drain") && line.contains("--hook") && !line.contains(STANDALONE)
}

/// What people added to a hook of sidecar_spec.
#[must_use]
pub fn hook_additions(pod: &Pod, hook: &Node) -> Vec<String> {
    let get = pod.document.get(hook, "httpGet").map_or(&[][..], Node::entries);
    let keys = get.iter().filter_map(|entry| entry.key.text()).filter(|key| !["path", "port", "scheme"].contains(key));
    let command = pod.document.at(hook, &["exec", "command"]).map_or(&[][..], Node::items);
    let words = command.iter().skip(4).filter_map(Node::text).filter(|word| !word.starts_with("--grace-period"));
    keys.chain(words).map(str::to_owned).collect()
}

/// Whether a container runs a command of sidecar_spec.
fn runs(pod: &Pod, container: &Container, command: &str) -> bool {
    let words = |key| pod.document.get(container.node, key).map_or(&[][..], Node::items).iter();
    words("command").chain(words("args")).take(2).any(|word| word.text() == Some(command))
}

/// The item of a list that has our name.
#[must_use]
pub fn named<'a>(pod: &Pod<'a>, map: &'a Node, key: &str) -> Option<&'a Node> {
    let items = pod.document.get(map, key).map_or(&[][..], Node::items);
    items.iter().find(|item| pod.document.get(item, "name").and_then(Node::text) == Some(SIDECAR))
}

/// Whether a volume can be sidecar_spec.
#[must_use]
pub fn is_volume(pod: &Pod, volume: &Node) -> bool {
    pod.document.get(volume, "emptyDir").is_some()
}

/// Whether a mount of the binary is sidecar_spec.
#[must_use]
pub fn is_mount(pod: &Pod, mount: &Node) -> bool {
    pod.document.get(mount, "mountPath").and_then(Node::text) == Some(MOUNT)
}

/// The ports that a container declares.
pub fn ports<'a>(pod: &Pod<'a>, container: &Container<'a>) -> impl Iterator<Item = u16> {
    let document = pod.document;
    let ports = document.get(container.node, "ports").map_or(&[][..], Node::items);
    ports.iter().filter_map(|port| document.get(port, "containerPort").and_then(number))
}

fn number(node: &Node) -> Option<u16> {
    node.plain()?.parse().ok()
}

/// The hook of a container that waits for the sidecar.
#[must_use]
pub fn hook(port: u16) -> Part {
    // The port by its number: the kubelet looks a name up in the container that declares the hook.
    Part::Map(vec![("httpGet", Part::Map(vec![("path", Part::text(PRESTOP)), ("port", Part::bare(port))]))])
}

/// The hook that does the whole drain itself.
#[must_use]
pub fn standalone_hook(request: &Request, grace_period: u64) -> Part {
    let first = [BINARY, "drain", STANDALONE, "--hook"].map(str::to_owned);
    let grace_period = format!("--grace-period={grace_period}");
    let flags = request.settings.iter().flat_map(|setting| {
        let Setting { flag, values, .. } = setting;
        values.iter().map(move |value| format!("--{flag}={value}"))
    });
    let command = first.into_iter().chain([grace_period]).chain(flags);
    Part::Map(vec![("exec", Part::Map(vec![("command", Part::texts(command))]))])
}

/// The sidecar.
#[must_use]
pub fn sidecar(request: &Request, grace_period: u64, user: User, shared_before: bool) -> Part {
    let probe = |path, failures: Option<u32>| {
        let get = Part::Map(vec![("path", Part::text(path)), ("port", Part::bare(request.port))]);
        let failures = failures.map(|failures| ("failureThreshold", Part::bare(failures)));
        let period = ("periodSeconds", Part::bare(1));
        Part::Map([("httpGet", get), period].into_iter().chain(failures).collect())
    };
    let port = Part::Map(vec![("name", Part::text(SIDECAR)), ("containerPort", Part::bare(request.port))]);
    let mut entries =
        vec![("name", Part::text(SIDECAR)), ("image", Part::text(&request.image)), ("args", Part::texts(["sidecar"]))];
    entries.extend((request.shape == Mode::Native).then(|| ("restartPolicy", Part::text("Always"))));
    entries.extend([
        ("env", environment(&request.settings, grace_period, shared_before)),
        ("ports", Part::List(vec![port])),
        // A native sidecar starts before the main container, so only /livez can say that it has started.
        ("startupProbe", probe("/livez", Some(30))),
        ("readinessProbe", probe("/readyz", Some(1))),
        ("securityContext", restricted(user)),
        ("resources", resources()),
    ]);
    Part::Map(entries)
}

/// The init container that brings the binary.
#[must_use]
pub fn installer(request: &Request) -> Part {
    Part::Map(vec![
        ("name", Part::text(SIDECAR)),
        ("image", Part::text(&request.image)),
        ("args", Part::texts(["install", INSTALL])),
        (MOUNTS, Part::List(vec![mount(INSTALL, false)])),
        ("securityContext", restricted(User { uid: NOBODY, gid: None })),
        ("resources", resources()),
    ])
}

/// The volume of the binary.
#[must_use]
pub fn volume() -> Part {
    Part::Map(vec![("name", Part::text(SIDECAR)), ("emptyDir", Part::Map(Vec::new()))])
}

/// Where the binary is seen.
#[must_use]
pub fn mount(path: &'static str, read_only: bool) -> Part {
    let read_only = read_only.then(|| ("readOnly", Part::bare(true)));
    let entries = [("name", Part::text(SIDECAR)), ("mountPath", Part::text(path))];
    Part::Map(entries.into_iter().chain(read_only).collect())
}

fn environment(settings: &[Setting], grace_period: u64, shared_before: bool) -> Part {
    let variable =
        |name: &str, value: String| Part::Map(vec![("name", Part::text(name)), ("value", Part::text(value))]);
    let first = variable(GRACE_PERIOD, grace_period.to_string());
    let rest = settings.iter().map(|setting| variable(&setting.variable, setting.values.join("\n")));
    let mark = shared_before.then(|| variable(SHARED_BEFORE, "true".into()));
    Part::List([first].into_iter().chain(rest).chain(mark).collect())
}

/// What the restricted level of Pod Security asks for.
fn restricted(user: User) -> Part {
    let mut entries = vec![("runAsUser", Part::bare(user.uid))];
    entries.extend(user.gid.map(|gid| ("runAsGroup", Part::bare(gid))));
    // Said of root as well: otherwise the pod's own word would hold.
    entries.push(("runAsNonRoot", Part::bare(user.uid != 0)));
    entries.extend([
        ("readOnlyRootFilesystem", Part::bare(true)),
        ("allowPrivilegeEscalation", Part::bare(false)),
        ("capabilities", Part::Map(vec![("drop", Part::texts(["ALL"]))])),
        ("seccompProfile", Part::Map(vec![("type", Part::text("RuntimeDefault"))])),
    ]);
    Part::Map(entries)
}

/// Requests equal to limits: so a pod of the class Guaranteed stays one, quotas are content, and memory that runs short
/// does not hit a sidecar that is not started again once its pod ends.
fn resources() -> Part {
    let all = || Part::Map(vec![("cpu", Part::text("50m")), ("memory", Part::text("32Mi"))]);
    Part::Map(vec![("requests", all()), ("limits", all())])
}

/// Of a container of sidecar_spec that is there already, what is brought up to date: how it is called and what it may use are
/// its people's.
#[must_use]
pub fn renewed(container: &Part) -> Vec<(&'static str, Part)> {
    let sidecar_spec = container.entries().iter().filter(|(key, _)| !["args", "resources"].contains(key));
    sidecar_spec.cloned().collect()
}
