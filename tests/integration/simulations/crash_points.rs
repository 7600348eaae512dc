//! Crashes the sidecar after its nth action, for every n. The next sidecar resumes from the state file.

use std::env::temp_dir;
use std::fs;
use std::time::Duration;

use lameduck::io::state::StateFile;
use lameduck_machine::activity::{IdleRule, WorkDirection};
use lameduck_machine::drain_times::DrainTimes;
use lameduck_machine::policy::{IdlePolicy, Policy, SigtermPolicy, StreamsPorts};
use lameduck_machine::reading::Source;
use lameduck_machine::result::{ExitStatus, Outcome, Trigger};

use crate::simulations::history::Event;
use crate::simulations::simulation::{START, Simulation, observation_start};
use lameduck_test_support::traffic::{ACTIVE_RATE, PORT};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn policy() -> Policy {
    let rule = IdleRule { window: seconds(3), rate: ACTIVE_RATE, direction: WorkDirection::Received };
    Policy {
        times: DrainTimes {
            grace_period: seconds(20),
            exit_margin: seconds(2),
            lame_duck: seconds(2),
            unready_after: seconds(1),
            quiet_period: seconds(1),
            exit_wait: seconds(2),
            poll_interval: seconds(1),
            scrape_timeout: seconds(2),
        },
        sources: vec![Source::Metrics],
        streams_ports: StreamsPorts::default(),
        signal: Some(("SIGINT".to_owned(), 2)),
        wait_for_exit: false,
        idle: IdlePolicy { ports: vec![PORT], rule, ends_drain: true },
        accept_below: None,
        on_sigterm: SigtermPolicy::Auto,
        observed_since: observation_start(START),
        id_seed: 7,
    }
}

/// A drain with these events before and after the call, in which the sidecar crashes after this many actions.
fn drain_with_crash(before: &[Event], after: &[Event], after_actions: u8, downtime: Duration) -> Simulation {
    let mut simulation = Simulation::new(policy());
    let dir = temp_dir().join(format!("lameduck-crash-points-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a writable temporary directory");
    let state = StateFile::new(&dir, &format!("{:?}", std::thread::current().id()), "target");
    state.erase().expect("an own state file");
    simulation.save_to_file(state);
    let call = [Event::SidecarCrash { after_actions, downtime, new_incarnation: false }, Event::Call(Trigger::Hook)];
    let end = [Event::Wait(policy().times.grace_period)];
    for event in before.iter().chain(&call).chain(after).chain(&end) {
        simulation.apply(event);
    }
    simulation
}

/// Runs a drain once for every action after which the sidecar can crash.
fn crash_at_every_step(outcome: Outcome, before: &[Event], after: &[Event]) {
    for downtime in [Duration::ZERO, seconds(3)] {
        let (mut unsaved, mut unsent, mut reported_twice) = (0, 0, 0);
        let steps = (0..u8::MAX).take_while(|step| {
            let simulation = drain_with_crash(before, after, *step, downtime);
            if simulation.reported.is_empty() {
                assert!(!simulation.has_drain() && simulation.signals == 0, "a drain without a result");
                unsaved += 1;
                return true;
            }
            let result = simulation.reported[0];
            assert!(simulation.reported.iter().all(|reported| *reported == result), "{:?}", simulation.reported);
            assert_eq!(result.outcome, outcome, "crash after {step} actions");
            assert!(result.signalled && simulation.has_drain());
            if outcome == Outcome::Expired {
                // A sidecar that restarts too late for a poll cannot know the stragglers.
                assert!(matches!(result.stragglers, Some(2) | None));
                let budget = policy().times.budget();
                assert!(budget <= result.duration && result.duration <= budget + downtime, "{result:?}");
            }
            assert_eq!(simulation.kills, usize::from(outcome == Outcome::Idle));
            reported_twice += simulation.reported.len() - 1;
            unsent += 1 - simulation.signals;
            !simulation.awaits_crash()
        });
        assert!(steps.count() > 20);
        // One crash precedes the first save, one is between saving and sending the signal, and one is between reporting
        // the result and saving that it was reported.
        assert_eq!((unsaved, unsent, reported_twice), (1, 1, 1), "{outcome:?}");
    }
}

#[test]
fn crash_at_any_step_preserves_drained_outcome() {
    crash_at_every_step(Outcome::Drained, &[Event::Streams(0), Event::Wait(seconds(3))], &[]);
}

#[test]
fn crash_at_any_step_preserves_expired_outcome() {
    let active = Event::Traffic(vec![ACTIVE_RATE * 4; 2]);
    crash_at_every_step(Outcome::Expired, &[Event::Streams(2), active, Event::Wait(seconds(3))], &[]);
}

#[test]
fn crash_at_any_step_preserves_exited_outcome() {
    let active = Event::Traffic(vec![ACTIVE_RATE * 4; 2]);
    let before = [Event::Streams(2), active, Event::Wait(seconds(3))];
    crash_at_every_step(Outcome::Exited, &before, &[Event::Wait(seconds(8)), Event::Exit(ExitStatus::Code(0))]);
}

#[test]
fn crash_at_any_step_preserves_idle_outcome() {
    let silent = Event::Traffic(vec![0; 2]);
    crash_at_every_step(Outcome::Idle, &[Event::Streams(2), silent, Event::Wait(seconds(10))], &[]);
}
