//! A check whose data is not in the manifest is skipped. It never passes or fails.

use std::collections::BTreeSet;

use lameduck_manifests::preflight::{Evaluation, Finding, Rule};

use super::support::Base::{Native, Standalone};
use super::support::{Change, findings, of_rule, problems};

const GRACE_PERIOD: &str = "initContainers/lameduck/env/LAMEDUCK_GRACE_PERIOD";
const ARGS: &str = "initContainers/lameduck/args";
const FROM_CONFIG: &str = "{name: LAMEDUCK_GRACE_PERIOD, valueFrom: {configMapKeyRef: {name: times, key: grace}}}";

fn only(findings: &[Finding], rule: Rule) -> Finding {
    let found = of_rule(findings, rule);
    assert_eq!(found.len(), 1, "{findings:#?}");
    found[0].clone()
}

/// Checks that no rule fails or warns, and that these rules are skipped.
fn assert_skipped(changes: &[Change], rules: &[Rule]) -> Vec<Finding> {
    let findings = findings(&Native.with(changes));
    assert_eq!(problems(&findings), BTreeSet::new(), "{changes:?}: {findings:#?}");
    for rule in rules {
        assert_eq!(only(&findings, *rule).evaluation, Evaluation::Skip, "{changes:?}: {findings:#?}");
    }
    findings
}

#[test]
fn grace_period_from_the_cluster_is_skipped() {
    let findings = assert_skipped(&[(GRACE_PERIOD, FROM_CONFIG)], &[Rule::GracePeriod, Rule::Settings]);
    assert!(only(&findings, Rule::Settings).detail.contains("known only in the cluster: --grace-period"));
}

#[test]
fn settings_from_env_from_are_skipped() {
    let env_from: Change = ("initContainers/lameduck/envFrom", "[{configMapRef: {name: settings}}]");
    let rules = [Rule::Settings, Rule::StartupProbe, Rule::ReadinessDelay, Rule::HookPort, Rule::HookToken, Rule::Port];
    let findings = assert_skipped(&[env_from], &rules);
    // What the manifest says itself wins over envFrom.
    assert_eq!(only(&findings, Rule::GracePeriod).evaluation, Evaluation::Pass);
    assert_skipped(&[env_from, (GRACE_PERIOD, "")], &[Rule::GracePeriod]);
}

#[test]
fn references_to_plain_variables_are_followed() {
    let seconds: Change = ("initContainers/lameduck/env/SECONDS", "{name: SECONDS, value: '600'}");
    let findings = assert_skipped(&[seconds, (ARGS, "[sidecar, --grace-period=$(SECONDS)]")], &[]);
    assert_eq!(only(&findings, Rule::GracePeriod).evaluation, Evaluation::Pass);
    let wrong = Native.with(&[seconds, (ARGS, "[sidecar, --grace-period, $(SECONDS)0]")]);
    assert_eq!(problems(&self::findings(&wrong)), BTreeSet::from([Rule::GracePeriod]));
}

#[test]
fn references_to_other_variables_are_skipped() {
    for args in ["[sidecar, --grace-period=$(SECRET)]", "[sidecar, --grace-period, $(SECRET)]"] {
        let findings = assert_skipped(&[(ARGS, args)], &[Rule::GracePeriod, Rule::Settings]);
        assert_eq!(only(&findings, Rule::HookPort).evaluation, Evaluation::Pass, "the port does not depend on it");
    }
    assert_skipped(&[(ARGS, "[sidecar, $(FLAGS)]")], &[Rule::Settings, Rule::HookPort, Rule::Port]);
    assert_skipped(&[(ARGS, "[$(COMMAND)]")], &[Rule::Settings, Rule::HookPort, Rule::Port]);
}

#[test]
fn arguments_in_a_script_are_skipped() {
    let script = "[sh, -c, '/lameduck sidecar --grace-period=600']";
    assert_skipped(
        &[("initContainers/lameduck/command", script), (ARGS, "")],
        &[Rule::Settings, Rule::HookPort, Rule::Port],
    );
}

