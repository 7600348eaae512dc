//! `inject --output patch` in a component of kustomize: the example `kustomize-component`.

use lameduck_test_support::manifests::{Tape, libyaml, stream};

use crate::tools::{CHART, Directory, FLAGS, Output, assert_same, build, inject, try_inject};

/// The modes of inject, as flags.
const MODES: [&[&str]; 3] = [&[], &["--classic"], &["--standalone"]];
/// Number of generated manifests that are compared.
const COMPARED: usize = 20;
/// Number of manifests that are generated at most: not all can be patched.
const MAX_GENERATED: usize = 500;

/// A kustomization of these manifests with the example's component and this patch.
fn kustomization(manifests: &str, patch: &str) -> Directory {
    let files = Directory::new();
    files.copy_example("kustomize-component", "lameduck");
    files.write("lameduck/lameduck-patch.yaml", patch);
    files.write("base.yaml", manifests);
    files.write("kustomization.yaml", "resources: [base.yaml]\ncomponents: [lameduck]\n");
    files
}

/// Runs inject for a patch, and applies it with kustomize.
fn patched(manifests: &str, flags: &[&str]) -> Output {
    let patch = inject(manifests, &[&["--output=patch"], flags].concat()).stdout;
    build(&kustomization(manifests, &patch).path(""), &[])
}

/// Checks that a patch gives what inject gives; returns the manifests.
fn assert_patch_works(manifests: &str, flags: &[&str]) -> String {
    let output = patched(manifests, flags);
    assert!(output.is_success, "{flags:?}: {}", output.stderr);
    assert_same(&output.stdout, &inject(manifests, flags).stdout);
    output.stdout
}

pub(crate) fn build_is_injected() {
    let files = Directory::new();
    files.copy_example("kustomize-component", "lameduck");
    files.write("base.yaml", CHART);
    files.write("kustomization.yaml", "resources: [base.yaml]\ncomponents: [lameduck]\n");
    let output = build(&files.path(""), &[]);
    assert!(output.is_success, "{}", output.stderr);
    assert_same(&output.stdout, &inject(CHART, &FLAGS).stdout);
    let again = inject(&output.stdout, &FLAGS);
    assert!(again.stderr.contains("lameduck is up to date"), "{}", again.stderr);
    assert_eq!(again.stdout, output.stdout);
}

pub(crate) fn patch_upgrades_and_removes() {
    let upgrade = ["--image=registry.example.com/lameduck:0.2.0", "--run-as-user=1000", "--grace-period=3600"];
    for before in MODES {
        let injected = assert_patch_works(CHART, &[&FLAGS, before].concat());
        for after in MODES {
            assert_patch_works(&injected, &[&upgrade, after].concat());
        }
        let sidecar = ["--streams=a", "--streams=b", "--listen=[::]:9089"];
        if before != ["--standalone"] {
            assert_patch_works(&injected, &[&upgrade[..], &sidecar, before].concat());
        }
        let removed = patched(&injected, &["--remove"]);
        assert!(removed.is_success, "{}", removed.stderr);
        assert_same(&removed.stdout, &inject(&injected, &["--remove"]).stdout);
        let unchanged = inject(&injected, &[&["--output=patch"], &FLAGS[..], before].concat());
        // kustomize quotes words that inject does not quote, which inject may correct in the hook of `--standalone`.
        assert!(unchanged.stdout.is_empty() || before == ["--standalone"], "{}", unchanged.stdout);
    }
}

pub(crate) fn patch_keeps_the_order_of_containers() {
    let two = "      containers:\n        - name: first\n          image: first\n";
    let manifests = CHART.replacen("      containers:\n", two, 1);
    assert_ne!(manifests, CHART);
    let init = "      initContainers:\n        - name: setup\n          image: setup\n";
    let manifests = manifests.replacen("      containers:\n", &format!("{init}      containers:\n"), 1);
    for mode in MODES {
        assert_patch_works(&manifests, &[&FLAGS, mode, &["--container=deepgram-engine"]].concat());
        if mode != ["--standalone"] {
            assert_patch_works(
                &manifests,
                &[&FLAGS, mode, &["--container=deepgram-engine", "--also-hook=first"]].concat(),
            );
        }
    }
}

pub(crate) fn missing_workload_fails_the_build() {
    let patch = inject(CHART, &[&["--output=patch"], &FLAGS[..]].concat()).stdout;
    let renamed = CHART.replace("name: deepgram-engine\n  labels", "name: renamed\n  labels");
    assert_ne!(renamed, CHART);
    let output = build(&kustomization(&renamed, &patch).path(""), &[]);
    assert!(!output.is_success && output.stderr.contains("deepgram-engine"), "{output:#?}");
}

pub(crate) fn generated_manifests_are_patched() {
    let compared = (0..MAX_GENERATED).filter(|seed| is_generated_manifest_patched(*seed)).take(COMPARED).count();
    assert_eq!(compared, COMPARED, "too few generated manifests can be patched");
}

/// Compares a patch with inject; false if inject or kustomize does not accept the generated manifest.
fn is_generated_manifest_patched(seed: usize) -> bool {
    let text = stream(&mut Tape::new(bytes(seed)));
    let flags = [&FLAGS, MODES[seed % MODES.len()]].concat();
    let patch = try_inject(&text, &[&["--output=patch"], &flags[..]].concat());
    // kustomize rejects equal keys, as this parser does.
    if !patch.is_success || libyaml::parse(&text).is_none() {
        return false;
    }
    let expected = build(&kustomization(&inject(&text, &flags).stdout, "").path(""), &[]);
    if !expected.is_success {
        return false;
    }
    let output = build(&kustomization(&text, &patch.stdout).path(""), &[]);
    assert!(output.is_success, "{}\n{text}\n{}", output.stderr, patch.stdout);
    assert_same(&output.stdout, &expected.stdout);
    true
}

/// Bytes of a linear congruential generator, the same in every run.
fn bytes(seed: usize) -> Vec<u8> {
    let next =
        |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    std::iter::successors(next(&(seed as u64)), next).map(|state| state.to_be_bytes()[0]).take(500).collect()
}
