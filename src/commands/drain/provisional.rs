//! The provisional record of a standalone drain, in case this process ends together with the target.
//!
//! The kernel kills every process of a PID namespace together with its first process (`pid_namespaces(7)`), which in a
//! container is usually the target itself. So the record of such an end is written in advance. Any other outcome
//! replaces it.

use lameduck_machine::result::{DrainResult, Outcome};

/// The record of a drain whose target, and this process with it, ends now. `record` is the record so far.
pub(super) fn at_exit(record: DrainResult) -> DrainResult {
    // A signalled target may have ended its last streams by itself since they were counted.
    let stragglers = record.stragglers.filter(|streams| *streams == 0 || !record.signalled);
    DrainResult { outcome: Outcome::Exited, stragglers, ..record }
}
