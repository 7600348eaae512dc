//! The fields that lameduck writes into a pod, and how it recognizes them later.

use crate::pods::Pod;
use crate::request::{Mode, Request, RunAsUser, SIDECAR_NAME, Setting};
use crate::waiting_call::PRESTOP_PATH;
use crate::yaml::Node;
use crate::yaml_value::{YamlValue, quote};

mod annotations;
mod existing;
mod user_hook;

pub use annotations::{app_armor_annotation, namespace_before, original_hooks};
pub use existing::{Existing, find_named, hook_additions, is_our_mount, is_our_volume, ports};
pub use user_hook::{exec_command, runs_missing_program};

/// The directory where a standalone drain's binary is mounted in the main container.
pub const BINARY_DIR: &str = "/lameduck";
/// The same volume in the init container that fills it: in lameduck's image, `BINARY_DIR` is the binary itself.
const INSTALL_DIR: &str = "/install";
/// The binary of a standalone drain.
const BINARY: &str = "/lameduck/lameduck";
/// The flag that makes `lameduck drain` work without a sidecar.
const STANDALONE: &str = "--standalone";
/// The setting of the sidecar's grace period.
const GRACE_PERIOD: &str = "LAMEDUCK_GRACE_PERIOD";
/// The annotation with the value of `shareProcessNamespace` before lameduck was injected, if there was one: true, or the
/// text of a null. Removal restores it.
const NAMESPACE_BEFORE: &str = "lameduck/process-namespace-was-shared";
/// The annotation with the preStop hooks that lameduck has replaced or taken over. Removal restores them.
pub const ORIGINAL_HOOKS: &str = "lameduck/original-hooks";
/// The annotations with the AppArmor profiles of containers, before Kubernetes 1.30.
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
/// The annotation with the sidecar's profile.
const OWN_APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/lameduck";
/// The annotations that lameduck writes.
pub const OWN_ANNOTATIONS: [&str; 3] = [NAMESPACE_BEFORE, ORIGINAL_HOOKS, OWN_APP_ARMOR];
/// The label by which `lameduck-fleet` finds a pod, and its value.
pub const LABEL: (&str, &str) = ("lameduck/sidecar", "true");
/// The fields of the sidecar's container that lameduck writes.
const MANAGED_KEYS: [&str; 11] = [
    "name",
    "image",
    "args",
    "restartPolicy",
    "env",
    "ports",
    "startupProbe",
    "readinessProbe",
    TERMINATION_POLICY,
    "securityContext",
    "resources",
];
/// Where the kubelet takes the termination message from.
const TERMINATION_POLICY: &str = "terminationMessagePolicy";
/// If the container fails without a termination message, the end of its log is the message. So `kubectl describe pod`
/// shows which setting was refused (kubernetes, `pkg/apis/core/types.go`).
const FALLBACK_TO_LOGS: &str = "FallbackToLogsOnError";
/// One more, for the init container that installs the binary.
const MOUNTS: &str = "volumeMounts";
/// The field of an HTTP hook that replaces the pod's address.
pub const HOST: &str = "host";
/// The node's loopback address, which is the pod's own with `hostNetwork`.
const LOOPBACK: &str = "127.0.0.1";
/// A user other than root, for a container that sends no signals.
pub const NON_ROOT_UID: u32 = 65532;

/// The user that the sidecar runs as: the target's, because only the same user may signal it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Its uid; `None` if the cluster assigns it.
    pub uid: Option<u32>,
    /// Its gid, if the manifest sets it.
    pub gid: Option<u32>,
}

/// An AppArmor profile in a security context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppArmorProfile {
    /// Its type.
    pub kind: String,
    /// The name of a profile on the node.
    pub localhost: Option<String>,
}

/// The hook of a container that waits for the sidecar.
#[must_use]
pub fn http_hook(port: u16, is_host_network: bool) -> YamlValue {
    // The port as a number: the kubelet looks a name up in the container that declares the hook.
    let mut get = vec![("path", YamlValue::text(PRESTOP_PATH)), ("port", YamlValue::bare(port))];
    // On the node's network, the kubelet knows no address of the pod (kubernetes/kubernetes#134285).
    get.extend(is_host_network.then(|| (HOST, YamlValue::text(LOOPBACK))));
    YamlValue::Map(vec![("httpGet", YamlValue::Map(get))])
}

