//! A sidecar that dies after its nth action, for every n, and another that goes on from the file that it left.

use std::env::temp_dir;
use std::fs;
use std::time::Duration;

use lameduck::io::state::StateFile;
use lameduck_machine::activity::IdleRule;
use lameduck_machine::drain_times::DrainTimes;
use lameduck_machine::policy::{IdlePolicy, Policy, SigtermPolicy};
use lameduck_machine::reading::Source;
use lameduck_machine::result::{ExitStatus, Outcome, Trigger};

use crate::simulations::history::Event;
use crate::simulations::simulation::Simulation;
use lameduck_test_support::traffic::{ACTIVE_RATE, PORT};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn policy() -> Policy {
    let rule = IdleRule { window: seconds(3), rate: ACTIVE_RATE };
    Policy {
        times: DrainTimes {
            grace_period: seconds(20),
            exit_margin: seconds(2),
            lame_duck: seconds(2),
            quiet_period: seconds(1),
            exit_wait: seconds(2),
            poll_interval: seconds(1),
            scrape_timeout: seconds(2),
        },
        sources: vec![Source::Metrics],
        signal: Some(("SIGINT".to_owned(), 2)),
        wait_for_exit: false,
        idle: IdlePolicy { ports: vec![PORT], rule, ends_drain: true },
        accept_below: None,
        on_sigterm: SigtermPolicy::Auto,
        own_start_ticks: 0,
    }
}

/// A drain with this before the call and this after it, in which the sidecar dies after so many actions.
fn live(before: &[Event], after: &[Event], step: u8, away: Duration) -> Simulation {
    let mut simulation = Simulation::new(policy());
    let dir = temp_dir().join(format!("lameduck-deaths-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a directory can be made");
    let state = StateFile::new(&dir, &format!("{:?}", std::thread::current().id()), "subject");
    state.erase().expect("it is ours");
    simulation.save_to_file(state);
    let call = [Event::SidecarCrash(step, away, false), Event::Call(Trigger::Hook)];
    let end = [Event::Wait(policy().times.grace_period)];
    for event in before.iter().chain(&call).chain(after).chain(&end) {
        simulation.apply(event);
    }
    simulation
}

/// StreamLifetimes through a drain once for every action after which its sidecar can die.
fn die_at_every_step(outcome: Outcome, before: &[Event], after: &[Event]) {
    for away in [Duration::ZERO, seconds(3)] {
        let (mut unnoted, mut unsent, mut told_again) = (0, 0, 0);
        let steps = (0..u8::MAX).take_while(|step| {
            let simulation = live(before, after, *step, away);
            if simulation.reported.is_empty() {
                assert!(!simulation.has_drain() && simulation.signals == 0, "a drain without an end");
                unnoted += 1;
                return true;
            }
            let result = simulation.reported[0];
            assert!(simulation.reported.iter().all(|reported| *reported == result), "{:?}", simulation.reported);
            assert_eq!(result.outcome, outcome, "died after {step} actions");
            assert!(result.signalled && simulation.has_drain());
            if outcome == Outcome::Expired {
                // One that comes back too late to look cannot know.
                assert!(matches!(result.stragglers, Some(2) | None));
                let budget = policy().times.budget();
                assert!(budget <= result.duration && result.duration <= budget + away, "{result:?}");
            }
            assert_eq!(simulation.kills, usize::from(outcome == Outcome::Idle));
            told_again += simulation.reported.len() - 1;
            unsent += 1 - simulation.signals;
            !simulation.awaits_crash()
        });
        assert!(steps.count() > 20);
        // Before the first saved; between the saved of the signal and the signal; between the word and the saved of it.
        assert_eq!((unnoted, unsent, told_again), (1, 1, 1), "{outcome:?}");
    }
}

#[test]
fn crash_at_any_step_preserves_drained_outcome() {
    die_at_every_step(Outcome::Drained, &[Event::Streams(0), Event::Wait(seconds(3))], &[]);
}

#[test]
fn crash_at_any_step_preserves_expired_outcome() {
    let work = Event::Traffic(vec![ACTIVE_RATE * 4, ACTIVE_RATE * 4]);
    die_at_every_step(Outcome::Expired, &[Event::Streams(2), work, Event::Wait(seconds(3))], &[]);
}

#[test]
fn crash_at_any_step_preserves_exited_outcome() {
    let work = Event::Traffic(vec![ACTIVE_RATE * 4, ACTIVE_RATE * 4]);
    let before = [Event::Streams(2), work, Event::Wait(seconds(3))];
    die_at_every_step(Outcome::Exited, &before, &[Event::Wait(seconds(8)), Event::Exit(ExitStatus::Code(0))]);
}

#[test]
fn crash_at_any_step_preserves_idle_outcome() {
    let silence = Event::Traffic(vec![0, 0]);
    die_at_every_step(Outcome::Idle, &[Event::Streams(2), silence, Event::Wait(seconds(10))], &[]);
}
