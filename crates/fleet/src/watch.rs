//! The watch of all pods with a sidecar.

use std::pin::pin;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use lameduck_fleet_machine::io::Input;
use tokio::sync::mpsc;
use tracing::warn;

use crate::pod_view::{Now, view};

/// How many pods a page of a list has. Only one page is in memory at a time.
const PAGE_SIZE: u32 = 50;

/// After this time the API server ends the watch, and it is started again. A connection on which nothing arrives is
/// noticed 5 seconds later.
const TIMEOUT_SECONDS: u32 = 30;

/// Which pods are watched.
#[derive(Clone, Debug)]
pub struct WatchSettings {
    /// The namespace; `None` for all.
    pub namespace: Option<String>,
    /// The label selector.
    pub selector: String,
    /// The name of the sidecar's container.
    pub container: String,
}

/// Watches the pods until the queue is closed.
pub async fn watch_pods(client: Client, settings: WatchSettings, clock: impl Fn() -> Now, queue: mpsc::Sender<Input>) {
    let api: Api<Pod> = match &settings.namespace {
        None => Api::all(client),
        Some(namespace) => Api::namespaced(client, namespace),
    };
    let config = watcher::Config::default().labels(&settings.selector).page_size(PAGE_SIZE).timeout(TIMEOUT_SECONDS);
    // Without a backoff, the watcher tries again at once.
    let mut events = pin!(watcher(api, config).default_backoff());
    while let Some(event) = events.next().await {
        let input = match event {
            Ok(event) => input(event, &settings.container, clock()),
            Err(error) => {
                warn!(%error, "the watch of pods failed; trying again");
                None
            }
        };
        let Some(input) = input else { continue };
        if queue.send(input).await.is_err() {
            return;
        }
    }
}

/// The input of an event; `None` for a pod without the sidecar.
fn input(event: Event<Pod>, container: &str, now: Now) -> Option<Input> {
    let view = |pod: &Pod| view(pod, container, now).map(Box::new);
    Some(match event {
        Event::Init => Input::ListStarted,
        Event::InitApply(pod) => Input::Listed(view(&pod)?),
        Event::InitDone => Input::ListEnded,
        Event::Apply(pod) => Input::Changed(view(&pod)?),
        Event::Delete(pod) => Input::Deleted(view(&pod)?),
    })
}
