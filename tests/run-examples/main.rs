//! Runs `lameduck run` under a real Docker engine, a real systemd and behind `HAProxy`, with the files of run-examples.
//! `tests/run-examples/run` builds what is needed and runs this.

mod containers;
mod docker;
mod jobs;
mod namespaces;
mod redeploy;
mod systemd;

use std::process::ExitCode;

use lameduck_test_support::scenarios::{self, Scenario};

const SCENARIOS: &[Scenario] = &[
    ("docker: containers drain when they are stopped", containers::containers_are_stopped),
    ("redeploy: behind HAProxy, no stream is refused or cut", redeploy::nothing_is_refused_or_cut),
    ("nomad: the job has only fields that Nomad knows", jobs::nomad_job_is_checked),
    ("podman: the Quadlet becomes a unit with both times", jobs::quadlet_becomes_a_unit),
];

fn main() -> ExitCode {
    // They wait more than they work.
    scenarios::run("run-examples", &[SCENARIOS], 4)
}
