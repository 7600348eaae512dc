//! The one queue: everything that happens to the sidecar comes to the event loop through it.

use std::net::IpAddr;

use tokio::sync::oneshot;

use lameduck_machine::io::Input;
use lameduck_machine::result::Trigger;

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// The world answered or changed.
    Input(Input),
    /// Somebody wants an answer.
    Question(Question),
    /// SIGTERM to this process, from this pid where the kernel tells it.
    Sigterm(Option<i32>),
}

/// A question of an HTTP caller. A reply that is dropped unanswered means that the loop has ended.
#[derive(Debug)]
pub enum Question {
    /// Hold this caller until the drain is over; the answer is the outcome as JSON.
    Prestop(Trigger, oneshot::Sender<String>),
    /// Hold this caller as long, and start nothing: it comes from there without the token. `None` if too many wait so.
    Wait(IpAddr, oneshot::Sender<Option<String>>),
    /// A hook called this path, which does not exist.
    Astray(String),
    /// A held caller has gone away.
    Hangup,
    /// Why is the pod not ready, if it is not?
    Ready(oneshot::Sender<Option<String>>),
    /// Why should load balancers send no more, if they should not?
    Accepting(oneshot::Sender<Option<String>>),
    /// Does the loop turn?
    Live(oneshot::Sender<()>),
    /// The status as JSON.
    Status(oneshot::Sender<String>),
    /// Our own metrics.
    Metrics(oneshot::Sender<String>),
}
