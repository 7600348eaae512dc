//! The JSON of `/outcomes`: the last drains, and since when all of them are known.

use lameduck_fleet_machine::controller::Controller;
use lameduck_fleet_machine::report::{DrainReport, Finding};
use lameduck_machine::time::Time;
use serde_json::{Value, json};

/// The page. `wall_clock` formats a time of the machine.
#[must_use]
pub fn render(machine: &Controller, wall_clock: impl Fn(Time) -> String) -> String {
    let history = machine.history();
    let outcomes: Vec<Value> = history.outcomes().map(|report| outcome(report, &wall_clock(report.seen_at))).collect();
    json!({"since": wall_clock(history.since()), "outcomes": outcomes}).to_string()
}

/// One drain, as in the page and in the log.
#[must_use]
pub fn outcome(report: &DrainReport, time: &str) -> Value {
    let record = report.record();
    let streams_at_start = match &report.finding {
        Finding::Recorded(record) => record.streams_at_start,
        Finding::Lost(lost) => lost.streams_at_start,
    };
    json!({
        "time": time,
        "namespace": report.pod.namespace, "pod": report.pod.name, "uid": report.pod.uid.0,
        "workload": report.owner.workload,
        "id": record.map(|record| record.id.to_string()),
        "outcome": report.outcome().name(),
        "streams_at_start": streams_at_start,
        "stragglers": record.and_then(|record| record.stragglers),
        "idle_streams": record.map(|record| record.idle_streams),
        "seconds": report.duration().as_secs_f64(),
        "warnings": record.map_or(&[][..], |record| record.warnings.as_slice()),
    })
}
