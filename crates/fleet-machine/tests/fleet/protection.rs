//! The protection of pods with active streams.

use std::time::Duration;

use lameduck_fleet_machine::io::{Input, Notice};
use lameduck_fleet_machine::pod::{Annotations, DoNotDisrupt, Key, Keys, Pod};
use lameduck_fleet_machine::settings::{DisruptionSetting, ProtectionSettings, Settings};

use super::world::{World, pod, settings, uid};

fn protecting(do_not_disrupt: DisruptionSetting, safe_to_evict: bool) -> Settings {
    let protection = ProtectionSettings { safe_to_evict, do_not_disrupt, ..settings().protection };
    Settings { protection, ..settings() }
}

fn own(world: &World) -> Keys {
    world.pods[&uid("a")].annotations.own
}

fn seconds(value: Option<DoNotDisrupt>) -> Option<u64> {
    match value {
        Some(DoNotDisrupt::SinceStart(duration)) => Some(duration.as_secs()),
        Some(DoNotDisrupt::Always) | None => None,
    }
}

#[test]
fn nothing_is_protected_by_default() {
    let mut world = World::with_streams(settings(), [("a", Some(3))]);
    world.run(60);
    assert_eq!(world.attempts, []);
}

#[test]
fn active_pod_is_protected_by_lease_that_is_renewed_at_half() {
    let mut world = World::with_streams(protecting(DisruptionSetting::Duration, false), [("a", Some(3))]);
    world.run(5);
    // The pod was 101 seconds old when the first plan was made.
    assert_eq!(seconds(own(&world).do_not_disrupt), Some(1001));
    world.run(440);
    assert_eq!((seconds(own(&world).do_not_disrupt), world.attempts.len()), (Some(1001), 1));
    world.run(20);
    let renewed = seconds(own(&world).do_not_disrupt).unwrap();
    assert!((1449..=1460).contains(&renewed), "{renewed}");
    assert_eq!(own(&world).do_not_disrupt.unwrap().to_string(), format!("{renewed}s"));
}

#[test]
fn protection_is_removed_after_a_minute_without_active_streams() {
    let mut world = World::with_streams(protecting(DisruptionSetting::True, true), [("a", Some(3))]);
    world.run(35);
    let protected = Keys { cost: None, not_safe_to_evict: true, do_not_disrupt: Some(DoNotDisrupt::Always) };
    assert_eq!(own(&world), protected);
    world.serve("a", 0);
    world.run(55);
    assert_eq!(own(&world), protected);
    world.run(20);
    assert_eq!(own(&world), Keys::default());
}

#[test]
fn unreadable_pod_stays_protected_up_to_the_maximum_age() {
    let mut settings = protecting(DisruptionSetting::True, true);
    settings.protection.max_age = Duration::from_secs(3600);
    let mut world = World::with_streams(settings, [("a", Some(3))]);
    world.run(10);
    world.statuses.clear();
    world.run(3500);
    assert!(own(&world).not_safe_to_evict);
    world.run(200);
    assert_eq!(own(&world), Keys::default());
    let expired = world.notices.iter().filter(|notice| matches!(notice, Notice::ProtectionExpired(_)));
    assert_eq!(expired.count(), 1);
    world.serve("a", 2);
    world.run(600);
    assert_eq!(own(&world), Keys::default(), "it is protected again only after a moment without active streams");
    world.serve("a", 0);
    world.run(10);
    world.serve("a", 1);
    world.run(60);
    assert!(own(&world).not_safe_to_evict);
}

#[test]
fn protection_left_by_an_earlier_process_is_removed() {
    let mut world = World::with_streams(protecting(DisruptionSetting::True, true), []);
    let left = Keys { cost: None, not_safe_to_evict: true, do_not_disrupt: None };
    world.serve("a", 0);
    world.change(Pod { annotations: Annotations { own: left, ..Annotations::default() }, ..pod("a") });
    world.run(10);
    assert_eq!(own(&world), Keys::default());
}

#[test]
fn conflict_of_one_key_does_not_prevent_the_other() {
    let mut world = World::with_streams(protecting(DisruptionSetting::True, true), [("a", Some(3))]);
    world.foreign.insert(uid("a"), vec![Key::SafeToEvict]);
    world.run(60);
    assert_eq!(own(&world), Keys { do_not_disrupt: Some(DoNotDisrupt::Always), ..Keys::default() });
}

#[test]
fn orderly_exit_removes_what_does_not_end_by_itself() {
    let mut world =
        World::with_streams(protecting(DisruptionSetting::Duration, true), [("a", Some(3)), ("b", Some(9))]);
    world.run(60);
    let before = own(&world);
    assert!(before.not_safe_to_evict && before.cost.is_some());
    world.input(Input::Shutdown);
    world.run(5);
    assert!(world.machine.is_stopped());
    assert_eq!(own(&world), Keys { not_safe_to_evict: false, ..before });
}
