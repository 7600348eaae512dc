//! `inject` as a post-renderer of Helm.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Command;

use crate::tools::{CHART, Directory, FLAGS, Output, assert_same, command, inject, program, run, succeed};

const NO_GRACE_PERIOD: &str = "no terminationGracePeriodSeconds, so it is 30 s";

/// A major version of Helm.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version(u8);

/// Helm 3: a post-renderer is a program.
pub(crate) const V3: Version = Version(3);
/// Helm 4: a post-renderer is a plugin.
pub(crate) const V4: Version = Version(4);

/// Helm, and a chart that it renders.
struct Helm {
    version: Version,
    files: Directory,
}

impl Helm {
    /// Writes the chart from rendered manifests, and installs the plugin of Helm 4.
    fn new(version: Version, manifests: &str) -> Self {
        let files = Directory::new();
        files.write("engine/Chart.yaml", "apiVersion: v2\nname: engine\nversion: 0.1.0\n");
        files.write("engine/templates/engine.yaml", manifests);
        let helm = Self { version, files };
        if version == V4 {
            succeed(helm.command().args(["plugin", "install"]).arg(example()), "");
        }
        helm
    }

    fn command(&self) -> Command {
        let mut command = command(program(&format!("helm{}/helm", self.version.0)));
        for (variable, directory) in [
            ("HELM_CACHE_HOME", "cache"),
            ("HELM_CONFIG_HOME", "config"),
            ("HELM_DATA_HOME", "data"),
            ("KUBECONFIG", "no-kubeconfig"),
        ] {
            command.env(variable, self.files.path(directory));
        }
        command
    }

    /// A Helm command for the chart.
    fn chart_command(&self, action: &[&str]) -> Command {
        let mut command = self.command();
        command.args(action).arg("release").arg(self.files.path("engine"));
        command
    }

    /// The same with the post-renderer and flags for inject.
    fn injected_command(&self, action: &[&str], flags: &[&str]) -> Command {
        let renderer = if self.version == V3 { example().join("post-render") } else { "lameduck".into() };
        let mut command = self.chart_command(action);
        command.arg("--post-renderer").arg(renderer);
        command.args(flags.iter().map(|flag| format!("--post-renderer-args={flag}")));
        command
    }

    fn run(&self, action: &[&str]) -> Output {
        run(&mut self.chart_command(action), "")
    }

    fn run_injected(&self, action: &[&str], flags: &[&str]) -> Output {
        run(&mut self.injected_command(action, flags), "")
    }
}

fn example() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/k8s-examples/helm-plugin"))
}

/// The chart without a grace period.
fn without_grace_period() -> String {
    CHART.replace("      terminationGracePeriodSeconds: 1800\n", "")
}

pub(crate) fn rendered_chart_is_injected(version: Version) {
    let helm = Helm::new(version, CHART);
    let plain = helm.run(&["template"]);
    let injected = helm.run_injected(&["template"], &FLAGS);
    assert!(injected.is_success, "{}", injected.stderr);
    assert_same(&injected.stdout, &inject(&plain.stdout, &FLAGS).stdout);
}

pub(crate) fn messages_and_errors_reach_the_user(version: Version) {
    let helm = Helm::new(version, &without_grace_period());
    let injected = helm.run_injected(&["template"], &FLAGS);
    assert!(injected.is_success && injected.stderr.contains(NO_GRACE_PERIOD), "{injected:#?}");
    assert!(!injected.stdout.contains(NO_GRACE_PERIOD), "{injected:#?}");
    let refused = helm.run_injected(&["template"], &FLAGS[..1]);
    assert!(!refused.is_success && refused.stdout.is_empty(), "{refused:#?}");
    assert!(refused.stderr.contains("give it with --run-as-user"), "{refused:#?}");
}

/// Helm and the post-renderer write to the same log file. Where Helm would overwrite the messages, there must be none.
pub(crate) fn log_file_is_not_damaged(version: Version) {
    let helm = Helm::new(version, CHART);
    let log = helm.files.path("log");
    let refused = |is_appended: bool| {
        fs::write(&log, "first line\n").expect("the log can be written");
        let file = OpenOptions::new().write(true).append(is_appended).truncate(!is_appended).open(&log);
        let file = file.expect("the log can be opened");
        let status = helm.injected_command(&["template"], &FLAGS[..1]).stderr(file).status().expect("Helm runs");
        assert!(!status.success());
        fs::read_to_string(&log).expect("the log can be read")
    };
    let appended = refused(true);
    assert!(appended.starts_with("first line\n") && appended.contains("give it with --run-as-user"), "{appended}");
    let overwritten = refused(false);
    let is_helms = overwritten.starts_with("Error: ") && overwritten.ends_with("render out invalid YAML\n");
    assert!(is_helms, "{overwritten}");
    let messages = overwritten.matches("give it with --run-as-user").count();
    assert_eq!(messages, usize::from(version == V3), "{overwritten}");
}

/// Helm 3 needs a cluster for a dry run.
pub(crate) fn dry_run_has_the_sidecar() {
    let helm = Helm::new(V4, CHART);
    let output = helm.run_injected(&["install", "--dry-run=client"], &FLAGS);
    assert!(output.is_success, "{}", output.stderr);
    let manifest = output.stdout.split_once("MANIFEST:\n").expect("a dry run prints the manifest").1;
    assert_same(manifest, &inject(&helm.run(&["template"]).stdout, &FLAGS).stdout);
    assert!(output.stderr.contains("lameduck added"), "{}", output.stderr);
}

pub(crate) fn version_4_reformats_every_manifest() {
    let config_map = |helm: &Helm, text: &str| {
        let documents = text.split("---\n").map(str::to_owned);
        let found = documents.into_iter().find(|document| document.contains("kind: ConfigMap"));
        found.unwrap_or_else(|| panic!("Helm {}: no ConfigMap in {text}", helm.version.0))
    };
    for (version, is_kept) in [(V3, true), (V4, false)] {
        let manifests = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: engine}\ndata:\n    quoted:   'text'\n";
        let helm = Helm::new(version, &format!("{manifests}---\n{CHART}"));
        let output = helm.run_injected(&["template"], &FLAGS);
        assert!(output.is_success, "{}", output.stderr);
        let is_same = config_map(&helm, &output.stdout).contains("data:\n    quoted:   'text'\n");
        assert_eq!(is_same, is_kept, "{}", output.stdout);
    }
}
