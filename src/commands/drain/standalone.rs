//! `lameduck drain --standalone`: the whole drain in this process, by the same machine and edges as a sidecar's.
//!
//! Several such processes are one drain: whoever has the turn does it and the others wait. When it ends they read what
//! it came to from the state dir; if it died instead, one of them goes on from there.

use std::path::Path;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use crate::commands::drain::REFRESH;
use crate::commands::drain::display::Display;
use crate::commands::drain::provisional::LastWords;
use crate::commands::{CommandError, Exit, block_on, eprint_line, startup};
use crate::io::clock::Clock;
use crate::io::drain_lock::{DrainLock, LockHolder};
use crate::io::liveness::is_alive;
use crate::io::log::Nullable;
use crate::io::process::{TargetFinder, own_age, own_start_ticks, shares_pid_namespace};
use crate::io::report::{OutcomeReport, StatusReport};
use crate::io::state::StateFile;
use crate::queue::{Event, Question};
use crate::settings::Settings;
use crate::settings::drain::DrainArgs;
use crate::supervisor::Supervisor;
use lameduck_machine::controller::Controller;
use lameduck_machine::io::Action;
use lameduck_machine::policy::Policy;
use lameduck_machine::result::Trigger;
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::target::{CLOCK_TICK, SearchResult};
use lameduck_machine::time::Time;

/// How often a process that waits for its turn asks for it.
const TURN_LOOK: Duration = Duration::from_millis(50);

/// Drains without a sidecar.
pub(super) fn run(args: &DrainArgs) -> Result<Exit, CommandError> {
    let settings = startup::settings(&args.settings)?;
    let _log = startup::open_log(&args.settings.log)?;
    block_on(drain(&settings, if args.hook { Trigger::Hook } else { Trigger::Cli }))
}

async fn drain(settings: &Settings, trigger: Trigger) -> Result<Exit, CommandError> {
    let clock = Clock::start();
    tell_start(settings, trigger);
    let (now, age) = clock.now_with(own_age);
    let started = now - age;
    // A pod's grace period runs while its hook is still being started; a person has no such clock, and may have a shell
    // become this process.
    let started_at = if trigger == Trigger::Hook { started } else { clock.now() };
    let state = settings.state_dir.as_deref().map(|dir| StateFile::for_pid_namespace(dir, &settings.identity()));
    let place = match &state {
        Some(state) => queue_up(state.path(), trigger, &clock, started_at + settings.plan.budget()).await,
        None => Place::alone(),
    };
    let note = state.as_ref().and_then(|state| startup::resume(state, clock.now()));
    let note = note.filter(|note| is_of_our_time(note, &seeker(settings)));
    let trigger = if note.is_some() { place.joins_as(trigger) } else { trigger };
    let now = clock.now();
    let policy = Policy { own_start_ticks: watched_since(now.since(started)), ..startup::policy(settings) };
    let keeper = Controller::new(now, policy, note);
    let outcome = supervise(settings, keeper, clock, state, (trigger, started_at)).await?;
    Ok(Exit::after(outcome.stragglers))
}

/// Has the call of this trigger and instant answered by the machine, and tells what it came to.
async fn supervise(
    settings: &Settings,
    keeper: Controller,
    clock: Clock,
    state: Option<StateFile>,
    (trigger, started_at): (Trigger, Time),
) -> Result<OutcomeReport, CommandError> {
    let (queue, events) = mpsc::channel(startup::QUEUE);
    let mut world = startup::world(settings, queue.clone(), seeker(settings), state)?;
    let last_words = LastWords::new(settings);
    let noted = last_words.clone();
    let mut supervisor = Supervisor::new(keeper, clock, move |action| {
        if let Action::Write(note) = &action {
            noted.by_note(note, clock.now());
        }
        world.perform(action)
    });
    let outcome = supervisor.called(trigger, started_at);
    let mut display = Display::new();
    let outcome = tokio::select! {
        biased;
        outcome = watch(outcome, &queue, &last_words, &mut display) => outcome?,
        _ = supervisor.run(events) => return Err(broken(&"the loop has ended")),
    };
    display.tell_outcome(&outcome);
    Ok(outcome)
}

