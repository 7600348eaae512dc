//! Spellings that Kubernetes accepts although YAML 1.2 differs, and texts that no parser accepts.

use std::fmt::Write;

use lameduck_manifests::{Mode, inject as inject_text};

use crate::inject::support::{IMAGE, Output, inject, injected, removed, request};
use lameduck_test_support::manifests::libyaml::{container, parse, pod_spec, without_lameduck};

const USER: &str = "--run-as-user=1000";

const POD: &str =
    "kind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - name: a\n    image: b\n    command: [impeller]\n";

fn pod(spec: &str) -> String {
    POD.replace("  containers:\n", &format!("{spec}  containers:\n"))
}

fn refusal(manifests: &str, args: &[&str]) -> String {
    let Output { code, stdout, stderr } = inject(manifests.as_bytes(), &[&[IMAGE], args].concat(), &[]);
    assert_eq!((code, stdout.as_str()), (Some(64), ""), "{stderr}\n{manifests}");
    stderr
}

fn assert_only_lameduck_is_added(text: &str) {
    for mode in ["--listen=[::]:8089", "--classic", "--standalone"] {
        let mode: &[&str] = if mode == "--standalone" { &[mode] } else { &[USER, mode] };
        let out = injected(text, mode);
        assert!(parse(text).is_some() && parse(&out).is_some(), "{out}");
        assert_eq!(without_lameduck(text), without_lameduck(&out), "{out}");
        assert_eq!(injected(&out, mode), out);
        assert_eq!(removed(&out), text);
    }
}

#[test]
fn under_indented_brackets_and_quotes_are_accepted() {
    for command in [
        "[\n      \"impeller\",\n      \"-v\"\n    ]",
        "[\n      impeller,\n      ü,\n    ]",
        "[\"impeller\",\n  x,\n \"y\"\n]",
        "[\n\n# ü\n\"impeller\" # ]\n,\n{\"x\": \"1\",\n  \"y\": 2\n}, [\n]\n  ]  # c",
        "[impeller, \"a\n\n b\\\n   c'\n\", 'd\n''e\n f']",
    ] {
        let text = format!("{}    tty: true\n", POD.replace("[impeller]", command));
        assert_only_lameduck_is_added(&text);
        assert_only_lameduck_is_added(&text.replace('\n', "\r\n"));
        assert_only_lameduck_is_added(&format!(
            "\u{feff}kind: ConfigMap\ndata: {{\n\"ü\": \"1\"\n}}\n---\n{text}---\n{text}"
        ));
    }
    let all_flow = "kind: Pod\nspec: {\n  \"containers\": [\n{\n\"name\": \"a\",\n\"image\": \"b\",\n\"command\": [\n\"impeller\"\n]\n}\n]\n}\n";
    assert_only_lameduck_is_added(all_flow);
}

#[test]
fn hundreds_of_under_indented_lines_are_accepted() {
    let elements = "\"-x\",\n".repeat(300);
    let text = POD.replace("[impeller]", &format!("[\n\"impeller\",\n{elements}]"));
    assert!(injected(&text, &[USER]).contains("path: /prestop"));
}

#[test]
fn unreadable_non_pod_document_is_left_unchanged() {
    let config = "kind: ConfigMap\ndata:\n  a: b: c\n";
    for text in [format!("{config}---\n{POD}"), format!("{POD}---\n{config}")] {
        let Output { code, stdout, stderr } = inject(text.as_bytes(), &[IMAGE, USER], &[]);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains("a ConfigMap cannot be read and is left unchanged: line "), "{stderr}");
        assert_eq!(removed(&stdout), text);
    }
    let line = refusal(&format!("{POD}---\n{}", config.replace("ConfigMap", "Deployment")), &[USER]);
    assert!(line.contains("cannot be read: line 11, column"), "{line}");
    for other in [
        config.replace("ConfigMap", "List"),
        config.replace("ConfigMap", "\"Pod\""),
        config.replace("kind: ConfigMap\n", ""),
        format!("{config}kind: Pod\n"),
        format!("{config}\"kind\": Pod\n"),
        format!("{config}...\n{POD}"),
    ] {
        assert!(refusal(&format!("{POD}---\n{other}"), &[USER]).contains("cannot be read: line "), "{other}");
    }
}

#[test]
fn booleans_are_read_in_every_spelling() {
    for yes in ["true", "True", "TRUE", "yes", "on", "On", "YES", "!!bool yes"] {
        assert!(refusal(&pod(&format!("  hostPID: {yes}\n")), &[USER]).contains("hostPID"), "{yes}");
        assert!(injected(&pod(&format!("  hostNetwork: {yes}\n")), &[USER]).contains("host: \"127.0.0.1\""), "{yes}");
        let shared = injected(&pod(&format!("  shareProcessNamespace: {yes}\n")), &[USER]);
        assert_eq!(shared.matches("shareProcessNamespace").count(), 1, "{yes}");
    }
    for no in ["false", "no", "off", "\"true\""] {
        assert!(!injected(&pod(&format!("  hostNetwork: {no}\n")), &[USER]).contains("host:"), "{no}");
        assert!(refusal(&pod(&format!("  shareProcessNamespace: {no}\n")), &[USER]).contains("shareProcessNamespace"));
    }
}

