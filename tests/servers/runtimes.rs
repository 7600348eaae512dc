//! Which signals a runtime catches, mostly without a handler of the program, and how it ends on them.

use std::panic::catch_unwind;

use nix::sys::signal::Signal;

use crate::server::{Program, Server};

const HEAD: &str = "\
| runtime | program | catches | ignores | ends on SIGINT | ends on SIGTERM |
|---|---|---|---|---|---|
";

/// The signals in the table: those on which programs usually stop, and SIGPIPE, which runtimes usually ignore.
const SIGNALS: [Signal; 7] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGPIPE,
    Signal::SIGTERM,
];

/// A server whose program installs no handler, unless the table says so.
struct Runtime {
    name: &'static str,
    program: &'static str,
    command: Program,
    /// The last arguments.
    args: &'static str,
}

const fn runtime(
    [name, program]: [&'static str; 2],
    language: &'static str,
    command: &'static [&'static str],
    args: &'static str,
) -> Runtime {
    Runtime { name, program, command: Program { language, command }, args }
}

const PYTHON: &str = "venv/bin/python";
const TOKIO: &[&str] = &["target/debug/with_tokio"];

const RUNTIMES: &[Runtime] = &[
    runtime(["Node", "`http` server"], "node", &["node", "http.js"], "default"),
    runtime(["Go", "`net/http` server"], "go", &["./server"], "default"),
    runtime(["Python", "`http.server`"], "python", &[PYTHON, "default.py"], ""),
    runtime(["Python, asyncio", "`asyncio.run`"], "python", &[PYTHON, "asyncio_server.py"], ""),
    runtime(["Python, uvicorn", "ASGI application"], "python", &["venv/bin/uvicorn", "asgi_app:app"], ""),
    runtime(["Python, aiohttp", "`web.run_app`"], "python", &[PYTHON, "aiohttp_server.py"], "default"),
    runtime(["Java", "`HttpServer`"], "java", &["java", "Events"], "default"),
    runtime(["Rust", "`TcpListener`"], "rust", &["target/debug/plain"], ""),
    runtime(["Rust, tokio", "`TcpListener`"], "rust", TOKIO, ""),
    runtime(["Rust, tokio", "`TcpListener`, `signal()` for SIGINT"], "rust", TOKIO, "exit-0"),
];

/// The table, in Markdown; `None` if a server fails, which is printed.
pub(crate) fn table() -> Option<String> {
    let rows: Vec<Option<String>> = RUNTIMES.iter().map(row).collect();
    let rows: Option<String> = rows.into_iter().collect();
    rows.map(|rows| format!("{HEAD}{rows}"))
}

fn row(Runtime { name, program, command, args }: &Runtime) -> Option<String> {
    let observed = catch_unwind(|| {
        let server = Server::start(command, args, false);
        let masks = ["SigCgt:", "SigIgn:"].map(|mask| signals_in(&server.status(), mask));
        let on_interrupt = server.end_on(Signal::SIGINT).to_string();
        let on_terminate = Server::start(command, args, false).end_on(Signal::SIGTERM).to_string();
        (masks, on_interrupt, on_terminate)
    });
    let Ok(([caught, ignored], on_interrupt, on_terminate)) = observed else {
        println!(" FAILED  {name}, {program}");
        return None;
    };
    Some(format!("| {name} | {program} | {caught} | {ignored} | {on_interrupt} | {on_terminate} |\n"))
}

/// The signals in a mask of `/proc/PID/status`.
fn signals_in(status: &str, mask: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(mask)).expect("the kernel shows the mask");
    let bits = u64::from_str_radix(line.trim(), 16).expect("a mask in hexadecimal");
    let names: Vec<&str> =
        SIGNALS.into_iter().filter(|signal| bits & (1 << (*signal as i32 - 1)) != 0).map(Signal::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
