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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use lameduck_fleet_machine::io::{Action, Input, RecordResult};
    use lameduck_fleet_machine::pod::{Annotations, Owner, Pod, PodPhase, PodRef, PodUid, Sidecar, SidecarState};
    use lameduck_fleet_machine::settings::Settings;
    use lameduck_machine::time::Time;

    use super::*;
    use crate::{outcomes, sidecar_json};

    const OUTCOME: &str = r#"{"id":"6f0c2d9be1a74b13","outcome":"expired","streams_at_start":14,"stragglers":2,"idle_streams":0,"seconds":2.5,"warnings":["no_hook"]}"#;

    fn pod(name: &str, state: SidecarState) -> Box<Pod> {
        Box::new(Pod {
            pod: PodRef { uid: PodUid(name.into()), namespace: "speech".into(), name: name.into() },
            owner: Owner { workload: "api".into(), ..Owner::default() },
            phase: PodPhase::Alive,
            ip: Some([10, 0, 0, 7].into()),
            started_at: None,
            grace_period: Duration::from_secs(600),
            deletion: None,
            annotations: Annotations::default(),
            sidecar: Sidecar::in_state(state),
            devices: BTreeMap::from([("nvidia.com/gpu".to_owned(), 2)]),
        })
    }

    /// A leader that has seen a busy pod, and the end of another one.
    fn machine() -> Controller {
        let now = Time::since_boot(Duration::from_secs(100));
        let settings = Settings { leader_election: false, ..Settings::default() };
        let mut machine = Controller::new(now, settings, "first".into());
        machine.handle(now, Input::Changed(pod("busy", SidecarState::Running)));
        let status = r#"{"phase":"serving","streams":3,"idle_streams":1,"drain":null,"outcome":null}"#;
        let status = sidecar_json::status(status.as_bytes()).ok();
        machine.handle(now, Input::Polled { uid: PodUid("busy".into()), requested_at: now, status });
        let record = sidecar_json::record(OUTCOME);
        machine.handle(now, Input::Deleted(pod("gone", SidecarState::Terminated { exit_code: 10, record })));
        while let Some(action) = machine.poll_action() {
            if let Action::Record { report, .. } = action {
                machine.handle(now, Input::Recorded(report.key, RecordResult::New));
            }
        }
        machine
    }

    #[test]
    fn page_shows_streams_and_drains() {
        let page = render(&machine());
        let labels = "namespace=\"speech\",workload=\"api\"";
        for line in [
            "lameduck_fleet_leader 1".to_owned(),
            "lameduck_fleet_streams{phase=\"serving\"} 3".to_owned(),
            "lameduck_fleet_streams{phase=\"draining\"} 0".to_owned(),
            format!("lameduck_fleet_drains_total{{{labels},outcome=\"expired\"}} 1"),
            format!("lameduck_fleet_drains_total{{{labels},outcome=\"lost\"}} 0"),
            format!("lameduck_fleet_stragglers_total{{{labels}}} 2"),
            format!("lameduck_fleet_drain_seconds_total{{{labels}}} 2.5"),
            format!("lameduck_fleet_drain_device_seconds_total{{{labels},resource=\"nvidia.com/gpu\"}} 5"),
        ] {
            assert!(page.lines().any(|other| other == line), "no {line} in\n{page}");
        }
    }

    #[test]
    fn outcomes_have_the_record_and_say_since_when() {
        let page = outcomes::render(&machine(), |time| format!("{} s", time.as_duration().as_secs()));
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        assert_eq!(page["since"], "100 s");
        let outcome = &page["outcomes"][0];
        let expected = serde_json::json!({"time": "100 s", "namespace": "speech", "pod": "gone", "uid": "gone",
            "workload": "api", "id": "6f0c2d9be1a74b13", "outcome": "expired", "streams_at_start": 14, "stragglers": 2,
            "idle_streams": 0, "seconds": 2.5, "warnings": ["no_hook"]});
        assert_eq!(outcome, &expected);
    }
}
