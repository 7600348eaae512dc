//! Scripted tests of the drain machine. Each test is one behaviour: timed events, and the effects that must follow.

mod counting;
mod drain_sequence;
mod exits;
mod hooks;
mod idle;
mod incarnations;
mod never_served;
mod page_processes;
mod pod;
mod restarts;
mod signals;
mod sigterm;
mod sockets;
mod unauthorized;
