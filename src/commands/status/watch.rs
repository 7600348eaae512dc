//! `lameduck status --watch`: repeats the status, as a live view on a terminal and as lines in a pipe.

use std::io::{self, Write};

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::low_level::emulate_default_handler;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, channel, unbounded_channel};

use crate::commands::status::history::{History, Sample};
use crate::commands::status::poll::{Answer, Fetched, poll};
use crate::commands::status::screen::{Screen, can_suspend};
use crate::commands::status::text::{describe_change, describe_outcome, format_duration};
use crate::commands::status::view::{self, Observed};
use crate::commands::{CommandError, Exit, block_on, eprint_line};
use crate::io::clock::Clock;
use crate::io::http::Url;
use crate::io::report::StatusReport;
use crate::io::signals;
use crate::sanitize::sanitize;
use lameduck_machine::snapshot::Phase;
use lameduck_machine::time::Time;

/// The signals that the live view handles. Others have their default effect.
const SIGNALS: [i32; 7] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT];

/// Shows the status repeatedly: on a terminal as a live view, otherwise as a line per change, or as JSON every second.
///
/// The live view ends with success on a signal; in a pipe, signals have their default effect. In a pipe, the watch also
/// ends with success when a drain has finished and the sidecar has exited.
///
/// # Errors
/// Fails if the sidecar cannot be reached at first. If it goes away later without having finished a drain, the watch
/// waits for it.
pub fn run(address: &Url, json: bool) -> Result<Exit, CommandError> {
    block_on(async {
        let (sender, mut answers) = channel(1);
        tokio::spawn(poll(address.clone(), sender));
        let stopped = || CommandError::new(Exit::Internal, "the task that polls the sidecar has stopped");
        let first = answers.recv().await.ok_or_else(stopped)??;
        // If stdout has been closed, there is nothing left to do.
        let _closed: io::Result<()> = match Screen::open().filter(|_| !json) {
            Some(screen) => LiveView::new(screen, first.report).run(answers).await,
            None if json => print_json(first, answers).await,
            None => print_changes(first, answers).await,
        };
        Ok(Exit::Success)
    })
}

/// Prints each status on a line of its own. Its line breaks have no meaning in JSON.
async fn print_json(first: Fetched, mut answers: Receiver<Answer>) -> io::Result<()> {
    let (mut failed, mut finished) = (false, false);
    let mut answer: Option<Answer> = Some(Ok(first));
    while let Some(current) = answer {
        match &current {
            Ok(Fetched { text, report }) => {
                print(&text.trim_end().replace(['\r', '\n'], " "))?;
                finished = has_finished(report);
            }
            Err(_) if finished => return Ok(()),
            Err(error) if !failed => eprint_line(&error.message),
            Err(_) => {}
        }
        failed = current.is_err();
        answer = answers.recv().await;
    }
    Ok(())
}

/// Prints a line per change. When a drain has finished and the sidecar has exited, the last line is the outcome.
async fn print_changes(first: Fetched, mut answers: Receiver<Answer>) -> io::Result<()> {
    let mut changes = Changes::default();
    let mut answer: Option<Answer> = Some(Ok(first));
    while let Some(current) = answer {
        match &current {
            Ok(Fetched { report, .. }) => {
                changes.print_state(&describe_change(report), &time_left(report))?;
                changes.print_outcome(report)?;
                changes.is_finished = has_finished(report);
            }
            Err(_) if changes.is_finished => return changes.repeat_outcome(),
            // The reason may vary while the sidecar does not answer. That is not a change.
            Err(error) => changes.print_state("", &error.message)?,
        }
        answer = answers.recv().await;
    }
    Ok(())
}

/// What has been printed so far.
#[derive(Default)]
struct Changes {
    state: Option<String>,
    /// The outcome of the last status.
    outcome: Option<String>,
    /// Whether a state was printed after the outcome.
    outcome_is_buried: bool,
    /// Whether the last status was that of a finished drain.
    is_finished: bool,
}

