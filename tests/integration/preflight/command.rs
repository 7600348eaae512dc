//! The command line: input, output and exit codes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::support::Base::Native;
use super::support::{Change, NATIVE, Output, lameduck};
use lameduck_manifests::preflight::Rule;

/// Runs `lameduck check` with these arguments, and this text on stdin.
fn check(args: &[&str], stdin: &str) -> Output {
    check_in(args, stdin, &[])
}

fn check_in(args: &[&str], stdin: &str, env: &[(&str, &str)]) -> Output {
    lameduck(&[&["check"], args].concat(), stdin, env)
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s-examples")
}

/// A file that is removed on drop.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("lameduck-{}-{name}", std::process::id()));
        fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn all_examples_together_pass() {
    let files = fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().path());
    let manifests: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    let texts: Vec<_> = manifests.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let output = check(&["-f", "-"], &texts.join("\n---\n"));
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("0 failed"), "{}", output.stdout);
    assert!(output.stdout.contains("not checked: CronJob/deepgram-engine-restart"), "{}", output.stdout);
    let files: Vec<_> = manifests.iter().flat_map(|path| ["-f", path.to_str().unwrap()]).collect();
    let output = check(&files, "");
    assert_eq!(output.code, Some(0), "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("native-sidecar.yaml, document 1, line 5)"), "{}", output.stdout);
}

#[test]
fn report_has_a_heading_lines_and_a_summary() {
    let output = check(&["-f", "-"], &Native.with(&[("shareProcessNamespace", "")]));
    assert_eq!(output.code, Some(69), "{}", output.stderr);
    let lines: Vec<_> = output.stdout.lines().collect();
    assert_eq!(lines[0], "Deployment/deepgram-engine (document 1, line 1)");
    let failed = lines.iter().position(|line| line.starts_with("✗ pid namespace")).unwrap();
    assert!(lines[failed].contains("shareProcessNamespace is missing"), "{}", output.stdout);
    assert!(lines[failed + 1].trim_start().starts_with("fix: set shareProcessNamespace: true"), "{}", output.stdout);
    assert!(lines.last().unwrap().contains(" passed, 1 failed, "), "{}", output.stdout);
}

#[test]
fn json_has_objects_with_checks() {
    let text = Native
        .with(&[("terminationGracePeriodSeconds", "900")])
        .replace("  name: deepgram-engine\n", "  name: x\n  namespace: speech\n");
    let other = "\n---\nkind: Pod\nmetadata: {name: y}\nspec: {containers: []}\n";
    let output = check(&["-f", "-", "--json"], &(text + other));
    assert_eq!(output.code, Some(69), "{}", output.stderr);
    let json: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&json["ok"], &json["without_lameduck"]), (&false.into(), &serde_json::json!(["Pod/y"])));
    let object = &json["objects"][0];
    assert_eq!(object["object"], "Deployment/speech/x");
    assert_eq!((&object["file"], &object["document"], &object["line"]), (&"stdin".into(), &1.into(), &1.into()));
    let checks = object["checks"].as_array().unwrap();
    let named = |rule: Rule| checks.iter().find(|check| check["name"] == rule.name()).unwrap();
    assert_eq!(named(Rule::GracePeriod)["ok"], false);
    assert_eq!(named(Rule::Hook)["ok"], true);
    // A warning has a fix, something skipped has none.
    let (warning, skipped) = (named(Rule::Autoscaler), named(Rule::Gid));
    assert!(warning["ok"].is_null() && warning["fix"].is_string(), "{warning}");
    assert!(skipped["ok"].is_null() && skipped["fix"].is_null(), "{skipped}");
}

#[test]
fn first_cause_determines_exit_code() {
    let uid: Change = ("initContainers/lameduck/securityContext/runAsUser", "1");
    let hook: Change = ("containers/deepgram-engine/lifecycle", "");
    let setting: Change = ("initContainers/lameduck/args/1", "--signal=SIGFOO");
    for (changes, code) in [
        (&[][..], 0),
        (&[("terminationGracePeriodSeconds", "600")], 0),
        (&[hook], 69),
        (&[hook, uid], 77),
        (&[hook, setting], 64),
    ] {
        let output = check(&["-f", "-"], &Native.with(changes));
        assert_eq!(output.code, Some(code), "{changes:?}: {}", output.stdout);
    }
}

#[test]
fn warnings_alone_do_not_fail() {
    let output = check(&["-f", "-"], NATIVE);
    assert_eq!(output.code, Some(0), "{}", output.stdout);
    assert!(output.stdout.contains("\n! autoscaler"), "{}", output.stdout);
    assert!(output.stdout.contains("warning"), "{}", output.stdout);
}

#[test]
fn manifests_without_lameduck_are_an_error() {
    let chart = include_str!("../../fixtures/manifests/engine-chart.yaml");
    let output = check(&["-f", "-"], chart);
    assert_eq!((output.code, output.stdout.as_str()), (Some(69), ""));
    for part in ["stdin: no pod has lameduck", "Deployment/deepgram-engine, Deployment/deepgram-api", "lameduck inject"]
    {
        assert!(output.stderr.contains(part), "{}", output.stderr);
    }
    let service = check(&["-f", "-"], "kind: Service\nmetadata: {name: x}\n");
    assert!(service.stderr.contains("no object has a pod (1 without one)"), "{}", service.stderr);
    let empty = check(&["-f", "-"], "");
    assert_eq!(empty.code, Some(69), "{}", empty.stderr);
}

