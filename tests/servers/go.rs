//! Go: `net/http`, and the package `gorilla/websocket`.

use nix::sys::signal::Signal;

use crate::clients::Protocol;
use crate::scenario::Behavior::{Drains, DrainsUncounted, Drops, GivesUp};
use crate::scenario::{CountedBy, Scenario};
use crate::server::Program;

const EVENTS: Scenario = Scenario {
    server: "Go `net/http`",
    on_signal: "`os.Exit(0)`",
    program: Program { language: "go", command: &["./server"] },
    way: "exit-0",
    protocol: Protocol::Events,
    streams: 3,
    counted_by: CountedBy::Connections,
    signal: Signal::SIGINT,
    behavior: Drops,
};
const WEBSOCKETS: Scenario = Scenario {
    server: "Go `net/http`, WebSockets",
    protocol: Protocol::WebSocket,
    counted_by: CountedBy::Page,
    ..EVENTS
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { on_signal: "no handler", way: "default", ..EVENTS },
    Scenario { on_signal: "no handler", way: "default", signal: Signal::SIGTERM, ..EVENTS },
    EVENTS,
    Scenario { on_signal: "`Close()`", way: "close", ..EVENTS },
    Scenario { on_signal: "`Close()`, exit with code 1 one second later", way: "close-then-fail", ..EVENTS },
    Scenario { on_signal: "`Shutdown`, but `main` does not wait for it", way: "shutdown-without-waiting", ..EVENTS },
    Scenario { on_signal: "`Shutdown`", way: "shutdown", behavior: Drains, ..EVENTS },
    Scenario { on_signal: "`Shutdown`", way: "shutdown", behavior: Drains, counted_by: CountedBy::Page, ..EVENTS },
    Scenario {
        on_signal: "`Shutdown`",
        way: "shutdown",
        behavior: DrainsUncounted,
        counted_by: CountedBy::PageOnSamePort,
        ..EVENTS
    },
    Scenario {
        on_signal: "`Shutdown`",
        way: "shutdown",
        behavior: Drains,
        counted_by: CountedBy::PageAndConnections,
        ..EVENTS
    },
    Scenario { on_signal: "`Shutdown` with a timeout of 10 s", way: "shutdown-for-10s", behavior: GivesUp, ..EVENTS },
    Scenario {
        server: "Go `net/http`, one response",
        on_signal: "`Shutdown`",
        way: "shutdown",
        streams: 1,
        behavior: Drains,
        ..EVENTS
    },
    Scenario { streams: 0, behavior: Drains, ..EVENTS },
    Scenario { on_signal: "`Shutdown`", way: "shutdown", ..WEBSOCKETS },
    Scenario {
        on_signal: "`Shutdown`, and waits for the WebSockets",
        way: "shutdown-and-websockets",
        behavior: Drains,
        ..WEBSOCKETS
    },
];
