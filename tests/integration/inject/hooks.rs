//! Hooks that were there before lameduck: accepted if they wait for the sidecar, replaced on request, and restored.

use serde::Serialize;

use crate::inject::support::{IMAGE, Output, inject, injected, removed};
use lameduck_test_support::manifests::libyaml::parse;

const COUNT_ONLY: [&str; 3] = ["--preset=generic", "--streams-port=7000", "--container=relay"];
const CURL: &str = include_str!("../../fixtures/manifests/hook-script-curl.yaml");
const DRAIN: &str = include_str!("../../fixtures/manifests/hook-script-drain.yaml");
const FIXED: &str = include_str!("../../fixtures/manifests/hook-fixed.yaml");

fn run(manifests: &str, args: &[&str]) -> Output {
    inject(manifests.as_bytes(), &[&[IMAGE], &COUNT_ONLY[..], args].concat(), &[])
}

fn with(manifests: &str, args: &[&str]) -> String {
    injected(manifests, &[&COUNT_ONLY[..], args].concat())
}

fn assert_refused(manifests: &str, args: &[&str], parts: &[&str]) {
    let Output { code, stdout, stderr } = run(manifests, args);
    assert_eq!((code, stdout.as_str()), (Some(64), ""), "{args:?}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{args:?}: no {part:?} in {stderr}");
    }
}

#[test]
fn script_that_ends_in_a_call_of_the_sidecar_is_kept() {
    for text in [CURL, DRAIN] {
        assert!(run(text, &[]).stderr.contains("container relay: its hook already waits for lameduck, and is kept"));
        let once = with(text, &[]);
        assert_eq!(once.matches("preStop").count(), 1);
        assert!(once.contains("initContainers"), "{once}");
        assert_eq!(with(&once, &[]), once);
        assert_eq!(removed(&once), text);
        assert_refused(text, &["--standalone"], &["preStop", "not replaced", "--replace-hook"]);
    }
}

#[test]
fn script_that_does_not_wait_for_this_sidecar_is_refused() {
    for text in [
        CURL.replace("prestop\n", "prestop &\n"),
        CURL.replace(":8089", ":8090"),
        CURL.replace("prestop\n", "prestop\n                sleep 1\n"),
    ] {
        let parts = ["line 14", "not replaced", "--replace-hook", "curl -sS http://127.0.0.1:8089/prestop"];
        assert_refused(&text, &[], &parts);
    }
    assert!(with(&CURL.replace(":8089", ":8090"), &["--listen=[::]:8090"]).contains("containerPort: 8090"));
}

#[test]
fn hook_that_may_not_wait_gives_a_warning() {
    for (text, doubt) in [
        (CURL.replace("curl -fsS", "curl -fsS -m 60"), "its argument -m"),
        (CURL.replace("leave-ring\n", "leave-ring &&\n"), "(&&)"),
        (CURL.replace("leave-ring\n", "kill -INT 1\n"), "`kill`"),
        (CURL.replace("curl -fsS", "wget -qO-"), "after 900 s"),
        (DRAIN.replace("--hook", "--hook --listen [::]:9"), "[::]:9"),
    ] {
        let Output { code, stderr, .. } = run(&text, &[]);
        assert_eq!(code, Some(0), "{stderr}");
        for part in ["warning: Deployment/relay: line 14: the hook of container relay is kept, but it may", doubt] {
            assert!(stderr.contains(part), "no {part:?} in {stderr}");
        }
        assert!(!stderr.contains("already waits"), "{stderr}");
        assert_refused(&text, &["--strict"], &["--strict: there "]);
        assert!(with(&text, &["--replace-hook"]).contains("path: /prestop"));
    }
}

