//! What goes into the machine and what comes out of it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use lameduck_machine::time::Time;

use crate::pod::{Key, Keys, Pod, PodRef, PodUid};
use crate::report::{DrainKey, DrainReport};
use crate::status::SidecarStatus;

/// What happens to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The watch starts to list all pods, at its start or after a gap.
    ListStarted,
    /// A pod of that list.
    Listed(Box<Pod>),
    /// The list is complete. Pods that it did not contain are gone.
    ListEnded,
    /// A pod was added or has changed.
    Changed(Box<Pod>),
    /// A pod was deleted. This is its last state.
    Deleted(Box<Pod>),
    /// The result of [`Action::Poll`]; no status if the sidecar cannot be read.
    Polled {
        /// The pod.
        uid: PodUid,
        /// When the poll was requested.
        requested_at: Time,
        /// What the sidecar answered.
        status: Option<SidecarStatus>,
    },
    /// The result of [`Action::Write`].
    Written(PodUid, WriteResult),
    /// The result of [`Action::ShortenDeadline`].
    DeadlineSent(PodUid, DeadlineReply),
    /// The result of [`Action::Record`].
    Recorded(DrainKey, RecordResult),
    /// The result of [`Action::ReadLease`]: the lease if it exists; an error if it cannot be read.
    LeaseRead(Result<Option<LeaseView>, ()>),
    /// The result of [`Action::WriteLease`]: whether it was written.
    LeaseWritten(bool),
    /// This process must stop.
    Shutdown,
}

/// The result of writing annotations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteResult {
    /// They are written.
    Written,
    /// Another field manager owns these keys.
    Conflict(Vec<Key>),
    /// The API server wants fewer requests, and says after which time to try again.
    Throttled(Option<Duration>),
    /// The write failed for another reason.
    Failed,
    /// The pod does not exist any more.
    Gone,
}

/// The result of recording a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordResult {
    /// No replica had recorded the drain before.
    New,
    /// A replica has recorded it before.
    Known,
    /// The API server did not answer, so it is unknown whether a replica has recorded it.
    Unavailable,
}

/// The answer of a sidecar to a shorter deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadlineReply {
    /// The deadline is not later than requested.
    Accepted,
    /// No drain is in progress yet.
    NoDrain,
    /// The token is missing or wrong, or the sidecar does not know the request.
    Refused,
    /// There was no answer.
    Failed,
}

/// A lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// Its holder; empty if it was released.
    pub holder: String,
    /// When it was renewed, as text.
    pub renewed: String,
    /// Its resource version.
    pub version: String,
    /// How often the holder has changed.
    pub transitions: i32,
}

/// How a lease is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseWrite {
    /// The resource version that it must still have; `None` to create it.
    pub version: Option<String>,
    /// The new holder.
    pub holder: String,
    /// How often the holder has changed.
    pub transitions: i32,
    /// Whether the holder changes.
    pub is_new_holder: bool,
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the status of a sidecar. There must always be an answer, within a few seconds.
    Poll {
        /// The pod.
        pod: PodRef,
        /// Its address.
        ip: IpAddr,
        /// To be returned with the answer.
        requested_at: Time,
    },
    /// Make these the annotations of our field manager, without force. Keys that it owned before and that are not in
    /// the set are removed.
    Write {
        /// The pod.
        pod: PodRef,
        /// The annotations.
        keys: Keys,
    },
    /// Tell the sidecar that its drain must end at this time.
    ShortenDeadline {
        /// The pod.
        pod: PodRef,
        /// Its address.
        ip: IpAddr,
        /// The end of the drain.
        drain_end: Time,
    },
    /// Report a drain as Events whose names are derived from its key, so that a second replica, or a restarted one, finds
    /// that they exist.
    Record {
        /// The drain.
        report: Box<DrainReport>,
        /// Whether it must be logged as well. If the result is [`RecordResult::Unavailable`], this action comes again.
        is_first: bool,
    },
    /// Read the lease.
    ReadLease,
    /// Write the lease, unless it has changed since it was read.
    WriteLease(LeaseWrite),
    /// Remove the holder of the lease, if it is this replica.
    ReleaseLease,
    /// Log something that a user must know.
    Log(Notice),
}

/// What a user must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Another field manager owns a key of pods of this workload, so we do not write it there.
    KeyOwnedByOther {
        /// The first such pod.
        pod: PodRef,
        /// Its workload.
        workload: String,
        /// The key.
        key: Key,
    },
    /// Karpenter manages the deletion cost of pods of this workload, so we do not write it there.
    CostManagedByKarpenter {
        /// The first such pod.
        pod: PodRef,
        /// Its workload.
        workload: String,
    },
    /// The sidecar has refused a shorter deadline.
    DeadlineRefused(PodRef),
    /// The pod was protected for the longest time that the settings allow.
    ProtectionExpired(PodRef),
    /// This replica has become the leader.
    Leading,
    /// This replica is no longer the leader.
    NotLeading,
}

/// The queue of actions to perform.
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

    /// Adds a notice.
    pub fn log(&mut self, notice: Notice) {
        self.push(Action::Log(notice));
    }

    /// Removes the next action.
    pub fn pop(&mut self) -> Option<Action> {
        self.0.pop_front()
    }
}
