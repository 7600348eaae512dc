//! `inject` as an exec function of kustomize: the example `kustomize-function`.

use lameduck_test_support::process;

use crate::tools::{CHART, Directory, FLAGS, assert_same, build, command, inject, program, run};

const FUNCTIONS: [&str; 2] = ["--enable-alpha-plugins", "--enable-exec"];

/// The example, with these manifests.
fn example(manifests: &str) -> Directory {
    let files = Directory::new();
    files.copy_example("kustomize-function", "example");
    files.write("example/engine.yaml", manifests);
    files
}

pub(crate) fn build_is_injected() {
    let files = example(CHART);
    let output = build(&files.path("example"), &FUNCTIONS);
    assert!(output.is_success, "{}", output.stderr);
    assert_same(&output.stdout, &inject(CHART, &FLAGS).stdout);
}

pub(crate) fn chart_is_injected() {
    let files = example("");
    files.write("example/charts/engine/Chart.yaml", "apiVersion: v2\nname: engine\nversion: 0.1.0\n");
    files.write("example/charts/engine/values.yaml", "");
    files.write("example/charts/engine/templates/engine.yaml", CHART);
    files.write(
        "example/kustomization.yaml",
        "helmCharts: [{name: engine, releaseName: release}]\ntransformers: [lameduck.yaml]\n",
    );
    let helm = format!("--helm-command={}", program("helm3/helm").display());
    let output = build(&files.path("example"), &[&FUNCTIONS[..], &["--enable-helm", &helm]].concat());
    assert!(output.is_success, "{}", output.stderr);
    assert_same(&output.stdout, &inject(CHART, &FLAGS).stdout);
}

pub(crate) fn messages_and_errors_reach_the_user() {
    let files = example(&CHART.replace("      terminationGracePeriodSeconds: 1800\n", ""));
    let output = build(&files.path("example"), &FUNCTIONS);
    assert!(output.is_success && output.stderr.contains("so it is 30 s"), "{output:#?}");
    let files = example(&CHART.replace("impeller", "other").replace("self-hosted-engine", "other"));
    let output = build(&files.path("example"), &FUNCTIONS);
    assert!(!output.is_success && output.stderr.contains("nothing to change"), "{output:#?}");
}

/// Without `--enable-exec`, kustomize skips the function, prints the manifests as they were, and succeeds.
pub(crate) fn check_finds_a_build_without_exec() {
    let files = example(CHART);
    let check = |manifests: &str| run(command(process::binary()).args(["check", "-f", "-"]), manifests);
    let skipped = build(&files.path("example"), &["--enable-alpha-plugins"]);
    assert!(skipped.is_success && !skipped.stdout.contains("lameduck"), "{skipped:#?}");
    let refused = check(&skipped.stdout);
    assert!(!refused.is_success && refused.stderr.contains("no pod has lameduck"), "{refused:#?}");
    let injected = check(&build(&files.path("example"), &FUNCTIONS).stdout);
    assert!(injected.is_success, "{injected:#?}");
}