fn tell_start(settings: &Settings, trigger: Trigger) {
    if trigger == Trigger::Cli {
        eprint_line("draining this container's target; when it has ended, the kubelet restarts the container");
    }
    info!(
        version = env!("CARGO_PKG_VERSION"),
        trigger = trigger.name(),
        grace_period_seconds = settings.plan.grace_period.as_secs_f64(),
        budget_seconds = settings.plan.budget().as_secs_f64(),
        target = ?Nullable(settings.matcher.as_ref()),
        signal = ?Nullable(settings.signal_name()),
        metrics_url = ?Nullable(settings.sources.page.as_ref().map(|(url, _)| url)),
        streams_ports = ?settings.sources.streams_ports,
        "started"
    );
    startup::tell_unknown_variables();
    if std::env::var_os("LAMEDUCK_IDLE_AFTER").is_some_and(|window| window != "off") {
        warn!("LAMEDUCK_IDLE_AFTER is ignored: only a sidecar can end a target that stays for idle streams");
    }
    if settings.state_dir.is_none() {
        warn!("no state dir: a second process cannot join this drain, nor go on with it, and would signal again");
    }
}

/// When the machine begins to watch, in ticks since boot, at this age of the process. Rounded so that a target which
/// is not younger than this process is not taken for one that came after the hook.
fn watched_since(age: Duration) -> u64 {
    let ticks = age.as_nanos().div_ceil(CLOCK_TICK.as_nanos());
    own_start_ticks().saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX))
}

fn seeker(settings: &Settings) -> TargetFinder {
    TargetFinder {
        matcher: settings.matcher.clone(),
        signal: settings.signal,
        ignore_exec_sessions: !shares_pid_namespace(),
    }
}

/// Whether a note may be about what is there now: a life that has ended leaves nothing to the one after it.
fn is_of_our_time(note: &SavedDrain, seeker: &TargetFinder) -> bool {
    let ended = note.incarnation.is_some_and(|incarnation| !is_alive(incarnation).unwrap_or(true));
    !ended || seeker.find(None) == SearchResult::NotFound
}

/// Where this process stands among those that drain the same target.
struct Place {
    /// Ours from now on; `None` where turns cannot be taken.
    _turn: Option<DrainLock>,
    /// Whom we waited for.
    before: Option<LockHolder>,
}

impl Place {
    const fn alone() -> Self {
        Self { _turn: None, before: None }
    }

    /// As whom this process joins the drain that it finds: a hook that came while another was there moves no deadline
    /// and opens nothing again.
    fn joins_as(&self, trigger: Trigger) -> Trigger {
        match self.before {
            Some(LockHolder { trigger: Trigger::Hook, .. }) => Trigger::Cli,
            Some(LockHolder { trigger: Trigger::Cli | Trigger::Sigterm, .. }) | None => trigger,
        }
    }
}

/// Waits for our turn, but not beyond our own deadline.
async fn queue_up(note: &Path, trigger: Trigger, clock: &Clock, deadline: Time) -> Place {
    let path = note.with_extension("lock");
    let alone = |error: &dyn std::fmt::Display| {
        warn!(path = %path.display(), %error, "cannot take turns: a second process would not join this drain");
        Place::alone()
    };
    let turn = match DrainLock::open(&path) {
        Ok(turn) => turn,
        Err(error) => return alone(&error),
    };
    let mut waited = false;
    loop {
        match turn.try_acquire() {
            Ok(true) => break,
            Ok(false) if clock.now() >= deadline => return alone(&"the process before this one does not end"),
            Ok(false) if !waited => {
                let pid = Nullable(turn.holder().map(|holder| holder.pid));
                info!(?pid, "another process does this drain: waiting for it");
                waited = true;
            }
            Ok(false) => tokio::time::sleep(TURN_LOOK).await,
            Err(error) => return alone(&error),
        }
    }
    let before = turn.holder().filter(|_| waited);
    if let Err(error) = turn.write_holder(LockHolder { trigger, pid: std::process::id() }) {
        warn!(path = %path.display(), %error, "cannot sign for this drain: one that joins it may move its deadline");
    }
    Place { _turn: Some(turn), before }
}

/// Shows the progress until the outcome is there.
async fn watch(
    mut outcome: oneshot::Receiver<String>,
    queue: &mpsc::Sender<Event>,
    last_words: &LastWords,
    display: &mut Display,
) -> Result<OutcomeReport, CommandError> {
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut outcome => break answer,
            () = tokio::time::sleep(REFRESH) => {
                if let Some(status) = status(queue).await {
                    last_words.by_status(&status);
                    display.show(&status);
                }
            }
        }
    };
    display.clear();
    let answer = answer.map_err(|error| broken(&error))?;
    serde_json::from_str(&answer).map_err(|error| broken(&error))
}

async fn status(queue: &mpsc::Sender<Event>) -> Option<StatusReport> {
    let (reply, status) = oneshot::channel();
    queue.send(Event::Question(Question::Status(reply))).await.ok()?;
    serde_json::from_str(&status.await.ok()?).ok()
}

fn broken(error: &dyn std::fmt::Display) -> CommandError {
    CommandError::new(Exit::Internal, format!("the drain broke off: {error}"))
}
