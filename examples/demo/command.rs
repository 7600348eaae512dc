//! The other demo: a command under `lameduck run`, as in Docker or systemd, is stopped while callers are speaking.

use std::env;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use lameduck::io::report::StatusReport;
use serde_json::Value;

use crate::clock::now;
use crate::events::{Event, Events, Line, Origin, Stop};
use crate::http;
use crate::pod::{EXIT_DELAY, free_port};
use crate::process::{Process, command_line};
use crate::programs::Programs;
use crate::screen::{Screen, Speaker};

/// Durations of the streams.
const DURATIONS: [&str; 3] = ["5s", "7s", "9s"];
/// Timeout for anything that should be quick.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Timeout for the stop, which ends long before, at the latest at its deadline.
const STOP_TIMEOUT: Duration = Duration::from_secs(80);
/// How long to wait for an event.
const EVENT_TIMEOUT: Duration = Duration::from_millis(100);

/// Shows the stop; true if every check passed.
pub(crate) fn show(programs: &Programs, screen: &mut Screen, events: &mut Events) -> Result<bool, Stop> {
    screen.heading("A command under lameduck run, and three streams");
    let port = || free_port().map_err(|error| Stop::failed("no free port", error));
    let [(reserved_streams, streams), (reserved_page, page), (reserved, address)] = [port()?, port()?, port()?];
    let mut command = Command::new(&programs.lameduck);
    command.args(["run", "--grace-period", "60s", "--lame-duck", "2s", "--quiet-period", "1s"]);
    command.args(["--metrics-url", &format!("http://{page}/metrics"), "--listen", &address.to_string(), "--"]);
    command.arg(&programs.engine).args(["--listen", &streams.to_string(), "--metrics", &page.to_string()]);
    command.args(["--exit-delay", EXIT_DELAY]);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LAMEDUCK_")) {
        command.env_remove(name);
    }
    screen.command(&command_line(&command));
    let mut run = Process::start(&mut command, Origin::Lameduck, events)?;
    let is_ready = || http::get(address, "/readyz", http::PROBE, TIMEOUT).is_ok_and(|answer| answer.status == "200 OK");
    events.wait_for("lameduck to be ready", TIMEOUT, |_| Ok(is_ready().then_some(())))?;
    drop((reserved_streams, reserved_page, reserved));
    let mut command = Command::new(&programs.client);
    command.args(["--url", &format!("ws://{streams}/v1/listen"), "--streams", "3:audio"]);
    command.args(["--durations", &DURATIONS.join(",")]);
    screen.command(&command_line(&command));
    let mut client = Process::start(&mut command, Origin::Client { after: 0 }, events)?;
    let counts_all = || {
        let answer = http::get(address, "/status", http::PROBE, TIMEOUT).ok()?;
        let status: StatusReport = serde_json::from_str(&answer.body).ok()?;
        (status.streams == Some(3)).then_some(())
    };
    events.wait_for("lameduck to count the streams", TIMEOUT, |_| Ok(counts_all()))?;
    screen.heading("The stop, in seconds since SIGTERM");
    let began = now();
    screen.start_clock(began);
    run.terminate();
    let mut seen = Seen::default();
    let code = follow(screen, events, &mut seen, &mut run)?;
    let clients = events.wait_for("the client to exit", TIMEOUT, |_| Ok(client.ended()))?;
    Ok(check(screen, &seen, code, clients))
}

/// What the processes have reported.
#[derive(Debug, Default)]
struct Seen {
    signals: usize,
    outcome: Option<Value>,
}

/// Prints the lines of all processes until lameduck has exited.
fn follow(screen: &mut Screen, events: &mut Events, seen: &mut Seen, run: &mut Process) -> Result<ExitStatus, Stop> {
    let end = now() + STOP_TIMEOUT;
    let mut status = None;
    while now() < end {
        match events.next(EVENT_TIMEOUT)? {
            Some(Event::Line(line)) => seen.on_line(screen, &line),
            Some(Event::Hook(_) | Event::Interrupted) => {}
            None if status.is_some() => break,
            None => status = run.ended(),
        }
    }
    status.ok_or_else(|| events.failure("timed out waiting for lameduck to exit"))
}

impl Seen {
    fn on_line(&mut self, screen: &mut Screen, line: &Line) {
        let Line { from, text, at } = line;
        match (from, serde_json::from_str::<Value>(text)) {
            (Origin::Lameduck, Ok(log)) => self.on_log(screen, *at, &log),
            (Origin::Lameduck | Origin::Engine, _) => {
                self.signals += usize::from(text.contains("SIGINT"));
                screen.event(*at, Speaker::Engine, text.trim_start_matches("engine: "), "");
            }
            (Origin::Client { .. }, _) => screen.event(*at, Speaker::Client, text.trim_start_matches("client: "), ""),
            (Origin::Cargo, _) => {}
        }
    }

    fn on_log(&mut self, screen: &mut Screen, at: Instant, log: &Value) {
        let message = log["message"].as_str().unwrap_or_default();
        let fields = ["signal", "streams", "outcome", "stragglers", "code"];
        let fields = fields.iter().filter(|name| !log[**name].is_null());
        let fields: Vec<String> = fields.map(|name| format!("{name} {}", log[*name]).replace('"', "")).collect();
        screen.event(at, Speaker::Lameduck, message, &fields.join(", "));
        if message == "drain over" {
            self.outcome = Some(log.clone());
        }
    }
}

fn check(screen: &mut Screen, seen: &Seen, code: ExitStatus, clients: ExitStatus) -> bool {
    screen.heading("Checks");
    let outcome = seen.outcome.as_ref();
    let drained = outcome.is_some_and(|log| log["outcome"] == "drained" && log["stragglers"] == 0);
    let checks = [
        (seen.signals == 1, "the command got one SIGINT"),
        (clients.success(), "every stream ended cleanly"),
        (drained, "the outcome is drained, with 0 stragglers"),
        (code.code() == Some(0), "lameduck ended with the exit code of the command, 0"),
    ];
    for (passed, text) in checks {
        screen.check(passed, text);
    }
    checks.iter().all(|(passed, _)| *passed)
}
