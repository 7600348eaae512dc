//! The Lease by which replicas elect a leader.

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use lameduck_fleet_machine::io::{LeaseView, LeaseWrite};
use lameduck_fleet_machine::leadership::LEASE_DURATION;
use serde_json::{Value, json};
use tracing::warn;

use crate::kube_api::{CallError, limited};

/// The lease of the fleet.
#[derive(Clone)]
pub struct FleetLease {
    api: Api<Lease>,
    namespace: String,
    name: String,
}

impl FleetLease {
    /// The lease with this name.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Reads the lease.
    ///
    /// # Errors
    /// Fails if it cannot be read. The error is logged.
    pub async fn read(&self) -> Result<Option<LeaseView>, ()> {
        match limited(self.api.get_opt(&self.name)).await {
            Ok(lease) => Ok(lease.map(|lease| view(&lease))),
            Err(error) => {
                warn!(namespace = self.namespace, lease = self.name, %error, "cannot read the Lease");
                Err(())
            }
        }
    }

    /// Writes the lease unless it has changed, and returns whether it is written.
    pub async fn write(&self, write: &LeaseWrite, time: &str) -> bool {
        let acquired = if write.is_new_holder { Some(time.to_owned()) } else { self.acquired().await };
        let spec = json!({
            "holderIdentity": write.holder, "leaseDurationSeconds": LEASE_DURATION.as_secs(),
            "acquireTime": acquired, "renewTime": time, "leaseTransitions": write.transitions,
        });
        match self.put(&spec, write.version.as_deref()).await {
            Ok(()) => true,
            // Another replica was faster.
            Err(CallError::Api(kube::Error::Api(status))) if status.code == 409 => false,
            Err(error) => {
                warn!(namespace = self.namespace, lease = self.name, %error, "cannot write the Lease");
                false
            }
        }
    }

    /// Removes the holder, if it is this one.
    pub async fn release(&self, holder: &str) {
        let Ok(Some(lease)) = self.read().await else { return };
        if lease.holder == holder {
            let spec = json!({"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": lease.transitions});
            if let Err(error) = self.put(&spec, Some(&lease.version)).await {
                warn!(namespace = self.namespace, lease = self.name, %error, "cannot release the Lease");
            }
        }
    }

    async fn acquired(&self) -> Option<String> {
        let lease = limited(self.api.get_opt(&self.name)).await.ok()??;
        serde_json::to_value(lease.spec?.acquire_time?).ok()?.as_str().map(str::to_owned)
    }

    async fn put(&self, spec: &Value, version: Option<&str>) -> Result<(), CallError> {
        let metadata = json!({"name": self.name, "namespace": self.namespace, "resourceVersion": version});
        let lease =
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec});
        let lease: Lease =
            serde_json::from_value(lease).map_err(|error| CallError::Api(kube::Error::SerdeError(error)))?;
        let params = PostParams::default();
        match version {
            None => limited(self.api.create(&params, &lease)).await.map(drop),
            Some(_) => limited(self.api.replace(&self.name, &params, &lease)).await.map(drop),
        }
    }
}

fn view(lease: &Lease) -> LeaseView {
    let spec = lease.spec.as_ref();
    let renewed = spec.and_then(|spec| serde_json::to_string(spec.renew_time.as_ref()?).ok());
    LeaseView {
        holder: spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default(),
        renewed: renewed.unwrap_or_default(),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        transitions: spec.and_then(|spec| spec.lease_transitions).unwrap_or(0),
    }
}
