//! Writes to the API server: annotations of pods, and Events.
//!
//! Every call is limited in time: the client itself has no limit.

use std::time::Duration;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Error};
use lameduck_fleet_machine::event::EventText;
use lameduck_fleet_machine::io::{RecordResult, WriteResult};
use lameduck_fleet_machine::pod::{ControllerRef, Key, Keys, PodRef};
use lameduck_fleet_machine::report::DrainReport;
use serde_json::{Map, Value, json};
use tracing::warn;

use crate::pod_view::FIELD_MANAGER;

/// How long a call may take.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The name under which Events are reported.
const REPORTER: &str = "lameduck-fleet";

/// The API server.
#[derive(Clone)]
pub struct KubeApi {
    client: Client,
    /// The name of this replica.
    instance: String,
}

impl KubeApi {
    /// The API server behind this client.
    #[must_use]
    pub const fn new(client: Client, instance: String) -> Self {
        Self { client, instance }
    }

    /// Makes these the annotations of our field manager on the pod.
    pub async fn write(&self, pod: &PodRef, keys: Keys) -> WriteResult {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace);
        let (body, params) = (apply_body(pod, keys), PatchParams::apply(FIELD_MANAGER));
        let patch = Patch::Apply(&body);
        match limited(api.patch_metadata(&pod.name, &params, &patch)).await {
            Ok(_) => WriteResult::Written,
            Err(error) => {
                let result = write_error(&error);
                if result == WriteResult::Failed {
                    warn!(%pod, %error, "cannot write the annotations of a pod");
                }
                result
            }
        }
    }

    /// Creates the Events of a drain, about the pod and its owner. An Event that the API server refuses counts as new, so
    /// that no drain is left out.
    pub async fn record(&self, report: &DrainReport, time: &str) -> RecordResult {
        let text = EventText::of(report);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "namespace": report.pod.namespace,
            "name": report.pod.name, "uid": report.pod.uid.0});
        let event = self.event(&text, time, &pod, None);
        let result = self.create(&report.pod, &event).await;
        if result == RecordResult::New
            && let Some(controller) = &report.owner.controller
        {
            let owner = self.owner_of(&report.pod.namespace, controller).await;
            let event = self.event(&text, time, &owner, Some(&pod));
            self.create(&report.pod, &event).await;
        }
        result
    }

    /// The Event about a pod, or about the owner of a pod.
    fn event(&self, text: &EventText, time: &str, regarding: &Value, pod_of_owner: Option<&Value>) -> Value {
        let name = if pod_of_owner.is_some() { format!("{}.owner", text.name) } else { text.name.clone() };
        json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {"name": name, "namespace": regarding["namespace"]},
            "eventTime": time,
            "type": if text.is_warning { "Warning" } else { "Normal" },
            "reason": text.reason, "action": "Drain", "note": text.note,
            "reportingController": REPORTER, "reportingInstance": self.instance,
            "regarding": regarding, "related": pod_of_owner,
        })
    }

    /// Creates an Event, unless it exists.
    async fn create(&self, pod: &PodRef, event: &Value) -> RecordResult {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &pod.namespace);
        let event: Event = match serde_json::from_value(event.clone()) {
            Ok(event) => event,
            Err(error) => {
                warn!(%pod, %error, "cannot make an Event");
                return RecordResult::New;
            }
        };
        match limited(api.create(&PostParams::default(), &event)).await {
            Ok(_) => RecordResult::New,
            Err(error) => {
                let result = create_error(&error);
                if result != RecordResult::Known {
                    warn!(%pod, %error, "cannot create an Event");
                }
                result
            }
        }
    }

    /// The object that a user knows: the Deployment of a ReplicaSet, or the owner itself.
    async fn owner_of(&self, namespace: &str, owner: &ControllerRef) -> Value {
        let reference = |api_version: &str, kind: &str, name: &str, uid: &str| json!({"apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name, "uid": uid});
        if owner.kind == "ReplicaSet" {
            let api: Api<ReplicaSet> = Api::namespaced(self.client.clone(), namespace);
            let set = limited(api.get_metadata(&owner.name)).await;
            let owners = set.ok().and_then(|set| set.metadata.owner_references).unwrap_or_default();
            if let Some(owner) = owners.iter().find(|owner| owner.controller == Some(true)) {
                return reference(&owner.api_version, &owner.kind, &owner.name, &owner.uid);
            }
        }
        reference(&owner.api_version, &owner.kind, &owner.name, &owner.uid)
    }
}

/// Why a call failed.
#[derive(Debug)]
pub enum CallError {
    /// The API server, or the connection to it.
    Api(Error),
    /// There was no answer in time.
    Timeout,
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Api(Error::Api(status)) => write!(f, "{} (status {})", status.message, status.code),
            Self::Api(error) => write!(f, "{error}"),
            Self::Timeout => write!(f, "no answer within {TIMEOUT:?}"),
        }
    }
}

