//! The rehearsal: what it finds, what it advises, how it ends, and that it leaves no trace.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::lifecycle::Scene;
use lameduck_test_support::check::Rehearsal;
use lameduck_test_support::page::Answer;

mod counting;
mod target;

/// A port that somebody listens on, with so many connections.
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
fn where_all_is_well_every_line_says_so_and_nothing_has_changed() {
    let scene = Scene::with_streams(2);
    let busy = Busy::with(3);
    fs::write(scene.pod.dir.join("termination"), "an outcome\n").unwrap();
    let args = ["--streams-port", &busy.port, "--activity-port", &busy.port, "--idle-after", "1m"];
    let rehearsal = Rehearsal::of(&scene.pod, &args);
    rehearsal.assert_amiss(&[], 0);
    for check in rehearsal.json["checks"].as_array().unwrap() {
        assert_eq!(check["ok"] == true, check["name"] != "lazy_streams", "{check}");
    }
    rehearsal.assert("times", true, &["9m 55s", "10m", "cannot be seen from here"]);
    rehearsal.assert("target", true, &[&format!("{} ({})", scene.pod.target, scene.target.pid)]);
    rehearsal.assert("page", true, &[&scene.page.url(), "2 streams"]);
    rehearsal.assert("streams", true, &["engine_active_requests matches 1 series, whose sum is 2"]);
    rehearsal.assert("idle_streams", true, &["matches 1 series of the counted ones"]);
    rehearsal.assert("streams_port", true, &[&busy.port, "3 streams"]);
    rehearsal.assert("activity_port", true, &[&busy.port, "3 connections"]);
    rehearsal.assert("listen", true, &[&scene.pod.address.to_string(), "is free"]);

    let names: Vec<_> = fs::read_dir(&scene.pod.dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["termination"]);
    assert_eq!(fs::read_to_string(scene.pod.dir.join("termination")).unwrap(), "an outcome\n");
    assert_eq!(scene.target.signals(), 0);
}

#[test]
fn sidecar_that_is_running_is_no_hindrance() {
    let scene = Scene::with_streams(4);
    let sidecar = scene.serve_quick();
    let rehearsal = Rehearsal::of(&scene.pod, &[]);
    rehearsal.assert_amiss(&[], 0);
    rehearsal.assert("listen", true, &["a sidecar answers", "phase serving", "4 streams"]);
    sidecar.wait_for_readings(2);
    assert_eq!(sidecar.status()["phase"], "serving");
}

#[test]
fn address_that_somebody_else_has_is_named() {
    let scene = Scene::with_streams(0);
    let listener = TcpListener::bind(scene.pod.address).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || listener.incoming().for_each(drop));
    let rehearsal = Rehearsal::of(&scene.pod, &[]);
    rehearsal.assert_amiss(&["listen"], 64);
    rehearsal.assert("listen", false, &[&address, "no sidecar answers", "another port"]);
}

#[test]
fn settings_that_the_sidecar_refuses_or_ignores_come_first() {
    let scene = Scene::with_streams(0);
    scene.page.set(Answer::Refuse);
    let rehearsal = Rehearsal::of(&scene.pod, &["--exit-margin", "1h"]);
    rehearsal.assert_amiss(&["settings"], 64);
    rehearsal.assert("settings", false, &["--exit-margin", "--grace-period"]);
    let command = || {
        let mut command = scene.pod.check();
        command.env("LAMEDUCK_TOKENFILE", "/token");
        command
    };
    let rehearsal = Rehearsal::run(&command);
    rehearsal.assert_amiss(&["variables", "page"], 64);
    rehearsal.assert("variables", false, &["LAMEDUCK_TOKENFILE"]);
}
