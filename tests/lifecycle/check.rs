//! The rehearsal: what it finds, what it advises, how it ends, and that it leaves no trace.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::page::{Answer, Page};
use crate::shell::Shell;
use crate::sidecar::{Pod, QUICK};
use crate::{Scene, engine};

/// What a rehearsal said, which it says in two ways.
struct Rehearsal {
    code: Option<i32>,
    text: String,
    json: Value,
}

impl Rehearsal {
    /// Rehearses with the pod's settings and these flags.
    fn of(pod: &Pod, args: &[&str]) -> Self {
        Self::run(&|| {
            let mut command = pod.check();
            command.args(args);
            command
        })
    }

    /// Runs it for people and for machines; both must say the same, but for how many are connected just then.
    fn run(command: &dyn Fn() -> Command) -> Self {
        let patient = |args: &[&str]| {
            let mut command = command();
            // A machine that is busy may be slow.
            output(command.env("LAMEDUCK_SCRAPE_TIMEOUT", "30s").args(QUICK).args(args))
        };
        let ((code, text), (json_code, json)) = (patient(&[]), patient(&["--json"]));
        let json: Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
        assert_eq!((code, &json["version"]), (json_code, &env!("CARGO_PKG_VERSION").into()), "{text} {json}");
        let rehearsal = Self { code, text, json };
        rehearsal.assert_agreement();
        rehearsal
    }

    fn assert_agreement(&self) {
        let checks = self.json["checks"].as_array().unwrap();
        let lines: Vec<&str> = self.text.lines().filter(|line| !line.trim_start().starts_with("mend: ")).collect();
        assert_eq!(lines.len(), checks.len() + 1, "{}", self.text);
        let mut sums = [0, 0, 0];
        for (line, check) in lines.iter().zip(checks) {
            let place = match check["ok"] {
                Value::Bool(true) => 0,
                Value::Bool(false) => 1,
                _ => 2,
            };
            sums[place] += 1;
            let name = check["name"].as_str().unwrap().replace('_', " ");
            assert!(line.starts_with(&format!("{} {name} ", ["✓", "✗", "–"][place])), "{line} {check}");
            // Other processes come and go between the two.
            let detail = check["detail"].as_str().unwrap().split("in sight: ").next().unwrap();
            assert!(line.contains(detail), "{line} {check}");
            assert_eq!(check["mend"].is_string(), place == 1, "{check}");
            assert!(
                check["mend"].as_str().is_none_or(|mend| self.text.contains(&format!("mend: {mend}\n"))),
                "{check}"
            );
        }
        let [well, amiss, open] = sums;
        assert!(lines[checks.len()].ends_with(&format!(": {well} ✓, {amiss} ✗, {open} –")), "{}", self.text);
        assert_eq!(self.json["ok"], amiss == 0);
        assert_eq!(self.code == Some(0), amiss == 0, "{}", self.text);
        assert!(!self.text.contains('\u{1b}'), "colours without a terminal: {}", self.text);
    }

    fn checks(&self, name: &str) -> Vec<&Value> {
        let found: Vec<&Value> =
            self.json["checks"].as_array().unwrap().iter().filter(|it| it["name"] == name).collect();
        assert!(!found.is_empty(), "no {name} in {}", self.text);
        found
    }

