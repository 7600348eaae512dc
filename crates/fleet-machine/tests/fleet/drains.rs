//! What becomes of every drain.

use std::time::Duration;

use lameduck_fleet_machine::event::EventText;
use lameduck_fleet_machine::pod::{Pod, PodPhase, Sidecar, SidecarState};
use lameduck_fleet_machine::report::FleetOutcome;
use lameduck_machine::result::Outcome;

use super::world::{Api, World, at, done, draining, ended, pod, record, serving, settings, terminated, uid};

fn world() -> World {
    let mut world = World::with_streams(settings(), [("a", Some(3))]);
    world.run(6);
    world
}

fn counted(world: &World, outcome: FleetOutcome) -> u64 {
    world.machine.history().workloads().map(|(_, counters)| counters.drains(outcome)).sum()
}

#[test]
fn outcome_is_counted_once_from_status_and_message() {
    let mut world = world();
    world.statuses.insert(uid("a"), draining(3, Duration::ZERO));
    world.run(6);
    world.statuses.insert(uid("a"), done(record(1, Outcome::Drained)));
    world.run(6);
    assert_eq!(world.outcomes(), ["drained"]);
    let last = ended("a", Some(record(1, Outcome::Drained)));
    world.change(last.clone());
    world.delete(last);
    world.run(10);
    assert_eq!((world.outcomes(), counted(&world, FleetOutcome::Known(Outcome::Drained))), (vec!["drained"], 1));
}

#[test]
fn counters_have_drain_time_devices_and_stragglers() {
    let mut world = world();
    let (_, counters) = world.machine.history().workloads().next().unwrap();
    assert_eq!(counters.drains, [0; 7], "visible as zero from the first pod on");
    world.delete(ended("a", Some(record(1, Outcome::Expired))));
    let (workload, counters) = world.machine.history().workloads().next().unwrap();
    assert_eq!((workload.namespace.as_str(), workload.name.as_str()), ("default", "api"));
    assert_eq!((counters.stragglers, counters.drain_time.as_secs()), (1, 10));
    assert_eq!(counters.device_time["nvidia.com/gpu"].as_secs(), 20);
}

#[test]
fn finalizer_does_not_delay_the_outcome() {
    let mut world = world();
    world.change(ended("a", Some(record(1, Outcome::Drained))));
    assert_eq!(world.outcomes(), ["drained"]);
}

#[test]
fn vanished_pods_are_recorded_or_lost() {
    let mut world = World::with_streams(settings(), [("a", Some(3)), ("b", Some(3)), ("c", Some(3)), ("d", Some(3))]);
    world.run(6);
    world.statuses.insert(uid("a"), done(record(1, Outcome::Drained)));
    world.statuses.insert(uid("b"), draining(3, Duration::ZERO));
    world.run(6);
    for name in ["a", "b", "c"] {
        world.pods.remove(&uid(name));
    }
    world.relist();
    world.relist();
    assert_eq!(world.outcomes(), ["drained", "lost", "lost"]);
    assert_eq!(world.machine.pods().count(), 1);
}

#[test]
fn address_of_forcibly_deleted_pod_is_polled_for_a_while() {
    let mut world = world();
    world.statuses.insert(uid("a"), draining(3, Duration::ZERO));
    world.run(2);
    world.delete(pod("a"));
    world.run(1);
    assert_eq!(world.outcomes(), [""; 0]);
    world.statuses.insert(uid("a"), done(record(1, Outcome::Expired)));
    world.run(1);
    assert_eq!(world.outcomes(), ["expired"]);
    world.run(10);
    assert_eq!((world.outcomes().len(), world.machine.pods().count()), (1, 0));
}

#[test]
fn forced_deletion_without_answer_is_lost_once() {
    let mut world = world();
    world.statuses.clear();
    world.delete(pod("a"));
    world.run(2);
    assert_eq!(world.outcomes(), [""; 0]);
    world.run(2);
    assert_eq!(world.outcomes(), ["lost"]);
    world.relist();
    assert_eq!((world.outcomes().len(), counted(&world, FleetOutcome::Lost)), (1, 1));
}

#[test]
fn address_of_another_pod_is_not_polled_for_a_deleted_one() {
    let mut world = world();
    world.statuses.clear();
    world.change(Pod { ip: pod("a").ip, ..pod("new") });
    world.statuses.insert(uid("a"), done(record(9, Outcome::Drained)));
    world.delete(pod("a"));
    world.run(5);
    assert_eq!(world.outcomes(), ["lost"]);
}

#[test]
fn unknown_end_of_the_container_is_lost() {
    let mut world = world();
    let last = Pod { sidecar: Sidecar::in_state(terminated(137, None)), ..ended("a", None) };
    world.change(last.clone());
    world.delete(last);
    assert_eq!(world.outcomes(), ["lost"]);
}

#[test]
fn sidecar_without_a_drain_is_not_lost() {
    let mut world = World::with_streams(settings(), [("a", Some(0)), ("b", Some(0)), ("c", None)]);
    world.run(6);
    // Deleted without a hook and without streams; a Job that has ended; a pod that never started.
    world.delete(ended("a", None));
    let finished = Sidecar::in_state(terminated(0, None));
    world.change(Pod { phase: PodPhase::Finished, sidecar: finished, ..pod("b") });
    let never_ran = Pod { sidecar: Sidecar::in_state(SidecarState::Waiting), ..pod("c") };
    world.change(never_ran.clone());
    world.delete(never_ran);
    world.run(10);
    assert_eq!(world.outcomes(), [""; 0]);
}

