//! Values that charts write in unusual ways: nulls, duplicate keys, other spellings, unreadable grace periods.

use crate::inject::support::{IMAGE, Output, inject, injected, removed};
use lameduck_test_support::manifests::libyaml::{parse, pod_spec};

const USER: &str = "--run-as-user=1000";
const DUPLICATES: &str = include_str!("../../fixtures/manifests/duplicate-keys.yaml");
const GENERIC: &str = include_str!("../../fixtures/manifests/generic-preset.yaml");

fn assert_refused(manifests: &str, args: &[&str], parts: &[&str]) {
    let Output { code, stdout, stderr } = inject(manifests.as_bytes(), &[&[IMAGE], args].concat(), &[]);
    assert_eq!((code, stdout.as_str()), (Some(64), ""), "{args:?}: {stderr}\n{manifests}");
    for part in parts {
        assert!(stderr.contains(part), "{args:?}: no {part:?} in {stderr}");
    }
}

#[test]
fn serialized_again_it_is_up_to_date() {
    let args = [
        "--preset=generic",
        "--streams-port=7000",
        "--activity-port=7000",
        "--activity-port=7001",
        "--idle-after=60s",
        "--streams-port=7001",
        "--container=relay",
        USER,
        "--target=relay",
        "--signal=TERM",
    ];
    let once = injected(GENERIC, &args);
    let value = parse(&once).unwrap().remove(0);
    for text in [serde_norway::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
        let Output { stdout, stderr, .. } = inject(text.as_bytes(), &[&[IMAGE], &args[..]].concat(), &[]);
        assert_eq!(stdout, text, "{stderr}");
        assert!(stderr.contains("is up to date"), "{stderr}");
    }
    for (written, other) in [
        ("value: \"60s\"", "value: 60s"),
        ("cpu: \"50m\"", "cpu: 50m"),
        ("runAsNonRoot: true", "runAsNonRoot: True"),
        ("value: generic", "value: \"generic\""),
        ("image: registry.example.com/lameduck:0.1.0", "image: 'registry.example.com/lameduck:0.1.0'"),
    ] {
        let text = once.replace(written, other);
        assert_ne!(text, once, "{written}");
        assert_eq!(injected(&text, &args), text);
    }
    // Another type is another value.
    for (written, other) in [("value: \"900\"", "value: 900"), ("containerPort: 8089", "containerPort: \"8089\"")] {
        let text = once.replacen(written, other, 1);
        assert_ne!(text, once, "{written}");
        assert_eq!(injected(&text, &args), once);
    }
}

#[test]
fn only_duplicate_keys_that_matter_are_refused() {
    let args = [USER, "--container=model"];
    let once = injected(DUPLICATES, &args);
    assert_eq!(injected(&once, &args), once);
    assert_eq!(removed(&once), DUPLICATES);
    for (line, key) in [
        ("      terminationGracePeriodSeconds: 900\n", "terminationGracePeriodSeconds"),
        ("  name: model\n", "name"),
        ("kind: Deployment\n", "kind"),
        ("      - name: model\n        image: registry.example.com/model:3\n", "image"),
    ] {
        let last = line.split_inclusive('\n').next_back().unwrap();
        assert_refused(&DUPLICATES.replace(line, &format!("{line}{last}")), &args, &["duplicate key", key]);
    }
    let metadata = "    metadata:\n      labels: {app: model, app: model}\n";
    let twice = DUPLICATES.replace(metadata, &metadata.repeat(2));
    assert_refused(&twice, &args, &["line 15", "duplicate key `metadata`"]);
    let hook = "        lifecycle:\n          preStop: {httpGet: {path: /prestop, port: 8089, path: /x}}\n";
    let text = DUPLICATES.replace("        imagePullPolicy: Always\n", hook);
    assert_refused(&text, &args, &["duplicate key `path`"]);
    assert_refused(
        &once.replace("            - ALL\n", "            - ALL\n          runAsUser: 0\n"),
        &args,
        &["duplicate"],
    );
}