    /// The first check of this name is so, and these parts are in what it says.
    fn assert(&self, name: &str, ok: impl Into<Value>, parts: &[&str]) {
        let check = self.checks(name)[0];
        assert_eq!(check["ok"], ok.into(), "{check}");
        let said = format!("{} {}", check["detail"].as_str().unwrap(), check["mend"].as_str().unwrap_or_default());
        for part in parts {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
    }

    /// Nothing but these is amiss, and this is the code.
    fn assert_amiss(&self, names: &[&str], code: i32) {
        let checks = self.json["checks"].as_array().unwrap().iter();
        let amiss: Vec<&str> = checks.filter(|it| it["ok"] == false).map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!((amiss.as_slice(), self.code), (names, Some(code)), "{}", self.text);
    }
}

fn output(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

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

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
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
    rehearsal.assert("times", true, &["9m 55s", "10m"]);
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
    let rehearsal = Rehearsal::of(&scene.pod, &[]);
    rehearsal.assert_amiss(&["listen"], 64);
    let address = listener.local_addr().unwrap().to_string();
    rehearsal.assert("listen", false, &[&address, "no sidecar answers", "another port"]);
}

#[test]
fn selector_that_matches_nothing_is_told_what_was_probably_meant() {
    let scene = Scene::with_streams(1);
    scene.page.set(Answer::text(include_str!("../fixtures/deepgram-engine.prom")));
    let rehearsal = Rehearsal::of(&scene.pod, &["--streams", "engine_active_request"]);
    rehearsal.assert_amiss(&["streams"], 69);
    rehearsal.assert("page", true, &["streams unknown"]);
    rehearsal.assert("streams", false, &["engine_max_active_requests", "--streams 'engine_active_requests'"]);

    let args = ["--streams", "engine_active_requests", "--streams", "engine_active_requests{kind=\"steam\"}"];
    let rehearsal = Rehearsal::of(&scene.pod, &args);
    rehearsal.assert_amiss(&["streams"], 69);
    rehearsal.assert("streams", true, &["matches 3 series, whose sum is 44"]);
    let second = rehearsal.checks("streams")[1];
    assert_eq!(second["mend"].as_str().unwrap().split(' ').nth(1), Some("engine_active_requests{kind=\"stream\"}"));
}

#[test]
fn idle_streams_that_are_never_counted_are_told() {
    let scene = Scene::with_streams(1);
    let busy = Busy::with(0);
    let args = ["--activity-port", &busy.port, "--idle-streams", "engine_active_requests{kind='tts'}"];
    let rehearsal = Rehearsal::of(&scene.pod, &args);
    rehearsal.assert_amiss(&[], 0);
    rehearsal.assert("idle_streams", Value::Null, &["matches none of the counted series"]);
    let rehearsal = Rehearsal::of(&scene.pod, &[&args[..], &["--idle-after", "1m"]].concat());
    rehearsal.assert_amiss(&["idle_streams"], 69);
    rehearsal.assert("idle_streams", false, &["--idle-streams 'engine_active_requests{kind=\"stream\"}'"]);

    scene.page.set(Answer::text("engine_active_requests 1\ncalls 1\n"));
    let args = ["--activity-port", &busy.port, "--idle-streams", "calls", "--idle-after", "1m"];
    let rehearsal = Rehearsal::of(&scene.pod, &args);
    rehearsal.assert("idle_streams", false, &["it matches others, which --streams does not count"]);
}

#[test]
fn capacity_must_be_on_the_page() {
    let scene = Scene::with_streams(1);
    let rehearsal = Rehearsal::of(&scene.pod, &["--accept-below", "capacity"]);
    rehearsal.assert_amiss(&["capacity"], 69);
    rehearsal.assert("capacity", false, &["engine_max_active_requests", "--accept-below"]);
    for (limit, part) in [("0", "any number"), ("30", "is 30")] {
        scene.page.set(Answer::text(&format!("engine_active_requests 1\nengine_max_active_requests {limit}\n")));
        let rehearsal = Rehearsal::of(&scene.pod, &["--accept-below", "capacity"]);
        rehearsal.assert_amiss(&[], 0);
        rehearsal.assert("capacity", true, &[part]);
    }
}

#[test]
fn page_that_does_not_answer_is_told_from_one_that_is_none() {
    let scene = Scene::with_streams(1);
    for (answer, part) in [
        (Answer::ok("text/html", "<html>"), "an HTML page"),
        (Answer::text("engine_active_requests many\n"), "many"),
        (Answer::Refuse, "connection refused"),
    ] {
        scene.page.set(answer);
        let rehearsal = Rehearsal::of(&scene.pod, &[]);
        rehearsal.assert_amiss(&["page"], 69);
        rehearsal.assert("page", false, &[&scene.page.url(), part]);
        rehearsal.assert("streams", Value::Null, &["no page"]);
    }
}

#[test]
fn page_that_is_late_is_waited_for_no_longer_than_a_reading_may_take() {
    let scene = Scene::with_streams(1);
    scene.page.set(Answer::Hang);
    let rehearsal = Rehearsal::of(&scene.pod, &["--scrape-timeout", "300ms"]);
    // On a busy machine the processes may be late as well.
    assert_eq!(rehearsal.code, Some(69));
    rehearsal.assert("page", false, &["no whole page within 300ms", "--scrape-timeout"]);
}

#[test]
fn two_targets_are_both_named() {
    let scene = Scene::with_streams(0);
    let second = Shell::named(&scene.pod.target);
    let rehearsal = Rehearsal::of(&scene.pod, &[]);
    rehearsal.assert_amiss(&["target"], 69);
    let [one, other] = [scene.target.pid, second.pid].map(|pid| format!("{} ({pid})", scene.pod.target));
    rehearsal.assert("target", false, &[&one, &other, "--target-port"]);
    rehearsal.assert("signal_caught", Value::Null, &[]);
}

#[test]
fn children_of_the_target_are_left_alone() {
    let (engine, pod) = engine(&["--child"]);
    let child = engine.program.seen.iter().find_map(|line| line.strip_prefix("engine: child pid=")).unwrap();
    let rehearsal = Rehearsal::of(&pod, &[]);
    rehearsal.assert_amiss(&[], 0);
    let [target, child] = [&engine.pid().to_string(), child].map(|pid| format!("{} ({pid})", pod.target));
    rehearsal.assert("target", true, &[&format!("{target}; below it and so left alone: {child}")]);
}

#[test]
fn target_that_is_not_there_is_looked_for_among_those_that_are() {
    let scene = Scene::with_streams(0);
    let rehearsal = Rehearsal::of(&scene.pod, &["--target", &format!("{}x", scene.pod.target)]);
    rehearsal.assert_amiss(&["target"], 69);
    rehearsal.assert("target", false, &["in sight: ", &format!("--target {}", scene.pod.target)]);

    let without_signal = ["--target", "nobody-at-all", "--signal", "none"];
    let rehearsal = Rehearsal::of(&scene.pod, &without_signal);
    rehearsal.assert_amiss(&[], 0);
    rehearsal.assert("target", Value::Null, &["no process is named nobody-at-all"]);
    rehearsal.assert("signal_permitted", Value::Null, &["no signal is sent"]);

    // Its exit is waited for, so that it must be there.
    let rehearsal = Rehearsal::of(&scene.pod, &[&without_signal[..], &["--wait-for", "exit"]].concat());
    rehearsal.assert_amiss(&["target"], 69);
}

#[test]
fn signal_that_would_kill_is_told_from_one_that_is_ignored() {
    for (mode, part) in [("default", "would be killed"), ("ignore", "ignores SIGINT")] {
        let (engine, pod) = engine(&["--on-signal", mode]);
        let rehearsal = Rehearsal::of(&pod, &[]);
        rehearsal.assert_amiss(&["signal_caught"], 69);
        rehearsal.assert("signal_caught", false, &[part, &format!("/proc/{}/status", engine.pid())]);
        rehearsal.assert("signal_permitted", true, &[]);
    }
}

#[test]
fn rehearsal_of_another_user_says_what_is_not_permitted() {
    let scene = Scene::with_streams(0);
    let termination = scene.pod.dir.join("termination");
    fs::write(&termination, "").unwrap();
    fs::set_permissions(&termination, fs::Permissions::from_mode(0o600)).unwrap();
    if scene.pod.check_of_nobody().is_none() {
        return;
    }
    let rehearsal = Rehearsal::run(&|| scene.pod.check_of_nobody().unwrap());
    rehearsal.assert_amiss(&["termination_log", "uid", "signal_permitted"], 77);
    rehearsal.assert("uid", false, &["uid 0", "uid 65534", "runAsUser: 0"]);
    rehearsal.assert("signal_permitted", false, &["SIGINT", "EPERM"]);
    rehearsal.assert("signal_caught", true, &[]);
    rehearsal.assert("termination_log", false, &[&termination.to_string_lossy(), "denied"]);
}

#[test]
fn listener_of_another_user_is_a_missing_permission() {
    let (engine, pod) = engine(&[]);
    let port = engine.ws.rsplit_once(':').unwrap().1;
    let by_port = |mut command: Command| {
        command.env_remove("LAMEDUCK_TARGET").args(["--target-port", port]);
        command
    };
    let rehearsal = Rehearsal::run(&|| by_port(pod.check()));
    rehearsal.assert_amiss(&[], 0);
    rehearsal.assert("target", true, &[&engine.pid().to_string()]);
    if pod.check_of_nobody().is_none() {
        return;
    }
    let rehearsal = Rehearsal::run(&|| by_port(pod.check_of_nobody().unwrap()));
    rehearsal.assert_amiss(&["target"], 77);
    rehearsal.assert("target", false, &[port, "does not show us who", "runAsUser"]);
}

#[test]
fn ports_that_nobody_listens_on_are_named() {
    let scene = Scene::with_streams(0);
    let (streams, activity) = (free_port(), free_port());
    let rehearsal = Rehearsal::of(&scene.pod, &["--streams-port", &streams, "--activity-port", &activity]);
    rehearsal.assert_amiss(&["streams_port", "activity_port"], 69);
    rehearsal.assert("streams_port", false, &[&streams, "--streams-port"]);
    rehearsal.assert("activity_port", false, &[&activity, "--activity-port"]);
}

#[test]
fn status_page_is_read_and_its_own_connection_is_no_stream() {
    let scene = Scene::with_streams(0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    thread::spawn(move || {
        let page = r#"{"active_batch_requests":1,"active_stream_requests":2}"#;
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", page.len());
            let _ = stream.write_all((head + page).as_bytes());
        }
    });
    let api = |port| {
        let mut command = scene.pod.check();
        command.env_remove("LAMEDUCK_METRICS_URL").args([
            "--preset",
            "deepgram-api",
            "--streams-port",
            port,
            "--activity-port",
            port,
        ]);
        command
    };
    let rehearsal = Rehearsal::run(&|| api(&port));
    rehearsal.assert_amiss(&[], 0);
    rehearsal.assert("page", Value::Null, &[]);
    rehearsal.assert("status_page", true, &[&port, "3 streams"]);
    rehearsal.assert("streams_port", true, &["0 streams"]);
    let free = free_port();
    let rehearsal = Rehearsal::run(&|| api(&free));
    rehearsal.assert_amiss(&["streams_port", "activity_port", "status_page"], 69);
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
        command.env("LAMEDUCK_TOKEN_FILE", "/token");
        command
    };
    let rehearsal = Rehearsal::run(&command);
    rehearsal.assert_amiss(&["variables", "page"], 64);
    rehearsal.assert("variables", false, &["LAMEDUCK_TOKEN_FILE"]);
}

#[test]
fn process_namespace_of_its_own_is_told() {
    let page = Page::counting(0);
    let pod = Pod::new(&page.url());
    let unshared = || {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc"]);
        command
    };
    if !unshared().arg("true").output().is_ok_and(|output| output.status.success()) {
        println!("no process namespace can be made here");
        return;
    }
    let command = || {
        let (check, mut command) = (pod.check(), unshared());
        command.env_clear().arg(check.get_program()).args(check.get_args());
        command.envs(check.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    };
    let rehearsal = Rehearsal::run(&command);
    rehearsal.assert_amiss(&["pid_namespace", "target"], 69);
    rehearsal.assert("pid_namespace", false, &["shareProcessNamespace: true"]);
}
