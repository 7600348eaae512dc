//! Random histories of streams, gaps in the watch, errors and drains.

use std::collections::BTreeMap;
use std::time::Duration;

use lameduck_fleet_machine::pod::PodUid;
use lameduck_machine::result::Outcome;
use lameduck_machine::time::Time;
use proptest::prelude::*;

use super::world::{Api, World, at, done, draining, ended, pod, record, serving, settings, uid};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Clone, Debug)]
enum Step {
    Streams(usize, u64, u64),
    Unreadable(usize),
    Relist,
    Throttle,
    Wait(u64),
    Drain(usize),
    Finish(usize, bool),
}

fn loads() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        5 => (0..5_usize, prop_oneof![Just(0), 0..5_u64, 0..200_u64], 0..3_u64)
            .prop_map(|(pod, active, idle)| Step::Streams(pod, active, idle)),
        1 => (0..5_usize).prop_map(Step::Unreadable),
        1 => Just(Step::Relist),
        1 => Just(Step::Throttle),
        4 => (1..40_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..40)
}

fn apply_load(world: &mut World, step: &Step) {
    match *step {
        Step::Streams(pod, active, idle) => {
            let mut status = serving(active + idle);
            status.idle_streams = Some(idle);
            world.statuses.insert(uid(NAMES[pod]), status);
        }
        Step::Unreadable(pod) => {
            world.statuses.remove(&uid(NAMES[pod]));
        }
        Step::Relist => world.relist(),
        Step::Throttle => {
            world.api = Api::Throttles(Duration::from_secs(2));
            world.run(3);
            world.api = Api::Works;
        }
        Step::Wait(seconds) => world.run(seconds),
        Step::Drain(_) | Step::Finish(..) => {}
    }
}

/// Never more than ten writes a second, and none of a pod within thirty.
fn assert_rates(attempts: &[(Time, PodUid, lameduck_fleet_machine::pod::Keys)]) {
    let mut last: BTreeMap<&PodUid, Time> = BTreeMap::new();
    for (time, pod, _) in attempts {
        let earlier = last.insert(pod, *time);
        assert!(earlier.is_none_or(|earlier| time.since(earlier) >= Duration::from_secs(30)), "{pod:?} at {time:?}");
    }
    let times: Vec<Time> = attempts.iter().map(|(time, ..)| *time).collect();
    let is_fast = |window: &[Time]| window[10].since(window[0]) < Duration::from_secs(1);
    assert!(!times.windows(11).any(is_fast), "{times:?}");
}

/// The order by cost is the order by active streams, where these differ by more than a tenth.
fn assert_order(world: &World) {
    let loads: Vec<(u64, i32)> = NAMES
        .iter()
        .filter_map(|name| {
            let status = world.statuses.get(&uid(name))?;
            let active = status.streams? - status.idle_streams?;
            Some((active, world.pods[&uid(name)].annotations.cost.unwrap_or(0)))
        })
        .collect();
    for (fewer, cost) in &loads {
        for (more, higher) in &loads {
            // Up to two idle streams are added to the weight.
            if (fewer * 100 + 2) * 10 < more * 900 {
                assert!(cost < higher, "{fewer} active streams cost {cost}, and {more} cost {higher}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_agrees_with_active_streams_after_forty_seconds(steps in loads()) {
        let mut world = World::with_streams(settings(), NAMES.map(|name| (name, Some(1))));
        for step in &steps {
            apply_load(&mut world, step);
        }
        // A throttled write delays the next one of its pod by thirty seconds.
        world.run(if steps.iter().any(|step| matches!(step, Step::Throttle)) { 75 } else { 40 });
        assert_order(&world);
        assert_rates(&world.attempts);
        let settled = world.attempts.len();
        world.run(300);
        prop_assert_eq!(world.attempts.len(), settled, "nothing has changed, and something was written");
    }

    #[test]
    fn each_drain_is_counted_once(steps in drains()) {
        let mut world = World::with_streams(settings(), NAMES.map(|name| (name, Some(3))));
        world.run(6);
        let mut expected = Expected::default();
        for step in &steps {
            apply_drain(&mut world, step, &mut expected);
        }
        apply_drain(&mut world, &Step::Wait(10), &mut expected);
        let mut ids: Vec<u64> = world.reports.iter().filter_map(|report| Some(report.record()?.id.0)).collect();
        ids.sort_unstable();
        prop_assert_eq!(&ids, &expected.recorded);
        let lost = world.outcomes().iter().filter(|outcome| **outcome == "lost").count();
        prop_assert_eq!(lost, expected.lost);
        let counted: u64 = world.machine.history().workloads().flat_map(|(_, counters)| counters.drains).sum();
        prop_assert_eq!(usize::try_from(counted).unwrap(), ids.len() + lost);
    }
}

fn drains() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..5_usize).prop_map(Step::Drain),
        3 => (0..5_usize, any::<bool>()).prop_map(|(pod, seen)| Step::Finish(pod, seen)),
        2 => Just(Step::Relist),
        3 => (1..20_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..30)
}

#[derive(Default)]
struct Expected {
    recorded: Vec<u64>,
    lost: usize,
    draining: BTreeMap<usize, Time>,
    ended: Vec<usize>,
}

fn apply_drain(world: &mut World, step: &Step, expected: &mut Expected) {
    match *step {
        Step::Drain(pod) if !expected.ended.contains(&pod) => {
            expected.draining.entry(pod).or_insert(world.now);
        }
        // A pod ends, by an event that shows its record or while the watch is interrupted.
        Step::Finish(pod, seen) if !expected.ended.contains(&pod) => {
            expected.ended.push(pod);
            expected.draining.remove(&pod);
            world.statuses.remove(&uid(NAMES[pod]));
            if seen {
                let id = pod as u64 + 1;
                expected.recorded.push(id);
                expected.recorded.sort_unstable();
                let last = ended(NAMES[pod], Some(record(id, Outcome::Drained)));
                world.change(last.clone());
                world.relist();
                world.delete(last);
            } else {
                expected.lost += 1;
                world.pods.remove(&uid(NAMES[pod]));
                world.relist();
            }
        }
        Step::Relist => world.relist(),
        Step::Wait(seconds) => {
            for _ in 0..seconds {
                for (pod, since) in &expected.draining {
                    world.statuses.insert(uid(NAMES[*pod]), draining(3, world.now.since(*since)));
                }
                world.run(1);
            }
        }
        Step::Drain(_) | Step::Finish(..) | Step::Streams(..) | Step::Unreadable(_) | Step::Throttle => {}
    }
}

#[test]
fn many_pods_are_written_ten_times_a_second_and_all_of_them() {
    let mut world = World::new(settings());
    let names: Vec<String> = (0..200).map(|number| format!("pod-{number}")).collect();
    for (name, streams) in names.iter().zip(0..) {
        world.statuses.insert(uid(name), serving(streams * 3));
        world.change(pod(name));
    }
    world.run(60);
    assert_rates(&world.attempts);
    assert!(world.costs().iter().all(Option::is_some), "{:?}", world.costs());
    assert!(world.now > at(0) && world.outcomes().is_empty());
    let last = done(record(1, Outcome::Drained));
    world.statuses.insert(uid("pod-7"), last);
    world.run(6);
    assert_eq!(world.outcomes(), ["drained"]);
}
