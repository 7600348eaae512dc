//! The drain machine by scripts: one behaviour each, told as what happens when and what must come of it.

mod counting;
mod drain_sequence;
mod exits;
mod hooks;
mod idle;
mod incarnations;
mod never_served;
mod pod;
mod restarts;
mod signals;
mod sigterm;
mod sockets;
mod unauthorized;
