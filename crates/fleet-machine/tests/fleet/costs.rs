//! The choice of the pod that a ReplicaSet removes first.

use std::time::Duration;

use lameduck_fleet_machine::io::Notice;
use lameduck_fleet_machine::pod::{Annotations, Key, Owner, Pod};

use super::world::{Api, World, owner, pod, serving, settings, uid};

#[test]
fn empty_pod_is_first_and_unread_pod_is_before_busy_pod() {
    let mut world = World::with_streams(settings(), [("a", Some(0)), ("b", None), ("c", Some(3))]);
    world.run(2);
    assert_eq!(world.costs(), [Some(-100), None, Some(300)]);
}

#[test]
fn lone_pod_and_equal_pods_are_not_written() {
    let mut world = World::with_streams(settings(), [("a", Some(3)), ("b", Some(3))]);
    world.serve("z", 5);
    world.change(Pod { owner: owner("b"), ..pod("z") });
    world.run(120);
    assert_eq!((world.attempts.len(), world.costs()), (0, vec![None; 3]));
}

#[test]
fn pods_without_owner_that_sorts_by_cost_are_not_written() {
    let mut world = World::with_streams(settings(), [("a", Some(0)), ("b", Some(3))]);
    for name in ["a", "b"] {
        world.change(Pod { owner: Owner { sorts_by_cost: false, ..owner("set") }, ..pod(name) });
    }
    world.run(60);
    assert_eq!(world.attempts, []);
}

#[test]
fn idle_streams_weigh_a_hundredth() {
    let mut world = World::with_streams(settings(), [("a", Some(1))]);
    let mut idle = serving(40);
    idle.idle_streams = Some(40);
    world.statuses.insert(uid("b"), idle);
    world.change(pod("b"));
    world.run(2);
    assert_eq!(world.costs(), [Some(100), Some(40)]);
}

#[test]
fn cost_stays_while_order_is_right() {
    let mut world = World::with_streams(settings(), [("a", Some(2)), ("b", Some(9))]);
    world.run(60);
    assert_eq!((world.costs(), world.attempts.len()), (vec![Some(200), Some(900)], 2));
    world.serve("a", 5);
    world.serve("b", 20);
    world.run(120);
    assert_eq!(world.attempts.len(), 2, "the order has not changed");
    world.serve("a", 30);
    world.run(60);
    assert_eq!(world.costs(), [Some(3000), Some(2000)]);
}

#[test]
fn difference_of_a_tenth_is_no_order() {
    let mut world = World::with_streams(settings(), [("a", Some(50)), ("b", Some(53))]);
    for round in 0..20 {
        world.serve("a", 50 + round % 5);
        world.serve("b", 54 - round % 5);
        world.run(30);
    }
    assert_eq!(world.attempts, []);
}

#[test]
fn unreadable_pod_keeps_its_cost() {
    let mut world = World::with_streams(settings(), [("a", Some(3)), ("b", Some(8))]);
    world.run(60);
    world.statuses.remove(&uid("b"));
    world.serve("a", 9);
    world.run(120);
    assert_eq!(world.costs(), [Some(900), Some(800)], "pod b is not known to have fewer streams");
    world.serve("a", 1);
    world.run(60);
    assert_eq!(world.costs(), [Some(100), Some(800)]);
}

#[test]
fn cost_of_unreadable_pod_is_not_lowered_to_its_last_reading() {
    let mut world = World::with_streams(settings(), [("a", Some(3)), ("b", Some(8))]);
    world.run(60);
    world.serve("b", 5);
    world.run(20);
    world.statuses.remove(&uid("b"));
    world.run(20);
    world.serve("a", 7);
    world.run(60);
    assert_eq!(world.costs(), [Some(700), Some(800)]);
}

#[test]
fn cost_of_unread_pod_says_nothing() {
    let mut world = World::with_streams(settings(), [("a", Some(3))]);
    let annotations = Annotations { cost: Some(700), ..Annotations::default() };
    world.change(Pod { annotations, ..pod("b") });
    world.run(60);
    assert_eq!(world.attempts, []);
}

#[test]
fn pod_is_written_once_in_thirty_seconds() {
    let mut world = World::with_streams(settings(), [("a", Some(1)), ("b", Some(5))]);
    for round in 0_u64..300 {
        let (few, many) = if round % 2 == 0 { (5, 1) } else { (1, 5) };
        world.serve("a", few);
        world.serve("b", many);
        world.run(7);
    }
    assert!(world.attempts.len() > 20, "{}", world.attempts.len());
    for name in ["a", "b"] {
        let times = world.attempts.iter().filter(|(_, pod, _)| *pod == uid(name)).map(|(time, ..)| *time);
        let times: Vec<_> = times.collect();
        assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_secs(30)), "{times:?}");
    }
}

#[test]
fn value_of_another_manager_is_never_overwritten() {
    let mut world = World::with_streams(settings(), [("a", Some(0)), ("b", Some(3)), ("c", Some(9))]);
    world.foreign.extend(["a", "b"].map(|name| (uid(name), vec![Key::Cost])));
    world.run(300);
    assert_eq!(world.costs(), [None, None, Some(900)]);
    let attempts = ["a", "b"].map(|name| world.attempts.iter().filter(|(_, pod, _)| *pod == uid(name)).count());
    assert_eq!(attempts, [1, 1]);
    let notices = world.notices.iter().filter(|notice| matches!(notice, Notice::KeyOwnedByOther { .. }));
    assert_eq!(notices.count(), 1, "one notice for the workload");
}

#[test]
fn costs_that_karpenter_manages_are_not_written() {
    let mut world = World::with_streams(settings(), [("a", Some(0)), ("b", Some(3))]);
    for name in ["a", "b"] {
        let annotations = Annotations { karpenter_manages_cost: true, ..Annotations::default() };
        world.change(Pod { annotations, ..pod(name) });
    }
    world.run(120);
    assert_eq!(world.attempts, []);
    let notices = world.notices.iter().filter(|notice| matches!(notice, Notice::CostManagedByKarpenter { .. }));
    assert_eq!(notices.count(), 1);
}

#[test]
fn throttled_fleet_writes_once_per_wait() {
    let mut world = World::with_streams(settings(), [("a", Some(0)), ("b", Some(3)), ("c", Some(7)), ("d", Some(20))]);
    world.api = Api::Throttles(Duration::from_secs(30));
    world.run(120);
    let times: Vec<_> = world.attempts.iter().map(|(time, ..)| *time).collect();
    assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_secs(30)), "{times:?}");
    assert!((2..=5).contains(&times.len()), "{times:?}");
    world.api = Api::Works;
    world.run(90);
    assert_eq!(world.costs(), [Some(-100), Some(300), Some(700), Some(2000)]);
}

#[test]
fn failed_write_is_tried_again() {
    let mut world = World::with_streams(settings(), [("a", Some(0)), ("b", Some(3))]);
    world.api = Api::Fails;
    world.run(10);
    assert_eq!(world.costs(), [None, None]);
    world.api = Api::Works;
    world.run(60);
    assert_eq!(world.costs(), [Some(-100), None], "the order is right after one write");
}
