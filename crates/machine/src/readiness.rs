//! Readiness: what must be known before the pod may serve, and why it may not.

use std::fmt;

use crate::target::SignalBlocker;

/// Why the pod is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// Nothing has been looked at yet.
    Starting,
    /// No process matches.
    NotFound,
    /// Several processes match.
    Ambiguous(Vec<u32>),
    /// Something stands against signalling the target.
    CannotSignal {
        /// The target.
        pid: u32,
        /// The name of the signal.
        signal: String,
        /// What stands against it.
        obstacle: SignalBlocker,
    },
    /// No source has been read yet, and why; `None` while the first reading is under way.
    NoReading(Option<String>),
    /// So many streams are open that load balancers should send no more; for them only.
    AtCapacity {
        /// The limit.
        limit: u64,
    },
    /// NotReady and still accepting.
    LameDuck,
    /// Told to take no more.
    Draining,
    /// The drain is over.
    Done,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => write!(f, "starting"),
            Self::NotFound => write!(
                f,
                "target not found: no process matches; is it running, is its name or port right, is its uid ours, and does the pod set shareProcessNamespace: true?"
            ),
            Self::Ambiguous(pids) => {
                write!(f, "several targets: processes {pids:?} match; name one that is alone, or use --target-port")
            }
            Self::CannotSignal { pid, signal, obstacle: SignalBlocker::NotPermitted { theirs, ours } } => write!(
                f,
                "may not signal the target: process {pid} runs as uid {theirs} and lameduck as uid {ours}, so {signal} is not permitted; run both with the same runAsUser"
            ),
            Self::CannotSignal { pid, signal, obstacle: SignalBlocker::NotCaught } => write!(
                f,
                "target does not catch {signal}: it would not drain process {pid} (SigCgt in /proc/{pid}/status); set --signal to one that it handles, or to none"
            ),
            Self::NoReading(None) => write!(f, "no reading yet: the first is under way"),
            Self::NoReading(Some(why)) => write!(f, "no reading yet: {why}"),
            Self::AtCapacity { limit } => write!(f, "full: the limit is {limit} streams"),
            Self::LameDuck => write!(f, "lame duck"),
            Self::Draining => write!(f, "draining"),
            Self::Done => write!(f, "done"),
        }
    }
}
