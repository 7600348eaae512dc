//! What the test observed of one drain.

use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;

use crate::incarnation::EngineRecord;

/// One hook caller that waited for the outcome; or the termination message, if no caller is left.
#[derive(Debug)]
pub(crate) struct HookCall {
    /// Just before the first of the callers that called together.
    pub(crate) called_at: Duration,
    /// When the sidecar answered a request sent after these calls, so that it must have received them.
    pub(crate) received_at: Duration,
    /// When the caller got its answer.
    pub(crate) released_at: Duration,
    /// `None` if the connection was cut.
    pub(crate) outcome: Option<Value>,
}

/// What the test observed of one drain.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) called_at: Duration,
    pub(crate) calls: Vec<HookCall>,
    /// Number of callers without an answer.
    pub(crate) unanswered: usize,
    pub(crate) engines: Vec<EngineRecord>,
    /// When the page fault began and ended.
    pub(crate) fault: Option<(Duration, Duration)>,
    /// Whether the sidecar polled the faulty page.
    pub(crate) fault_seen: bool,
    pub(crate) replaced: bool,
    pub(crate) restarts: usize,
    pub(crate) message: Option<Value>,
    /// How the sidecar or `lameduck run` ended.
    pub(crate) status: ExitStatus,
    /// When `lameduck run` ended.
    pub(crate) run_ended_at: Option<Duration>,
    /// The log of the last sidecar.
    pub(crate) log: Vec<String>,
}
