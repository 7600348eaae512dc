//! The outcome of a drain, as its sidecar records it.

use std::time::Duration;

use lameduck_machine::drain_id::DrainId;
use lameduck_machine::result::Outcome;

/// The outcome of a drain as its sidecar records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeRecord {
    /// The id of the drain.
    pub id: DrainId,
    /// How it ended.
    pub outcome: Outcome,
    /// The streams at its start; `None` if unknown.
    pub streams_at_start: Option<u64>,
    /// The streams that were cut; `None` if unknown.
    pub stragglers: Option<u64>,
    /// The idle streams that were left.
    pub idle_streams: u64,
    /// How long it took.
    pub duration: Duration,
    /// The warnings, as codes.
    pub warnings: Vec<String>,
}
