//! Simulations of the drain machine: it must keep its contract for random histories of events in a pod.
//!
//! `LAMEDUCK_SIMULATIONS` sets the number of histories per test.

mod aggregation;
mod crash_points;
mod history;
mod oracle;
mod page_processes;
mod simulation;

use std::env;
use std::time::Duration;

use lameduck_machine::activity::{IdleRule, WorkDirection};
use lameduck_machine::drain_times::DrainTimes;
use lameduck_machine::policy::{IdlePolicy, Policy, SigtermPolicy, StreamsPorts};
use lameduck_machine::reading::Source;
use lameduck_machine::result::{DrainResult, Outcome, Trigger};
use proptest::prelude::*;

use crate::simulations::history::{Event, history, policy, times};
use crate::simulations::simulation::{START, Simulation, observation_start};

fn config() -> ProptestConfig {
    let cases = env::var("LAMEDUCK_SIMULATIONS").ok().and_then(|count| count.parse().ok());
    ProptestConfig { cases: cases.unwrap_or(1000), max_shrink_iters: 20_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn contract_holds_for_random_histories(policy in policy(), history in history()) {
        let mut simulation = Simulation::new(policy);
        for event in &history {
            simulation.apply(event);
        }
        // Longer than any budget: every caller is released, by the deadline at the latest.
        simulation.apply(&Event::Wait(Duration::from_secs(70)));
        prop_assert!(simulation.has_released_all_callers());
    }

    #[test]
    fn zero_needs_every_source_that_can_answer(sources in aggregation::sources(), readings in aggregation::readings()) {
        let mut model = aggregation::Model::new(&sources);
        for (second, (source, reading)) in readings.into_iter().enumerate() {
            model.record(second, source, reading);
        }
    }

    #[test]
    fn well_behaved_pod_drains_exactly_on_time(times in times(), streams in 0..3_u64) {
        let budget = times.budget();
        let confirmed = times.lame_duck + times.quiet_period + times.exit_wait;
        let result = drained(times, streams);
        let expected = match streams {
            0 => (Outcome::Drained, Some(0), confirmed.min(budget)),
            _ => (Outcome::Expired, Some(streams), budget),
        };
        prop_assert_eq!((result.outcome, result.stragglers, result.duration), expected);
        prop_assert!(result.signalled);
    }
}

/// The result of a drain in which the page answers immediately, and the target keeps this many streams and stays.
fn drained(times: DrainTimes, streams: u64) -> DrainResult {
    let (polls, grace_period) = (times.poll_interval * 3, times.grace_period);
    let signal = Some(("SIGINT".to_owned(), 2));
    let (sources, on_sigterm) = (vec![Source::Metrics], SigtermPolicy::Auto);
    let rule = IdleRule { window: Duration::from_secs(60), rate: 256, direction: WorkDirection::Received };
    let idle = IdlePolicy { ports: Vec::new(), rule, ends_drain: false };
    let policy = Policy {
        times,
        sources,
        streams_ports: StreamsPorts::default(),
        signal,
        wait_for_exit: false,
        idle,
        accept_below: None,
        on_sigterm,
        observed_since: observation_start(START),
        id_seed: 7,
    };
    let mut simulation = Simulation::new(policy);
    let script = [Event::Streams(streams), Event::Wait(polls), Event::Call(Trigger::Hook), Event::Wait(grace_period)];
    for event in &script {
        simulation.apply(event);
    }
    simulation.result().expect("a finished drain")
}
