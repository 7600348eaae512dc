//! The simulated target process.

use lameduck_machine::io::Input;
use lameduck_machine::result::ExitStatus;
use lameduck_machine::target::Incarnation;
use lameduck_machine::time::Time;
use lameduck_test_support::traffic::Traffic;

use super::{Simulation, ticks};

/// One incarnation of the target.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) incarnation: Incarnation,
    pub(super) streams: u64,
    /// Streams on the page that are never idle.
    pub(super) batch: u64,
    pub(super) traffic: Traffic,
    pub(super) signalled: bool,
    pub(super) exiting: bool,
}

impl Simulation {
    pub(super) fn change_load(&mut self, change: impl FnOnce(&mut Process, Time)) {
        self.load_changed_at = self.now;
        if let Some(process) = &mut self.process {
            change(process, self.now);
        }
    }

    pub(super) fn set_streams(&mut self, streams: u64) {
        if let Some(process) = &mut self.process {
            process.streams = streams;
        }
        self.exit_if_empty();
    }

    pub(super) fn exit_if_empty(&mut self) {
        let is_empty = |process: &Process| process.streams + process.batch == 0 && process.traffic.flows.is_empty();
        let exits = |process: &Process| process.signalled && is_empty(process);
        if self.behaviour.exits_when_empty && self.process.as_ref().is_some_and(exits) {
            self.exit_process(ExitStatus::Code(0));
        }
    }

    pub(super) fn exit_process(&mut self, status: ExitStatus) {
        let Some(process) = self.process.take() else { return };
        if self.watched == Some(process.incarnation) {
            self.input(Input::Exited(process.incarnation, status));
        }
        if self.policy.is_parent() {
            self.input(Input::ChildEnded { may_leave_target: false });
        }
    }

    pub(super) fn start_process(&mut self) {
        if self.process.is_none() {
            self.incarnations += 1;
            let incarnation = Incarnation { pid: self.incarnations, started: ticks(self.now) };
            let traffic = Traffic::new(self.now).in_direction(self.policy.idle.rule.direction);
            self.process =
                Some(Process { incarnation, streams: 0, batch: 0, traffic, signalled: false, exiting: false });
        }
    }
}
