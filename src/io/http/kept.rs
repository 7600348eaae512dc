//! A connection that is kept from one poll to the next.

use std::sync::{Mutex, MutexGuard, PoisonError};

use lameduck_machine::target::Incarnation;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use tokio::net::TcpStream;

use super::AfterResponse;

/// How many requests one connection carries. A server with several processes answers all of them by the same process.
/// And a server that has stopped listening still answers them.
pub const MAX_REQUESTS: u32 = 10;

/// At most one idle connection to a server.
#[derive(Debug, Default)]
pub struct KeptConnection(Mutex<Slot>);

#[derive(Debug, Default)]
struct Slot {
    allowed: bool,
    /// Whether the server once did not answer on a kept connection in time.
    given_up: bool,
    idle: Option<Idle>,
}

impl Slot {
    const fn may_keep(&self) -> bool {
        self.allowed && !self.given_up
    }
}

/// An open connection on which nothing is expected.
#[derive(Debug)]
pub struct Idle {
    /// The connection.
    pub stream: TcpStream,
    /// The target when the connection was opened.
    pub target: Option<Incarnation>,
    /// How many requests it has carried.
    pub requests: u32,
}

impl KeptConnection {
    /// Allows to keep a connection, or forbids it: then the idle one is closed at once.
    pub fn allow(&self, allowed: bool) {
        let mut slot = self.slot();
        slot.allowed = allowed;
        if !allowed {
            slot.idle = None;
        }
    }

    /// What to ask of the server.
    #[must_use]
    pub fn after_response(&self) -> AfterResponse {
        if self.slot().may_keep() { AfterResponse::KeepOpen } else { AfterResponse::Close }
    }

    /// Keeps no connection any more. The server may leave a connection open on which it will never answer: it answers one
    /// request on each, or the process that has the connection is busy while others are not.
    pub fn give_up(&self) {
        let mut slot = self.slot();
        (slot.given_up, slot.idle) = (true, None);
    }

    /// Closes the idle connection.
    pub fn close(&self) {
        self.slot().idle = None;
    }

    /// Takes the idle connection if it can be used for this target. Otherwise it is closed.
    #[must_use]
    pub fn take(&self, target: Option<Incarnation>) -> Option<Idle> {
        self.slot().idle.take().filter(|idle| idle.target == target && is_open_and_silent(&idle.stream))
    }

    /// Keeps a connection, if that is allowed and it has not carried too many requests.
    pub fn put_back(&self, idle: Idle) {
        let mut slot = self.slot();
        slot.idle = (slot.may_keep() && idle.requests < MAX_REQUESTS).then_some(idle);
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the server has neither closed the connection nor sent anything. What it sends without a request must not be
/// taken for the response to the next one.
fn is_open_and_silent(stream: &TcpStream) -> bool {
    matches!(recv(stream, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT), Err(Errno::AGAIN))
}
