//! The scenarios on a real Kubernetes. `tests/cluster/run` brings the cluster up and runs them.
//!
//! Each asserts what the clients saw, what the engine and lameduck logged, what the kubelet reported about its hooks, and
//! what `kubectl get pod` showed meanwhile.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

mod classic;
mod delete;
mod edge_cases;
mod endpoints;
mod examples;
mod fleet;
mod hooks;
mod idle;
mod inject;
mod kubelet;
mod other_pods;
mod records;
mod restarts;
mod rollout;
mod scaling;
mod token;
mod unready;

use std::env;
use std::process::ExitCode;

use crate::support::matrix::{self, Documents};
use crate::support::runner::{Concurrency, Scenario, run};

fn main() -> ExitCode {
    // The last suite runs a kubelet without the API server.
    let suites = [
        delete::SCENARIOS,
        edge_cases::SCENARIOS,
        hooks::SCENARIOS,
        endpoints::SCENARIOS,
        unready::SCENARIOS,
        restarts::SCENARIOS,
        classic::SCENARIOS,
        idle::SCENARIOS,
        inject::SCENARIOS,
        records::SCENARIOS,
        other_pods::SCENARIOS,
        token::SCENARIOS,
        scaling::SCENARIOS,
        examples::SCENARIOS,
        fleet::SCENARIOS,
        rollout::SCENARIOS,
        kubelet::SCENARIOS,
    ];
    let documents = if env::args().any(|arg| arg == "--write-docs") { Documents::Write } else { Documents::Check };
    let passed = run(&suites.concat());
    let documented = matrix::finish(records::ROWS, documents);
    if passed && documented { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A scenario that may run at the same time as others.
const fn parallel(name: &'static str, run: fn() -> String) -> Scenario {
    Scenario { name, concurrency: Concurrency::Parallel, run }
}

/// A scenario that disturbs the node or measures it, and so runs by itself.
const fn serial(name: &'static str, run: fn() -> String) -> Scenario {
    Scenario { name, concurrency: Concurrency::Serial, run }
}
