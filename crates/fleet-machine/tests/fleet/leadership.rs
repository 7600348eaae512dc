//! Two replicas, of which one writes.

use std::cell::RefCell;
use std::rc::Rc;

use lameduck_fleet_machine::controller::Controller;
use lameduck_fleet_machine::io::{Action, Input, Notice};
use lameduck_fleet_machine::settings::Settings;
use lameduck_machine::result::Outcome;

use super::world::{Shared, World, at, ended, pod, record, serving, uid};

/// Two replicas that see the same pods.
struct Pair([World; 2]);

impl Pair {
    fn new() -> Self {
        let shared = Rc::<RefCell<Shared>>::default();
        let replica = |name| World::replica(Settings::default(), name, at(0), Rc::clone(&shared));
        let mut pair = Self(["first", "second"].map(replica));
        for (name, streams) in [("a", 0), ("b", 3)] {
            pair.each(|world| {
                world.statuses.insert(uid(name), serving(streams));
                world.change(pod(name));
            });
        }
        pair
    }

    fn each(&mut self, act: impl FnMut(&mut World)) {
        self.0.iter_mut().for_each(act);
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.each(|world| world.run(1));
        }
    }
}

#[test]
fn one_replica_writes() {
    let mut pair = Pair::new();
    pair.run(60);
    let [first, second] = &pair.0;
    assert!(first.machine.is_leader() && !second.machine.is_leader());
    assert_eq!((first.attempts.len(), second.attempts.len()), (2, 0));
    assert_eq!((first.notices.as_slice(), second.notices.as_slice()), (&[Notice::Leading][..], &[][..]));
}

#[test]
fn standby_takes_over_and_counts_what_the_leader_has_not() {
    let mut pair = Pair::new();
    pair.run(20);
    pair.each(|world| world.change(ended("a", Some(record(1, Outcome::Drained)))));
    let Pair([first, mut second]) = pair;
    assert_eq!(first.outcomes(), ["drained"]);
    second.change(ended("b", Some(record(2, Outcome::Expired))));
    assert_eq!(second.outcomes(), [""; 0]);
    second.run(14);
    assert!(!second.machine.is_leader(), "the lease of the first replica is still valid");
    second.run(6);
    assert!(second.machine.is_leader());
    assert_eq!(second.outcomes(), ["expired"]);
}

#[test]
fn leader_whose_lease_was_taken_stops_to_write() {
    let mut pair = Pair::new();
    pair.run(20);
    let Pair([mut first, _]) = pair;
    if let Some(lease) = &mut first.shared.borrow_mut().lease {
        lease.holder = "another".into();
    }
    first.run(3);
    assert!(!first.machine.is_leader());
    first.serve("a", 9);
    let before = first.attempts.len();
    first.run(10);
    assert_eq!(first.attempts.len(), before);
}

#[test]
fn orderly_exit_releases_the_lease() {
    let mut pair = Pair::new();
    pair.run(20);
    pair.0[0].input(Input::Shutdown);
    pair.0[0].run(2);
    assert!(pair.0[0].machine.is_stopped());
    let Pair([first, mut second]) = pair;
    assert_eq!(first.shared.borrow().lease.as_ref().unwrap().holder, "");
    second.run(3);
    assert!(second.machine.is_leader());
}

#[test]
fn exit_waits_for_lease_that_is_being_written() {
    let mut machine = Controller::new(at(0), Settings::default(), "first".into());
    machine.handle(at(0), Input::LeaseRead(Ok(None)));
    let actions: Vec<Action> = std::iter::from_fn(|| machine.poll_action()).collect();
    assert!(matches!(actions[..], [Action::ReadLease, Action::WriteLease(_)]), "{actions:?}");
    machine.handle(at(1), Input::Shutdown);
    assert!(!machine.is_stopped(), "the lease would keep a holder that has exited");
    machine.handle(at(2), Input::LeaseWritten(true));
    machine.handle(at(3), Input::Tick);
    assert!(machine.is_stopped());
    let actions: Vec<Action> = std::iter::from_fn(|| machine.poll_action()).collect();
    assert!(actions.contains(&Action::ReleaseLease), "{actions:?}");
}

#[test]
fn unreadable_lease_makes_no_leader_and_ends_one() {
    let mut world = World::new(Settings::default());
    world.machine = Controller::new(at(0), Settings::default(), "first".into());
    world.machine.handle(at(0), Input::LeaseRead(Err(())));
    assert!(!world.machine.is_leader());
    let mut leader = World::new(Settings::default());
    leader.input(Input::Tick);
    assert!(leader.machine.is_leader());
    for second in 1..=12 {
        // The API server does not answer: each read fails.
        leader.machine.handle(at(second), Input::LeaseRead(Err(())));
        while leader.machine.poll_action().is_some() {}
        assert_eq!(leader.machine.is_leader(), second < 10, "{second}");
    }
}
