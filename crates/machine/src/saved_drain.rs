//! What a restarted sidecar needs to resume a drain.

use crate::drain_id::DrainId;
use crate::result::{DrainResult, Trigger};
use crate::sent_signal::SentSignal;
use crate::target::Incarnation;
use crate::time::Time;
use crate::warnings::Warnings;

/// A drain as it is saved in the state dir.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedDrain {
    /// The id of the drain.
    pub id: DrainId,
    /// The target, if one was found.
    pub incarnation: Option<Incarnation>,
    /// What started the drain.
    pub trigger: Trigger,
    /// When it started.
    pub started_at: Time,
    /// Its deadline.
    pub deadline: Time,
    /// The streams when it started.
    pub streams_at_start: Option<u64>,
    /// The signal, if it has been sent or is about to be.
    pub signal: Option<SentSignal>,
    /// The warnings so far.
    pub warnings: Warnings,
    /// How it ended, once it is over.
    pub finished: Option<SavedResult>,
}

/// The end of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedResult {
    /// When it ended.
    pub ended_at: Time,
    /// Its result.
    pub result: DrainResult,
    /// Whether the result has been reported; otherwise the next process reports it.
    pub reported: bool,
}
