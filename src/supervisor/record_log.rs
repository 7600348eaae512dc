//! The log lines with the record of a drain. Each has the drain's id and every field of the record.

use lameduck_machine::io::RecordReason;
use lameduck_machine::result::{DrainResult, Outcome};
use lameduck_machine::warnings::Warning;
use tracing::{debug, info, warn};

use crate::io::log::Nullable;
use crate::io::report::OutcomeReport;

/// Logs one line at this level, with this message and the fields of a record.
macro_rules! log_record {
    ($level:ident, $report:expr, $message:literal) => {
        $level!(
            id = $report.id,
            outcome = $report.outcome,
            streams_at_start = ?Nullable($report.streams_at_start),
            streams_at_signal = ?Nullable($report.streams_at_signal),
            stragglers = ?Nullable($report.stragglers),
            idle_streams = $report.idle_streams,
            seconds = $report.seconds,
            signal = ?Nullable($report.signal.as_deref()),
            warnings = ?$report.warnings,
            $message
        )
    };
}

/// Logs what each warning means, and then the outcome: the last line of a drain.
pub(super) fn log_outcome(result: &DrainResult, report: &OutcomeReport) {
    for warning in result.warnings.iter() {
        log_warning(warning);
    }
    if result.outcome == Outcome::Idle && result.idle_streams > 0 {
        info!(
            idle_streams = result.idle_streams,
            "no active stream was cut; the idle streams end with the target, and their clients see a reset"
        );
    }
    log_record!(info, report, "drain over");
}

/// Logs the provisional record of a drain. An event that may end the drain early is logged at a higher level.
pub(super) fn log_provisional(report: &OutcomeReport, reason: RecordReason) {
    match reason {
        RecordReason::Started | RecordReason::CountChanged => {
            log_record!(debug, report, "record of the drain so far");
        }
        RecordReason::Sigterm => log_record!(info, report, "SIGTERM during the drain; its record so far"),
        RecordReason::HookDisconnected => log_record!(
            warn,
            report,
            "the hook caller has disconnected before the drain was over: the grace period may have been shortened, and \
             the containers may be killed soon; the record so far"
        ),
        RecordReason::LaterStreams => {
            log_record!(warn, report, "streams that were opened after the drain were cut; the corrected record");
        }
        RecordReason::Exit => {
            log_record!(warn, report, "exiting while streams may still be open; the record so far");
        }
    }
}

fn log_warning(warning: Warning) {
    let code = warning.name();
    match warning {
        Warning::EndedWithSignal => warn!(
            code,
            "no reading after the signal shows the target still serving, so it is unknown whether its streams were \
             cut; does it drain on this signal at all? Many Node, Go and Python servers close every stream; if it does \
             not drain, set --signal none"
        ),
        Warning::ToldByOthers => warn!(
            code,
            "the target closed a listener or ended before lameduck sent its signal: something else has stopped it; in \
             a pod: is the preStop hook on the target's own container? under systemd: is KillMode=mixed set?"
        ),
        Warning::NoHook => warn!(
            code,
            "the target ended, and then SIGTERM came, without a hook call: is there a preStop hook on the target's \
             container? To check: kubectl get pod POD -o json | lameduck check -f -"
        ),
        Warning::GaugeLeak => warn!(
            code,
            "the page counted streams, but their ports had no connection for --gauge-leak-after, so its count was \
             overruled: its gauge leaks; is it decremented when a client disconnects?"
        ),
        Warning::DeadlineShortened => {
            warn!(code, "the pod had less time than its grace period: it was deleted or evicted with a shorter one");
        }
        Warning::SourcesDisagreed => warn!(
            code,
            "the sources gave different counts for longer than the quiet period; the largest that was not overruled \
             was used"
        ),
    }
}
