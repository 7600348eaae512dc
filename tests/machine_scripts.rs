//! The drain machine by scripts: one behaviour each, told as what happens when and what must come of it.

#[path = "support/machine.rs"]
mod machine;

#[path = "machine_scripts/counting.rs"]
mod counting;
#[path = "machine_scripts/course.rs"]
mod course;
#[path = "machine_scripts/exits.rs"]
mod exits;
#[path = "machine_scripts/hooks.rs"]
mod hooks;
#[path = "machine_scripts/idle.rs"]
mod idle;
#[path = "machine_scripts/lives.rs"]
mod lives;
#[path = "machine_scripts/restarts.rs"]
mod restarts;
#[path = "machine_scripts/signals.rs"]
mod signals;
#[path = "machine_scripts/sigterm.rs"]
mod sigterm;
#[path = "machine_scripts/sockets.rs"]
mod sockets;
#[path = "machine_scripts/unserved.rs"]
mod unserved;
#[path = "machine_scripts/waiters.rs"]
mod waiters;
