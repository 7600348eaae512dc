//! The one queue: everything that happens to the sidecar reaches the event loop through it.

use std::net::IpAddr;
use std::time::Duration;

use lameduck_machine::io::{CallKind, Input, Poll};
use lameduck_machine::reading::Source;
use lameduck_machine::time::Time;
use tokio::sync::oneshot;

use crate::io::report::{OutcomeReport, StatusReport};

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// A search has finished, or the target has ended.
    Input(Input),
    /// A poll has finished.
    Polled(PollResult),
    /// A client wants a reply.
    Request(Request),
    /// SIGTERM to this process, from this pid where the kernel tells it.
    Sigterm(Option<i32>),
}

/// The result of a poll, and how long each source took that was read in time.
#[derive(Debug)]
pub struct PollResult {
    /// What the machine gets.
    pub poll: Poll,
    /// What the metrics get.
    pub durations: Vec<(Source, Duration)>,
}

/// A request of a client. A reply that is dropped unsent means that the loop has ended.
#[derive(Debug)]
pub enum Request {
    /// Hold this caller until its drain is over.
    Hook(HookCall),
    /// A hook called this path, which does not exist.
    UnknownHookPath(String),
    /// A held caller has disconnected.
    Hangup,
    /// Why is the pod not ready, if it is not?
    Readiness(oneshot::Sender<Option<String>>),
    /// Why should load balancers send no new streams, if they should not?
    Accepting(oneshot::Sender<Option<String>>),
    /// Is the loop running?
    Liveness(oneshot::Sender<()>),
    /// What is the status?
    Status(oneshot::Sender<Box<StatusReport>>),
    /// What are our own metrics, as text?
    Metrics(oneshot::Sender<String>),
}

/// A call that is held until a drain is over.
#[derive(Debug)]
pub struct HookCall {
    /// What the caller may do.
    pub kind: CallKind,
    /// The caller's address; `None` if it is this process.
    pub peer: Option<IpAddr>,
    /// When the call was made, if that was before it was queued.
    pub made_at: Option<Time>,
    /// Where the answer goes.
    pub reply: oneshot::Sender<HookReply>,
}

/// The answer to a held call.
#[derive(Clone, Debug, PartialEq)]
pub enum HookReply {
    /// The drain, or the wait of an unauthorized caller, is over.
    Finished(OutcomeReport),
    /// Too many unauthorized callers are held already.
    TooManyUnauthorized,
}