/// The hook that runs the whole drain itself.
#[must_use]
pub fn standalone_hook(request: &Request, grace_period: u64) -> YamlValue {
    let first = [BINARY, "drain", STANDALONE, "--hook"].map(str::to_owned);
    let command = first.into_iter().chain(standalone_flags(request, grace_period));
    YamlValue::Map(vec![("exec", YamlValue::Map(vec![("command", YamlValue::texts(command))]))])
}

/// The settings of a standalone drain, as flags.
#[must_use]
pub fn standalone_flags(request: &Request, grace_period: u64) -> Vec<String> {
    let flags = request.settings.iter().flat_map(|setting| {
        let Setting { flag, values, .. } = setting;
        values.iter().map(move |value| format!("--{flag}={value}"))
    });
    std::iter::once(format!("--grace-period={grace_period}")).chain(flags).collect()
}

/// The sidecar's container.
#[must_use]
pub fn sidecar(request: &Request, grace_period: u64, user: User, app_armor: Option<AppArmorProfile>) -> YamlValue {
    let probe = |path, failures: u32| {
        let get = YamlValue::Map(vec![("path", YamlValue::text(path)), ("port", YamlValue::bare(request.port))]);
        YamlValue::Map(vec![
            ("httpGet", get),
            ("periodSeconds", YamlValue::bare(1)),
            ("failureThreshold", YamlValue::bare(failures)),
        ])
    };
    let port = vec![("name", YamlValue::text(SIDECAR_NAME)), ("containerPort", YamlValue::bare(request.port))];
    let mut entries = vec![
        ("name", YamlValue::text(SIDECAR_NAME)),
        ("image", YamlValue::text(&request.image)),
        ("args", YamlValue::texts(["sidecar"])),
    ];
    entries.extend((request.mode == Mode::Native).then(|| ("restartPolicy", YamlValue::text("Always"))));
    entries.extend([
        ("env", environment(request, grace_period)),
        ("ports", YamlValue::List(vec![YamlValue::Map(port)])),
        // A native sidecar starts before the main container, so the startup probe must not wait for readiness.
        ("startupProbe", probe("/livez", 30)),
        ("readinessProbe", probe("/readyz", 1)),
        (TERMINATION_POLICY, YamlValue::text(FALLBACK_TO_LOGS)),
        ("securityContext", restricted_context(user, app_armor)),
        ("resources", resources()),
    ]);
    YamlValue::Map(entries)
}

/// The init container that installs the binary of a standalone drain.
#[must_use]
pub fn installer(request: &Request) -> YamlValue {
    let uid = (request.run_as_user != Some(RunAsUser::Assigned)).then_some(NON_ROOT_UID);
    YamlValue::Map(vec![
        ("name", YamlValue::text(SIDECAR_NAME)),
        ("image", YamlValue::text(&request.image)),
        ("args", YamlValue::texts(["install", INSTALL_DIR])),
        (MOUNTS, YamlValue::List(vec![mount(INSTALL_DIR, false)])),
        (TERMINATION_POLICY, YamlValue::text(FALLBACK_TO_LOGS)),
        ("securityContext", restricted_context(User { uid, gid: None }, None)),
        ("resources", resources()),
    ])
}

/// The annotation with the value of `shareProcessNamespace` before lameduck was injected.
#[must_use]
pub fn namespace_annotation(value: &str) -> (&'static str, YamlValue) {
    (NAMESPACE_BEFORE, YamlValue::text(value))
}

/// The annotation with original hooks: the text of each entry, by the name of its container.
#[must_use]
pub fn original_hooks_annotation(hooks: &[(String, String)]) -> (&'static str, YamlValue) {
    let entries: Vec<_> = hooks.iter().map(|(name, text)| format!("{}: {}", quote(name), quote(text))).collect();
    (ORIGINAL_HOOKS, YamlValue::text(format!("{{{}}}", entries.join(", "))))
}

