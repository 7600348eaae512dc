//! What the next process must know to go on with a drain.

use crate::result::{DrainResult, Trigger};
use crate::target::Incarnation;
use crate::time::Time;

/// A drain as it is noted in the state dir.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedDrain {
    /// The target, if one was in sight.
    pub incarnation: Option<Incarnation>,
    /// Who asked for the drain.
    pub trigger: Trigger,
    /// When it began.
    pub started_at: Time,
    /// When its budget is spent.
    pub deadline: Time,
    /// The streams when it began.
    pub streams_at_start: Option<u64>,
    /// Whether the signal has gone out, or is about to.
    pub signalled: bool,
    /// How it ended, once it is over.
    pub over: Option<SavedResult>,
}

/// The end of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedResult {
    /// When it was.
    pub at: Time,
    /// What the drain came to.
    pub result: DrainResult,
    /// Whether it has been told; otherwise the next process tells it.
    pub told: bool,
}
