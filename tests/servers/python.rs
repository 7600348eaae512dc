//! Python: uvicorn, aiohttp and the standard library.

use nix::sys::signal::Signal;

use crate::clients::Protocol;
use crate::scenario::Behavior::{Drains, DrainsAndDies, Drops, GivesUp, Stalls};
use crate::scenario::{CountedBy, Scenario};
use crate::server::Program;

const UVICORN: Scenario = Scenario {
    server: "uvicorn, WebSockets",
    on_signal: "default",
    program: Program { language: "python", command: &["venv/bin/uvicorn", "asgi_app:app"] },
    way: "",
    protocol: Protocol::WebSocket,
    streams: 3,
    counted_by: CountedBy::Connections,
    signal: Signal::SIGINT,
    behavior: Drops,
};
const UVICORN_EVENTS: Scenario =
    Scenario { server: "uvicorn, HTTP responses", protocol: Protocol::Events, behavior: Drains, ..UVICORN };
const UVICORN_WORKERS: Scenario =
    Scenario { server: "uvicorn `--workers 2`, WebSockets", way: "--workers 2", ..UVICORN };
const AIOHTTP: Scenario = Scenario {
    server: "aiohttp, WebSockets",
    program: Program { language: "python", command: &["venv/bin/python", "aiohttp_server.py"] },
    way: "default",
    counted_by: CountedBy::Page,
    behavior: Stalls,
    ..UVICORN
};
const AIOHTTP_EVENTS: Scenario = Scenario {
    server: "aiohttp, HTTP responses",
    protocol: Protocol::Events,
    counted_by: CountedBy::Connections,
    behavior: Drains,
    ..AIOHTTP
};
const CLOSE_WEBSOCKETS: Scenario =
    Scenario { on_signal: "`on_shutdown` closes all WebSockets", way: "close-websockets", behavior: Drops, ..AIOHTTP };
const WAIT_FOR_WEBSOCKETS: Scenario = Scenario {
    on_signal: "closes its listener, and waits for the WebSockets",
    way: "wait-for-websockets",
    behavior: Drains,
    ..AIOHTTP
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    UVICORN,
    Scenario { signal: Signal::SIGTERM, ..UVICORN },
    Scenario { counted_by: CountedBy::Page, ..UVICORN },
    Scenario { streams: 0, behavior: Drains, ..UVICORN },
    Scenario { server: "uvicorn, one WebSocket", streams: 1, ..UVICORN },
    UVICORN_WORKERS,
    UVICORN_EVENTS,
    Scenario { counted_by: CountedBy::Page, ..UVICORN_EVENTS },
    Scenario {
        on_signal: "`--timeout-graceful-shutdown 600`",
        way: "--timeout-graceful-shutdown 600",
        ..UVICORN_EVENTS
    },
    Scenario { signal: Signal::SIGTERM, behavior: DrainsAndDies, ..UVICORN_EVENTS },
    Scenario {
        on_signal: "`--timeout-graceful-shutdown 10`",
        way: "--timeout-graceful-shutdown 10",
        behavior: GivesUp,
        ..UVICORN_EVENTS
    },
    AIOHTTP,
    CLOSE_WEBSOCKETS,
    Scenario { signal: Signal::SIGTERM, ..CLOSE_WEBSOCKETS },
    WAIT_FOR_WEBSOCKETS,
    Scenario { signal: Signal::SIGTERM, ..WAIT_FOR_WEBSOCKETS },
    Scenario { server: "aiohttp, one WebSocket", streams: 1, ..WAIT_FOR_WEBSOCKETS },
    AIOHTTP_EVENTS,
    Scenario { streams: 0, behavior: Drains, ..AIOHTTP_EVENTS },
    Scenario {
        server: "Python `http.server`",
        on_signal: "catches `KeyboardInterrupt`",
        program: Program { language: "python", command: &["venv/bin/python", "threads.py"] },
        protocol: Protocol::Events,
        ..UVICORN
    },
];