/// Waits for a call, for at most [`TIMEOUT`].
///
/// # Errors
/// Fails if the call fails or takes too long.
pub async fn limited<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(result) => result.map_err(CallError::Api),
        Err(_) => Err(CallError::Timeout),
    }
}

/// The body of server-side apply. The uid prevents a write to another pod of the same name.
fn apply_body(pod: &PodRef, keys: Keys) -> Value {
    let annotations: Map<String, Value> =
        keys.values().into_iter().map(|(key, value)| (key.name().to_owned(), value.into())).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid.0, "annotations": annotations},
    })
}

fn create_error(error: &CallError) -> RecordResult {
    match error {
        CallError::Api(Error::Api(status)) if status.reason == "AlreadyExists" => RecordResult::Known,
        CallError::Api(Error::Api(status)) if status.code < 500 && status.code != 429 => RecordResult::New,
        CallError::Api(_) | CallError::Timeout => RecordResult::Unavailable,
    }
}

fn write_error(error: &CallError) -> WriteResult {
    let CallError::Api(Error::Api(status)) = error else { return WriteResult::Failed };
    let details = status.details.as_ref();
    let causes = details.into_iter().flat_map(|details| &details.causes);
    let fields: Vec<&str> =
        causes.filter(|cause| cause.reason == "FieldManagerConflict").map(|cause| cause.field.as_str()).collect();
    let keys = Key::ALL.into_iter().filter(|key| fields.iter().any(|field| field.contains(key.name())));
    match status.code {
        409 if !fields.is_empty() => WriteResult::Conflict(keys.collect()),
        // Another pod has this name, or none has: server-side apply would create it, and that is invalid.
        404 | 409 | 422 => WriteResult::Gone,
        429 => {
            let seconds = details.map_or(0, |details| details.retry_after_seconds);
            WriteResult::Throttled((seconds > 0).then(|| Duration::from_secs(seconds.into())))
        }
        _ => WriteResult::Failed,
    }
}

#[cfg(test)]
mod tests {
    use lameduck_fleet_machine::pod::PodUid;

    use super::*;

    fn error(code: u16, details: &Value) -> CallError {
        let status = json!({"code": code, "message": "no", "reason": "", "details": details});
        CallError::Api(Error::Api(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn errors_of_writes_are_told_apart() {
        let field = ".metadata.annotations.controller.kubernetes.io/pod-deletion-cost";
        let conflict = json!({"causes": [{"reason": "FieldManagerConflict", "message": "by kubectl", "field": field}]});
        for (code, details, result) in [
            (409, conflict, WriteResult::Conflict(vec![Key::Cost])),
            (409, Value::Null, WriteResult::Gone),
            (422, json!({"causes": [{"reason": "FieldValueRequired", "field": "spec.containers"}]}), WriteResult::Gone),
            (404, Value::Null, WriteResult::Gone),
            (429, json!({"retryAfterSeconds": 30}), WriteResult::Throttled(Some(Duration::from_secs(30)))),
            (429, Value::Null, WriteResult::Throttled(None)),
            (403, Value::Null, WriteResult::Failed),
            (500, Value::Null, WriteResult::Failed),
        ] {
            assert_eq!(write_error(&error(code, &details)), result, "{code} {details}");
        }
        assert_eq!(write_error(&CallError::Timeout), WriteResult::Failed);
    }

    #[test]
    fn event_is_created_again_unless_the_api_server_refuses_it() {
        for (code, result) in [
            (403, RecordResult::New),
            (422, RecordResult::New),
            (429, RecordResult::Unavailable),
            (500, RecordResult::Unavailable),
            (503, RecordResult::Unavailable),
        ] {
            assert_eq!(create_error(&error(code, &Value::Null)), result, "{code}");
        }
        assert_eq!(create_error(&CallError::Timeout), RecordResult::Unavailable);
        let status = json!({"code": 409, "message": "no", "reason": "AlreadyExists"});
        let exists = CallError::Api(Error::Api(serde_json::from_value(status).unwrap()));
        assert_eq!(create_error(&exists), RecordResult::Known);
    }

    #[test]
    fn empty_set_removes_all_annotations() {
        let pod = PodRef { uid: PodUid("u".into()), namespace: "n".into(), name: "p".into() };
        assert_eq!(apply_body(&pod, Keys::default())["metadata"]["annotations"], json!({}));
        let keys = Keys { cost: Some(-100), not_safe_to_evict: true, do_not_disrupt: None };
        let expected = json!({"controller.kubernetes.io/pod-deletion-cost": "-100",
            "cluster-autoscaler.kubernetes.io/safe-to-evict": "false"});
        assert_eq!(apply_body(&pod, keys)["metadata"]["annotations"], expected);
        assert_eq!(apply_body(&pod, keys)["metadata"]["uid"], "u");
    }
}
