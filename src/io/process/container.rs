//! Whether the first process of the PID namespace belongs to this container.

use std::fs;

use lameduck_parsers::procfs::are_in_different_containers;

use super::{INIT_PID, name_of};

/// The names of the process that holds the namespaces of a pod: `pause` in containerd, `pod` in CRI-O.
const SANDBOX_NAMES: [&str; 2] = ["pause", "pod"];

/// Whether this container shares its PID namespace with the other containers of its pod. The first process is then in
/// another container, usually the pod's sandbox.
///
/// Its cgroup shows this, whatever the sandbox's process is called. Its name decides only where no cgroup is shown, as
/// in gVisor.
#[must_use]
pub fn shares_pid_namespace() -> bool {
    let cgroup = |pid: u32| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    are_in_different_containers(&cgroup(std::process::id()), &cgroup(INIT_PID))
        .unwrap_or_else(|| name_of(INIT_PID).is_some_and(|name| is_sandbox_name(&name)))
}

/// Whether the first process of a shared PID namespace is certainly no target.
#[must_use]
pub(super) fn is_sandbox_name(name: &str) -> bool {
    SANDBOX_NAMES.contains(&name)
}
