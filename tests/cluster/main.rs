//! The scenarios on a real Kubernetes. `tests/cluster/run` brings the cluster up, and starts them.
//!
//! Each asserts what callers saw, what the engine and lameduck logged, what the kubelet reported of its hooks, and what
//! `kubectl get pod` showed meanwhile.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

mod classic;
mod delete;
mod edge_cases;
mod examples;
mod hooks;
mod idle;
mod inject;
mod kubelet;
mod restarts;
mod rollout;
mod scaling;
mod shapes;
mod token;
mod unready;

use std::process::ExitCode;

use crate::support::runner::{Company, Scenario, run};

fn main() -> ExitCode {
    // The last one leaves the cluster without its API server.
    let themes = [
        delete::SCENARIOS,
        edge_cases::SCENARIOS,
        hooks::SCENARIOS,
        unready::SCENARIOS,
        restarts::SCENARIOS,
        classic::SCENARIOS,
        idle::SCENARIOS,
        inject::SCENARIOS,
        shapes::SCENARIOS,
        token::SCENARIOS,
        scaling::SCENARIOS,
        examples::SCENARIOS,
        rollout::SCENARIOS,
        kubelet::SCENARIOS,
    ];
    run(&themes.concat())
}

/// A scenario that others may run beside.
const fn together(name: &'static str, run: fn() -> String) -> Scenario {
    Scenario { name, company: Company::Others, run }
}

/// A scenario that disturbs the node, or measures it.
const fn alone(name: &'static str, run: fn() -> String) -> Scenario {
    Scenario { name, company: Company::Nobody, run }
}
