//! The metrics page of the fleet.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use lameduck_fleet_machine::controller::Controller;
use lameduck_fleet_machine::report::FleetOutcome;
use lameduck_fleet_machine::status::SidecarPhase;

/// Renders the page.
#[must_use]
pub fn render(machine: &Controller) -> String {
    let mut page = Page::default();
    page.family("leader", "gauge", "1 if this replica is the leader, otherwise 0.");
    page.sample("leader", "", u8::from(machine.is_leader()));
    streams(&mut page, machine);
    drains(&mut page, machine);
    page.family("build_info", "gauge", "Version of the running lameduck-fleet. Always 1.");
    page.sample("build_info", concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1);
    page.0
}

fn streams(page: &mut Page, machine: &Controller) {
    let (mut streams, mut pods) = (BTreeMap::new(), BTreeMap::new());
    let mut unread = 0_u64;
    for entry in machine.pods() {
        let Some(phase) = entry.status.phase else {
            unread += 1;
            continue;
        };
        let open = entry.status.current_load.map_or(0, |load| load.active.saturating_add(load.idle));
        *streams.entry(phase).or_insert(0_u64) += open;
        *pods.entry(phase).or_insert(0_u64) += 1;
    }
    page.family("streams", "gauge", "Number of open streams, by the phase of their pod. Unknown counts are left out.");
    for phase in SidecarPhase::ALL {
        page.sample("streams", &format!("phase=\"{}\"", phase.name()), streams.get(&phase).unwrap_or(&0));
    }
    page.family("pods", "gauge", "Number of pods whose sidecar answers, by phase.");
    for phase in SidecarPhase::ALL {
        page.sample("pods", &format!("phase=\"{}\"", phase.name()), pods.get(&phase).unwrap_or(&0));
    }
    page.family("pods_unreadable", "gauge", "Number of pods whose sidecar does not answer.");
    page.sample("pods_unreadable", "", unread);
}

fn drains(page: &mut Page, machine: &Controller) {
    let workloads: Vec<(String, _)> = machine
        .history()
        .workloads()
        .map(|(workload, counters)| {
            let (namespace, name) = (escaped(&workload.namespace), escaped(&workload.name));
            (format!("namespace=\"{namespace}\",workload=\"{name}\""), counters)
        })
        .collect();
    page.family(
        "drains_total",
        "counter",
        "Number of drains, by outcome. A drain whose outcome was never seen is lost.",
    );
    for (labels, counters) in &workloads {
        for outcome in FleetOutcome::ALL {
            page.sample("drains_total", &format!("{labels},outcome=\"{}\"", outcome.name()), counters.drains(outcome));
        }
    }
    page.family("stragglers_total", "counter", "Number of streams that drains are known to have cut.");
    for (labels, counters) in &workloads {
        page.sample("stragglers_total", labels, counters.stragglers);
    }
    page.family("drain_seconds_total", "counter", "Time that pods have spent in drains.");
    for (labels, counters) in &workloads {
        page.sample("drain_seconds_total", labels, counters.drain_time.as_secs_f64());
    }
    page.family(
        "drain_device_seconds_total",
        "counter",
        "Time that pods have spent in drains, times the devices that they request.",
    );
    for (labels, counters) in &workloads {
        for (resource, time) in &counters.device_time {
            let labels = format!("{labels},resource=\"{}\"", escaped(resource));
            page.sample("drain_device_seconds_total", &labels, time.as_secs_f64());
        }
    }
}

/// A label value with the escapes of the text format.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[derive(Default)]
struct Page(String);

impl Page {
    // Writing to a string never fails.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP lameduck_fleet_{name} {help}\n# TYPE lameduck_fleet_{name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(self.0, "lameduck_fleet_{name}{labels} {value}");
    }
}
