//! A validator for the part of JSON Schema that the schemas in `docs/schema` use.
//!
//! It is stricter than JSON Schema: an object may have only the properties that its schema names.

use std::fs;
use std::path::{Path, PathBuf};

use regex_lite::Regex;
use serde_json::{Map, Value};

/// A schema file.
pub struct Schema {
    folder: PathBuf,
    /// The schema itself.
    pub root: Value,
}

impl Schema {
    /// The schema in this file of `docs/schema`.
    pub fn load(file: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
        let text = fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let root = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        Self { folder, root }
    }

    /// What is wrong with a value; empty if it matches the schema.
    pub fn violations(&self, value: &Value) -> Vec<String> {
        let mut violations = Vec::new();
        self.check(&self.root, value, "", &mut violations);
        violations
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, violations: &mut Vec<String>) {
        for (keyword, argument) in schema.as_object().expect("a schema is an object") {
            match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" => {}
                "$ref" => {
                    self.check_reference(argument.as_str().expect("a reference is a string"), value, at, violations);
                }
                "anyOf" => self.check_any(argument, value, at, violations),
                "required" => check_required(argument, value, at, violations),
                "properties" => self.check_properties(argument, value, at, violations),
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(argument, item, &format!("{at}/{index}"), violations);
                    }
                }
                keyword => {
                    if !is_valid(keyword, argument, value) {
                        violations.push(format!("{at}: {value} violates {keyword} {argument}"));
                    }
                }
            }
        }
    }

    fn check_reference(&self, reference: &str, value: &Value, at: &str, violations: &mut Vec<String>) {
        if let Some(pointer) = reference.strip_prefix('#') {
            let target = self.root.pointer(pointer).unwrap_or_else(|| panic!("{reference} does not exist"));
            return self.check(target, value, at, violations);
        }
        assert!(self.folder.join(reference).exists(), "{reference} does not exist");
        let other = Self::load(reference);
        other.check(&other.root, value, at, violations);
    }

    fn check_any(&self, schemas: &Value, value: &Value, at: &str, violations: &mut Vec<String>) {
        let of_each = schemas.as_array().expect("anyOf is a list").iter().map(|schema| {
            let mut violations = Vec::new();
            self.check(schema, value, at, &mut violations);
            violations
        });
        let of_each: Vec<_> = of_each.collect();
        if of_each.iter().all(|violations| !violations.is_empty()) {
            violations.extend(of_each.into_iter().flatten());
        }
    }

    fn check_properties(&self, properties: &Value, value: &Value, at: &str, violations: &mut Vec<String>) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            match properties.get(name) {
                Some(schema) => self.check(schema, value, &at, violations),
                None => violations.push(format!("{at}: the schema does not name this property")),
            }
        }
    }
}

fn check_required(names: &Value, value: &Value, at: &str, violations: &mut Vec<String>) {
    let Some(object) = value.as_object() else { return };
    let names = names.as_array().expect("required is a list").iter().filter_map(Value::as_str);
    violations.extend(names.filter(|name| !object.contains_key(*name)).map(|name| format!("{at}/{name}: missing")));
}

/// Whether a value matches a keyword that needs no other schema.
fn is_valid(keyword: &str, argument: &Value, value: &Value) -> bool {
    match (keyword, argument, value) {
        ("type", Value::String(name), _) => has_type(value, name),
        ("type", Value::Array(names), _) => names.iter().any(|name| has_type(value, name.as_str().unwrap())),
        ("enum", Value::Array(values), _) => values.contains(value),
        ("minimum", Value::Number(minimum), Value::Number(number)) => number.as_f64() >= minimum.as_f64(),
        ("pattern", Value::String(pattern), Value::String(text)) => Regex::new(pattern).unwrap().is_match(text),
        // They apply to numbers and strings only.
        ("minimum", Value::Number(_), _) | ("pattern", Value::String(_), _) => true,
        _ => panic!("the validator does not know {keyword} {argument}"),
    }
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        name => panic!("the validator does not know the type {name}"),
    }
}

/// The names of all properties in a schema, at any depth, without those of other files.
pub fn properties(schema: &Value) -> Vec<String> {
    let inner = |object: &Map<String, Value>| object.values().flat_map(properties).collect::<Vec<_>>();
    match schema {
        Value::Object(object) => {
            let own = object.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
            own.cloned().chain(inner(object)).collect()
        }
        Value::Array(schemas) => schemas.iter().flat_map(properties).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}
