//! What libyaml reads in a text. Kubernetes uses a port of libyaml.

use std::fmt;

use serde::de::{EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer as AnyDeserializer};
use serde_norway::{Deserializer, Mapping, Value};

/// Parses the documents of a text; `None` if it is not YAML. Of duplicate keys, the last one counts, as in Kubernetes.
pub fn parse(text: &str) -> Option<Vec<Value>> {
    // This binding declares the text as UTF-8; libyaml then does not skip a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    let objects = serde_json::Deserializer::from_str(text).into_iter::<LastKey>().collect::<Result<Vec<_>, _>>();
    if let Ok(objects) = objects {
        return Some(objects.into_iter().map(|LastKey(value)| value).collect());
    }
    Deserializer::from_str(text)
        .map(|document| LastKey::deserialize(document).ok().map(|LastKey(value)| value))
        .collect()
}

/// A value in whose maps the last of duplicate keys counts.
struct LastKey(Value);

impl<'de> Deserialize<'de> for LastKey {
    fn deserialize<D: AnyDeserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LastKeyVisitor).map(Self)
    }
}

struct LastKeyVisitor;

impl<'de> Visitor<'de> for LastKeyVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(LastKey(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Sequence(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Mapping::new();
        while let Some((LastKey(key), LastKey(value))) = entries.next_entry()? {
            map.insert(key, value);
        }
        Ok(Value::Mapping(map))
    }

    /// A value with a tag: a map of the tag to the value.
    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Value, A::Error> {
        let (LastKey(tag), variant) = data.variant()?;
        let LastKey(value) = variant.newtype_variant()?;
        Ok(Value::Mapping(Mapping::from_iter([(tag, value)])))
    }
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
    map.remove("lameduck/sidecar");
    let is_lameducks = |hook: &Value| {
        let path = hook.get("httpGet").and_then(|get| get.get("path")).and_then(Value::as_str);
        let command = hook.get("exec").and_then(|exec| exec.get("command")).and_then(|command| command.get(0));
        path == Some("/prestop") || command.and_then(Value::as_str) == Some("/lameduck/lameduck")
    };
    if map.get("preStop").is_some_and(|hook| hook.is_null() || is_lameducks(hook)) {
        map.remove("preStop");
    }
    for key in ["annotations", "initContainers", "labels", "lifecycle", "metadata", "volumes", "volumeMounts"] {
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