#[test]
fn hook_in_a_script_is_evaluated_by_its_last_command() {
    for (script, expected) in [
        ("sleep 3; curl -s http://127.0.0.1:8089/prestop", Evaluation::Pass),
        ("exec lameduck drain --hook", Evaluation::Pass),
        ("curl -s http://127.0.0.1:8089/prestop; sleep 3", Evaluation::Skip),
        ("curl -m 5 http://127.0.0.1:8089/prestop", Evaluation::Warn { fix: String::new() }),
    ] {
        let hook = format!("{{exec: {{command: [sh, -c, '{script}']}}}}");
        let mut manifest = Native.manifest();
        manifest["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"] =
            serde_norway::from_str(&hook).unwrap();
        let findings = findings(&serde_norway::to_string(&manifest).unwrap());
        let evaluation = &only(&findings, Rule::Hook).evaluation;
        assert_eq!(std::mem::discriminant(evaluation), std::mem::discriminant(&expected), "{script}: {evaluation:?}");
        assert!(problems(&findings).iter().all(|rule| *rule == Rule::Hook), "{script}");
    }
}

#[test]
fn uid_of_the_namespace_is_skipped() {
    assert_skipped(&[("securityContext", "{runAsNonRoot: true}")], &[Rule::Uid]);
    let one_known =
        [("securityContext", "{runAsNonRoot: true}"), ("containers/deepgram-engine/securityContext/runAsUser", "1000")];
    assert_skipped(&one_known, &[Rule::Uid]);
}

#[test]
fn without_a_signal_neither_namespace_nor_uid_matter() {
    assert_skipped(
        &[
            (ARGS, "[sidecar, --signal=none]"),
            ("shareProcessNamespace", ""),
            ("initContainers/lameduck/securityContext/runAsUser", "65532"),
        ],
        &[Rule::PidNamespace, Rule::Uid],
    );
}

#[test]
fn unknown_preset_hides_what_depends_on_it() {
    let preset: Change = (
        "initContainers/lameduck/env/LAMEDUCK_PRESET",
        "{name: LAMEDUCK_PRESET, valueFrom: {configMapKeyRef: {name: a, key: b}}}",
    );
    assert_skipped(&[preset, ("shareProcessNamespace", "")], &[Rule::PidNamespace, Rule::Uid, Rule::Settings]);
}

#[test]
fn broken_setting_does_not_hide_the_others() {
    let changes = [(ARGS, "[sidecar, --signal=SIGFOO]"), ("terminationGracePeriodSeconds", "60")];
    let findings = findings(&Native.with(&changes));
    assert_eq!(problems(&findings), BTreeSet::from([Rule::Settings, Rule::GracePeriod]));
}

#[test]
fn guaranteed_pod_stays_so_with_equal_quantities_in_other_units() {
    assert_skipped(
        &[(
            "initContainers/lameduck/resources",
            "{requests: {cpu: 0.05, memory: 32Mi}, limits: {cpu: 50m, memory: 32768Ki}}",
        )],
        &[],
    );
}

#[test]
fn root_sidecar_with_cap_kill_may_signal_any_user() {
    let root = "{runAsUser: 0, capabilities: {drop: [ALL], add: [KILL]}}";
    assert_skipped(&[("initContainers/lameduck/securityContext", root)], &[]);
    let without =
        Native.with(&[("initContainers/lameduck/securityContext", "{runAsUser: 0, capabilities: {drop: [ALL]}}")]);
    assert_eq!(problems(&findings(&without)), BTreeSet::from([Rule::Uid]));
}

#[test]
fn token_in_the_hook_passes() {
    let headers: Change = (
        "containers/deepgram-engine/lifecycle/preStop/httpGet/httpHeaders",
        "[{name: authorization, value: Bearer x}]",
    );
    assert_skipped(&[(ARGS, "[sidecar, --token-file=/token]"), headers], &[]);
    let exec: Change =
        ("containers/deepgram-engine/lifecycle/preStop", "{exec: {command: [/x/lameduck, drain, --hook]}}");
    assert_skipped(&[(ARGS, "[sidecar, --token-file=/token]"), exec], &[Rule::Binary]);
}

#[test]
fn short_lame_duck_that_no_probe_can_beat_is_skipped() {
    assert_skipped(&[(ARGS, "[sidecar, --lame-duck=500ms]")], &[Rule::ReadinessDelay]);
    assert_skipped(&[(ARGS, "[sidecar, --lame-duck=0s]")], &[Rule::ReadinessDelay]);
    assert_skipped(&[(ARGS, "[sidecar, --unready-after=5s]")], &[Rule::ReadinessDelay]);
}

#[test]
fn standalone_hook_ignores_variables_of_the_sidecar() {
    let changes: Change = (
        "containers/deepgram-engine/env",
        "[{name: LAMEDUCK_LISTEN, value: nonsense}, {name: LAMEDUCK_SIGNAL, value: SIGTERM}]",
    );
    let findings = findings(&Standalone.with(&[changes]));
    assert_eq!(problems(&findings), BTreeSet::new(), "{findings:#?}");
}
