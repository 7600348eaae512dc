//! `lameduck-fleet cleanup`: removes every annotation that our field manager owns.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use lameduck_fleet_machine::io::WriteResult;
use lameduck_fleet_machine::pod::Keys;

use crate::kube_api::{KubeApi, limited};
use crate::pod_view::{Now, view};
use crate::watch::WatchSettings;

/// How many pods a page of the list has.
const PAGE_SIZE: u32 = 50;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// The pods whose annotations were removed.
    pub pods: u64,
    /// The pods whose annotations could not be removed.
    pub failed: u64,
}

/// Removes the annotations from all pods.
///
/// # Errors
/// Fails if the pods cannot be listed.
pub async fn cleanup(client: Client, settings: &WatchSettings, now: Now) -> Result<Cleaned, String> {
    let pods: Api<Pod> = match &settings.namespace {
        None => Api::all(client.clone()),
        Some(namespace) => Api::namespaced(client.clone(), namespace),
    };
    let api = KubeApi::new(client, String::new());
    let mut cleaned = Cleaned::default();
    let mut params = ListParams::default().labels(&settings.selector).limit(PAGE_SIZE);
    loop {
        let page = limited(pods.list(&params)).await.map_err(|error| format!("cannot list the pods: {error}"))?;
        for pod in page.items.iter().filter_map(|pod| view(pod, &settings.container, now)) {
            if pod.annotations.own != Keys::default() {
                match api.write(&pod.pod, Keys::default()).await {
                    WriteResult::Written => cleaned.pods += 1,
                    WriteResult::Gone => {}
                    WriteResult::Conflict(_) | WriteResult::Throttled(_) | WriteResult::Failed => cleaned.failed += 1,
                }
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            None => return Ok(cleaned),
            Some(token) => params = params.continue_token(&token),
        }
    }
}
