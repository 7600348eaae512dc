//! Manifests with changes, and what the rules find in them.

use std::collections::BTreeSet;
use std::env;
use std::io::Write;
use std::process::{Command, Stdio};

use lameduck::commands::check::manifests::check_text;
use lameduck_manifests::preflight::{Evaluation, Finding, Object, Options, Preflight, Rule};
use lameduck_test_support::manifests::libyaml::parse;
use proptest::prelude::ProptestConfig;
use serde_norway::{Mapping, Value};

pub(crate) const NATIVE: &str = include_str!("../../../k8s-examples/native-sidecar.yaml");
const CLASSIC: &str = include_str!("../../../k8s-examples/classic-sidecar.yaml");
const STANDALONE: &str = include_str!("../../../k8s-examples/exec-in-main.yaml");
const TWO_CONTAINERS: &str = include_str!("../../../k8s-examples/two-containers.yaml");

/// The result of a run of the binary.
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the binary with this text on stdin, and these variables alone.
pub(crate) fn lameduck(args: &[&str], stdin: &str, env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(lameduck_test_support::process::binary());
    command.args(args).env_clear().envs(env.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The write fails if the program does not read stdin.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The number of generated manifests.
pub(crate) fn config() -> ProptestConfig {
    let manifests = env::var("LAMEDUCK_MANIFESTS").ok().and_then(|count| count.parse().ok());
    let cases = manifests.unwrap_or(300);
    ProptestConfig { cases, max_shrink_iters: 5000, ..ProptestConfig::default() }
}

/// A manifest without a mistake, in which the rules find nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Base {
    Native,
    Classic,
    Standalone,
    TwoContainers,
}

/// A change of the pod spec: the path to a value, and the new value as YAML; an empty text removes it. A path has keys,
/// indexes, and the names of list items.
pub(crate) type Change = (&'static str, &'static str);

impl Base {
    pub(crate) fn manifest(self) -> Value {
        let text = match self {
            Self::Native => NATIVE,
            Self::Classic => CLASSIC,
            Self::Standalone => STANDALONE,
            Self::TwoContainers => TWO_CONTAINERS,
        };
        let mut manifest = parse(text).unwrap().remove(0);
        let sidecar = match self {
            Self::Classic => Some("containers/lameduck"),
            Self::Standalone => None,
            Self::Native | Self::TwoContainers => Some("initContainers/lameduck"),
        };
        // A grace period that the cluster autoscaler does not shorten.
        change(&mut manifest, ("terminationGracePeriodSeconds", "600"));
        match sidecar {
            Some(sidecar) => {
                set(&mut manifest, &format!("{sidecar}/env/LAMEDUCK_GRACE_PERIOD/value"), "'600'");
                set(&mut manifest, &format!("{sidecar}/terminationMessagePolicy"), "FallbackToLogsOnError");
            }
            None => change(
                &mut manifest,
                ("containers/deepgram-engine/lifecycle/preStop/exec/command/4", "--grace-period=600"),
            ),
        }
        manifest
    }

    pub(crate) fn with(self, changes: &[Change]) -> String {
        let mut manifest = self.manifest();
        for one in changes {
            change(&mut manifest, *one);
        }
        serde_norway::to_string(&manifest).unwrap()
    }
}

pub(crate) fn change(manifest: &mut Value, (path, value): Change) {
    set(manifest, path, value);
}

fn set(manifest: &mut Value, path: &str, value: &str) {
    let spec = &mut manifest["spec"]["template"]["spec"];
    let (parents, last) = path.rsplit_once('/').unwrap_or(("", path));
    let parents = parents.split('/').filter(|segment| !segment.is_empty());
    let parent = parents.fold(spec, |node, segment| child(node, segment).unwrap_or_else(|| panic!("no {path}")));
    if value.is_empty() {
        return remove(parent, last).unwrap_or_else(|| panic!("no {path}"));
    }
    let value: Value = serde_norway::from_str(value).unwrap();
    if let Some(slot) = child(parent, last) {
        *slot = value;
        return;
    }
    if let Value::Sequence(items) = parent {
        items.push(value);
    } else {
        parent.as_mapping_mut().unwrap().insert(last.into(), value);
    }
}

fn child<'v>(node: &'v mut Value, segment: &str) -> Option<&'v mut Value> {
    let Value::Sequence(items) = node else { return node.as_mapping_mut()?.get_mut(segment) };
    match segment.parse::<usize>() {
        Ok(index) => items.get_mut(index),
        Err(_) => items.iter_mut().find(|item| item["name"] == segment),
    }
}

fn remove(node: &mut Value, segment: &str) -> Option<()> {
    let Value::Sequence(items) = node else { return node.as_mapping_mut()?.remove(segment).map(drop) };
    let index = items.iter().position(|item| item["name"] == segment)?;
    items.remove(index);
    Some(())
}

pub(crate) fn preflight_with(text: &str, options: &Options) -> Preflight {
    check_text(text, options).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// The findings of a text with one object.
pub(crate) fn findings(text: &str) -> Vec<Finding> {
    findings_with(text, &Options::default())
}

pub(crate) fn findings_with(text: &str, options: &Options) -> Vec<Finding> {
    let Preflight { mut objects, .. } = preflight_with(text, options);
    assert_eq!(objects.len(), 1, "{text}");
    objects.remove(0).findings
}

/// The rules that failed or warn.
pub(crate) fn problems(findings: &[Finding]) -> BTreeSet<Rule> {
    findings.iter().filter(|finding| is_problem(finding)).map(|finding| finding.rule).collect()
}

pub(crate) fn is_problem(finding: &Finding) -> bool {
    matches!(finding.evaluation, Evaluation::Fail { .. } | Evaluation::Warn { .. })
}

pub(crate) fn failures(object: &Object) -> Vec<&Finding> {
    object.findings.iter().filter(|finding| matches!(finding.evaluation, Evaluation::Fail { .. })).collect()
}

/// The findings of one rule.
pub(crate) fn of_rule(findings: &[Finding], rule: Rule) -> Vec<Finding> {
    findings.iter().filter(|finding| finding.rule == rule).cloned().collect()
}

/// A map as an item of a List.
pub(crate) fn list_of(items: Vec<Value>) -> Value {
    let mut list = Mapping::new();
    list.insert("apiVersion".into(), "v1".into());
    list.insert("kind".into(), "List".into());
    list.insert("items".into(), Value::Sequence(items));
    Value::Mapping(list)
}
