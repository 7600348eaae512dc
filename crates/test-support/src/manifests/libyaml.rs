//! What libyaml reads in a text. Kubernetes uses a port of libyaml.

use serde::Deserialize;
use serde_norway::{Deserializer, Mapping, Value};

/// Parses the documents of a text; `None` if it is not YAML.
pub fn parse(text: &str) -> Option<Vec<Value>> {
    // This binding declares the text as UTF-8; libyaml then does not skip a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    Deserializer::from_str(text).map(|document| Value::deserialize(document).ok()).collect()
}

/// Parses the documents of a text and removes what lameduck writes, and empty values that lameduck may have filled.
pub fn without_lameduck(text: &str) -> Option<Vec<Value>> {
    let mut documents = parse(text)?;
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
    map.remove("lameduck/process-namespace-was-shared");
    let is_lameducks = |hook: &Value| {
        let path = hook.get("httpGet").and_then(|get| get.get("path")).and_then(Value::as_str);
        let command = hook.get("exec").and_then(|exec| exec.get("command")).and_then(|command| command.get(0));
        path == Some("/prestop") || command.and_then(Value::as_str) == Some("/lameduck/lameduck")
    };
    if map.get("preStop").is_some_and(|hook| hook.is_null() || is_lameducks(hook)) {
        map.remove("preStop");
    }
    for key in ["annotations", "initContainers", "lifecycle", "metadata", "volumes", "volumeMounts"] {
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

/// The pod spec of the first workload.
pub fn pod_spec(text: &str) -> Value {
    pod_template(text)["spec"].clone()
}

/// The map that holds the metadata and spec of the first workload's pods.
pub fn pod_template(text: &str) -> Value {
    let documents = parse(text).expect("the text is YAML");
    let mut manifests: Vec<&Value> = documents.iter().collect();
    manifests.extend(documents.iter().filter_map(|list| list.get("items")?.as_sequence()).flatten());
    let template = |manifest: &&Value| {
        let spec = manifest.get("spec")?;
        let job = spec.get("jobTemplate").and_then(|job| job.get("spec")).unwrap_or(spec);
        let template = job.get("template").unwrap_or(manifest);
        template.get("spec")?.get("containers").map(|_| template.clone())
    };
    manifests.iter().find_map(template).expect("a workload is there")
}

/// The container with a name in a list of a pod spec.
pub fn container<'a>(spec: &'a Value, list: &str, name: &str) -> &'a Value {
    let mut items = spec[list].as_sequence().expect("a list").iter();
    items.find(|item| item["name"] == name).expect("the container is there")
}
