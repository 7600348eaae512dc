//! The sidecar's port, and the pod's network.

use crate::preflight::pod::PodView;
use crate::preflight::rule::{Evaluated, fail, pass, skip, warn};

/// The port is reachable, matches the declared port, and is used by no other container.
pub(super) fn port(pod: &PodView) -> Vec<Evaluated> {
    let Some(sidecar) = pod.sidecar() else { return Vec::new() };
    let Some(listen) = pod.settings.listen else { return vec![skip("--listen is not known from the manifest")] };
    let port = listen.port;
    let is_other = |name: &str| name != sidecar.name;
    let taken = pod.containers.iter().find(|other| is_other(other.name) && other.ports().any(|it| it == port));
    if let Some(other) = taken {
        return vec![fail(
            format!("container {} declares port {port} too, and the containers of a pod share one network", other.name),
            "choose another port for the sidecar with --listen, and use it in hook and probes",
        )];
    }
    if listen.is_loopback && !pod.is_set("hostNetwork") {
        return vec![fail(
            format!("--listen: port {port} is on a loopback address, which the kubelet cannot reach"),
            format!("set --listen [::]:{port}"),
        )];
    }
    if port == 0 {
        return vec![fail("--listen: port 0 means a different port at each start", "set --listen [::]:8089")];
    }
    let declared: Vec<_> = sidecar.ports().collect();
    vec![if declared.is_empty() || declared.contains(&port) {
        pass(format!("{port}, and no other container declares it"))
    } else {
        let list = declared.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        fail(
            format!("{} listens on {port}, but its ports declare {list}", sidecar.name),
            "correct containerPort or --listen: probes, monitors and network policies use the declared port",
        )
    }]
}

/// With host networking, the kubelet knows no pod address to call (kubernetes/kubernetes#134285), and ports are shared.
pub(super) fn host_network(pod: &PodView) -> Vec<Evaluated> {
    if !pod.is_set("hostNetwork") || pod.sidecar().is_none() {
        return Vec::new();
    }
    let port = pod.port().map_or_else(|| "its port".to_owned(), |port| format!("port {port}"));
    vec![warn(
        format!("hostNetwork: {port} is one of the node's, so two such pods cannot run on one node"),
        "schedule one pod per node, or give each workload another port with --listen; or remove hostNetwork",
    )]
}
