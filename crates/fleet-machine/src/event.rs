//! The Events of a drain.

use std::fmt::Write;

use crate::record::OutcomeRecord;
use crate::report::{DrainReport, Finding};

/// The longest note that the API server accepts, in bytes.
const MAX_NOTE_BYTES: usize = 1024;

/// The text of the Events of a drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventText {
    /// The name of the Event about the pod. It depends only on the drain, so no other replica can create it again.
    pub name: String,
    /// The reason.
    pub reason: &'static str,
    /// Whether the type is Warning.
    pub is_warning: bool,
    /// The note.
    pub note: String,
}

impl EventText {
    /// The text of the Events of this drain.
    #[must_use]
    pub fn of(report: &DrainReport) -> Self {
        let (reason, is_warning, note) = match &report.finding {
            Finding::Recorded(record) => recorded(record),
            Finding::Lost(lost) => {
                let streams = lost
                    .streams_at_start
                    .map_or_else(String::new, |streams| format!(" It began with {streams} streams."));
                ("DrainLost", true, format!("The outcome of a drain was never seen.{streams}"))
            }
        };
        let note = format!("{note} Pod {}, workload {}.", report.pod, report.owner.workload);
        Self { name: format!("lameduck.{}", report.key.0), reason, is_warning, note: truncated(note) }
    }
}

fn recorded(record: &OutcomeRecord) -> (&'static str, bool, String) {
    let seconds = record.duration.as_secs_f64();
    let mut note = format!("Drain {} ended as {} after {seconds:.1} s.", record.id, record.outcome.name());
    let (reason, is_warning) = match record.stragglers {
        Some(0) => ("Drained", false),
        Some(_) => ("StreamsCut", true),
        None => ("DrainUnproven", true),
    };
    // Writing to a string never fails.
    let _ = match record.stragglers {
        Some(count) => write!(note, " Streams cut: {count}"),
        None => write!(note, " It is not known whether streams were cut"),
    };
    let _ = match record.streams_at_start {
        Some(count) => write!(note, " of {count}."),
        None => write!(note, "."),
    };
    if record.idle_streams > 0 {
        let _ = write!(note, " Idle streams ended: {}.", record.idle_streams);
    }
    if !record.warnings.is_empty() {
        let _ = write!(note, " Warnings: {}.", record.warnings.join(", "));
    }
    (reason, is_warning, note)
}

/// The note without what is too long, cut at a character.
fn truncated(mut note: String) -> String {
    let end = (0..=MAX_NOTE_BYTES.min(note.len())).rev().find(|end| note.is_char_boundary(*end));
    note.truncate(end.unwrap_or(0));
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn note_is_cut_at_a_character() {
        assert_eq!(truncated("é".repeat(600)).len(), 1024);
        assert_eq!(truncated(format!("a{}", "é".repeat(600))).len(), 1023);
        assert_eq!(truncated("short".to_owned()), "short");
    }
}
