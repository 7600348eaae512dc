//! What each signal to `lameduck run` does: begin a drain, stop and continue both processes, or reach the command.

use std::io;
use std::sync::Arc;

use nix::sys::signal::Signal;
use rustix::io::Errno;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::io::child::Child;
use crate::io::process::signalling::status_of;
use crate::io::signals::{Arrival, Arrivals};
use crate::io::target_signal::TargetSignal;
use crate::queue::{Event, Stop};

/// The signals that are forwarded if they do not begin a drain, besides the real-time signals. Those of job control stop
/// and continue both processes. Others are sent by the
/// kernel because of what this process does, and concern no other process.
const FORWARDED: [Signal; 9] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGWINCH,
];

/// What to do with each signal.
#[derive(Clone, Debug)]
pub(super) struct SignalPlan {
    drain_on: Vec<i32>,
    forwarded: Vec<i32>,
    /// The signals that this process ignored when it started, e.g. because of `nohup`, as a mask.
    ignored: u64,
}

impl SignalPlan {
    /// The plan for these signals that begin a drain, and the signal that the drain sends.
    pub(super) fn new(drain_on: &[TargetSignal], sent: Option<TargetSignal>) -> Self {
        let ignored = status_of(std::process::id()).and_then(|status| status.signals).map_or(0, |masks| masks.ignored);
        Self::with_ignored(drain_on, sent, ignored)
    }

    /// A signal that was ignored stays ignored, here and in the command. But the command must not ignore the signal of the
    /// drain: a handler here restores its default there.
    fn with_ignored(drain_on: &[TargetSignal], sent: Option<TargetSignal>, ignored: u64) -> Self {
        let drain_on: Vec<i32> = drain_on.iter().map(|signal| signal.number()).collect();
        let named = FORWARDED.map(|signal| signal as i32).into_iter();
        let all = named.chain(TargetSignal::real_time().map(TargetSignal::number));
        let sent = sent.map(TargetSignal::number);
        let forwarded = all.filter(|signal| !drain_on.contains(signal));
        let forwarded = forwarded.filter(|signal| !is_in(ignored, *signal) || Some(*signal) == sent).collect();
        Self { drain_on, forwarded, ignored }
    }

    /// Installs the handlers.
    ///
    /// # Errors
    /// Fails if a handler cannot be installed.
    pub(super) fn install(&self) -> io::Result<Arrivals> {
        Arrivals::install(&self.drain_on, &self.forwarded)
    }

    /// Handles the signals that arrive, and those that have arrived before the command was started.
    pub(super) async fn handle(self, mut arrivals: Arrivals, queue: mpsc::Sender<Event>, child: Arc<Child>) {
        while let Ok(received) = arrivals.receive().await {
            for arrival in received {
                if let Some(stop) = self.stop(arrival) {
                    // Sending fails if the event loop has ended.
                    let _ = queue.send(Event::Stop(stop)).await;
                } else if !self.is_ignored(arrival) {
                    pass_on(&child, arrival.signal);
                }
            }
        }
    }

    /// The stop that a signal requests, if it begins a drain.
    fn stop(&self, arrival: Arrival) -> Option<Stop> {
        let Arrival { signal, sender, from_kernel } = arrival;
        let is_stop = self.drain_on.contains(&signal) && !self.is_ignored(arrival);
        let name = TargetSignal::from_number(signal).map_or("signal", TargetSignal::as_str);
        is_stop.then_some(Stop { signal: name, sender, from_terminal: from_kernel })
    }

    /// Whether the user wants this process to ignore this key of the terminal.
    const fn is_ignored(&self, arrival: Arrival) -> bool {
        arrival.from_kernel && is_in(self.ignored, arrival.signal)
    }
}

fn pass_on(child: &Child, number: i32) {
    let Some(signal) = TargetSignal::from_number(number) else { return };
    let forwarded = match signal {
        TargetSignal::TSTP => return child.suspend(),
        TargetSignal::CONT => child.signal_group(signal),
        _ => child.signal(signal),
    };
    match forwarded {
        Ok(()) => debug!(signal = signal.as_str(), "signal forwarded to the command"),
        Err(Errno::SRCH) => debug!(signal = signal.as_str(), "the command has ended before this signal"),
        Err(error) => warn!(signal = signal.as_str(), %error, "cannot forward this signal to the command"),
    }
}

/// Whether a mask has this signal. Signal 1 is the lowest bit.
const fn is_in(mask: u64, signal: i32) -> bool {
    signal > 0 && signal <= 64 && mask & (1 << (signal - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUP: u64 = 1;
    const INT: u64 = 1 << 1;

    #[test]
    fn signals_are_forwarded_unless_they_begin_a_drain() {
        let plan = SignalPlan::with_ignored(&[TargetSignal::TERM, TargetSignal::INT], Some(TargetSignal::INT), 0);
        assert_eq!(plan.drain_on, [15, 2]);
        let named: Vec<i32> = plan.forwarded.iter().copied().filter(|signal| *signal < 32).collect();
        assert_eq!(named, [1, 3, 10, 12, 18, 20, 28]);
        assert!((34..=64).all(|signal| plan.forwarded.contains(&signal)));
    }

    #[test]
    fn ignored_signal_stays_ignored_unless_the_drain_sends_it() {
        let forwarded = |sent| SignalPlan::with_ignored(&[TargetSignal::TERM], sent, HUP | INT).forwarded;
        assert!(!forwarded(None).iter().any(|signal| [1, 2].contains(signal)));
        assert!(forwarded(Some(TargetSignal::INT)).contains(&2));
    }
}
