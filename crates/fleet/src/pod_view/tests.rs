use serde_json::{Value, json};

use super::*;

fn now() -> Now {
    // 2026-01-01T00:00:00Z
    Now { time: Time::since_boot(Duration::from_secs(10_000)), unix_seconds: 1_767_225_600 }
}

/// A running pod of a Deployment with a native sidecar.
fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "api-5d8f-x", "namespace": "speech", "uid": "u1",
            "labels": {"pod-template-hash": "5d8f"},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api-5d8f", "uid": "rs", "controller": true}],
        },
        "spec": {
            "terminationGracePeriodSeconds": 600,
            "initContainers": [{"name": "lameduck", "restartPolicy": "Always"}],
            "containers": [
                {"name": "engine", "resources": {"limits": {"nvidia.com/gpu": "2", "cpu": "4", "memory": "1Gi"}}},
                {"name": "other", "resources": {"limits": {"nvidia.com/gpu": "1", "hugepages-2Mi": "4Mi"}}}],
        },
        "status": {
            "phase": "Running", "podIP": "10.0.0.7", "startTime": "2025-12-31T23:58:20Z",
            "initContainerStatuses": [{
                "name": "lameduck", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "state": {"running": {"startedAt": "2025-12-31T23:58:21Z"}}}],
        },
    })
}

fn seen(pod: Value) -> Option<Pod> {
    view(&serde_json::from_value(pod).unwrap(), "lameduck", now())
}

#[test]
fn running_pod_is_read() {
    let pod = seen(pod()).unwrap();
    assert_eq!((pod.pod.to_string().as_str(), pod.owner.workload.as_str()), ("speech/api-5d8f-x", "api"));
    assert!(pod.owner.sorts_by_cost && pod.stays());
    assert_eq!((pod.ip, pod.sidecar.state), (Some([10, 0, 0, 7].into()), SidecarState::Running));
    assert_eq!(pod.started_at, Some(now().time - Duration::from_secs(100)));
    assert_eq!((pod.grace_period.as_secs(), pod.deletion), (600, None));
    assert_eq!(pod.devices, BTreeMap::from([("nvidia.com/gpu".to_owned(), 3)]));
}

#[test]
fn pod_without_the_container_is_ignored() {
    let mut pod = pod();
    pod["spec"]["initContainers"][0]["name"] = "other".into();
    assert_eq!(seen(pod), None);
}

#[test]
fn workload_is_named_after_its_owner() {
    for (kind, name, hash, workload, sorts) in [
        ("StatefulSet", "db", None, "db", false),
        ("ReplicaSet", "lone", None, "lone", true),
        ("ReplicaSet", "api-5d8f", Some("77"), "api-5d8f", true),
        ("CloneSet", "clones", None, "clones", true),
        ("Job", "night", None, "night", false),
    ] {
        let mut pod = pod();
        pod["metadata"]["ownerReferences"][0]["kind"] = kind.into();
        pod["metadata"]["ownerReferences"][0]["name"] = name.into();
        pod["metadata"]["labels"] = hash.map_or(Value::Null, |hash| json!({"pod-template-hash": hash}));
        let owner = seen(pod).unwrap().owner;
        assert_eq!((owner.workload.as_str(), owner.sorts_by_cost), (workload, sorts), "{kind}");
    }
    let mut lone = pod();
    lone["metadata"]["ownerReferences"] = Value::Null;
    assert_eq!(seen(lone).unwrap().owner.workload, "api-5d8f-x");
}

#[test]
fn deletion_has_both_clocks() {
    let mut pod = pod();
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:20Z".into();
    pod["metadata"]["deletionGracePeriodSeconds"] = 30.into();
    let deletion = seen(pod).unwrap().deletion.unwrap();
    assert_eq!((deletion.grace_period.as_secs(), deletion.stamp), (30, now().time + Duration::from_secs(20)));
}

#[test]
fn record_is_read_from_the_last_life_and_the_one_before() {
    let record = |id: &str, outcome: &str| {
        let outcome = json!({"id": id, "outcome": outcome, "streams_at_start": 1, "stragglers": 0, "idle_streams": 0,
            "seconds": 1.5, "warnings": []});
        json!({"terminated": {"exitCode": 0, "message": outcome.to_string()}})
    };
    let mut pod = pod();
    pod["status"]["initContainerStatuses"][0]["state"] = record("00000000000000aa", "drained");
    pod["status"]["initContainerStatuses"][0]["lastState"] = record("00000000000000bb", "interrupted");
    let sidecar = seen(pod).unwrap().sidecar;
    let SidecarState::Terminated { exit_code: 0, record: Some(last) } = sidecar.state else { panic!("{sidecar:?}") };
    assert_eq!((last.id.0, sidecar.earlier_record.unwrap().id.0), (0xaa, 0xbb));
}

#[test]
fn own_annotations_are_those_of_our_field_manager() {
    let mut pod = pod();
    pod["metadata"]["annotations"] = json!({
        "controller.kubernetes.io/pod-deletion-cost": "300",
        "karpenter.sh/do-not-disrupt": "1000s",
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    });
    let fields = json!({"f:metadata": {"f:annotations": {
        "f:controller.kubernetes.io/pod-deletion-cost": {}, "f:karpenter.sh/do-not-disrupt": {}}}});
    pod["metadata"]["managedFields"] =
        json!([{"manager": "lameduck-fleet", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields}]);
    let annotations = seen(pod.clone()).unwrap().annotations;
    let lease = Some(DoNotDisrupt::SinceStart(Duration::from_secs(1000)));
    assert_eq!(annotations.own, Keys { cost: Some(300), not_safe_to_evict: false, do_not_disrupt: lease });
    pod["metadata"]["managedFields"][0]["manager"] = "kubectl".into();
    let annotations = seen(pod).unwrap().annotations;
    assert_eq!((annotations.cost, annotations.own), (Some(300), Keys::default()));
}

#[test]
fn cost_is_read_as_a_replica_set_reads_it() {
    for (value, cost) in
        [("0", 0), ("-0", 0), ("-007", -7), ("2147483647", i32::MAX), ("007", 0), ("+1", 0), ("1e3", 0), ("", 0)]
    {
        assert_eq!(parse_cost(value), cost, "{value:?}");
    }
}
