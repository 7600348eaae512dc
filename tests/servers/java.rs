//! Java: the JDK's own HTTP server.

use nix::sys::signal::Signal;

use crate::clients::Protocol;
use crate::scenario::Behavior::{Drains, DrainsAndDies, Drops};
use crate::scenario::{CountedBy, Scenario};
use crate::server::Program;

const EVENTS: Scenario = Scenario {
    server: "Java `HttpServer`",
    on_signal: "no shutdown hook",
    program: Program { language: "java", command: &["java", "Events"] },
    way: "default",
    protocol: Protocol::Events,
    streams: 3,
    counted_by: CountedBy::Connections,
    signal: Signal::SIGINT,
    behavior: Drops,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    EVENTS,
    Scenario { signal: Signal::SIGTERM, ..EVENTS },
    Scenario { on_signal: "a shutdown hook waits", way: "hook", behavior: DrainsAndDies, ..EVENTS },
    Scenario { on_signal: "a shutdown hook waits, then `halt(0)`", way: "hook-and-halt", behavior: Drains, ..EVENTS },
];
