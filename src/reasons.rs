//! The machine's typed reasons as messages with the value, the likely cause and the fix.
//!
//! The machine knows neither the names in the settings nor what was found instead. [`Reasons`] keeps both. Every
//! message is one line, of limited length, and sanitized: names of processes and series come from outside lameduck.

use lameduck_machine::io::NotCancelled;
use lameduck_machine::readiness::NotReady;
use lameduck_machine::reading::Source;
use lameduck_machine::source_state::SourceState;
use lameduck_machine::target::SignalBlocker;

use crate::io::process::signalling::Uncaught;
use crate::io::process::visible::Visible;
use crate::io::process::{Matcher, Process};
use crate::sanitize::sanitize;
use crate::suggest::gauges::Suggestion;
use crate::suggest::list;

pub mod missing_target;
pub mod refusal;
pub mod several_targets;

use self::missing_target::MissingTarget;
use self::refusal::Refusal;

/// What to do if the kernel does not show which signals the target catches.
pub const CAUGHT_UNKNOWN_FIX: &str = "set --signal none: then the kubelet's SIGTERM after the hook is the signal; or, if \
    you know that the target catches the signal, set --assume-signal-caught";

/// The longest message, in characters: probes and events show it.
const MAX_CHARS: usize = 1000;

/// The names in the settings.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// How the target is recognized.
    pub target: Option<Matcher>,
    /// The URL of the metrics page.
    pub metrics_url: String,
    /// The selectors of `--streams`.
    pub streams: Vec<String>,
    /// The selectors of `--lazy-streams`.
    pub lazy_streams: Vec<String>,
    /// The ports of `--streams-port`.
    pub streams_ports: Vec<u16>,
    /// The URL of the status page.
    pub status_url: String,
}

/// What was found instead of what was looked for. Only messages use it.
#[derive(Clone, Debug)]
pub enum Instead {
    /// No process matches, but these are visible.
    Processes(Visible),
    /// Several processes match; this is their parent, if they have one in common.
    Parent(Option<Process>),
    /// The target does not catch the signal.
    Uncaught(Uncaught),
    /// A selector of `--streams` matches nothing, but the page has other gauges.
    Gauges(Suggestion),
    /// A port of `--streams-port` has no listener, but these ports have; empty once it has had one.
    Ports(Vec<u16>),
}

/// Describes reasons, with the names in the settings and what was last found instead.
#[derive(Clone, Debug, Default)]
pub struct Reasons {
    wanted: Wanted,
    visible: Visible,
    parent: Option<Process>,
    caught_signals: Vec<&'static str>,
    shell: Option<String>,
    gauges: Option<Suggestion>,
    ports: Vec<u16>,
}

impl Reasons {
    /// Describes reasons with these names.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Keeps what was last found.
    pub fn update(&mut self, instead: Instead) {
        match instead {
            Instead::Processes(visible) => self.visible = visible,
            Instead::Parent(parent) => self.parent = parent,
            Instead::Uncaught(Uncaught { caught, shell }) => (self.caught_signals, self.shell) = (caught, shell),
            Instead::Gauges(suggestion) => self.gauges = Some(suggestion),
            Instead::Ports(ports) => self.ports = ports,
        }
    }

    /// Why the pod is not ready, in one line.
    #[must_use]
    pub fn not_ready(&self, reason: &NotReady) -> String {
        one_line(&match reason {
            NotReady::Starting => "starting: the first search for the target is in progress".into(),
            NotReady::NotFound => self.not_found(),
            NotReady::Ambiguous(pids) => self.ambiguous(pids),
            NotReady::CannotSignal { pid, signal, blocker } => self.cannot_signal(*pid, signal, blocker),
            NotReady::FirstPoll => "no reading yet: the first poll is in progress".into(),
            NotReady::SourceAbsent { source, missing } => {
                format!("no reading yet: {}", self.missing(*source, missing))
            }
            NotReady::SourceUnknown(error) => format!("no reading yet: {}", error.message),
            NotReady::AtCapacity { limit } => format!("at capacity: the limit is {limit} streams"),
            NotReady::LameDuck => "lame duck".into(),
            NotReady::Draining => "draining".into(),
            NotReady::Done => "done".into(),
        })
    }

    /// Why a source has nothing to count, in one line.
    #[must_use]
    pub fn absent(&self, state: &SourceState) -> String {
        one_line(&self.missing(state.source, &state.missing))
    }

    /// The names of the visible processes, as far as a message lists them, if no process matches.
    #[must_use]
    pub fn visible_names(&self) -> Vec<&str> {
        self.missing_target().map(|missing| missing.names()).unwrap_or_default()
    }

