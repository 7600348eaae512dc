//! The drain machine by random histories: whatever befalls the pod, the machine keeps its contract.
//!
//! `LAMEDUCK_HISTORIES` sets how many histories are lived through.

mod aggregation;
mod crash_points;
mod history;
mod oracle;
mod oracle_readings;
mod world;

use std::env;
use std::time::Duration;

use lameduck_machine::activity::IdleRule;
use lameduck_machine::drain_times::DrainTimes;
use lameduck_machine::policy::{IdlePolicy, Policy, SigtermPolicy};
use lameduck_machine::reading::Source;
use lameduck_machine::result::{DrainResult, Outcome, Trigger};
use proptest::prelude::*;

use crate::simulations::history::{Event, history, plan, policy};
use crate::simulations::world::World;

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
    fn zero_is_never_said_against_a_source_that_can_answer(sources in aggregation::sources(), words in aggregation::words()) {
        let mut sources = aggregation::Sources::new(&sources);
        for (at, (source, reading)) in words.into_iter().enumerate() {
            sources.take(at, source, reading);
        }
    }

    #[test]
    fn an_honest_pod_is_drained_to_the_instant(plan in plan(), streams in 0..3_u64) {
        let budget = plan.budget();
        let settled = plan.lame_duck + plan.quiet_period + plan.exit_wait;
        let result = drained(plan, streams);
        let expected = match streams {
            0 => (Outcome::Drained, Some(0), settled.min(budget)),
            _ => (Outcome::Expired, Some(streams), budget),
        };
        prop_assert_eq!((result.outcome, result.stragglers, result.took), expected);
        prop_assert!(result.signalled);
    }
}

/// What a drain comes to where the page answers at once, and the target stays with so many streams.
fn drained(plan: DrainTimes, streams: u64) -> DrainResult {
    let (polls, grace_period) = (plan.poll_interval * 3, plan.grace_period);
    let signal = Some(("SIGINT".to_owned(), 2));
    let (sources, on_sigterm) = (vec![Source::Metrics], SigtermPolicy::Auto);
    let rule = IdleRule { window: Duration::from_secs(60), rate: 256 };
    let idleness = IdlePolicy { ports: Vec::new(), rule, ends_drain: false };
    let (wait_for_exit, accept_below, own_start_ticks) = (false, None, 0);
    let policy = Policy { plan, sources, signal, wait_for_exit, idleness, accept_below, on_sigterm, own_start_ticks };
    let mut world = World::new(policy);
    let script = [Event::Streams(streams), Event::Wait(polls), Event::Call(Trigger::Hook), Event::Wait(grace_period)];
    for event in &script {
        world.happens(event);
    }
    world.result().expect("the drain is over")
}
