//! Runs real Helm 3, Helm 4 and kustomize with `lameduck inject`, and compares what they print with what `inject`
//! writes. `tests/gitops/run` builds them and runs this.

mod component;
mod function;
mod helm;
mod tools;

use std::process::ExitCode;

use lameduck_test_support::scenarios::{self, Scenario};

use crate::helm::{V3, V4};

/// All scenarios.
const SCENARIOS: &[Scenario] = &[
    ("helm 3: a rendered chart is what inject writes", || helm::rendered_chart_is_injected(V3)),
    ("helm 3: messages and errors reach the user", || helm::messages_and_errors_reach_the_user(V3)),
    ("helm 3: a log file is not damaged", || helm::log_file_is_not_damaged(V3)),
    ("helm 4: a rendered chart is what inject writes", || helm::rendered_chart_is_injected(V4)),
    ("helm 4: messages and errors reach the user", || helm::messages_and_errors_reach_the_user(V4)),
    ("helm 4: a log file is not damaged", || helm::log_file_is_not_damaged(V4)),
    ("helm 4: a dry run of an installation has the sidecar", helm::dry_run_has_the_sidecar),
    ("helm 4: a post-renderer reformats every manifest", helm::version_4_reformats_every_manifest),
    ("function: the build is what inject writes", function::build_is_injected),
    ("function: a chart is injected too", function::chart_is_injected),
    ("function: messages and errors reach the user", function::messages_and_errors_reach_the_user),
    ("function: check -f finds a build without --enable-exec", function::check_finds_a_build_without_exec),
    ("component: the build is what inject writes, and up to date", component::build_is_injected),
    ("component: a patch upgrades, changes the mode and removes", component::patch_upgrades_and_removes),
    ("component: a patch keeps the order of containers", component::patch_keeps_the_order_of_containers),
    ("component: a patch for a missing workload fails the build", component::missing_workload_fails_the_build),
    ("component: patches of generated manifests do what inject does", component::generated_manifests_are_patched),
];

fn main() -> ExitCode {
    // They share a directory.
    scenarios::run("gitops", &[SCENARIOS], 1)
}
