//! One incarnation of the target: its signal and its exit.

use crate::result::ExitStatus;
use crate::sent_signal::SentSignal;
use crate::target::Incarnation;

/// The tracked target.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which incarnation it is.
    pub incarnation: Incarnation,
    /// Its name.
    pub name: String,
    pub(super) signal: SignalState,
    pub(super) killed: bool,
    pub(super) exit: ExitState,
}

/// The progress of the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalState {
    /// Not sent.
    Unsent,
    /// Saved as sent, and about to be sent.
    Saved(SentSignal),
    /// Sent. If an earlier process saved it, that process sent it, unless it crashed just before.
    Sent(SentSignal),
    /// The kernel refused it.
    Failed,
}

/// The progress of the target's exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExitState {
    Alive,
    /// The kernel is ending it: its readings are meaningless from now on.
    Exiting {
        last_count: LastCount,
    },
    Exited {
        status: ExitStatus,
        last_count: LastCount,
    },
}

/// The count of streams when the target began to exit. The exit may take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastCount {
    /// The number of streams; `None` if it was unknown.
    pub streams: Option<u64>,
}

impl Target {
    /// Whether it has not ended.
    #[must_use]
    pub const fn is_alive(&self) -> bool {
        !matches!(self.exit, ExitState::Exited { .. })
    }

    /// Whether it is alive and was not killed.
    #[must_use]
    pub const fn can_be_killed(&self) -> bool {
        self.is_alive() && !self.killed
    }

    /// Whether the signal was sent, or is about to be.
    #[must_use]
    pub const fn is_signalled(&self) -> bool {
        self.sent_signal().is_some()
    }

    /// The signal, if it was sent or is about to be.
    #[must_use]
    pub const fn sent_signal(&self) -> Option<&SentSignal> {
        match &self.signal {
            SignalState::Saved(signal) | SignalState::Sent(signal) => Some(signal),
            SignalState::Unsent | SignalState::Failed => None,
        }
    }

    /// How it ended, if it has.
    #[must_use]
    pub const fn exit_status(&self) -> Option<ExitStatus> {
        match self.exit {
            ExitState::Exited { status, .. } => Some(status),
            ExitState::Alive | ExitState::Exiting { .. } => None,
        }
    }

    /// The count of streams when it began to exit; `None` while it is alive.
    #[must_use]
    pub const fn last_count(&self) -> Option<LastCount> {
        match self.exit {
            ExitState::Alive => None,
            ExitState::Exiting { last_count } | ExitState::Exited { last_count, .. } => Some(last_count),
        }
    }
}
