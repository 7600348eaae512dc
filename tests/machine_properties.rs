//! The drain machine by random histories: whatever befalls the pod, the machine keeps its contract.
//!
//! `LAMEDUCK_HISTORIES` sets how many histories are lived through.

#[path = "support/deaths.rs"]
mod deaths;
#[path = "support/fusing.rs"]
mod fusing;
#[path = "support/history.rs"]
mod history;
#[path = "support/readings.rs"]
mod readings;
#[path = "support/traffic.rs"]
mod traffic;
#[path = "support/witness.rs"]
mod witness;
#[path = "support/world.rs"]
mod world;

use std::env;
use std::time::Duration;

use lameduck::machine::activity::IdleRule;
use lameduck::machine::io::{Idleness, OnSigterm, Policy};
use lameduck::machine::outcome::{Outcome, Trigger, Verdict};
use lameduck::machine::plan::Plan;
use lameduck::machine::reading::Source;
use proptest::prelude::*;

use crate::history::{Event, history, plan, policy};
use crate::world::World;

fn config() -> ProptestConfig {
    let histories = env::var("LAMEDUCK_HISTORIES").ok().and_then(|count| count.parse().ok());
    ProptestConfig { cases: histories.unwrap_or(1000), max_shrink_iters: 20_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_contract_is_kept_whatever_happens(policy in policy(), history in history()) {
        let mut world = World::new(policy);
        for event in &history {
            world.happens(event);
        }
        // And whoever is still held is released, if only by the deadline.
        world.happens(&Event::Wait(Duration::from_secs(70)));
        prop_assert!(world.has_released_everybody());
    }

    #[test]
    fn zero_is_never_said_against_a_source_that_can_answer(sources in fusing::sources(), words in fusing::words()) {
        let mut sources = fusing::Sources::new(&sources);
        for (at, (source, reading)) in words.into_iter().enumerate() {
            sources.take(at, source, reading);
        }
    }

    #[test]
    fn an_honest_pod_is_drained_to_the_instant(plan in plan(), streams in 0..3_u64) {
        let budget = plan.budget();
        let settled = plan.lame_duck + plan.quiet_period + plan.exit_wait;
        let verdict = drained(plan, streams);
        let expected = match streams {
            0 => (Outcome::Drained, Some(0), settled.min(budget)),
            _ => (Outcome::Expired, Some(streams), budget),
        };
        prop_assert_eq!((verdict.outcome, verdict.stragglers, verdict.took), expected);
        prop_assert!(verdict.signalled);
    }
}

/// What a drain comes to where the page answers at once, and the target stays with so many streams.
fn drained(plan: Plan, streams: u64) -> Verdict {
    let (polls, grace_period) = (plan.poll_interval * 3, plan.grace_period);
    let signal = Some(("SIGINT".to_owned(), 2));
    let (sources, on_sigterm) = (vec![Source::Metrics], OnSigterm::Auto);
    let rule = IdleRule { window: Duration::from_secs(60), rate: 256 };
    let idleness = Idleness { ports: Vec::new(), rule, ends_drain: false };
    let (wait_for_exit, accept_below, own_start) = (false, None, 0);
    let policy = Policy { plan, sources, signal, wait_for_exit, idleness, accept_below, on_sigterm, own_start };
    let mut world = World::new(policy);
    let script = [Event::Streams(streams), Event::Wait(polls), Event::Call(Trigger::Hook), Event::Wait(grace_period)];
    for event in &script {
        world.happens(event);
    }
    world.verdict().expect("the drain is over")
}