/// The annotation with the sidecar's AppArmor profile.
#[must_use]
pub fn own_app_armor_annotation(profile: &str) -> (&'static str, YamlValue) {
    (OWN_APP_ARMOR, YamlValue::text(profile))
}

/// The volume that holds the binary.
#[must_use]
pub fn volume() -> YamlValue {
    YamlValue::Map(vec![("name", YamlValue::text(SIDECAR_NAME)), ("emptyDir", YamlValue::Map(Vec::new()))])
}

/// The mount of the binary in the main container.
#[must_use]
pub fn binary_mount() -> YamlValue {
    mount(BINARY_DIR, true)
}

fn mount(path: &'static str, read_only: bool) -> YamlValue {
    let read_only = read_only.then(|| ("readOnly", YamlValue::bare(true)));
    let entries = [("name", YamlValue::text(SIDECAR_NAME)), ("mountPath", YamlValue::text(path))];
    YamlValue::Map(entries.into_iter().chain(read_only).collect())
}

/// The settings of a sidecar, as variables.
#[must_use]
pub fn variables(request: &Request, grace_period: u64) -> Vec<(&str, String)> {
    let rest = request.settings.iter().map(|setting| (setting.variable.as_str(), setting.values.join("\n")));
    std::iter::once((GRACE_PERIOD, grace_period.to_string())).chain(rest).collect()
}

fn environment(request: &Request, grace_period: u64) -> YamlValue {
    let variable =
        |(name, value)| YamlValue::Map(vec![("name", YamlValue::text(name)), ("value", YamlValue::text(value))]);
    YamlValue::List(variables(request, grace_period).into_iter().map(variable).collect())
}

/// The security context that the Pod Security level "restricted" requires.
fn restricted_context(user: User, app_armor: Option<AppArmorProfile>) -> YamlValue {
    let mut entries: Vec<_> = user.uid.map(|uid| ("runAsUser", YamlValue::bare(uid))).into_iter().collect();
    entries.extend(user.gid.map(|gid| ("runAsGroup", YamlValue::bare(gid))));
    // Also written for root: otherwise the pod's own runAsNonRoot would apply.
    entries.push(("runAsNonRoot", YamlValue::bare(user.uid != Some(0))));
    entries.extend([
        ("readOnlyRootFilesystem", YamlValue::bare(true)),
        ("allowPrivilegeEscalation", YamlValue::bare(false)),
        ("capabilities", YamlValue::Map(vec![("drop", YamlValue::texts(["ALL"]))])),
        ("seccompProfile", YamlValue::Map(vec![("type", YamlValue::text("RuntimeDefault"))])),
    ]);
    entries.extend(app_armor.map(|AppArmorProfile { kind, localhost }| {
        let localhost = localhost.map(|profile| ("localhostProfile", YamlValue::text(profile)));
        let profile = [("type", YamlValue::text(kind))].into_iter().chain(localhost);
        ("appArmorProfile", YamlValue::Map(profile.collect()))
    }));
    YamlValue::Map(entries)
}

/// Requests equal limits. So a Guaranteed pod stays Guaranteed, quotas are satisfied, and the kernel does not kill the
/// sidecar first when memory runs short: it would not be restarted in a pod that is terminating.
fn resources() -> YamlValue {
    let all = || YamlValue::Map(vec![("cpu", YamlValue::text("50m")), ("memory", YamlValue::text("32Mi"))]);
    YamlValue::Map(vec![("requests", all()), ("limits", all())])
}

/// The fields of a container that an update of `existing` rewrites: all that lameduck writes except `args` and
/// `resources`, which users may tune, and a policy for the termination message that they have chosen.
#[must_use]
pub fn managed_fields(container: &YamlValue, pod: &Pod, existing: &Node) -> Vec<(&'static str, YamlValue)> {
    let has_policy = pod.document.get(existing, TERMINATION_POLICY).is_some_and(|policy| !policy.is_null());
    let is_kept = |key: &str| ["args", "resources"].contains(&key) || key == TERMINATION_POLICY && has_policy;
    container.entries().iter().filter(|(key, _)| !is_kept(key)).cloned().collect()
}