#[test]
fn windows_is_detected_by_deprecated_label() {
    let windows = pod("  nodeSelector: {beta.kubernetes.io/os: windows}\n");
    assert!(refusal(&windows, &[USER]).contains("Windows"));
}

#[test]
fn ambiguous_uid_is_refused() {
    for uid in ["01750", "0o1750", "00", "2147483648", "-1"] {
        let message = refusal(&pod(&format!("  securityContext: {{runAsUser: {uid}}}\n")), &[]);
        assert!(message.contains("runAsUser") && message.contains("write it like 1000"), "{uid}: {message}");
    }
    assert!(refusal(POD, &["--run-as-user=2147483648"]).contains("up to 2147483647"));
    injected(POD, &["--run-as-user=2147483647"]);
}

#[test]
fn json_surrogate_escapes_are_accepted() {
    for name in [r"\ud83d\ude00", r"\uD83D\uDE00\ud55c\u00fc", r"\ud83d"] {
        let text = format!(
            r#"{{"kind":"Pod","metadata":{{"name":"p","annotations":{{"{name}":"{name}"}}}},"spec":{{"containers":[{{"name":"a","command":["impeller"]}}]}}}}"#
        );
        let out = injected(&text, &[USER]);
        assert!(out.contains(name), "{out}");
        assert_eq!(removed(&out), text);
    }
}

#[test]
fn json_surrogate_escapes_of_a_replaced_hook_are_restored() {
    let script = r#""echo \ud83d\ude00 \\ud83d \r\n""#;
    let text = format!(
        r#"{{"kind":"Pod","metadata":{{"name":"p"}},"spec":{{"containers":[{{"name":"a","command":["impeller"],"lifecycle":{{"preStop":{{"exec":{{"command":["sh","-c",{script}]}}}}}}}}]}}}}"#
    );
    let once = injected(&text, &[USER, "--replace-hook"]);
    assert_eq!(removed(&once), text);
    let documents = parse(&once).unwrap();
    for converted in
        [serde_json::to_string_pretty(&documents[0]).unwrap(), serde_norway::to_string(&documents[0]).unwrap()]
    {
        let back = removed(&converted);
        let spec = pod_spec(&back);
        let hook = &container(&spec, "containers", "a")["lifecycle"]["preStop"];
        assert_eq!(hook["exec"]["command"][2], "echo 😀 \\ud83d \r\n", "{back}");
    }
}

#[test]
fn unchanged_manifests_are_listed() {
    let others = "# nothing\n---\nmetadata: {name: x}\n---\nkind: PlayList\nmetadata: {name: y}\n---\nkind: List\nitems:\n- metadata: {name: z}\n---\nkind: Rollout\nmetadata: {name: r}\n";
    let text = format!("{others}---\n{POD}");
    let Output { stderr, .. } = inject(text.as_bytes(), &[IMAGE, USER], &[]);
    assert!(stderr.contains("left unchanged: (no kind)/x, PlayList/y, (no kind)/z, Rollout/r\n"), "{stderr}");
    let message = refusal(&text, &[USER, "--workload=rollout/r"]);
    assert!(message.contains("there are no containers at spec.template.spec"), "{message}");
    let message = refusal("kind: Pod\nmetadata: {name: p}\nspec:\n  containers: []\n", &[USER, "--workload=Pod/p"]);
    assert!(message.contains("it has no containers; fix that first"), "{message}");
}

#[test]
fn typed_list_items_may_omit_kind() {
    let list =
        "kind: PodList\napiVersion: v1\nitems:\n- spec:\n    containers:\n    - name: a\n      command: [impeller]\n";
    assert!(injected(list, &[USER]).contains("path: /prestop"));
}

#[test]
fn exponential_merges_and_lists_terminate() {
    let mut merges = "m0: &m0 {q: 1}\n".to_owned();
    for level in 1..20 {
        let all = vec![format!("*m{}", level - 1); 8].join(", ");
        write!(merges, "m{level}: &m{level}\n  <<: [{all}]\n").unwrap();
    }
    let text = format!("{merges}{}", pod("  <<: *m19\n"));
    assert!(inject_text(&text, &request(Mode::Native), &|_| Ok(())).is_ok());

    let mut lists = "l0: &l0 {kind: ConfigMap}\n".to_owned();
    for level in 1..10 {
        let all = vec![format!("*l{}", level - 1); 50].join(", ");
        writeln!(lists, "l{level}: &l{level} {{kind: List, items: [{all}]}}").unwrap();
    }
    let text = format!("{lists}kind: List\nitems: [*l9]\n---\n{POD}");
    assert!(inject_text(&text, &request(Mode::Native), &|_| Ok(())).is_ok());
}

#[test]
fn anchors_of_many_documents_use_bounded_memory() {
    let text = format!("{}{POD}", "a: &x 1\nb: *x\n---\n".repeat(20_000));
    let before = peak_kilobytes();
    assert!(inject_text(&text, &request(Mode::Native), &|_| Ok(())).is_ok());
    let more = peak_kilobytes() - before;
    assert!(more < 500_000, "{more} kB");
}

fn peak_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
