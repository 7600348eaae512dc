//! The rules of a drain, as a state machine that turns inputs into actions. It has no dependencies, reads no clock and
//! does no I/O: every input carries the current time.
//!
//! [`controller`] owns the parts and passes each input to them. Each part can be read and tested on its own:
//!
//! | part | responsibility |
//! |---|---|
//! | [`target_tracker`] | the target process and its incarnations: search results, exit, the one signal |
//! | [`incarnation`] | everything that was read of one incarnation; replaced as a whole when the target is replaced |
//! | [`drain_state`] | serving, draining or finished; saving and reporting. The rules of one drain: [`drain`] |
//! | [`account`] | the result of a drain: how many streams were cut |
//! | [`recorder`] | the provisional record of a drain, and its warnings |
//! | [`history`] | what is kept across drains and incarnations: the last result, ids, durations |
//! | [`hook_callers`] | the callers that wait for the end of a drain, authorized or not |
//! | [`shutdown`] | when the sidecar itself may exit |
//! | [`child`] | when the child of `lameduck run` is stopped, and whether it has ended |
//! | [`poll_schedule`] | when the sources are polled |
//! | [`readiness`] | why the pod is not ready |
//!
//! Read [`drain`] first, then [`source_set`] and [`account`].
#![forbid(unsafe_code)]

pub mod account;
pub mod activity;
pub mod child;
pub mod controller;
pub mod drain;
pub mod drain_id;
pub mod drain_record;
pub mod drain_state;
pub mod drain_times;
pub mod durations;
pub mod gauge_leak;
pub mod history;
pub mod hook_callers;
pub mod incarnation;
pub mod io;
pub mod page_identity;
pub mod policy;
pub mod poll_schedule;
pub mod readiness;
pub mod reading;
pub mod recorder;
pub mod result;
pub mod saved_drain;
pub mod searches;
pub mod sent_signal;
pub mod shutdown;
pub mod snapshot;
pub mod socket_table;
pub mod source_set;
pub mod source_state;
pub mod stop_signs;
pub mod stream_lifetimes;
pub mod target;
pub mod target_tracker;
pub mod time;
pub mod warnings;
pub mod zero_streak;
