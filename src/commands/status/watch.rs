//! `lameduck status --watch`: the status again and again, until whoever looks has seen enough.

use std::io::{self, Write};
use std::time::Duration;

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::low_level::emulate_default_handler;
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, channel, unbounded_channel};
use tokio::time::{MissedTickBehavior, interval};

use crate::commands::status::history::{History, Sample};
use crate::commands::status::screen::{Screen, may_stop};
use crate::commands::status::text::{describe_change, harmless, people};
use crate::commands::status::view::{self, Seen};
use crate::commands::status::{PATIENCE, page, parse};
use crate::commands::{CommandError, Exit, block_on, eprint_line};
use crate::io::clock::Clock;
use crate::io::http::Url;
use crate::io::report::StatusReport;
use crate::io::signals;
use lameduck_machine::time::Time;

/// How often the sidecar is asked.
const REFRESH: Duration = Duration::from_secs(1);

/// What the live view is told of; what is not here does as it always does.
const SIGNALS: [i32; 7] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT];

/// What the sidecar said, as it said it and as it is understood.
type Told = (String, StatusReport);
/// That, or why it said nothing.
type Answer = Result<Told, CommandError>;

/// Shows the status until somebody ends that: on a terminal as a live view, else a line for each change, or each second
/// as JSON.
///
/// A signal to end ends the live view well; in a pipe it does what it does to any command.
///
/// # Errors
/// Fails where the sidecar cannot be reached at first. One that goes away later is waited for.
pub fn run(address: &Url, json: bool) -> Result<Exit, CommandError> {
    block_on(async {
        let (sender, mut answers) = channel(1);
        tokio::spawn(ask(address.clone(), sender));
        let fault = || CommandError::new(Exit::Internal, "nobody asks the sidecar any more");
        let first = answers.recv().await.ok_or_else(fault)??;
        // Whoever looked has gone, and so has what there was to do.
        let _gone: io::Result<()> = match Screen::open().filter(|_| !json) {
            Some(screen) => Live::new(screen, first.1).run(answers).await,
            None if json => print_json(first, answers).await,
            None => print_changes(first, answers).await,
        };
        Ok(Exit::Success)
    })
}

/// Asks the sidecar each second for as long as somebody wants to know.
async fn ask(address: Url, answers: Sender<Answer>) {
    let mut ticks = interval(REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut patience = PATIENCE;
    loop {
        ticks.tick().await;
        let text = page(&address, "/status", patience).await;
        let answer = text.and_then(|text| parse(&address, &text).map(|report| (text, report)));
        if answers.send(answer).await.is_err() {
            return;
        }
        // From now on, silence is something to show, too.
        patience = REFRESH;
    }
}

/// One status a line; line breaks between its parts mean nothing.
async fn print_json(first: Told, mut answers: Receiver<Answer>) -> io::Result<()> {
    let mut silent = false;
    let mut answer: Option<Answer> = Some(Ok(first));
    while let Some(told) = answer {
        let was_silent = std::mem::replace(&mut silent, told.is_err());
        match told {
            Ok((text, _)) => print(&text.trim_end().replace(['\r', '\n'], " "))?,
            Err(failure) if !was_silent => eprint_line(&failure.message),
            Err(_) => {}
        }
        answer = answers.recv().await;
    }
    Ok(())
}

/// A line for each change, and nothing else.
async fn print_changes(first: Told, mut answers: Receiver<Answer>) -> io::Result<()> {
    let mut shown = None;
    let mut answer: Option<Answer> = Some(Ok(first));
    while let Some(told) = answer {
        // Why nobody answers may vary while nobody does.
        let (state, rest) = match told {
            Ok((_, report)) => (describe_change(&report), time_left(&report)),
            Err(failure) => (String::new(), failure.message),
        };
        if shown.as_ref() != Some(&state) {
            print(&harmless(&format!("{state}{rest}")))?;
        }
        shown = Some(state);
        answer = answers.recv().await;
    }
    Ok(())
}

/// It changes by itself, and is no change.
fn time_left(report: &StatusReport) -> String {
    let drain = report.drain.as_ref().filter(|_| report.outcome.is_none());
    drain.map(|drain| format!("; {} left", people(drain.remaining_seconds.round()))).unwrap_or_default()
}

fn print(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// The live view.
struct Live {
    screen: Screen,
    clock: Clock,
    began: Time,
    /// When the sidecar last answered.
    answered: Time,
    seen: Seen,
}

impl Live {
    fn new(screen: Screen, report: StatusReport) -> Self {
        let clock = Clock::start();
        let now = clock.now();
        let mut history = History::default();
        history.record(0, Sample::of(&report));
        Self { screen, clock, began: now, answered: now, seen: Seen { history, report, silent_for: None } }
    }

    /// Fails once the terminal is gone.
    async fn run(mut self, mut answers: Receiver<Answer>) -> io::Result<()> {
        let mut signals = listen()?;
        self.draw()?;
        loop {
            tokio::select! {
                biased;
                Some(signal) = signals.recv() => match signal {
                    SIGWINCH | SIGCONT => self.draw()?,
                    SIGTSTP => self.stop()?,
                    _ => return Ok(()),
                },
                answer = answers.recv() => match answer {
                    Some(answer) => self.take(answer)?,
                    None => return Ok(()),
                },
            }
        }
    }

    fn take(&mut self, answer: Answer) -> io::Result<()> {
        let now = self.clock.now();
        let report = answer.ok().map(|(_, report)| report);
        let sample = report.as_ref().map(Sample::of).unwrap_or_default();
        self.seen.history.record(now.since(self.began).as_secs(), sample);
        if let Some(report) = report {
            self.answered = now;
            self.seen.report = report;
        }
        self.seen.silent_for = (self.answered < now).then(|| now.since(self.answered).as_secs());
        self.draw()
    }

    fn draw(&mut self) -> io::Result<()> {
        let lines = view::lines(&self.seen, self.screen.size());
        self.screen.show(&lines)
    }

    /// Stops with the terminal given back; goes on from here when it is continued.
    fn stop(&mut self) -> io::Result<()> {
        if may_stop() {
            self.screen.give_back()?;
            emulate_default_handler(SIGTSTP)?;
        }
        self.draw()
    }
}

fn listen() -> io::Result<UnboundedReceiver<i32>> {
    let (sender, receiver) = unbounded_channel();
    signals::watch_signals(SIGNALS, move |signal| {
        let _ = sender.send(signal);
    })?;
    Ok(receiver)
}
