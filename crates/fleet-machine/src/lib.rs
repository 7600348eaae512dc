//! The rules of `lameduck-fleet`, as a state machine that turns inputs into actions. It reads no clock and does no I/O:
//! every input carries the current time.
//!
//! [`controller`] owns the parts and passes each input to them. Each part can be read and tested on its own:
//!
//! | part | responsibility |
//! |---|---|
//! | [`pods`] | the pods that the API server has shown, and their last status |
//! | [`costs`] | which pods of a ReplicaSet need another deletion cost |
//! | [`protection`] | which pods must not be disrupted, and for how long |
//! | [`writer`] | when an annotation may be written |
//! | [`deadlines`] | how long a terminating pod really has |
//! | [`drains`] | what became of each drain of one pod |
//! | [`history`] | outcomes that are reported, counters that outlive pods |
//! | [`poll_queue`] | when a sidecar is polled |
//! | [`leadership`] | whether this replica may write |
//!
//! Read [`drains`] first, then [`costs`] and [`writer`].
#![forbid(unsafe_code)]

pub mod controller;
pub mod costs;
pub mod deadlines;
pub mod drains;
pub mod event;
pub mod history;
pub mod io;
pub mod leadership;
pub mod pod;
pub mod pods;
pub mod poll_queue;
pub mod protection;
pub mod record;
pub mod report;
pub mod settings;
pub mod status;
pub mod writer;