#[test]
fn hook_whose_program_may_be_missing_gives_a_warning() {
    let Output { stderr, .. } = run(DRAIN, &[]);
    for part in
        ["warning: Deployment/relay: container relay: its hook runs lameduck", "install, /DIR", "--replace-hook"]
    {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
    assert_refused(DRAIN, &["--strict"], &["--strict: there is a warning"]);
    let brought = DRAIN
        .replace("exec lameduck", "exec /tools/lameduck")
        .replace("      containers:\n", "      volumes: [{name: tools, emptyDir: {}}]\n      initContainers:\n      - name: tools\n        image: registry.example.com/lameduck:1\n        args: [install, /out]\n        volumeMounts: [{name: tools, mountPath: /out}]\n      containers:\n")
        .replace("        lifecycle:\n", "        volumeMounts: [{name: tools, mountPath: /tools/}]\n        lifecycle:\n");
    for text in [brought.as_str(), &DRAIN.replace("relay:2.1", "lameduck:1"), CURL] {
        let Output { code, stderr, .. } = run(text, &["--strict"]);
        assert_eq!(code, Some(0), "{stderr}");
    }
    let elsewhere = brought.replace("mountPath: /tools/", "mountPath: /other");
    assert_refused(&elsewhere, &["--strict"], &["its hook runs /tools/lameduck"]);
}

#[test]
fn replaced_and_taken_over_hooks_are_restored() {
    assert_refused(FIXED, &[], &["Deployment/block", "not replaced", "--replace-hook"]);
    for mode in ["--listen=[::]:8089", "--classic", "--standalone"] {
        let args = [mode, "--replace-hook"];
        let once = with(FIXED, &args);
        let hooks = once.matches(if mode == "--standalone" { "exec" } else { "path: /prestop" }).count();
        assert!(hooks >= 3, "{once}");
        assert!(parse(&once).is_some(), "{once}");
        assert!(!once.lines().any(|line| line.trim_start().starts_with("sleep 15")), "{once}");
        assert!(
            once.contains("postStart") && once.contains("        # the last comment\n        tty: true\n"),
            "{once}"
        );
        assert_eq!(with(&once, &args), once);
        let Output { stdout, stderr, .. } = inject(once.as_bytes(), &["--remove"], &[]);
        assert_eq!(stdout, FIXED, "{once}");
        assert!(stderr.contains("(its original hook is restored)"), "{stderr}");
    }
}

#[test]
fn replaced_hook_is_kept_over_updates_and_mode_changes() {
    let once = with(FIXED, &["--replace-hook"]);
    let later = with(&once, &["--listen=[::]:9000"]);
    assert!(later.contains("port: 9000") && !later.contains("port: 8089}\n"), "{later}");
    assert_eq!(removed(&later), FIXED);
    for mode in ["--standalone", "--classic"] {
        assert_eq!(with(&once, &[mode, "--replace-hook"]), with(FIXED, &[mode, "--replace-hook"]));
    }
}

#[test]
fn hook_of_a_container_that_is_no_longer_selected_is_restored() {
    let two = "kind: Pod\nspec:\n  terminationGracePeriodSeconds: 60\n  containers:\n  - name: relay\n  - name: proxy\n    lifecycle:\n      preStop:\n        sleep:\n          seconds: 5\n";
    let both = with(two, &["--replace-hook", "--also-hook=proxy"]);
    assert!(both.contains("original-hooks"), "{both}");
    assert_eq!(with(&both, &[]), with(two, &[]));
    assert_eq!(removed(&both), two);
}

/// A Deployment whose hook runs `sleep`.
const SLEEP: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\nspec:\n  template:\n    spec:\n      terminationGracePeriodSeconds: 60\n      containers:\n      - name: relay\n        image: registry.example.com/relay:2.1\n        lifecycle:\n          preStop: {exec: {command: [sleep, \"5\"]}}\n";

/// The annotation's text after an injection into [`SLEEP`].
const SAVED_SLEEP: &str = r#"'{"relay": "preStop: {exec: {command: [sleep, \"5\"]}}"}'"#;

/// The manifest as `kubectl get -o json` writes it, or without whitespace if there is no indentation.
fn to_json(yaml: &str, indent: Option<usize>) -> String {
    let value: serde_json::Value = serde_norway::from_str(yaml).unwrap();
    let Some(indent) = indent else { return value.to_string() };
    let indent = " ".repeat(indent);
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter)).unwrap();
    String::from_utf8(out).unwrap()
}

fn remove(manifests: &str) -> Output {
    inject(manifests.as_bytes(), &["--remove"], &[])
}

/// The only preStop hook of a manifest, in whatever style.
fn hook(manifest: &str) -> serde_norway::Value {
    let value: serde_norway::Value = serde_norway::from_str(manifest).unwrap();
    value["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"].clone()
}

#[test]
fn hook_is_restored_in_json_that_was_converted_from_yaml() {
    let block = FIXED.split("---\n").next().unwrap();
    for text in [SLEEP, block] {
        let once = with(text, &["--replace-hook"]);
        for indent in [None, Some(0), Some(1), Some(2), Some(4)] {
            let json = to_json(&once, indent);
            let Output { code, stdout, stderr } = remove(&json);
            assert_eq!(code, Some(0), "{indent:?}: {stderr}");
            assert!(stderr.contains("(its original hook is restored, in the style of the manifest)"), "{stderr}");
            let restored: serde_json::Value = serde_json::from_str(&stdout).unwrap();
            assert_eq!(restored, serde_norway::from_str::<serde_json::Value>(text).unwrap(), "{stdout}");
            let standalone = with(&json, &["--standalone"]);
            serde_json::from_str::<serde_json::Value>(&standalone).unwrap();
            assert_eq!(hook(&removed(&standalone)), hook(text), "{standalone}");
        }
    }
}

#[test]
fn hook_is_restored_in_yaml_that_was_converted_from_json() {
    for indent in [None, Some(0), Some(2)] {
        let once = with(&to_json(SLEEP, indent), &["--replace-hook"]);
        let value: serde_norway::Value = serde_norway::from_str(&once).unwrap();
        let restored = removed(&serde_norway::to_string(&value).unwrap());
        assert_eq!(hook(&restored), hook(SLEEP), "{restored}");
    }
}

#[test]
fn hook_is_restored_in_a_manifest_that_was_indented_again() {
    let block = FIXED.split("---\n").next().unwrap();
    let once = with(block, &["--replace-hook"]);
    let deeper: Vec<_> = once.lines().map(|line| format!("            {line}\n")).collect();
    let list = format!("items:\n          -\n{}kind: List\n", deeper.concat());
    let restored: serde_norway::Value = serde_norway::from_str(&removed(&list)).unwrap();
    assert_eq!(restored["items"][0], serde_norway::from_str::<serde_norway::Value>(block).unwrap());
}

/// [`SLEEP`] with its hook replaced: the line of the annotation, and the manifest with another value of it.
fn saved_sleep() -> (usize, impl Fn(&str) -> String) {
    let once = with(SLEEP, &["--replace-hook"]);
    let (index, annotation) =
        once.lines().enumerate().find(|(_, line)| line.contains("lameduck/original-hooks")).unwrap();
    let annotation = annotation.to_owned();
    (index + 1, move |value: &str| once.replace(&annotation, &format!("        lameduck/original-hooks: {value}")))
}

#[test]
fn saved_text_that_is_not_one_hook_is_refused() {
    let (line, tampered) = saved_sleep();
    let again = [IMAGE, COUNT_ONLY[0], COUNT_ONLY[1], COUNT_ONLY[2]];
    assert_eq!(removed(&tampered(SAVED_SLEEP)), SLEEP);
    let change = [IMAGE, "--standalone", "--replace-hook", COUNT_ONLY[0], COUNT_ONLY[1], COUNT_ONLY[2]];
    for saved in [
        "preStop: {}\\n---\\nkind: Evil",
        "preStop: {}\\nkind: Evil",
        "preStop: {",
        "preStop: *a",
        "preStop: &a {}",
        "preStop: {} # x",
        "postStart: {}",
        "",
    ] {
        let text = tampered(&format!("'{{\"relay\": \"{saved}\"}}'"));
        for args in [&["--remove"][..], &again, &change] {
            let Output { code, stdout, stderr } = inject(text.as_bytes(), args, &[]);
            assert_eq!((code, stdout.as_str()), (Some(64), ""), "{saved:?}: {stderr}");
            let value = format!("its text is \"{saved}\"");
            for part in [&format!("Deployment/d: line {line}: "), "container relay", &value, "correct it"] {
                assert!(stderr.contains(part), "{saved:?}: no {part:?} in {stderr}");
            }
        }
    }
}

#[test]
fn annotation_that_is_not_a_map_of_texts_is_refused() {
    let (line, tampered) = saved_sleep();
    let again = [IMAGE, COUNT_ONLY[0], COUNT_ONLY[1], COUNT_ONLY[2]];
    for value in ["{x", "[preStop]", "5", "", "{relay: {}}", "{}\\n---\\n{}"] {
        let text = tampered(&format!("\"{value}\""));
        for args in [&["--remove"][..], &again] {
            let Output { code, stdout, stderr } = inject(text.as_bytes(), args, &[]);
            assert_eq!((code, stdout.as_str()), (Some(64), ""), "{value:?}: {stderr}");
            let place = format!("Deployment/d: line {line}: the annotation lameduck/original-hooks");
            for part in [&place, &format!("\"{value}\""), "not a map"] {
                assert!(stderr.contains(part), "{value:?}: no {part:?} in {stderr}");
            }
        }
    }
}

#[test]
fn saved_hook_of_a_renamed_container_is_kept_and_named_at_removal() {
    let once = with(SLEEP, &["--replace-hook"]);
    let renamed = once.replace("- name: relay", "- name: proxy");
    let again = injected(&renamed, &[COUNT_ONLY[0], COUNT_ONLY[1], "--container=proxy"]);
    assert!(removed(&renamed.replace("{\\\"relay\\\":", "{\\\"proxy\\\":")).contains("command: [sleep, \"5\"]"));
    for text in [&renamed, &again] {
        assert!(text.contains("lameduck/original-hooks"), "{text}");
        let Output { code, stdout, stderr } = remove(text);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(!stdout.contains("lameduck"), "{stdout}");
        let saved = "warning: Deployment/d: the original hook of container relay is not restored";
        for part in [saved, "no container of this name", "preStop: {exec: {command: [sleep, \"5\"]}}"] {
            assert!(stderr.contains(part), "no {part:?} in {stderr}");
        }
    }
}

#[test]
fn saved_hook_is_named_if_the_hook_has_changed_since() {
    let once = with(SLEEP, &["--replace-hook"]);
    let edited = once.replace("path: /prestop", "path: /stop");
    assert_ne!(edited, once);
    let named = "warning: Deployment/d: the original hook of container relay is not restored";
    let Output { stderr, .. } = remove(&edited);
    for part in [named, "no longer lameduck's", "preStop: {exec: {command: [sleep, \"5\"]}}"] {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
    let Output { stdout, stderr, .. } = run(&edited, &["--replace-hook"]);
    for part in [named, "has changed since", "preStop: {exec: {command: [sleep, \"5\"]}}"] {
        assert!(stderr.contains(part), "no {part:?} in {stderr}");
    }
    assert!(removed(&stdout).contains("path: /stop"));
}

#[test]
fn mode_change_replaces_only_hooks_that_were_replaced_before() {
    let once = with(SLEEP, &["--replace-hook"]);
    for mode in ["--standalone", "--classic"] {
        let changed = with(&once, &[mode]);
        assert_eq!(changed, with(SLEEP, &[mode, "--replace-hook"]));
        assert_eq!(removed(&changed), SLEEP);
        let edited = once.replace("path: /prestop", "path: /stop");
        assert_refused(&edited, &[mode], &["not replaced", "--replace-hook"]);
    }
}

#[test]
fn shared_hook_is_not_replaced() {
    let text = "kind: Pod\nspec:\n  containers:\n  - name: relay\n    lifecycle:\n      preStop: {sleep: &s {seconds: 5}}\n  - name: other\n    lifecycle: {postStart: {sleep: *s}}\n";
    assert_refused(text, &["--replace-hook"], &["line 6", "write it out"]);
    let merged = "kind: Pod\nx: &l {preStop: {sleep: {seconds: 1}}}\nspec:\n  containers:\n  - name: relay\n    lifecycle:\n      <<: *l\n";
    assert_refused(merged, &[], &["line 2", "not replaced"]);
    let alias = "kind: Pod\nx: &h {sleep: {seconds: 1}}\nspec:\n  containers:\n  - name: relay\n    lifecycle:\n      preStop: *h\n";
    assert_refused(alias, &["--replace-hook"], &["line 7", "cannot be saved", "alias"]);
    let once = with(merged, &["--replace-hook"]);
    assert!(once.contains("      preStop:\n        httpGet:\n"), "{once}");
    assert_eq!(removed(&once), merged);
}
