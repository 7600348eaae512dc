//! Grace periods that a deletion shortens.

use std::time::Duration;

use lameduck_fleet_machine::io::DeadlineReply;
use lameduck_fleet_machine::io::Notice;
use lameduck_fleet_machine::pod::{Deletion, Pod};
use lameduck_machine::time::Time;

use super::world::{World, at, draining, pod, settings, uid};

fn terminating(name: &str, grace_period: u64, stamp: Time) -> Pod {
    Pod { deletion: Some(Deletion { grace_period: Duration::from_secs(grace_period), stamp }), ..pod(name) }
}

/// When each deadline was sent, and when the drain must end: both in seconds since the start.
fn sent(world: &World) -> Vec<(u64, u64)> {
    let seconds = |time: Time| time.since(at(0)).as_secs();
    world.deadlines.iter().map(|(now, end)| (seconds(*now), seconds(*end))).collect()
}

#[test]
fn whole_grace_period_needs_no_deadline() {
    let mut world = World::with_streams(settings(), [("a", Some(3))]);
    world.change(terminating("a", 600, at(600)));
    world.run(60);
    assert_eq!(sent(&world), []);
}

#[test]
fn deadline_shrinks_with_later_deletions_and_never_grows() {
    let mut world = World::with_streams(settings(), [("a", Some(3))]);
    world.run(10);
    world.change(terminating("a", 600, at(610)));
    world.statuses.insert(uid("a"), draining(3, Duration::ZERO));
    world.run(10);
    world.change(terminating("a", 100, at(110)));
    world.run(5);
    world.change(terminating("a", 900, at(910)));
    world.run(5);
    world.change(terminating("a", 40, at(50)));
    // The exit margin of the sidecar is 5 seconds, but at most a tenth of the new grace period.
    assert_eq!(sent(&world), [(20, 105), (30, 46)]);
}

#[test]
fn stamp_counts_after_a_gap_in_the_watch() {
    let mut world = World::new(settings());
    world.pods.insert(uid("a"), terminating("a", 100, at(60)));
    world.relist();
    assert_eq!(sent(&world), [(0, 53)]);
}

#[test]
fn stamp_of_another_clock_is_not_used_in_the_watch() {
    let mut world = World::with_streams(settings(), [("a", Some(3))]);
    world.change(terminating("a", 100, at(20)));
    assert_eq!(sent(&world), [(0, 95)]);
}

#[test]
fn deadline_is_sent_again_until_the_drain_has_begun() {
    let mut world = World::with_streams(settings(), [("a", Some(3))]);
    world.deadline_reply = DeadlineReply::NoDrain;
    world.change(terminating("a", 100, at(100)));
    world.run(2);
    // The API server ignores a longer grace period; if it did not, the shorter one would stay.
    world.change(terminating("a", 300, at(300)));
    world.run(2);
    world.deadline_reply = DeadlineReply::Accepted;
    world.run(60);
    assert_eq!(sent(&world), [(0, 95), (1, 95), (3, 95), (7, 95)]);
}

#[test]
fn refusal_is_logged_once() {
    let mut world = World::with_streams(settings(), [("a", Some(3))]);
    world.deadline_reply = DeadlineReply::Refused;
    world.change(terminating("a", 100, at(100)));
    world.run(10);
    world.change(terminating("a", 50, at(60)));
    world.run(20);
    assert_eq!(sent(&world).len(), 1);
    let refusals = world.notices.iter().filter(|notice| matches!(notice, Notice::DeadlineRefused(_)));
    assert_eq!(refusals.count(), 1);
}