/// Whether the drain has finished, so that the sidecar may exit. The outcome of an earlier drain is kept while serving.
fn has_finished(report: &StatusReport) -> bool {
    report.outcome.is_some() && report.phase == Phase::Done.name()
}

impl Changes {
    /// Prints a state, unless it was printed last. The detail does not count as a change.
    fn print_state(&mut self, state: &str, detail: &str) -> io::Result<()> {
        if self.state.as_deref() != Some(state) {
            print(&sanitize(&format!("{state}{detail}")))?;
            self.state = Some(state.to_owned());
            self.outcome_is_buried = true;
        }
        Ok(())
    }

    /// Prints the outcome, unless it has been printed.
    fn print_outcome(&mut self, report: &StatusReport) -> io::Result<()> {
        let outcome = report.outcome.as_ref().map(|outcome| format!("outcome: {}", describe_outcome(outcome)));
        if outcome != self.outcome {
            self.outcome = outcome;
            self.outcome_is_buried = true;
            self.repeat_outcome()?;
        }
        Ok(())
    }

    /// Prints the outcome again, unless it was printed last.
    fn repeat_outcome(&mut self) -> io::Result<()> {
        if let Some(outcome) = self.outcome.as_ref().filter(|_| self.outcome_is_buried) {
            print(&sanitize(outcome))?;
            self.outcome_is_buried = false;
        }
        Ok(())
    }
}

/// Describes the time left in a drain, which changes without being a change of state.
fn time_left(report: &StatusReport) -> String {
    let drain = report.drain.as_ref().filter(|_| report.outcome.is_none());
    drain.map(|drain| format!("; {} left", format_duration(drain.remaining_seconds.round()))).unwrap_or_default()
}

fn print(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// The live view.
struct LiveView {
    screen: Screen,
    clock: Clock,
    started_at: Time,
    /// When the sidecar last answered.
    answered_at: Time,
    observed: Observed,
}

impl LiveView {
    fn new(screen: Screen, report: StatusReport) -> Self {
        let clock = Clock::start();
        let now = clock.now();
        let mut history = History::default();
        history.record(0, Sample::from_report(&report));
        let observed = Observed { history, report, unreachable_for: None };
        Self { screen, clock, started_at: now, answered_at: now, observed }
    }

    /// Shows the view until a signal ends it. Fails once the terminal is gone.
    async fn run(mut self, mut answers: Receiver<Answer>) -> io::Result<()> {
        let mut signals = receive_signals()?;
        self.draw()?;
        loop {
            tokio::select! {
                biased;
                Some(signal) = signals.recv() => match signal {
                    SIGWINCH | SIGCONT => self.draw()?,
                    SIGTSTP => self.suspend()?,
                    _ => return Ok(()),
                },
                answer = answers.recv() => match answer {
                    Some(answer) => self.show(answer)?,
                    None => return Ok(()),
                },
            }
        }
    }

    fn show(&mut self, answer: Answer) -> io::Result<()> {
        let now = self.clock.now();
        let report = answer.ok().map(|fetched| fetched.report);
        let sample = report.as_ref().map(Sample::from_report).unwrap_or_default();
        self.observed.history.record(now.since(self.started_at).as_secs(), sample);
        if let Some(report) = report {
            self.answered_at = now;
            self.observed.report = report;
        }
        self.observed.unreachable_for = (self.answered_at < now).then(|| now.since(self.answered_at).as_secs());
        self.draw()
    }

    fn draw(&mut self) -> io::Result<()> {
        let lines = view::lines(&self.observed, self.screen.size());
        self.screen.show(&lines)
    }

    /// Restores the terminal and suspends this process; draws again when it is continued.
    fn suspend(&mut self) -> io::Result<()> {
        if can_suspend() {
            self.screen.restore()?;
            emulate_default_handler(SIGTSTP)?;
        }
        self.draw()
    }
}

fn receive_signals() -> io::Result<UnboundedReceiver<i32>> {
    let (sender, receiver) = unbounded_channel();
    signals::watch_signals(SIGNALS, move |signal| {
        let _ = sender.send(signal);
    })?;
    Ok(receiver)
}