#[test]
fn names_that_no_pod_has_are_refused() {
    let [engine, api] = ["two-containers.yaml", "api-pod.yaml"].map(|file| examples().join(file));
    let files = ["-f", engine.to_str().unwrap(), "-f", api.to_str().unwrap()];
    let known = check(&[&files[..], &["--also-hook=proxy", "--container=deepgram-api"]].concat(), "");
    assert_eq!(known.code, Some(0), "{}{}", known.stdout, known.stderr);
    for flag in ["--also-hook", "--container"] {
        let unknown = check(&[&files[..], &[flag, "envoy"]].concat(), "");
        assert_eq!(unknown.code, Some(64), "{}", unknown.stdout);
        for part in [&format!("{flag} envoy: no pod"), "deepgram-api, deepgram-engine, lameduck, proxy"] {
            assert!(unknown.stderr.contains(part), "{}", unknown.stderr);
        }
    }
}

#[test]
fn unreadable_input_is_named_with_its_place() {
    let broken = TempFile::new("broken.yaml", "kind: Pod\nspec: [\n");
    let binary = TempFile::new("binary.yaml", b"kind: \xff\n");
    let missing = std::env::temp_dir().join("lameduck-no-such-file.yaml");
    for (file, parts) in [
        (broken.path(), &["broken.yaml: line 3", "fix that line"][..]),
        (binary.path(), &["binary.yaml: ", "not UTF-8 (at byte 6)"]),
        (missing.to_str().unwrap(), &["lameduck-no-such-file.yaml: cannot be read"]),
        (std::env::temp_dir().to_str().unwrap(), &["cannot be read"]),
    ] {
        let output = check(&["-f", file], "");
        assert_eq!((output.code, output.stdout.as_str()), (Some(64), ""), "{}", output.stderr);
        for part in parts {
            assert!(output.stderr.contains(part), "{}", output.stderr);
        }
    }
}

#[test]
fn environment_of_the_command_has_no_influence() {
    let env = [
        ("LAMEDUCK_GRACE_PERIOD", "nonsense"),
        ("LAMEDUCK_SIGNAL", "SIGFOO"),
        ("LAMEDUCK_LISTEN", "[::]:9999"),
        ("LAMEDUCK_TYPO", "x"),
    ];
    for file in [&["-f", "-"][..], &["--file=-"], &["-f-"], &["--json", "--file", "-"]] {
        let text = Native.with(&[]);
        let [with, without] = [&env[..], &[]].map(|env| check_in(file, &text, env));
        assert_eq!((with.code, &with.stdout), (Some(0), &without.stdout), "{}", with.stderr);
    }
}

#[test]
fn settings_of_the_sidecar_are_refused_beside_a_file() {
    for args in [&["-f", "-", "--grace-period=60"][..], &["--container=a"], &["--also-hook=a"]] {
        let output = check(args, NATIVE);
        assert_eq!(output.code, Some(64), "{args:?}: {}{}", output.stdout, output.stderr);
        assert!(output.stderr.contains("--file"), "{}", output.stderr);
    }
}

#[test]
fn names_from_manifests_are_sanitized() {
    let text = NATIVE.replace("  name: deepgram-engine\n", "  name: \"a\\e[2J\\u202e\"\n");
    let output = check(&["-f", "-"], &text);
    assert!(output.stdout.starts_with("Deployment/a\u{fffd}[2J\u{fffd} ("), "{}", output.stdout);
}

#[test]
fn switch_does_not_take_the_next_argument_as_its_value() {
    let check_with = |args: &'static str| check(&["-f", "-"], &Native.with(&[("initContainers/lameduck/args", args)]));
    for args in
        ["[sidecar, --assume-signal-caught, --signal=none]", "[sidecar, --assume-signal-caught=yes, --signal=none]"]
    {
        let output = check_with(args);
        assert_eq!(output.code, Some(0), "{}", output.stdout);
        assert!(output.stdout.contains("no signal is sent"), "{}", output.stdout);
    }
    for args in ["[sidecar, --assume-signal-caught, maybe]", "[sidecar, --assume-signal-caught=maybe]"] {
        let output = check_with(args);
        assert!(output.code != Some(0) && output.stdout.contains("maybe"), "{}", output.stdout);
    }
}

#[test]
fn real_time_signal_in_a_manifest_is_a_setting_like_any_other() {
    let check_with = |args: &'static str| check(&["-f", "-"], &Native.with(&[("initContainers/lameduck/args", args)]));
    let output = check_with("[sidecar, --signal, SIGRTMIN+3]");
    assert_eq!(output.code, Some(0), "{}", output.stdout);
    let output = check_with("[sidecar, --signal, SIGRTMIN+31]");
    assert!(output.code != Some(0) && output.stdout.contains("SIGRTMIN to SIGRTMIN+30"), "{}", output.stdout);
}
