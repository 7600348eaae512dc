//! The drain machine: inputs in, actions out. It imports only `std`, reads no clock and does no I/O.
//!
//! [`controller`] guards the pod over the lives of its target; [`drain`] holds the rules of one drain; [`source_set`] fuses
//! what the sources say; [`activity`] tells idle connections from those that work; [`drain_times`] does the arithmetic of
//! times.

#![forbid(unsafe_code)]

pub mod activity;
pub mod controller;
pub mod drain;
pub mod drain_times;
pub mod durations;
pub mod io;
pub mod policy;
pub mod poll_schedule;
pub mod readiness;
pub mod reading;
pub mod result;
pub mod saved_drain;
pub mod snapshot;
pub mod socket_table;
pub mod source_set;
pub mod source_state;
pub mod stream_lifetimes;
pub mod target;
pub mod time;
