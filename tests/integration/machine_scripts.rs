//! Scripted tests of the drain machine. Each test is one behaviour: timed events, and the effects that must follow.

mod after_signal;
mod cancellation;
mod child;
mod counting;
mod drain_sequence;
mod exits;
mod gauge_leak;
mod health_checks;
mod honest_drains;
mod hooks;
mod idle;
mod incarnations;
mod never_served;
mod page_connection;
mod page_processes;
mod pod;
mod records;
mod restarts;
mod searches;
mod shortened_deadline;
mod signals;
mod sigterm;
mod sockets;
mod told_by_others;
mod unauthorized;
mod unready_after;
