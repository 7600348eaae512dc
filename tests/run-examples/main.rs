//! Runs `lameduck run` under a real Docker engine, a real systemd and behind `HAProxy`, with the files of `run-examples`.
//! `tests/run-examples/run` builds what is needed and runs this.

mod compose;
mod containers;
mod docker;
mod jobs;
mod namespaces;
mod redeploy;
mod script;
mod systemd;
mod units;

use std::process::ExitCode;

use lameduck_test_support::scenarios::{self, Scenario};

const SCENARIOS: &[Scenario] = &[
    ("docker: containers drain when they are stopped", containers::containers_are_stopped),
    ("redeploy: the script stops at the first failure", script::stops_at_the_first_failure),
    ("compose: services are replaced one at a time", compose::services_are_replaced_one_at_a_time),
    ("redeploy: behind HAProxy, no stream is refused or cut", redeploy::nothing_is_refused_or_cut),
    ("systemd: a stop lasts as long as the drain", units::stop_lasts_as_long_as_the_drain),
    ("systemd: lameduck drain leaves the unit active", units::drain_leaves_the_unit_active),
    ("systemd: KillMode=control-group is reported", units::control_group_is_reported),
    ("systemd: the deadline ends the stop", units::deadline_ends_the_stop),
    ("systemd: the unit is verified and hardened", units::unit_is_verified),
    ("nomad: the job has only fields that Nomad knows", jobs::nomad_job_is_checked),
    ("podman: the Quadlet becomes a unit with both times", jobs::quadlet_becomes_a_unit),
];

fn main() -> ExitCode {
    // They wait more than they work.
    scenarios::run("run-examples", &[SCENARIOS], 4)
}
