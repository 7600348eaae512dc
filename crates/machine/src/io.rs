//! What goes into the machine and what comes out of it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::drain_id::DrainId;
use crate::reading::{PageProcess, ReadError, Reading, Source};
use crate::result::{DrainResult, ExitStatus, Trigger};
use crate::saved_drain::SavedDrain;
use crate::socket_table::SocketTable;
use crate::target::{Incarnation, SearchResult, TargetState};
use crate::time::Time;

/// A caller that waits for the end of a drain. The event loop assigns the numbers and keeps the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallerId(pub u64);

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// The preStop hook: starts or joins a drain, and may restart its budget.
    Hook,
    /// A user with `lameduck drain`: starts or joins a drain.
    Person,
    /// A hook call without the required token: held like the others, but it starts nothing.
    Unauthorized,
}

/// What happens to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// A caller waits for the end of a drain.
    Call {
        /// The caller.
        caller: CallerId,
        /// What it may do.
        kind: CallKind,
        /// When the call was made, possibly before the machine existed: its grace period has been running since then.
        at: Time,
    },
    /// A caller has disconnected.
    Hangup(CallerId),
    /// A user wants to cancel the drain that a user has started.
    Cancel(CallerId),
    /// The drain in progress must end within this time.
    ShortenDeadline(Duration),
    /// SIGTERM to the sidecar, or another signal that begins a drain.
    Sigterm,
    /// Ctrl-C in the terminal of `lameduck run`. The first is like [`Input::Sigterm`], the next ones stop the child.
    Interrupt,
    /// The child of `lameduck run` has ended.
    ChildEnded {
        /// Whether processes that it has started may be the target, even if no search has found it.
        may_leave_target: bool,
    },
    /// The result of [`Action::FindTarget`].
    SearchResult {
        /// When the search was requested.
        requested_at: Time,
        /// What it found.
        result: SearchResult,
    },
    /// The result of [`Action::PollSources`].
    Polled(Poll),
    /// A watched target has ended.
    Exited(Incarnation, ExitStatus),
    /// The result of [`Action::SendSignal`]: whether the signal was sent.
    SignalResult(Incarnation, bool),
}

/// The result of one poll of all sources. A source that did not answer in time is missing or carries an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Poll {
    /// When the poll was requested.
    pub requested_at: Time,
    /// The target whose streams were counted, as it was requested.
    pub target: Option<Incarnation>,
    /// What each source answered.
    pub readings: Vec<(Source, Reading)>,
    /// The socket table, if it was read to detect active connections.
    pub sockets: Option<SocketReading>,
    /// The target's own stream limit, if its page shows one; 0 means no limit.
    pub capacity: Option<u64>,
    /// What the metrics page says about its process, once for each time that it was read in this poll.
    pub page_processes: Vec<PageProcess>,
    /// What was read of that target when the sources had been read.
    pub target_state: TargetState,
}

/// The socket table as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketReading {
    /// When it had been read completely.
    pub read_at: Time,
    /// What it shows.
    pub table: Result<SocketTable, ReadError>,
}

/// A request to read every source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollRequest {
    /// To be returned with the answer.
    pub requested_at: Time,
    /// The longest time that the poll may take.
    pub timeout: Duration,
    /// The target whose streams are counted, if it is known. After its exit, another incarnation may already serve a
    /// page on the same port.
    pub target: Option<Incarnation>,
    /// Whether the connection to the metrics page may stay open for the next poll. Many servers exit only after the
    /// last connection has closed, so that none may stay open while the target stops.
    pub keep_connection: bool,
}

/// What the machine wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Search for the target among all visible processes.
    FindTarget {
        /// To be returned with the answer.
        requested_at: Time,
        /// The target that is known already.
        target: Option<Incarnation>,
    },
    /// Read every source.
    PollSources(PollRequest),
    /// Watch this target for its exit, instead of any other.
    WatchTarget(Incarnation),
    /// Save the drain where a restarted sidecar finds it.
    SaveState(SavedDrain),
    /// Delete the saved drain.
    ClearState,
    /// Send the signal.
    SendSignal(Incarnation),
    /// Send SIGKILL to the target: only idle streams keep it alive.
    KillTarget(Incarnation),
    /// Send this signal to the child of `lameduck run`, or to what it has left.
    SignalChild(ChildSignal),
    /// A stream that was observed from its start has ended after this duration.
    StreamEnded(Duration),
    /// Report the result of a finished drain.
    ReportOutcome(DrainResult),
    /// Write the provisional record of a drain, in case this process is killed before the drain is over.
    WriteRecord(DrainResult, RecordReason),
    /// Remove the record of the drain with this id, which was cancelled.
    ClearRecord(DrainId),
    /// Add to the number of streams that were cut.
    CountStragglers(u64),
    /// The target has ended.
    TargetEnded(TargetEnded),
    /// Answer a caller.
    Reply(CallerId, Reply),
    /// Exit.
    Exit,
}

/// How the child of `lameduck run` is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChildSignal {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// Why a provisional record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordReason {
    /// The drain starts, or is resumed.
    Started,
    /// The count of streams, or something else in the record, has changed.
    CountChanged,
    /// SIGTERM to this process.
    Sigterm,
    /// The last hook caller has disconnected.
    HookDisconnected,
    /// The child of `lameduck run` has ended with streams that were opened after the drain.
    LaterStreams,
    /// This process exits.
    Exit,
}

/// How the target ended, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetEnded {
    /// Outside a drain, with this many streams; `None` if unknown.
    Serving(Option<u64>),
    /// During a drain, or after it.
    Drain,
}

/// The answer to a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The wait is over.
    Finished(DrainResult),
    /// The drain was cancelled, by this caller or by another one.
    Cancelled,
    /// The drain cannot be cancelled.
    NotCancelled(NotCancelled),
    /// Too many unauthorized callers are held already.
    TooManyUnauthorized,
}

/// Why a drain cannot be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCancelled {
    /// There is no drain.
    NoDrain,
    /// The hook, or SIGTERM, has started or joined it: the pod is being stopped.
    PodIsStopping,
    /// The signal has been sent.
    Signalled,
    /// The drain is over.
    Finished,
}

/// The queue of actions to perform. Queued actions are never changed.
#[derive(Clone, Debug, Default)]
pub struct Actions(VecDeque<Action>);

impl Actions {
    /// Adds an action.
    pub fn push(&mut self, action: Action) {
        self.0.push_back(action);
    }

    /// Adds the action, if there is one.
    pub fn extend(&mut self, action: Option<Action>) {
        self.0.extend(action);
    }

    /// Removes the next action.
    pub fn pop(&mut self) -> Option<Action> {
        self.0.pop_front()
    }
}

impl CallKind {
    /// The trigger of the drain that such a call starts; `None` if it starts none.
    #[must_use]
    pub const fn trigger(self) -> Option<Trigger> {
        match self {
            Self::Hook => Some(Trigger::Hook),
            Self::Person => Some(Trigger::Cli),
            Self::Unauthorized => None,
        }
    }
}
