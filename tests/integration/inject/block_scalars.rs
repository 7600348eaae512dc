//! Hooks that end in a block scalar: their final newlines, blank lines and trailing spaces survive the replacement of the
//! hook, its removal, and a conversion of the manifest in between.

use lameduck_manifests::{ContainerSelector, Mode, Request, inject, remove};
use lameduck_test_support::manifests::libyaml::{container, parse, pod_spec};
use serde_norway::Value;

use crate::inject::support::{request, with_final_newline};

/// The header and the lines of scripts. The indentation is added to each line that is not empty.
const SCRIPTS: [&str; 18] = [
    "|\necho a\necho b\n",
    "|-\necho a\necho b\n",
    "|+\necho a\necho b\n",
    ">\necho a\necho b\n",
    ">-\necho a\necho b\n",
    ">+\necho a\necho b\n",
    "|\necho a\n\n\n",
    "|-\necho a\n\n\n",
    "|+\necho a\n\n\n",
    ">\necho a\n\n\n",
    ">+\necho a\n\n\n",
    "|+ # why\necho a\n   \n\n",
    "|2+\n  echo a\n\n",
    "|\necho a  \n",
    "|+\necho a \t\n\n",
    "|\necho a\u{3000}\n",
    "|\necho a\n   \n",
    "|+\necho a\n   \n",
];

/// What follows the hook in the manifest.
const ENDS: [&str; 4] = ["", "        tty: true\n", "# far left\n        tty: true\n", "---\nkind: ConfigMap\n"];

/// A Deployment whose hook runs a script, and its end.
fn manifest(script: &str, end: &str) -> String {
    let mut lines = script.lines();
    let header = lines.next().unwrap();
    let indented = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("                {line}\n") };
    let lines: String = lines.map(indented).collect();
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\nspec:\n  template:\n    spec:\n      terminationGracePeriodSeconds: 60\n      containers:\n      - name: engine\n        image: quay.io/deepgram/self-hosted-engine:1\n        lifecycle:\n          preStop:\n            exec:\n              command:\n              - sh\n              - -c\n              - {header}\n{lines}{end}"
    )
}

/// Each script with each end, with each kind of line breaks, and without a final newline.
fn manifests() -> Vec<String> {
    let all = SCRIPTS.iter().flat_map(|script| ENDS.iter().map(|end| manifest(script, end)));
    let without_newline = |text: String| [text.strip_suffix('\n').unwrap().to_owned(), text];
    let breaks = |text: String| [text.replace('\n', "\r\n"), text];
    all.flat_map(without_newline).flat_map(breaks).collect()
}

fn replaced(text: &str, mode: Mode) -> String {
    let request = Request { replace_hook: true, ..request(mode) };
    inject(text, &request, &|_| Ok(())).unwrap().text
}

fn removed(text: &str) -> String {
    remove(text, &ContainerSelector::default()).unwrap().text
}

/// The hook, as kubectl reads it.
fn hook(text: &str) -> Value {
    container(&pod_spec(&with_final_newline(text)), "containers", "engine")["lifecycle"]["preStop"].clone()
}

#[test]
fn every_byte_of_the_hook_is_restored() {
    for text in manifests() {
        for mode in [Mode::Native, Mode::Standalone] {
            let once = replaced(&text, mode);
            let spec = pod_spec(&once);
            let ours = &container(&spec, "containers", "engine")["lifecycle"]["preStop"];
            match mode {
                Mode::Standalone => assert!(ours["exec"]["command"].is_sequence(), "{text:?}"),
                Mode::Native | Mode::Classic => assert_eq!(ours["httpGet"]["port"], 8089, "{text:?}"),
            }
            assert_eq!(removed(&once), text);
        }
    }
}

#[test]
fn hook_keeps_its_value_in_a_manifest_that_was_converted() {
    for text in manifests() {
        let documents = parse(&replaced(&text, Mode::Native)).unwrap();
        let json: Vec<_> = documents.iter().map(|document| serde_json::to_string(document).unwrap()).collect();
        let yaml: Vec<_> = documents.iter().map(|document| serde_norway::to_string(document).unwrap()).collect();
        for converted in [json.join("\n"), yaml.join("---\n"), yaml.join("---\n").replace('\n', "\r\n")] {
            let back = removed(&converted);
            assert_eq!(hook(&back), hook(&text), "{text:?}: {back}");
        }
    }
}

#[test]
fn hook_keeps_its_value_if_the_lines_after_it_have_changed() {
    let changes: [fn(&str) -> String; 6] = [
        |end| format!("\n{end}"),
        |end| format!("\n\n\n{end}"),
        |end| format!("                  # deep\n{end}"),
        |end| format!("\n                # as deep as the script\n{end}"),
        |_| String::new(),
        |end| end.trim_end().to_owned(),
    ];
    for script in SCRIPTS {
        let end = "        tty: true\n";
        let text = manifest(script, end);
        let once = replaced(&text, Mode::Native);
        let lines = once.strip_suffix(end).unwrap();
        let edited = changes.iter().flat_map(|change| {
            let end = change(end);
            [
                format!("{lines}{end}"),
                format!("{}\n{end}", lines.trim_end()),
                format!("{} # ours\n{end}", lines.trim_end()),
            ]
        });
        for edited in edited.chain([lines.trim_end().to_owned()]) {
            let back = removed(&edited);
            assert_eq!(hook(&back), hook(&text), "{edited:?}: {back}");
        }
    }
}
