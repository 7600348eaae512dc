//! What goes into the machine and what comes out of it.

use std::time::Duration;

use crate::reading::{ReadError, Reading, Source};
use crate::result::{DrainResult, ExitStatus, Trigger};
use crate::saved_drain::SavedDrain;
use crate::socket_table::SocketTable;
use crate::target::{Incarnation, SearchResult};
use crate::time::Time;

/// One who waits as if for a drain, and may not ask for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnauthorizedCaller(pub u64);

/// What happens to the keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// Somebody asks for a drain and waits for its end.
    Call(Trigger),
    /// The same, at an earlier instant than it could be taken: its grace period runs since then.
    Called(Trigger, Time),
    /// Such a caller has gone away.
    Hangup(Trigger),
    /// Somebody waits as if for a drain, and may not ask for one.
    Wait(UnauthorizedCaller),
    /// Such a waiter has gone away.
    Forsake(UnauthorizedCaller),
    /// SIGTERM to the sidecar.
    Terminate,
    /// The answer to [`Action::Seek`].
    Sighted {
        /// When the search was ordered.
        requested_at: Time,
        /// What it saw.
        sighting: SearchResult,
    },
    /// The target is dying: nothing that is read of it from now on tells of its streams.
    Dying(Incarnation),
    /// A watched target has ended.
    Exited(Incarnation, ExitStatus),
    /// The answer to [`Action::Signal`]: whether the signal went out.
    Signalled(Incarnation, bool),
    /// The answer to [`Action::Kill`]: whether the signal went out.
    Killed(Incarnation, bool),
    /// The socket table, as [`Action::Read`] asked for it.
    Connections {
        /// When the reading was ordered.
        requested_at: Time,
        /// What it shows.
        table: Result<SocketTable, ReadError>,
    },
    /// The target's own limit of streams, as its page tells it; 0 is none.
    Capacity(u64),
    /// One source's answer to [`Action::Read`].
    Counted {
        /// When the reading was ordered.
        requested_at: Time,
        /// The source.
        source: Source,
        /// What it said.
        reading: Reading,
    },
}

/// What the keeper wants done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look for the target.
    Seek {
        /// To be handed back with the answer.
        requested_at: Time,
        /// The one that is known already.
        tracked: Option<Incarnation>,
    },
    /// Read every source.
    Read {
        /// To be handed back with each answer.
        requested_at: Time,
        /// How long a reading may take.
        bound: Duration,
        /// The one that is to answer, where it is known. A page that is read when it has ended may be its successor's
        /// already, on the same port.
        tracked: Option<Incarnation>,
    },
    /// Watch this target for its exit, in place of any other.
    Watch(Incarnation),
    /// SavedDrain the drain where the next process finds it.
    Write(SavedDrain),
    /// Strike the note out.
    Erase,
    /// Send the signal.
    Signal(Incarnation),
    /// Kill the target: it stays for idle streams only.
    Kill(Incarnation),
    /// A stream has ended that was seen from its beginning; it lasted so long.
    Lived(Duration),
    /// A drain is over: record its verdict.
    Conclude(DrainResult),
    /// Answer every caller.
    Release(DrainResult),
    /// Answer one waiter.
    Dismiss(UnauthorizedCaller, DrainResult),
    /// Leave.
    Leave,
}
