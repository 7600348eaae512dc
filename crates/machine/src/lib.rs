//! The rules of a drain, as a state machine: inputs go in, actions come out. It has no dependency, reads no clock and
//! does no I/O; time only passes by the instants that come with the inputs.
//!
//! [`controller`] owns the parts and passes each input to them. Each part can be read and tested alone:
//!
//! | part | what it owns |
//! |---|---|
//! | [`target_tracker`] | the target process over its incarnations: search results, exit, the one signal |
//! | [`incarnation`] | all that was read of one incarnation; replaced as a whole when the target is replaced |
//! | [`drain_state`] | serving, draining or finished; saving and reporting. The rules of one drain: [`drain`] |
//! | [`account`] | what was cut: the only place that decides it |
//! | [`hook_callers`] | every caller that waits for the end of a drain, authorized or not |
//! | [`shutdown`] | when the sidecar itself may exit |
//! | [`poll_schedule`] | when the sources are polled |
//! | [`readiness`] | why the pod is not ready |
//!
//! Read [`drain`] first, then [`source_set`] and [`account`].
#![forbid(unsafe_code)]

pub mod account;
pub mod activity;
pub mod controller;
pub mod drain;
pub mod drain_state;
pub mod drain_times;
pub mod durations;
pub mod hook_callers;
pub mod incarnation;
pub mod io;
pub mod policy;
pub mod poll_schedule;
pub mod readiness;
pub mod reading;
pub mod result;
pub mod saved_drain;
pub mod searches;
pub mod shutdown;
pub mod snapshot;
pub mod socket_table;
pub mod source_set;
pub mod source_state;
pub mod stream_lifetimes;
pub mod target;
pub mod target_tracker;
pub mod time;
