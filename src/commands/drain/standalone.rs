//! `lameduck drain --standalone`: the whole drain in this process, with the same machine and I/O as a sidecar.
//!
//! Several such processes perform one drain together: the lock's holder drains, and the others wait. When the holder
//! has finished, they read the result from the state directory. If it has died instead, one of them resumes the drain.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use crate::commands::drain::REFRESH_INTERVAL;
use crate::commands::drain::display::Display;
use crate::commands::drain::lock::{LockWait, acquire_lock};
use crate::commands::drain::provisional;
use crate::commands::{CommandError, Exit, block_on, eprint_line, startup};
use crate::io::clock::Clock;
use crate::io::liveness::is_alive;
use crate::io::log::Nullable;
use crate::io::process::container::shares_pid_namespace;
use crate::io::process::{Earlier, SearchScope, TargetFinder, own_age, own_start_ticks};
use crate::io::report::{OutcomeReport, StatusReport};
use crate::io::state::StateFile;
use crate::queue::{Event, HookCall, HookReply, Request};
use crate::settings::Settings;
use crate::settings::drain::DrainArgs;
use crate::supervisor::Supervisor;
use lameduck_machine::io::{Action, CallKind};
use lameduck_machine::policy::Policy;
use lameduck_machine::result::Trigger;
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::target::{CLOCK_TICK, ObservationStart, SearchResult};
use lameduck_machine::time::Time;

/// A drain to be started or resumed.
struct StandaloneDrain {
    trigger: Trigger,
    /// Since when its time has been running.
    started_at: Time,
    policy: Policy,
    saved: Option<SavedDrain>,
    state: Option<StateFile>,
}

/// Drains without a sidecar.
pub(super) fn run(args: &DrainArgs) -> Result<Exit, CommandError> {
    let settings = Settings::new_standalone(&args.settings)?;
    let _log = startup::open_log(&args.settings.log)?;
    block_on(drain(&settings, if args.hook { Trigger::Hook } else { Trigger::Cli }))
}

async fn drain(settings: &Settings, trigger: Trigger) -> Result<Exit, CommandError> {
    let clock = Clock::start();
    log_start(settings, trigger);
    let (now, age) = clock.now_with(own_age);
    let process_started_at = now - age;
    // The grace period of the pod has been running since this process was started for the hook. A user's drain has no
    // such clock, and a shell may have replaced itself by this process long after it was started.
    let started_at = if trigger == Trigger::Hook { process_started_at } else { clock.now() };
    let state = settings.state_dir.as_deref().map(|dir| StateFile::for_pid_namespace(dir, &settings.identity()));
    let lock = match &state {
        Some(state) => acquire_lock(state.path(), trigger, &clock, started_at + settings.times.budget()).await,
        None => LockWait::without_lock(),
    };
    let saved = state.as_ref().and_then(|state| startup::load_saved_drain(state, clock.now()));
    let saved = saved.filter(|saved| is_current(saved, &target_finder(settings)));
    let trigger = if saved.is_some() { lock.effective_trigger(trigger) } else { trigger };
    let now = clock.now();
    let ticks = observed_since_ticks(now.since(process_started_at));
    let policy = startup::policy(settings, ObservationStart { at: now, ticks });
    let drain = StandaloneDrain { trigger, started_at, policy, saved, state };
    let outcome = supervise(settings, clock, drain).await?;
    Ok(Exit::after(outcome.stragglers))
}

