//! One mistake in a manifest at a time: the rule for it finds it, and no other rule reports anything.

use std::collections::BTreeSet;

use lameduck_manifests::preflight::{Evaluation, Rule};

use super::support::Base::{Classic, Native, Standalone, TwoContainers};
use super::support::{findings, is_problem, of_rule, problems};
use table::{HOOKS, Mistake, PODS, SIDECAR};

mod table;

const MAIN: &str = "containers/deepgram-engine";

fn mistakes() -> impl Iterator<Item = &'static Mistake> {
    SIDECAR.iter().chain(HOOKS).chain(PODS)
}

#[test]
fn manifests_without_mistakes_pass() {
    for base in [Native, Classic, Standalone, TwoContainers] {
        let findings = findings(&base.with(&[]));
        let problems: Vec<_> = findings.iter().filter(|finding| is_problem(finding)).collect();
        assert!(problems.is_empty(), "{base:?}: {problems:#?}");
    }
}

#[test]
fn each_mistake_is_found_by_its_rule_alone() {
    let mut wrong = Vec::new();
    for (rule, base, changes, detail) in mistakes() {
        let findings = findings(&base.with(changes));
        let details = of_rule(&findings, *rule);
        if problems(&findings) != BTreeSet::from([*rule])
            || !details.iter().any(|finding| is_problem(finding) && finding.detail.contains(detail))
        {
            let found: Vec<_> = findings.iter().filter(|finding| is_problem(finding)).collect();
            wrong.push(format!("{rule:?} {changes:?}: {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(mistakes().count() >= 50);
}

/// Without the rule, that mistake would not be reported.
#[test]
fn every_rule_finds_a_mistake_that_no_other_rule_finds() {
    let found: BTreeSet<Rule> = mistakes().map(|(rule, ..)| *rule).collect();
    let missing: Vec<_> = Rule::ALL.iter().filter(|rule| !found.contains(rule)).collect();
    assert!(missing.is_empty(), "no mistake for {missing:?}");
    let names: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(names.len(), Rule::ALL.len(), "two rules have one name");
}

#[test]
fn every_problem_has_a_fix() {
    for (rule, base, changes, _) in mistakes() {
        for finding in of_rule(&findings(&base.with(changes)), *rule) {
            if let Evaluation::Fail { fix } | Evaluation::Warn { fix } = &finding.evaluation {
                assert!(!fix.is_empty() && !finding.detail.is_empty(), "{finding:?}");
            }
        }
    }
}

#[test]
fn hook_on_sidecar_only_is_found_on_both_containers() {
    let changes = [
        (MAIN, "{name: deepgram-engine, image: 'a:1', command: [impeller]}"),
        ("initContainers/lameduck/lifecycle", "{preStop: {httpGet: {path: /prestop, port: 8089}}}"),
    ];
    let findings = findings(&Native.with(&changes));
    assert_eq!(problems(&findings), BTreeSet::from([Rule::Hook, Rule::SidecarHook]), "{findings:#?}");
    let hook = of_rule(&findings, Rule::Hook);
    assert!(hook[0].detail.contains("the hook on lameduck delays only the SIGTERM of lameduck"), "{hook:?}");
}

#[test]
fn host_network_needs_a_host_in_the_hook() {
    let findings = findings(&Native.with(&[("hostNetwork", "true")]));
    assert_eq!(problems(&findings), BTreeSet::from([Rule::HookAddress, Rule::HostNetwork]), "{findings:#?}");
}

#[test]
fn misspelt_names_are_corrected() {
    for (changes, fix) in [
        (("initContainers/lameduck/args/1", "--lame-duk=5s"), "--lame-duck"),
        (("initContainers/lameduck/env/1", "{name: LAMEDUCK_SIGNALS, value: x}"), "LAMEDUCK_SIGNAL was probably"),
        (("initContainers/lameduck/env/1", "{name: LAMEDUCK_WAITFOR, value: x}"), "LAMEDUCK_WAIT_FOR was probably"),
    ] {
        let findings = findings(&Native.with(&[changes]));
        let finding = findings.iter().find(|finding| is_problem(finding)).unwrap();
        assert!(format!("{finding:?}").contains(fix), "{finding:?}");
    }
}

#[test]
fn documentation_lists_every_rule_in_order() {
    let text = include_str!("../../../docs/commands.md");
    let (_, section) = text.split_once("\n## check -f\n").unwrap();
    let (_, table) = section.split_once("| rule |").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let names: Vec<_> = rows.map(|(name, _)| name).collect();
    assert_eq!(names, Rule::ALL.map(Rule::name));
}
