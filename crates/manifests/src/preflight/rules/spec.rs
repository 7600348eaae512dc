//! The resources of the sidecar, and its termination message.

use super::quantity;
use crate::preflight::container::Container;
use crate::preflight::pod::PodView;
use crate::preflight::rule::{Evaluated, fail, pass, skip, warn};
use crate::preflight::view::View;

/// The resources that decide the `QoS` class
/// (<https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/>).
const RESOURCES: [&str; 2] = ["cpu", "memory"];

/// A pod is Guaranteed only if requests equal limits in every container.
pub(super) fn resources(pod: &PodView) -> Vec<Evaluated> {
    if pod.spec.get("resources").is_some() {
        return vec![skip("the pod has pod-level resources, which decide its QoS class")];
    }
    let others = pod.containers.iter().filter(|container| !is_own(pod, container));
    let would_be_guaranteed = others.map(is_guaranteed).reduce(|one, other| one && other).unwrap_or(false);
    pod.own_containers().map(|container| resources_of(container, would_be_guaranteed)).collect()
}

fn is_own(pod: &PodView, container: &Container) -> bool {
    pod.own_containers().any(|own| std::ptr::eq(own, container))
}

fn resources_of(container: &Container, would_be_guaranteed: bool) -> Evaluated {
    const FIX: &str = "set requests and limits to the same, e.g. {cpu: 50m, memory: 32Mi}";
    let name = container.name;
    let line = container.view.line();
    if is_guaranteed(container) {
        pass(format!("requests equal limits on {name}"))
    } else if would_be_guaranteed {
        fail(
            format!(
                "line {line}: requests and limits of {name} differ or are missing, which makes a Guaranteed pod Burstable"
            ),
            FIX,
        )
    } else if container.is_sidecar() {
        warn(
            format!(
                "line {line}: requests and limits of {name} differ or are missing: the kernel may kill it first when memory runs short"
            ),
            FIX,
        )
    } else {
        skip(format!("requests and limits of {name} differ or are missing, which does not matter in this pod"))
    }
}

/// Whether requests equal limits for every resource that decides the `QoS` class.
fn is_guaranteed(container: &Container) -> bool {
    let of = |list, resource| container.view.at(&["resources", list, resource]).and_then(View::text);
    RESOURCES.into_iter().all(|resource| {
        let Some(limit) = of("limits", resource) else { return false };
        // A missing request is the limit.
        let request = of("requests", resource).unwrap_or(limit);
        let is_zero = quantity::parse(limit) == Some(0);
        !is_zero
            && (request == limit
                || quantity::parse(request).is_some() && quantity::parse(request) == quantity::parse(limit))
    })
}

/// The kubelet shows the end of the log as the termination message of a container that failed without one.
pub(super) fn termination_message(pod: &PodView) -> Vec<Evaluated> {
    const POLICY: &str = "FallbackToLogsOnError";
    let Some(sidecar) = pod.sidecar() else { return Vec::new() };
    vec![if sidecar.view.text_of("terminationMessagePolicy") == Some(POLICY) {
        pass(format!("{POLICY} on {}", sidecar.name))
    } else {
        warn(
            format!("kubectl describe does not show why {} refused a setting, only exit code 64", sidecar.name),
            format!("set terminationMessagePolicy: {POLICY} on it"),
        )
    }]
}