    fn missing_target(&self) -> Option<MissingTarget<'_>> {
        Some(MissingTarget::new(self.wanted.target.as_ref()?, &self.visible))
    }

    fn not_found(&self) -> String {
        let Some(missing) = self.missing_target() else { return "target not found: none is set".into() };
        format!("target not found: {}; {}", missing.detail(), missing.fix())
    }

    fn ambiguous(&self, pids: &[u32]) -> String {
        let Some(matcher) = &self.wanted.target else { return format!("several targets: processes {pids:?}") };
        let fix = several_targets::fix(matcher, self.parent.as_ref());
        format!("several targets: processes {pids:?} match {matcher}; {fix}")
    }

    fn cannot_signal(&self, pid: u32, signal: &str, blocker: &SignalBlocker) -> String {
        match blocker {
            SignalBlocker::NotPermitted { errno, theirs, ours } => {
                let Refusal { error, cause, fix } = Refusal::new(*errno, *theirs, *ours);
                format!(
                    "cannot signal the target: the kernel refuses {signal} to process {pid} ({error}): {cause}; {fix}"
                )
            }
            SignalBlocker::NotCaught => {
                let fix = match &self.caught_signals[..] {
                    [] => "to the signal on which it drains".to_owned(),
                    signals => format!("to the signal on which it drains (it catches {})", signals.join(", ")),
                };
                let shell = self.shell.as_ref().map_or_else(String::new, |shell| {
                    format!("{shell} is a shell: begin the last line of its script with exec, or name the server with --target; or ")
                });
                format!(
                    "target does not catch {signal}: it would not drain process {pid} (SigCgt in /proc/{pid}/status); \
                     {shell}set --signal {fix}, or to none"
                )
            }
            SignalBlocker::CaughtUnknown => format!(
                "cannot see here which signals the target catches (no SigCgt in /proc/{pid}/status, as in gVisor), and \
                 {signal} kills a process that does not catch it; {CAUGHT_UNKNOWN_FIX}"
            ),
        }
    }

    fn missing(&self, source: Source, missing: &[usize]) -> String {
        match source {
            Source::Metrics => self.missing_series(missing),
            Source::Lazy => {
                let names = picked(&self.wanted.lazy_streams, missing, "a selector of --lazy-streams");
                format!("{names} was on {} but is no longer there", self.wanted.metrics_url)
            }
            Source::Sockets => {
                let ports = picked(&self.wanted.streams_ports, missing, "of --streams-port");
                let others = match &self.ports[..] {
                    [] => String::new(),
                    ports => format!("; listening ports: {}", list(ports)),
                };
                format!(
                    "nothing listens on port {ports}{others}; wait until the target serves, or correct --streams-port"
                )
            }
            Source::Status => format!("the page {} has none of the fields that count", self.wanted.status_url),
        }
    }

    fn missing_series(&self, missing: &[usize]) -> String {
        let names = picked(&self.wanted.streams, missing, "a selector of --streams");
        let detail = format!("{names} matches nothing on {}", self.wanted.metrics_url);
        match &self.gauges {
            None => format!("{detail}; is the name right?"),
            Some(Suggestion { available, best: None }) => {
                format!("{detail}; {available}; name the series that count streams with --streams")
            }
            Some(Suggestion { available, best: Some(best) }) => {
                format!("{detail}; {available}; {best} was probably intended: --streams '{best}'")
            }
        }
    }
}

/// The settings at these positions; a description if there are none.
fn picked<T: ToString>(settings: &[T], positions: &[usize], otherwise: &str) -> String {
    let names: Vec<String> = positions.iter().filter_map(|at| settings.get(*at)).map(ToString::to_string).collect();
    if names.is_empty() { otherwise.to_owned() } else { list(&names) }
}

fn one_line(text: &str) -> String {
    let mut line = sanitize(text);
    if let Some((end, _)) = line.char_indices().nth(MAX_CHARS) {
        line.truncate(end);
        line.push('…');
    }
    line
}

/// Why a drain cannot be cancelled.
#[must_use]
pub const fn not_cancelled(reason: NotCancelled) -> &'static str {
    match reason {
        NotCancelled::NoDrain => "there is no drain",
        NotCancelled::PodIsStopping => {
            "a stop has been requested: only a drain that `lameduck drain` has started can be cancelled, and only until \
             the hook or SIGTERM joins it"
        }
        NotCancelled::Signalled => "the signal has already been sent to the target",
        NotCancelled::Finished => "the drain is over",
    }
}

#[cfg(test)]
mod tests;
