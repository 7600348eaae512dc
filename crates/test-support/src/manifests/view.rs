//! A second opinion: what libyaml, whose port is what Kubernetes reads YAML with, sees in a text.

use serde::Deserialize;
use serde_norway::{Deserializer, Mapping, Value};

/// The documents of a text; `None` where it is no YAML.
pub fn view(text: &str) -> Option<Vec<Value>> {
    // This binding says that the text is UTF-8, and libyaml looks for no byte order mark then.
    let text = text.trim_start_matches('\u{feff}');
    Deserializer::from_str(text).map(|document| Value::deserialize(document).ok()).collect()
}

/// The same without what is ours, and with what is empty left out where we may have filled it.
pub fn without_ours(text: &str) -> Option<Vec<Value>> {
    let mut documents = view(text)?;
    documents.iter_mut().for_each(strip);
    Some(documents)
}

fn strip(value: &mut Value) {
    match value {
        Value::Mapping(map) => {
            map.values_mut().for_each(strip);
            strip_map(map);
        }
        Value::Sequence(items) => {
            items.retain(|item| item.get("name").and_then(Value::as_str) != Some("lameduck"));
            items.iter_mut().for_each(strip);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Tagged(_) => {}
    }
}

fn strip_map(map: &mut Mapping) {
    map.remove("shareProcessNamespace");
    let is_ours = |hook: &Value| {
        let path = hook.get("httpGet").and_then(|get| get.get("path")).and_then(Value::as_str);
        let command = hook.get("exec").and_then(|exec| exec.get("command")).and_then(|command| command.get(0));
        path == Some("/prestop") || command.and_then(Value::as_str) == Some("/lameduck/lameduck")
    };
    if map.get("preStop").is_some_and(|hook| hook.is_null() || is_ours(hook)) {
        map.remove("preStop");
    }
    for key in ["initContainers", "lifecycle", "volumes", "volumeMounts"] {
        if map.get(key).is_some_and(is_empty) {
            map.remove(key);
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Sequence(items) => items.is_empty(),
        Value::Mapping(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Tagged(_) => false,
    }
}

/// The pod spec of the first workload that has one.
pub fn pod_spec(text: &str) -> Value {
    let documents = view(text).expect("the text is YAML");
    let mut manifests: Vec<&Value> = documents.iter().collect();
    manifests.extend(documents.iter().filter_map(|list| list.get("items")?.as_sequence()).flatten());
    let spec = |manifest: &&Value| {
        let spec = manifest.get("spec")?;
        let job = spec.get("jobTemplate").and_then(|job| job.get("spec")).unwrap_or(spec);
        let pod = job.get("template").and_then(|template| template.get("spec")).unwrap_or(job);
        pod.get("containers").map(|_| pod.clone())
    };
    manifests.iter().find_map(spec).expect("a workload is there")
}

/// The container of this name in a pod spec.
pub fn container<'a>(spec: &'a Value, list: &str, name: &str) -> &'a Value {
    let mut items = spec[list].as_sequence().expect("a list").iter();
    items.find(|item| item["name"] == name).expect("the container is there")
}
