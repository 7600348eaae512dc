//! What happens during a drain, and when.

use std::time::Duration;

use crate::matrix::{EngineBehavior, Scenario, Stage};

/// Something that the test does after the first hook call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    BreakPage,
    RepairPage,
    Behavior,
    ResumeEngine,
    RestartSidecar,
    Disconnect,
}

/// The events after the first hook call, in order of time.
pub(crate) fn events(scenario: &Scenario) -> Vec<(Duration, Event)> {
    let pending = scenario.combination.stage != Stage::Serving;
    let stops = scenario.combination.behavior == EngineBehavior::Stopped;
    let mut events: Vec<_> = scenario.disconnects.iter().map(|at| (*at, Event::Disconnect)).collect();
    events.extend(pending.then_some((scenario.fault_at, Event::BreakPage)));
    events.extend(pending.then_some((scenario.behavior_at, Event::Behavior)));
    events.extend(scenario.repaired_at.map(|at| (at, Event::RepairPage)));
    events.extend(scenario.resumed_at.filter(|_| stops).map(|at| (at, Event::ResumeEngine)));
    events.extend(scenario.restart_at.map(|at| (at, Event::RestartSidecar)));
    events.sort_unstable();
    events
}
