//! Hooks that were there before lameduck: accepted if they wait for the sidecar, replaced on request, and restored.

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

#[test]
fn original_hook_that_no_longer_fits_is_not_restored() {
    let once = with(FIXED.split("---\n").next().unwrap(), &["--replace-hook"]);
    let deeper: Vec<_> = once.lines().map(|line| format!("            {line}\n")).collect();
    let deeper = deeper.concat();
    let Output { code, stdout, stderr } =
        inject(format!("items:\n          -\n{deeper}kind: List\n").as_bytes(), &["--remove"], &[]);
    assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}");
    assert!(stderr.contains("indented again") && stderr.contains("Deployment/block: line "), "{stderr}");
}

#[test]
fn shared_hook_is_not_replaced() {
    let text = "kind: Pod\nspec:\n  containers:\n  - name: relay\n    lifecycle:\n      preStop: {sleep: &s {seconds: 5}}\n  - name: other\n    lifecycle: {postStart: {sleep: *s}}\n";
    assert_refused(text, &["--replace-hook"], &["line 6", "write it out"]);
    let merged = "kind: Pod\nx: &l {preStop: {sleep: {seconds: 1}}}\nspec:\n  containers:\n  - name: relay\n    lifecycle:\n      <<: *l\n";
    assert_refused(merged, &[], &["line 2", "not replaced"]);
    let once = with(merged, &["--replace-hook"]);
    assert!(once.contains("      preStop:\n        httpGet:\n"), "{once}");
    assert_eq!(removed(&once), merged);
}
