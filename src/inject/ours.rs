//! What is ours in a pod: what it looks like, and how it is found again.

use crate::inject::part::Part;
use crate::inject::pods::{Container, Pod};
use crate::inject::{Request, SIDECAR, Setting};
use crate::readers::yaml::Node;

/// Where a standalone drain's binary is mounted.
pub const MOUNT: &str = "/lameduck";
/// Where the volume is in the container that fills it: in its image, `MOUNT` is the binary itself.
const INSTALL: &str = "/install";
/// The standalone binary.
pub const BINARY: &str = "/lameduck/lameduck";
/// The hook's path.
const PRESTOP: &str = "/prestop";
/// A user that is not root, for the container that only copies the binary.
const NOBODY: u32 = 65532;

/// How lameduck is put into a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
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

/// What is found of ours in a pod.
#[derive(Debug)]
pub struct Present<'a> {
    /// The container that is named as ours, and the list that it is in.
    pub container: Option<(&'static str, Container<'a>)>,
    /// As what it is there.
    pub shape: Option<Shape>,
    /// The port that it listens on.
    pub port: Option<u16>,
}

impl<'a> Present<'a> {
    /// Looks into a pod.
    #[must_use]
    pub fn find(pod: &Pod<'a>) -> Self {
        let lists = ["initContainers", "containers"].into_iter();
        let mut all = lists.flat_map(|list| pod.containers(list).into_iter().map(move |container| (list, container)));
        let container = all.find(|(_, container)| container.name == SIDECAR);
        let shape = container.map(|(list, container)| {
            let policy = pod.document.get(container.node, "restartPolicy").and_then(Node::text);
            match (list, policy) {
                ("containers", _) => Shape::Classic,
                (_, Some("Always")) => Shape::Native,
                _ => Shape::Standalone,
            }
        });
        let port = container.and_then(|(_, container)| ports(pod, &container).next());
        Self { container, shape, port }
    }

    /// Whether a preStop hook is ours: our path and our port, or our binary.
    #[must_use]
    pub fn owns(&self, pod: &Pod, hook: &Node, port: u16) -> bool {
        let text = |path: &[&str]| pod.document.at(hook, path).and_then(Node::text);
        let number = pod.document.at(hook, &["httpGet", "port"]).and_then(number);
        let ours = number.is_some_and(|number| number == port || Some(number) == self.port);
        let command = pod.document.at(hook, &["exec", "command"]).and_then(|list| list.items().first());
        ours && text(&["httpGet", "path"]) == Some(PRESTOP) || command.and_then(Node::text) == Some(BINARY)
    }
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
    let first = [BINARY, "drain", "--standalone", "--hook"].map(str::to_owned);
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
pub fn sidecar(request: &Request, grace_period: u64, user: User) -> Part {
    let probe = |path, failures: Option<u32>| {
        let get = Part::Map(vec![("path", Part::text(path)), ("port", Part::bare(request.port))]);
        let failures = failures.map(|failures| ("failureThreshold", Part::bare(failures)));
        let period = ("periodSeconds", Part::bare(1));
        Part::Map([("httpGet", get), period].into_iter().chain(failures).collect())
    };
    let port = Part::Map(vec![("name", Part::text(SIDECAR)), ("containerPort", Part::bare(request.port))]);
    let mut entries =
        vec![("name", Part::text(SIDECAR)), ("image", Part::text(&request.image)), ("args", Part::texts(["sidecar"]))];
    entries.extend((request.shape == Shape::Native).then(|| ("restartPolicy", Part::text("Always"))));
    entries.extend([
        ("env", environment(&request.settings, grace_period)),
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
        ("volumeMounts", Part::List(vec![mount(INSTALL, false)])),
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

fn environment(settings: &[Setting], grace_period: u64) -> Part {
    let variable =
        |name: &str, value: String| Part::Map(vec![("name", Part::text(name)), ("value", Part::text(value))]);
    let first = variable("LAMEDUCK_GRACE_PERIOD", grace_period.to_string());
    let rest = settings.iter().map(|setting| variable(&setting.variable, setting.values.join("\n")));
    Part::List([first].into_iter().chain(rest).collect())
}

/// What the restricted level of Pod Security asks for.
fn restricted(user: User) -> Part {
    let mut entries = vec![("runAsUser", Part::bare(user.uid))];
    entries.extend(user.gid.map(|gid| ("runAsGroup", Part::bare(gid))));
    entries.extend((user.uid != 0).then(|| ("runAsNonRoot", Part::bare(true))));
    entries.extend([
        ("readOnlyRootFilesystem", Part::bare(true)),
        ("allowPrivilegeEscalation", Part::bare(false)),
        ("capabilities", Part::Map(vec![("drop", Part::texts(["ALL"]))])),
        ("seccompProfile", Part::Map(vec![("type", Part::text("RuntimeDefault"))])),
    ]);
    Part::Map(entries)
}

/// Requests equal to limits for memory: a sidecar that dies while its pod ends is not started again.
fn resources() -> Part {
    let memory = || ("memory", Part::text("32Mi"));
    let requests = Part::Map(vec![("cpu", Part::text("10m")), memory()]);
    Part::Map(vec![("requests", requests), ("limits", Part::Map(vec![memory()]))])
}
