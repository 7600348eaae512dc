//! docs/metrics.md agrees with the metrics page of a real sidecar in a drain, and its queries and alerts are valid.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::lifecycle::Fixture;
use lameduck_test_support::port::Port;
use lameduck_test_support::sidecar::QUICK_TIMES;
use lameduck_test_support::skip::skip;

const PAGE: &str = include_str!("../../../docs/metrics.md");

/// A row of the table: the type, the values of each label, and the query. A label without listed values has any.
#[derive(Debug)]
struct Family {
    kind: String,
    labels: BTreeMap<String, BTreeSet<String>>,
    query: String,
}

fn code_spans(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The labels of a cell such as "`source`, `result` (`ok`, `absent`)".
fn labels(cell: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut labels = BTreeMap::new();
    for part in cell.split("), ").flat_map(|part| match part.split_once(" (") {
        // Only the last label before a bracket has the values in it.
        Some((names, values)) => {
            let mut names = code_spans(names);
            let last = names.pop().unwrap();
            let others = names.into_iter().map(|name| (name, BTreeSet::new()));
            others.chain([(last, code_spans(values).into_iter().collect())]).collect::<Vec<_>>()
        }
        None => code_spans(part).into_iter().map(|name| (name, BTreeSet::new())).collect(),
    }) {
        labels.insert(part.0, part.1);
    }
    labels
}

fn documented() -> BTreeMap<String, Family> {
    let (_, table) = PAGE.split_once("## Families").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let family = |row: &str| {
        let cells: Vec<&str> = row.split(" |").map(str::trim).collect();
        let [name, kind, label_cell, unit, _, query, ..] = cells[..] else { panic!("{cells:?}") };
        let name = name.trim_end_matches('`').to_owned();
        assert_eq!(unit == "seconds", name.ends_with("_seconds"), "{name}: {unit}");
        let query = query.trim_matches('`').to_owned();
        assert!(query.contains(&format!("lameduck_{name}")), "{name}: {query}");
        (name, Family { kind: kind.to_owned(), labels: labels(label_cell), query })
    };
    rows.map(family).collect()
}

/// The label values of each sample of a family on a page, without `le`.
fn samples(page: &str, family: &str) -> Vec<BTreeMap<String, String>> {
    let name = |line: &str| line.split(['{', ' ']).next().unwrap().to_owned();
    let is_of_family = |line: &&str| {
        let name = name(line);
        let suffix = name.strip_prefix("lameduck_").and_then(|name| name.strip_prefix(family));
        suffix.is_some_and(|suffix| ["", "_bucket", "_sum", "_count"].contains(&suffix))
    };
    let labels = |line: &str| {
        let inside = line.split_once('{').map_or("", |(_, rest)| rest.split_once('}').unwrap().0);
        let pairs = inside.split(',').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(label, value)| (label.to_owned(), value.trim_matches('"').to_owned()));
        pairs.filter(|(label, _)| label != "le").collect()
    };
    page.lines().filter(is_of_family).map(labels).collect()
}

/// What the page says differently from the document.
fn differences(page: &str, documented: &BTreeMap<String, Family>) -> Vec<String> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE lameduck_")?.split_once(' '));
    let types: BTreeMap<&str, &str> = types.collect();
    let mut differences = Vec::new();
    for (name, kind) in &types {
        let Some(family) = documented.get(*name) else {
            differences.push(format!("{name} is not documented"));
            continue;
        };
        if family.kind != *kind {
            differences.push(format!("{name} is a {kind}"));
        }
        for sample in samples(page, name) {
            let same_labels = sample.keys().eq(family.labels.keys());
            let has = |(label, value): (&String, &String)| {
                family.labels.get(label).is_some_and(|values| values.is_empty() || values.contains(value))
            };
            if !same_labels || !sample.iter().all(has) {
                differences.push(format!("{name} has the labels {sample:?}"));
            }
        }
    }
    differences
        .extend(documented.keys().filter(|name| !types.contains_key(name.as_str())).map(|name| format!("no {name}")));
    differences
}

#[test]
fn metrics_page_in_a_drain_has_the_documented_families() {
    let mut fixture = Fixture::with_streams(2);
    let port = Port::open();
    let number = port.number().to_string();
    let args = [&QUICK_TIMES[..], &["--activity-port", &number, "--idle-after", "4s"]].concat();
    let sidecar = fixture.start_ready(&args);
    // One of the two streams is active, so the drain goes on.
    let _connection = port.connect().sending(2000);
    sidecar.wait_for_status("/idle_streams", 1);
    let _hook = sidecar.call_hook();
    fixture.target.wait_for("INT");
    sidecar.wait_for_status("/drain/signalled", true);
    sidecar.wait_for_readings(1);
    let documented = documented();
    let page = sidecar.get("/metrics").body;
    assert_eq!(differences(&page, &documented), [""; 0], "{page}");
    let values = |name: &str, label: &str| {
        samples(&page, name).iter().map(|sample| sample[label].clone()).collect::<BTreeSet<_>>()
    };
    // These labels have all their values from the start.
    for (name, label) in [("phase", "phase"), ("drains_total", "outcome"), ("target_exits_total", "during")] {
        assert_eq!(values(name, label), documented[name].labels[label], "{name}");
    }
}

#[test]
fn differences_from_the_document_are_found() {
    let documented = documented();
    let page = "# TYPE lameduck_streams counter\nlameduck_streams 1\n# TYPE lameduck_other gauge\n\
                # TYPE lameduck_phase gauge\nlameduck_phase{phase=\"idle\"} 1\n";
    let found = differences(page, &documented);
    for expected in ["streams is a counter", "other is not documented", "phase has the labels", "no build_info"] {
        assert!(found.iter().any(|difference| difference.starts_with(expected)), "no {expected:?} in {found:?}");
    }
    assert_eq!(found.len(), 3 + documented.len() - 2);
}

/// The queries of the table and of the code block, as a file of rules.
fn query_rules() -> String {
    let (_, block) = PAGE.split_once("```promql\n").unwrap();
    let lines = block.split("```").next().unwrap().lines().filter(|line| !line.starts_with('#')).map(str::to_owned);
    let queries = documented().into_values().map(|family| family.query).chain(lines);
    let mut rules = "groups:\n  - name: queries\n    rules:\n".to_owned();
    for (index, query) in queries.enumerate() {
        let _ = write!(rules, "      - record: query_{index}\n        expr: |\n          {query}\n");
    }
    rules
}

#[test]
fn documented_queries_and_alerts_are_valid() {
    let alerts = PAGE.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned());
    let dir = std::env::temp_dir().join(format!("lameduck-rules-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    for (index, rules) in alerts.chain([query_rules()]).enumerate() {
        let file = dir.join(format!("{index}.yaml"));
        fs::write(&file, &rules).unwrap();
        let Ok(output) = Command::new("promtool").args(["check", "rules"]).arg(&file).output() else {
            return skip("no promtool");
        };
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}\n{rules}");
    }
    fs::remove_dir_all(dir).unwrap();
}
