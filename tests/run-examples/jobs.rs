//! Files for programs that cannot run here: they are checked with parts of these programs.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::namespaces::{Directory, output, repository, run};

const JOB: &str = "run-examples/nomad/engine.nomad.hcl";

/// A program that the script of these tests has built.
fn built(name: &str) -> Command {
    let folder = env::var_os("LAMEDUCK_RUN_EXAMPLES").expect("tests/run-examples/run sets it");
    Command::new(PathBuf::from(folder).join(name))
}

/// The job has only fields that Nomad's API has, and times that Nomad accepts. A wrong field or time is found.
pub(crate) fn nomad_job_is_checked() {
    let job = fs::read_to_string(repository(JOB)).expect("the job");
    let dir = Directory::new();
    let check = |job: &str| {
        let path = dir.join("job.hcl");
        fs::write(&path, job).expect("the job can be written");
        let output = output(built("nomad").arg(path));
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(check(&job), (true, String::new()));
    let mistakes = [
        ("kill_timeout   =", "kil_timeout =", "job.group.task has no attribute kil_timeout"),
        ("\"45m\"", "\"20m\"", "kill_timeout 30m0s is not within progress_deadline 20m0s"),
        ("max_parallel     = 1", "max_parallel = \"one\"", "job.migrate.max_parallel is a string instead of a number"),
        ("  migrate {", "  migration {", "job has no block migration"),
    ];
    for (right, wrong, message) in mistakes {
        assert!(job.contains(right), "{right}");
        let (passed, messages) = check(&job.replacen(right, wrong, 1));
        assert!(!passed && messages.contains(message), "{wrong}: {messages}");
    }
}

/// Podman's generator makes a unit of the Quadlet, with both times.
pub(crate) fn quadlet_becomes_a_unit() {
    let units = repository("run-examples/podman");
    let unit = run(built("quadlet").arg("--dryrun").env("QUADLET_UNIT_DIRS", units));
    let generated = unit.lines().find(|line| line.starts_with("ExecStart=")).expect("a command");
    for option in ["--stop-timeout 1800", "--sdnotify=container", "--env LAMEDUCK_GRACE_PERIOD=30m"] {
        assert!(generated.contains(option), "{option}: {generated}");
    }
    for line in
        ["KillMode=mixed", "Type=notify", "TimeoutStopSec=1830", "ExecStop=/usr/bin/podman rm -v -f -i systemd-%N"]
    {
        assert!(unit.lines().any(|each| each == line), "{line}: {unit}");
    }
}
