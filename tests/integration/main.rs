//! Tests that use lameduck from outside: the drain machine, the parsers, the event loop and the real binary.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod architecture;
mod cli;
mod docs;
mod engine_sim;
mod inject;
mod lifecycle;
mod machine_scripts;
mod page_connection;
mod page_ends;
mod parsers;
mod preflight;
mod readme;
mod release;
mod run;
mod schemas;
mod simulations;
mod sockets;
mod supervisor;
