//! The queue of the event loop: every event reaches it through here.

use std::net::IpAddr;
use std::time::Duration;

use lameduck_machine::io::{CallKind, Input, Poll};
use lameduck_machine::reading::Source;
use lameduck_machine::snapshot::Snapshot;
use lameduck_machine::time::Time;
use tokio::sync::oneshot;

use crate::io::report::{OutcomeReport, StatusReport};
use crate::reasons::Instead;

/// An event.
#[derive(Debug)]
pub enum Event {
    /// A search has finished, or the target has ended.
    Input(Input),
    /// A poll has finished.
    Polled(PollResult),
    /// What a search or a poll found instead of what it looked for. It precedes their result.
    Instead(Instead),
    /// A client wants a reply.
    Request(Request),
    /// SIGTERM to this process, or another signal that begins a drain.
    Stop(Stop),
}

/// A signal that stops this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Its name.
    pub signal: &'static str,
    /// The sender's pid, if the kernel provides it.
    pub sender: Option<i32>,
    /// Whether a key in the terminal has sent it, such as Ctrl-C.
    pub from_terminal: bool,
}

/// The result of a poll, and the read duration of each source that answered in time.
#[derive(Debug)]
pub struct PollResult {
    /// The input for the machine.
    pub poll: Poll,
    /// The durations for the metrics.
    pub durations: Vec<(Source, Duration)>,
}

/// A request from a client. If its reply is dropped without being sent, the event loop has ended.
#[derive(Debug)]
pub enum Request {
    /// Hold this caller until its drain is over.
    Hook(HookCall),
    /// Cancel the drain that a user has started.
    Cancel(oneshot::Sender<HookReply>),
    /// Shorten the deadline of the drain in progress to this time from now. Return the rest of its budget; `None` if there
    /// is no drain in progress.
    ShortenDeadline(Duration, oneshot::Sender<Option<Duration>>),
    /// Log a call to this path, which does not exist but may be meant as the hook.
    UnknownHookPath(String),
    /// A held caller has disconnected.
    Hangup,
    /// Return why the pod is not ready; `None` if it is.
    Readiness(oneshot::Sender<Option<String>>),
    /// Return why load balancers should send no new streams; `None` if they may.
    Accepting(oneshot::Sender<Option<String>>),
    /// Confirm that the loop is running.
    Liveness(oneshot::Sender<()>),
    /// Return the status.
    Status(oneshot::Sender<Box<StatusReport>>),
    /// Return the state of the machine.
    Snapshot(oneshot::Sender<Box<Snapshot>>),
    /// Return lameduck's own metrics, as text.
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
    /// Where to send the answer.
    pub reply: oneshot::Sender<HookReply>,
}

/// The answer to a held call, or to a cancellation.
#[derive(Clone, Debug, PartialEq)]
pub enum HookReply {
    /// The drain, or the wait of an unauthorized caller, is over.
    Finished(OutcomeReport),
    /// Too many unauthorized callers are held already.
    TooManyUnauthorized,
    /// The drain was cancelled.
    Cancelled,
    /// The drain cannot be cancelled, for this reason.
    NotCancelled(&'static str),
}