#[test]
fn unreadable_grace_period_is_replaced_on_request() {
    for period in ["0", "\"1800\"", "1_800", "ten", "{}", "0x10", "|\n        5\n", "[a,\n        b]"] {
        let text = GENERIC.replace("900", period);
        let args = ["--container=relay", "--preset=generic", "--streams-port=7000"];
        assert_refused(&text, &args, &["terminationGracePeriodSeconds is not a whole number", "--grace-period"]);
        let out = injected(&text, &[&args[..], &["--grace-period=10m"]].concat());
        assert_eq!(pod_spec(&out)["terminationGracePeriodSeconds"], 600, "{out}");
        assert!(out.contains("value: \"600\""), "{out}");
    }
    let merged =
        "kind: Pod\nx: &g {terminationGracePeriodSeconds: 5}\nspec:\n  <<: *g\n  containers:\n  - {name: relay}\n";
    let alias = "kind: Pod\nx: &g 5\nspec:\n  terminationGracePeriodSeconds: *g\n  containers:\n  - {name: relay}\n";
    for text in [merged, alias] {
        let args = ["--container=relay", "--signal=none", "--grace-period=10m"];
        let out = injected(text, &args);
        assert!(out.contains("  terminationGracePeriodSeconds: 600\n"), "{out}");
        assert_eq!(injected(&out, &args), out);
    }
}

#[test]
fn strict_refuses_the_default_grace_period() {
    let text = GENERIC.replace("      terminationGracePeriodSeconds: 900\n", "");
    let args = ["--container=relay", "--preset=generic", "--streams-port=7000", "--strict"];
    let parts = ["no terminationGracePeriodSeconds", "30 s", "--grace-period", "--strict: there is a warning"];
    assert_refused(&text, &args, &parts);
    injected(&text, &[&args[..], &["--grace-period=30s"]].concat());
    injected(GENERIC, &args);
}

#[test]
fn nulls_are_restored() {
    let pod = |null: &str, metadata: &str| {
        format!(
            "kind: Deployment\nspec:\n  template:\n    metadata:{metadata}\n    spec:\n      terminationGracePeriodSeconds: 60\n      shareProcessNamespace:{null} # a\n      initContainers:{null}\n      volumes:{null}   # c\n      containers:\n      - name: one\n        command: [impeller]\n        volumeMounts:{null}\n        lifecycle:{null} # b\n      - name: two\n        lifecycle:\n          preStop:{null}\n"
        )
    };
    for null in ["", " null", " ~", "  NULL", " Null"] {
        for metadata in [null, &format!("\n      annotations:{null}"), " {}"] {
            let text = pod(null, metadata);
            for mode in [&["--also-hook=two"][..], &["--also-hook=two", "--classic"], &["--standalone"]] {
                let args = [&[USER], mode].concat();
                let once = injected(&text, &args);
                assert!(parse(&once).is_some(), "{once}");
                assert_eq!(injected(&once, &args), once);
                assert_eq!(removed(&once), text, "{once}");
            }
        }
    }
    let json = r#"{"kind":"Pod","metadata":null,"spec":{"shareProcessNamespace":null,"initContainers":null,"containers":[{"name":"a","command":["impeller"],"lifecycle":{"preStop":null}}]}}"#;
    for text in [json.to_owned(), serde_json::to_string_pretty(&json.parse::<serde_json::Value>().unwrap()).unwrap()] {
        let once = injected(&text, &[USER]);
        assert!(once.parse::<serde_json::Value>().is_ok(), "{once}");
        assert_eq!(removed(&once), text);
    }
}

#[test]
fn null_is_restored_in_json_that_was_converted_from_yaml() {
    for null in ["", " ~", " Null", " null"] {
        let text = format!(
            "kind: Pod\nspec:\n  terminationGracePeriodSeconds: 60\n  shareProcessNamespace:{null}\n  containers:\n  - name: one\n    command: [impeller]\n"
        );
        let json = |yaml: &str| serde_norway::from_str::<serde_json::Value>(yaml).unwrap().to_string();
        let back = removed(&json(&injected(&text, &[USER])));
        assert_eq!(back.parse::<serde_json::Value>().unwrap().to_string(), json(&text), "{null:?}");
    }
}
