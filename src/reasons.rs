//! The machine's typed reasons as messages with the value, the likely cause and the fix.

use lameduck_machine::io::NotCancelled;
use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::Source;
use lameduck_machine::target::SignalBlocker;

/// Why the pod is not ready, in one line.
#[must_use]
pub fn not_ready(reason: &NotReady) -> String {
    match reason {
        NotReady::Starting => "starting".into(),
        NotReady::NotFound => {
            "target not found: no process matches; is it running, is its name or port right, does it \
                               run as lameduck's uid, and does the pod set shareProcessNamespace: true?"
                .into()
        }
        NotReady::Ambiguous(pids) => {
            format!("several targets: processes {pids:?} match; name a process that is unique, or use --target-port")
        }
        NotReady::CannotSignal { pid, signal, blocker: SignalBlocker::NotPermitted { theirs, ours } } => format!(
            "cannot signal the target: process {pid} runs as uid {theirs} and lameduck as uid {ours}, so {signal} is \
             not permitted; run both with the same runAsUser"
        ),
        NotReady::CannotSignal { pid, signal, blocker: SignalBlocker::NotCaught } => format!(
            "target does not catch {signal}: it would not drain process {pid} (SigCgt in /proc/{pid}/status); set \
             --signal to one that it handles, or to none"
        ),
        NotReady::FirstPoll => "no reading yet: the first poll is in progress".into(),
        NotReady::SourceAbsent(source) => format!("no reading yet: {}", absent(*source)),
        NotReady::SourceUnknown(error) => format!("no reading yet: {}", error.message),
        NotReady::AtCapacity { limit } => format!("at capacity: the limit is {limit} streams"),
        NotReady::LameDuck => "lame duck".into(),
        NotReady::Draining => "draining".into(),
        NotReady::Done => "done".into(),
    }
}

/// Why a source has nothing to count.
#[must_use]
pub const fn absent(source: Source) -> &'static str {
    match source {
        Source::Metrics | Source::Lazy => "a selector matches nothing on the page; is its name right?",
        Source::Sockets => "a port of --streams-port has no listener; is its number right?",
        Source::Status => "the page has none of the fields that count",
    }
}

/// Why a drain cannot be cancelled.
#[must_use]
pub const fn not_cancelled(reason: NotCancelled) -> &'static str {
    match reason {
        NotCancelled::NoDrain => "there is no drain: the pod is serving",
        NotCancelled::PodIsStopping => {
            "the pod is being stopped: only a drain that `lameduck drain` has started can be cancelled, and only until \
             the hook or SIGTERM joins it"
        }
        NotCancelled::Signalled => "the target has been sent the signal, which cannot be taken back",
        NotCancelled::Finished => "the drain is over",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_name_the_fix() {
        let blocker = SignalBlocker::NotPermitted { theirs: 0, ours: 1000 };
        let text = not_ready(&NotReady::CannotSignal { pid: 7, signal: "SIGINT".into(), blocker });
        for part in ["process 7", "uid 0", "uid 1000", "SIGINT", "runAsUser"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(not_ready(&NotReady::SourceAbsent(Source::Sockets)).contains("--streams-port"));
        assert_eq!(not_ready(&NotReady::LameDuck), "lame duck");
    }

    #[test]
    fn every_source_says_why_it_is_absent() {
        let sources = [Source::Metrics, Source::Lazy, Source::Sockets, Source::Status];
        for (source, part) in sources.into_iter().zip(["selector", "selector", "--streams-port", "fields"]) {
            assert!(absent(source).contains(part), "{source:?}");
        }
    }
}
