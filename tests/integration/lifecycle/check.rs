//! `lameduck check`: its findings, fixes and exit codes, and that it changes nothing.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::Value;

use crate::lifecycle::Fixture;
use lameduck_test_support::check::CheckReport;
use lameduck_test_support::page::PageReply;

mod counting;
mod target;

/// A listening port with this many connections.
struct Busy {
    port: String,
    _sockets: (TcpListener, Vec<TcpStream>),
}

impl Busy {
    fn with(connections: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let clients = (0..connections).map(|_| TcpStream::connect(address).unwrap()).collect();
        Self { port: address.port().to_string(), _sockets: (listener, clients) }
    }
}

#[test]
fn healthy_pod_passes_all_checks_and_is_unchanged() {
    let fixture = Fixture::with_streams(2);
    let busy = Busy::with(3);
    fs::write(fixture.env.dir.join("termination"), "an outcome\n").unwrap();
    let args = ["--streams-port", &busy.port, "--activity-port", &busy.port, "--idle-after", "1m"];
    let report = CheckReport::with_args(&fixture.env, &args);
    report.assert_failed(&[], 0);
    for check in report.json["checks"].as_array().unwrap() {
        let skipped = ["lazy_streams", "page_process", "hook", "probes", "grace_period"]
            .contains(&check["name"].as_str().unwrap());
        assert_eq!(check["ok"].as_bool(), (!skipped).then_some(true), "{check}");
    }
    report.assert("times", true, &["9m 55s", "10m"]);
    for name in ["hook", "probes", "grace_period"] {
        report.assert(name, Value::Null, &["kubectl get pod POD -o json | lameduck check -f -"]);
    }
    report.assert("target", true, &[&format!("{} ({})", fixture.env.target_name, fixture.target.pid)]);
    report.assert("page", true, &[&fixture.page.url(), "2 streams"]);
    report.assert("streams", true, &["engine_active_requests matches 1 series, whose sum is 2"]);
    report.assert("idle_streams", true, &["matches 1 of the counted series"]);
    report.assert("streams_port", true, &[&busy.port, "3 streams"]);
    report.assert("activity_port", true, &[&busy.port, "3 connections"]);
    report.assert("listen", true, &[&fixture.env.address.to_string(), "is free"]);

    let names: Vec<_> = fs::read_dir(&fixture.env.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["termination"]);
    assert_eq!(fs::read_to_string(fixture.env.dir.join("termination")).unwrap(), "an outcome\n");
    assert_eq!(fixture.target.into_signal_count(), 0);
}

#[test]
fn running_sidecar_passes_listen_check() {
    let fixture = Fixture::with_streams(4);
    let sidecar = fixture.start_quick();
    let report = CheckReport::with_args(&fixture.env, &[]);
    report.assert_failed(&[], 0);
    report.assert("listen", true, &["a sidecar answers", "phase serving", "4 streams"]);
    sidecar.wait_for_readings(2);
    assert_eq!(sidecar.status()["phase"], "serving");
}

#[test]
fn address_in_use_by_another_process_fails() {
    let fixture = Fixture::with_streams(0);
    let listener = TcpListener::bind(fixture.env.address).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || listener.incoming().for_each(drop));
    let report = CheckReport::with_args(&fixture.env, &[]);
    report.assert_failed(&["listen"], 64);
    report.assert("listen", false, &[&address, "no sidecar answers", "another port"]);
}

#[test]
fn refused_or_ignored_settings_determine_exit_code() {
    let fixture = Fixture::with_streams(0);
    fixture.page.set_reply(PageReply::Refuse);
    let report = CheckReport::with_args(&fixture.env, &["--exit-margin", "1h"]);
    report.assert_failed(&["settings"], 64);
    report.assert("settings", false, &["--exit-margin", "--grace-period"]);
    let command = || {
        let mut command = fixture.env.check_command();
        command.env("LAMEDUCK_TOKENFILE", "/token");
        command
    };
    let report = CheckReport::run(&command);
    report.assert_failed(&["variables", "page"], 64);
    report.assert("variables", false, &["LAMEDUCK_TOKENFILE (LAMEDUCK_TOKEN_FILE was probably intended)"]);
}
