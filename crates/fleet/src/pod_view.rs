//! A pod of the API server, reduced to what the machine needs.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod as KubePod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference};
use lameduck_fleet_machine::pod::{
    Annotations, ControllerRef, Deletion, DoNotDisrupt, Key, Keys, Owner, Pod, PodPhase, PodRef, PodUid, Sidecar,
    SidecarState,
};
use lameduck_machine::time::Time;

use crate::sidecar_json;

/// The field manager under which annotations are written.
pub const FIELD_MANAGER: &str = "lameduck-fleet";

/// With this key, Karpenter says that it manages the deletion cost (RFC #2935).
const KARPENTER_MARKER: &str = "karpenter.sh/managed-deletion-cost";

/// The time on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The machine's clock.
    pub time: Time,
    /// Seconds since 1970 on the wall clock.
    pub unix_seconds: i64,
}

impl Now {
    /// The time of the machine for this time of the wall clock.
    #[must_use]
    pub fn at(self, unix_seconds: i64) -> Time {
        let distance = Duration::from_secs(unix_seconds.abs_diff(self.unix_seconds));
        if unix_seconds < self.unix_seconds { self.time - distance } else { self.time + distance }
    }
}

/// Reduces a pod; `None` if it has no uid, or no container of this name.
#[must_use]
pub fn view(pod: &KubePod, container: &str, now: Now) -> Option<Pod> {
    let (metadata, spec, status) = (&pod.metadata, pod.spec.as_ref()?, pod.status.as_ref());
    let native = spec.init_containers.iter().flatten().any(|init| init.name == container);
    let classic = spec.containers.iter().any(|other| other.name == container);
    if !native && !classic {
        return None;
    }
    let statuses = status.and_then(|status| {
        if native { status.init_container_statuses.as_ref() } else { status.container_statuses.as_ref() }
    });
    let sidecar = statuses.into_iter().flatten().find(|status| status.name == container);
    let seconds = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let deletion = metadata.deletion_timestamp.as_ref().map(|stamp| Deletion {
        grace_period: seconds(metadata.deletion_grace_period_seconds.unwrap_or(0)),
        stamp: now.at(stamp.0.as_second()),
    });
    let phase = status.and_then(|status| status.phase.as_deref());
    Some(Pod {
        pod: PodRef {
            uid: PodUid(metadata.uid.clone()?),
            namespace: metadata.namespace.clone()?,
            name: metadata.name.clone()?,
        },
        owner: owner(pod),
        phase: if matches!(phase, Some("Succeeded" | "Failed")) { PodPhase::Finished } else { PodPhase::Alive },
        ip: status.and_then(|status| status.pod_ip.as_deref()?.parse().ok()),
        started_at: status.and_then(|status| status.start_time.as_ref()).map(|start| now.at(start.0.as_second())),
        grace_period: seconds(spec.termination_grace_period_seconds.unwrap_or(30)),
        deletion,
        annotations: annotations(pod),
        sidecar: sidecar.map_or(Sidecar::in_state(SidecarState::Waiting), sidecar_view),
        devices: devices(pod),
    })
}

/// What the pod belongs to.
fn owner(pod: &KubePod) -> Owner {
    let is_controller = |reference: &&OwnerReference| reference.controller == Some(true);
    let controller = pod.metadata.owner_references.iter().flatten().find(is_controller);
    let Some(controller) = controller else {
        let workload = pod.metadata.name.clone().unwrap_or_default();
        return Owner { workload, controller: None, sorts_by_cost: false };
    };
    let hash = pod.metadata.labels.iter().flatten().find(|(key, _)| *key == "pod-template-hash");
    // The ReplicaSet of a Deployment or of a Rollout has the name of its owner and the hash of its template.
    let of_deployment = hash.and_then(|(_, hash)| controller.name.strip_suffix(&format!("-{hash}")));
    Owner {
        workload: of_deployment.unwrap_or(&controller.name).to_owned(),
        sorts_by_cost: matches!(controller.kind.as_str(), "ReplicaSet" | "ReplicationController" | "CloneSet"),
        controller: Some(ControllerRef {
            api_version: controller.api_version.clone(),
            kind: controller.kind.clone(),
            name: controller.name.clone(),
            uid: controller.uid.clone(),
        }),
    }
}

fn annotations(pod: &KubePod) -> Annotations {
    let none = BTreeMap::new();
    let values = pod.metadata.annotations.as_ref().unwrap_or(&none);
    let managers = pod.metadata.managed_fields.iter().flatten();
    let own: Vec<&ManagedFieldsEntry> = managers.filter(|entry| is_own(entry)).collect();
    let owned = |key: Key| values.get(key.name()).filter(|_| own.iter().any(|entry| has_key(entry, key)));
    Annotations {
        cost: values.get(Key::Cost.name()).map(|value| parse_cost(value)),
        karpenter_manages_cost: values.contains_key(KARPENTER_MARKER),
        own: Keys {
            cost: owned(Key::Cost).map(|value| parse_cost(value)),
            not_safe_to_evict: owned(Key::SafeToEvict).is_some(),
            do_not_disrupt: owned(Key::DoNotDisrupt).map(|value| parse_do_not_disrupt(value)),
        },
    }
}

fn is_own(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.operation.as_deref() == Some("Apply")
}

fn has_key(entry: &ManagedFieldsEntry, key: Key) -> bool {
    let fields = entry.fields_v1.as_ref().map(|fields| &fields.0["f:metadata"]["f:annotations"]);
    fields.is_some_and(|fields| fields.get(format!("f:{}", key.name())).is_some())
}

/// The cost as a ReplicaSet reads it: an invalid value is 0.
fn parse_cost(value: &str) -> i32 {
    let is_valid = value == "0" || value.starts_with(|first: char| first == '-' || ('1'..='9').contains(&first));
    value.parse().ok().filter(|_| is_valid).unwrap_or(0)
}

/// A value that we have not written is taken for `true`, so that it is replaced.
fn parse_do_not_disrupt(value: &str) -> DoNotDisrupt {
    let seconds = value.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
    seconds.map_or(DoNotDisrupt::Always, |seconds| DoNotDisrupt::SinceStart(Duration::from_secs(seconds)))
}

fn sidecar_view(status: &ContainerStatus) -> Sidecar {
    let message = |state: &ContainerState| {
        let terminated = state.terminated.as_ref()?;
        sidecar_json::record(terminated.message.as_deref()?)
    };
    let state = match &status.state {
        Some(ContainerState { running: Some(_), .. }) => SidecarState::Running,
        Some(state @ ContainerState { terminated: Some(terminated), .. }) => {
            SidecarState::Terminated { exit_code: terminated.exit_code, record: message(state) }
        }
        Some(_) | None => SidecarState::Waiting,
    };
    Sidecar { state, earlier_record: status.last_state.as_ref().and_then(message) }
}

/// The extended resources that the containers request together. Those of init containers are used again by the others.
fn devices(pod: &KubePod) -> BTreeMap<String, u64> {
    let mut devices = BTreeMap::new();
    for container in pod.spec.iter().flat_map(|spec| &spec.containers) {
        let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
        for (name, quantity) in limits.into_iter().flatten() {
            // A domain other than kubernetes.io means an extended resource, whose quantity is an integer.
            let domain = name.split_once('/').map_or("kubernetes.io", |(domain, _)| domain);
            let count: Option<u64> = quantity.0.parse().ok().filter(|count| *count > 0);
            if let Some(count) = count.filter(|_| !domain.ends_with("kubernetes.io")) {
                *devices.entry(name.clone()).or_default() += count;
            }
        }
    }
    devices
}

#[cfg(test)]
mod tests;