#[test]
fn cancelled_drain_is_not_lost() {
    let mut world = world();
    world.statuses.insert(uid("a"), draining(3, Duration::ZERO));
    world.run(6);
    world.serve("a", 0);
    world.run(60);
    world.delete(ended("a", None));
    assert_eq!(world.outcomes(), [""; 0]);
}

#[test]
fn drain_that_replaces_another_makes_it_lost() {
    let mut world = world();
    world.statuses.insert(uid("a"), draining(3, Duration::from_secs(50)));
    world.run_for(Duration::from_millis(5500));
    world.statuses.insert(uid("a"), draining(5, Duration::ZERO));
    world.run(1);
    assert_eq!(world.outcomes(), ["lost"]);
}

#[test]
fn interrupted_record_is_replaced_by_the_final_one() {
    let mut world = world();
    let sidecar = Sidecar { state: SidecarState::Running, earlier_record: Some(record(1, Outcome::Interrupted)) };
    world.change(Pod { sidecar: sidecar.clone(), ..pod("a") });
    world.run(60);
    assert_eq!(world.outcomes(), [""; 0], "the restarted sidecar resumes the drain");
    let last = ended("a", Some(record(1, Outcome::Drained)));
    world.delete(Pod { sidecar: Sidecar { state: last.sidecar.state.clone(), ..sidecar }, ..last });
    assert_eq!(world.outcomes(), ["drained"]);
}

#[test]
fn interrupted_record_is_final_at_the_end_of_the_pod() {
    let mut world = world();
    world.statuses.insert(uid("a"), draining(3, Duration::ZERO));
    world.run(6);
    world.change(ended("a", Some(record(1, Outcome::Interrupted))));
    assert_eq!(world.outcomes(), ["interrupted"]);
}

#[test]
fn two_drains_of_a_workload_have_two_events() {
    let mut world = World::with_streams(settings(), [("a", Some(3)), ("b", Some(3))]);
    world.delete(ended("a", Some(record(1, Outcome::Drained))));
    world.delete(ended("b", Some(record(2, Outcome::Expired))));
    let events: Vec<EventText> = world.reports.iter().map(EventText::of).collect();
    assert_ne!(events[0].name, events[1].name);
    assert_eq!((events[0].reason, events[0].is_warning), ("Drained", false));
    assert_eq!((events[1].reason, events[1].is_warning), ("StreamsCut", true));
    assert!(
        events[1].note.contains("expired") && events[1].note.contains("Streams cut: 1 of 3."),
        "{}",
        events[1].note
    );
}

#[test]
fn restarted_fleet_does_not_count_again() {
    let mut first = world();
    first.change(ended("a", Some(record(1, Outcome::Drained))));
    assert_eq!(first.outcomes(), ["drained"]);
    let mut second = World::replica(settings(), "second", at(60), first.shared);
    second.pods = first.pods;
    second.relist();
    assert_eq!((second.outcomes(), counted(&second, FleetOutcome::Known(Outcome::Drained))), (vec![], 0));
    assert_eq!(second.machine.history().outcomes().count(), 1);
}

#[test]
fn forced_deletion_after_a_finished_drain_is_not_lost() {
    let mut first = World::new(settings());
    first.statuses.insert(uid("a"), done(record(1, Outcome::Drained)));
    first.change(pod("a"));
    first.run(6);
    first.delete(pod("a"));
    first.run(10);
    assert_eq!(first.outcomes(), ["drained"]);
}

#[test]
fn unreadable_sidecar_is_polled_again() {
    let mut world = World::with_streams(settings(), [("a", None)]);
    world.run(30);
    world.statuses.insert(uid("a"), serving(2));
    world.run(6);
    assert_eq!(world.machine.pods().next().unwrap().status.current_load.unwrap().active, 2);
}

#[test]
fn drain_is_recorded_when_api_server_answers_again() {
    let mut world = world();
    world.api = Api::Fails;
    world.delete(ended("a", Some(record(1, Outcome::Drained))));
    world.run(60);
    assert_eq!((world.outcomes(), world.counted(), world.logged), (vec![], 0, 1));
    assert!((2..=13).contains(&world.record_attempts), "{}", world.record_attempts);
    world.api = Api::Works;
    world.run(6);
    assert_eq!((world.outcomes(), world.counted(), world.logged), (vec!["drained"], 1, 1));
}

#[test]
fn drain_that_another_replica_has_recorded_meanwhile_is_not_counted() {
    let mut world = world();
    world.api = Api::Fails;
    world.delete(ended("a", Some(record(1, Outcome::Drained))));
    world.run(12);
    let mut other = World::replica(settings(), "second", world.now, world.shared.clone());
    other.change(pod("a"));
    other.delete(ended("a", Some(record(1, Outcome::Drained))));
    world.api = Api::Works;
    world.run(6);
    assert_eq!((other.counted(), world.counted()), (1, 0));
}
