//! Node: `http`, the package `ws`, and `cluster`.

use nix::sys::signal::Signal;

use crate::clients::Protocol;
use crate::scenario::Behavior::{Drains, DrainsUncounted, Drops};
use crate::scenario::{CountedBy, Scenario};
use crate::server::Program;

/// Waits for every connection before it exits.
pub(crate) const WAITING: (Program, &str) = (Program { language: "node", command: &["node", "http.js"] }, "close-18");

const HTTP: Scenario = Scenario {
    server: "Node `http`",
    on_signal: "`process.exit(0)`",
    program: Program { language: "node", command: &["node", "http.js"] },
    way: "exit-0",
    protocol: Protocol::Events,
    streams: 3,
    counted_by: CountedBy::Connections,
    signal: Signal::SIGINT,
    behavior: Drops,
};
const WS: Scenario = Scenario {
    server: "Node `ws`",
    program: Program { language: "node", command: &["node", "websocket.js"] },
    protocol: Protocol::WebSocket,
    counted_by: CountedBy::Page,
    ..HTTP
};
const CLUSTER: Scenario = Scenario {
    server: "Node `cluster`, two workers",
    program: Program { language: "node", command: &["node", "cluster.js"] },
    ..HTTP
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario { on_signal: "no handler", way: "default", ..HTTP },
    Scenario { on_signal: "no handler", way: "default", signal: Signal::SIGTERM, ..HTTP },
    HTTP,
    Scenario { on_signal: "`process.exit(1)`", way: "exit-1", ..HTTP },
    Scenario { on_signal: "`closeAllConnections()`, exit 1 s later", way: "close-all", ..HTTP },
    Scenario { on_signal: "`server.close()`", way: "close", behavior: Drains, ..HTTP },
    Scenario { on_signal: "`server.close()`", way: "close", behavior: Drains, signal: Signal::SIGTERM, ..HTTP },
    Scenario {
        on_signal: "`server.close()` of Node 18",
        way: "close-18",
        behavior: DrainsUncounted,
        counted_by: CountedBy::PageOnSamePort,
        ..HTTP
    },
    Scenario { streams: 0, behavior: Drains, ..HTTP },
    WS,
    Scenario { server: "Node `ws`, one WebSocket", streams: 1, ..WS },
    Scenario { on_signal: "closes all WebSockets, then exits", way: "close-clients", ..WS },
    Scenario { on_signal: "closes all WebSockets, stays alive", way: "close-clients-and-stay", ..WS },
    Scenario { on_signal: "`server.close()`, then exits", way: "close", behavior: Drains, ..WS },
    Scenario { on_signal: "`server.close()`, stays alive", way: "close-and-stay", behavior: Drains, ..WS },
    CLUSTER,
    Scenario { on_signal: "`cluster.disconnect()`", way: "disconnect", behavior: Drains, ..CLUSTER },
];
