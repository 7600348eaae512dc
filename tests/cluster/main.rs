//! The scenarios on a real Kubernetes. `tests/cluster/run` brings the cluster up, and starts them.
//!
//! Each asserts what callers saw, what the engine and lameduck logged, what the kubelet reported of its hooks, and what
//! `kubectl get pod` showed meanwhile.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

mod delete;

use std::process::ExitCode;

use crate::support::runner::{Company, Scenario, run};

fn main() -> ExitCode {
    let scenarios = [delete::SCENARIOS].concat();
    run(&scenarios)
}

/// A scenario that others may run beside.
const fn together(name: &'static str, run: fn() -> String) -> Scenario {
    Scenario { name, company: Company::Others, run }
}
