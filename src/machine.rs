//! The drain machine: inputs in, actions out. It imports only `std`, reads no clock and does no I/O.
//!
//! [`keeper`] guards the pod over the lives of its target; [`drain`] holds the rules of one drain; [`census`] fuses
//! what the sources say; [`activity`] tells idle connections from those that work; [`plan`] does the arithmetic of
//! times.

pub mod activity;
pub mod census;
pub mod connections;
pub mod drain;
pub mod durations;
pub mod gate;
pub mod io;
pub mod keeper;
pub mod lives;
pub mod note;
pub mod outcome;
pub mod plan;
pub mod reading;
pub mod rounds;
pub mod snapshot;
pub mod target;
pub mod time;
pub mod witness;