/// Runs the drain to its end, and prints the outcome.
async fn supervise(settings: &Settings, clock: Clock, drain: StandaloneDrain) -> Result<OutcomeReport, CommandError> {
    let StandaloneDrain { trigger, started_at, policy, saved, state } = drain;
    let (queue, events) = mpsc::channel(startup::QUEUE);
    let mut effects = startup::effects(settings, clock, queue.clone(), target_finder(settings), state)?;
    // In a PID namespace of its own, the container's first process is usually the target.
    let ends_with_target = !shares_pid_namespace();
    let supervisor = Supervisor::new(clock, policy, saved, move |action| {
        if let (Action::WriteRecord(record, reason), true) = (action, ends_with_target) {
            effects.perform(Action::WriteRecord(provisional::at_exit(record), reason))
        } else {
            effects.perform(action)
        }
    });
    let supervisor = supervisor.with_names(startup::wanted(settings));
    let kind = if trigger == Trigger::Hook { CallKind::Hook } else { CallKind::Person };
    let (reply, outcome) = oneshot::channel();
    let call = HookCall { kind, peer: None, made_at: Some(started_at), reply };
    queue.try_send(Event::Request(Request::Hook(call))).map_err(aborted)?;
    let mut display = Display::new();
    let outcome = tokio::select! {
        biased;
        outcome = wait_for_outcome(outcome, &queue, &mut display) => outcome?,
        _ = supervisor.run(events) => return Err(aborted("the event loop has ended")),
    };
    display.print_outcome(&outcome);
    Ok(outcome)
}

fn log_start(settings: &Settings, trigger: Trigger) {
    if trigger == Trigger::Cli {
        eprint_line("draining this container's target; after it has exited, the kubelet restarts the container");
    }
    info!(
        version = env!("CARGO_PKG_VERSION"),
        trigger = trigger.name(),
        grace_period_seconds = settings.times.grace_period.as_secs_f64(),
        budget_seconds = settings.times.budget().as_secs_f64(),
        target = ?Nullable(settings.matcher.as_ref()),
        signal = ?Nullable(settings.signal_name()),
        metrics_url = ?Nullable(settings.sources.page.as_ref().map(|(url, _)| url)),
        streams_ports = ?settings.sources.streams_ports.ports,
        "started"
    );
    startup::warn_of_unknown_variables();
    if std::env::var_os("LAMEDUCK_IDLE_AFTER").is_some_and(|window| window != "off") {
        warn!(
            "LAMEDUCK_IDLE_AFTER is ignored: only a sidecar can end a target that does not exit because of idle streams"
        );
    }
    if settings.state_dir.is_none() {
        warn!("no state directory: a second process cannot join or resume this drain, and would send the signal again");
    }
}

/// Returns the time since which the machine has observed the target, in clock ticks since boot, for a process of this
/// age. It is rounded up, so that a target of the same age does not count as started after the hook.
fn observed_since_ticks(age: Duration) -> u64 {
    let ticks = age.as_nanos().div_ceil(CLOCK_TICK.as_nanos());
    own_start_ticks().saturating_add(u64::try_from(ticks).unwrap_or(u64::MAX))
}

fn target_finder(settings: &Settings) -> TargetFinder {
    let scope = if shares_pid_namespace() { SearchScope::All } else { SearchScope::OwnSession };
    startup::target_finder(settings, scope)
}

/// Whether a saved drain may belong to the current incarnation of the target. If its incarnation has ended and there is
/// another, it does not.
fn is_current(saved: &SavedDrain, finder: &TargetFinder) -> bool {
    let ended = saved.incarnation.is_some_and(|incarnation| !is_alive(incarnation).unwrap_or(true));
    !ended || finder.find(None, &mut Earlier::default()) == SearchResult::NotFound
}

/// Shows the progress until the drain has an outcome.
async fn wait_for_outcome(
    mut outcome: oneshot::Receiver<HookReply>,
    queue: &mpsc::Sender<Event>,
    display: &mut Display,
) -> Result<OutcomeReport, CommandError> {
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut outcome => break outcome,
            () = tokio::time::sleep(REFRESH_INTERVAL) => {
                if let Some(status) = status(queue).await {
                    display.show(&status);
                }
            }
        }
    };
    display.clear();
    match outcome.map_err(aborted)? {
        HookReply::Finished(outcome) => Ok(outcome),
        HookReply::TooManyUnauthorized | HookReply::Cancelled | HookReply::NotCancelled(_) => {
            Err(aborted("the call was rejected"))
        }
    }
}

async fn status(queue: &mpsc::Sender<Event>) -> Option<Box<StatusReport>> {
    let (reply, status) = oneshot::channel();
    queue.send(Event::Request(Request::Status(reply))).await.ok()?;
    status.await.ok()
}

fn aborted(error: impl std::fmt::Display) -> CommandError {
    CommandError::new(Exit::Internal, format!("the drain was aborted: {error}"))
}
