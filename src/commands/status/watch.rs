//! `lameduck status --watch`: repeats the status, as a live view on a terminal and as lines in a pipe.

use std::io::{self, Write};

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::low_level::emulate_default_handler;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, channel, unbounded_channel};

use crate::commands::sanitize::sanitize;
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
    let mut last = Last::default();
    let mut answer: Option<Answer> = Some(Ok(first));
    while let Some(current) = answer {
        match &current {
            Ok(fetched) => print(&fetched.text.trim_end().replace(['\r', '\n'], " "))?,
            Err(_) if last.finished => return Ok(()),
            Err(error) if !last.failed => eprint_line(&error.message),
            Err(_) => {}
        }
        last.update(&current);
        answer = answers.recv().await;
    }
    Ok(())
}

/// Prints a line per change. The last line of a drain is its outcome.
async fn print_changes(first: Fetched, mut answers: Receiver<Answer>) -> io::Result<()> {
    let mut last = Last::default();
    let mut printed = None;
    let mut answer: Option<Answer> = Some(Ok(first));
    while let Some(current) = answer {
        let (state, detail) = match &current {
            Ok(fetched) => (describe_change(&fetched.report), time_left(&fetched.report)),
            Err(_) if last.finished => return Ok(()),
            // The reason may vary while the sidecar does not answer. That is not a change.
            Err(error) => (String::new(), error.message.clone()),
        };
        if printed.as_ref() != Some(&state) {
            print(&sanitize(&format!("{state}{detail}")))?;
            printed = Some(state);
            if let Ok(Fetched { report: StatusReport { outcome: Some(outcome), .. }, .. }) = &current {
                print(&sanitize(&format!("outcome: {}", describe_outcome(outcome))))?;
            }
        }
        last.update(&current);
        answer = answers.recv().await;
    }
    Ok(())
}

/// What the answers so far mean for the next one.
#[derive(Default)]
struct Last {
    /// Whether the last answer was an error.
    failed: bool,
    /// Whether the last status had an outcome. Then there is nothing to wait for once the sidecar no longer answers.
    finished: bool,
}

impl Last {
    fn update(&mut self, answer: &Answer) {
        self.failed = answer.is_err();
        self.finished = answer.as_ref().map_or(self.finished, |fetched| fetched.report.outcome.is_some());
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
