//! One pod whose records are compared with what its clients saw.

use serde_json::Value;

use super::expected;
use crate::support::client::{Client, Endings};
use crate::support::clock::{TIMEOUT, now, poll, since};
use crate::support::log::Log;
use crate::support::manifest::{LAMEDUCK, Manifest};
use crate::support::matrix::{self, Row};
use crate::support::namespace::{Namespace, text};
use crate::support::node;
use crate::support::pod::Pod;
use crate::support::records::{Scraper, Termination, describe, last_record, terminations, warnings};

/// A pod with open streams.
pub(super) struct Run<'a> {
    pub(super) pod: Pod<'a>,
    /// The logs of the sidecar's runs.
    logs: Vec<Log>,
    client: Client,
    scraper: Scraper,
}

/// What the records of a scenario say, as texts of the table. Where two are listed, both are possible.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    /// What happens.
    pub(super) scenario: &'a str,
    pub(super) clients: &'a str,
    pub(super) message: &'a [&'a str],
    pub(super) log: &'a [&'a str],
    pub(super) exit_code: &'a [&'a str],
    pub(super) metrics: &'a [&'a str],
}

impl<'a> Run<'a> {
    /// Starts the pod, and opens streams of these durations.
    pub(super) fn start(namespace: &'a Namespace, manifest: &Manifest, durations: &str) -> Self {
        let streams = durations.split(',').count();
        Self::start_with(namespace, manifest, streams, &["--streams", &streams.to_string(), "--durations", durations])
    }

    /// Starts the pod, and a client with these arguments, which opens this many streams.
    pub(super) fn start_with(namespace: &'a Namespace, manifest: &Manifest, streams: usize, client: &[&str]) -> Self {
        let pod = namespace.start(manifest);
        pod.wait_ready();
        let client = pod.client(client);
        pod.engine.wait_for(&format!("stream {streams} opened"));
        let counted = || (pod.get("/status").json()["streams"] == streams).then_some(());
        poll(TIMEOUT, counted).unwrap_or_else(|| panic!("timed out waiting for {streams} counted streams"));
        let scraper = Scraper::start(&pod);
        let logs = vec![pod.lameduck.clone()];
        Self { pod, logs, client, scraper }
    }

    /// Deletes the pod, and waits until its object and its processes are gone.
    pub(super) fn delete_and_wait(&self, args: &[&str]) {
        let sidecar = self.pod.process("lameduck");
        let deleted = now();
        self.pod.delete(args);
        self.pod.wait_gone();
        node::wait_until_ended(sidecar);
        println!("         {} was gone after {} s", self.pod.name, since(deleted).as_secs());
    }

    /// Reads the log of the sidecar's second run as well. Its file disappears with the pod.
    pub(super) fn follow_restarted_sidecar(&mut self) {
        self.logs.push(self.pod.log(LAMEDUCK, 1));
    }

    /// Waits until the metrics of a sidecar that is not stopped have this line.
    pub(super) fn wait_for_metric(&self, line: &str) {
        let has_line = || self.pod.get("/metrics").body.lines().any(|found| found == line).then_some(());
        poll(TIMEOUT, has_line).unwrap_or_else(|| panic!("timed out waiting for {line}"));
    }

    /// Compares the records with what the clients saw and with what is expected, and adds them to the table.
    pub(super) fn finish(self, expected: &Expected<'_>) -> String {
        let endings = self.client.endings();
        let ends = terminations(&self.pod);
        let logged = self.logs.iter().filter_map(last_record).next_back();
        let message = ends.last().and_then(Termination::record);
        for record in [&message, &logged].into_iter().flatten() {
            assert_says_no_less(record, ends.last().map(|end| end.exit_code), &endings);
        }
        if let (Some(message), Some(logged)) = (&message, &logged) {
            assert_eq!(message["id"], logged["id"], "the records are of one drain");
        }
        let texts = [
            describe_endings(&endings),
            join(&ends, |end| describe(end.record().as_ref())),
            self.describe_log(logged.as_ref()),
            join(&ends, |end| end.exit_code.to_string()),
            self.scraper.describe(),
        ];
        let found = texts.join(" | ");
        let is_silent = texts[1] == "none" && texts[2] == "none";
        assert!(endings.cut == 0 || !is_silent, "streams were cut, and nothing says so: {found}");
        let columns = expected.columns();
        for (text, allowed) in texts.iter().zip(columns) {
            // The last counters may not be scraped in time.
            let is_unscraped = allowed == expected.metrics && text == UNSCRAPED;
            assert!(is_unscraped || allowed.contains(&text.as_str()), "expected {allowed:?}, found {found}");
        }
        let cells = columns.map(|allowed| allowed.join(" *or* "));
        let cells = [expected.scenario.to_owned()].into_iter().chain(cells).collect();
        matrix::add(Row { position: expected::position(expected), cells });
        let cause = endings.failures.first().map(|failure| format!("; {failure}"));
        found + cause.as_deref().unwrap_or_default()
    }

    /// The last record, or what else the log says about streams.
    fn describe_log(&self, record: Option<&Value>) -> String {
        let lines = || self.logs.iter().flat_map(Log::lines).filter_map(|line| serde_json::from_str(&line).ok());
        let about_streams = |line: &Value| STREAMS_LOGGED.iter().any(|message| line["message"] == *message);
        match (record, lines().rfind(about_streams)) {
            (None, Some(line)) => format!("no record; `{}`, {} streams", text(&line["message"]), line["streams"]),
            (record, _) => describe(record),
        }
    }
}

/// The metrics before anything was cut.
const UNSCRAPED: &str = "`stragglers_total` 0";

/// Log lines without a record, with the number of streams.
const STREAMS_LOGGED: [&str; 3] =
    ["the target has ended while it was serving, and its streams with it", "SIGTERM received", "draining"];

impl<'a> Expected<'a> {
    /// The columns of the table, after the scenario.
    fn columns(&'a self) -> [&'a [&'a str]; 5] {
        [std::slice::from_ref(&self.clients), self.message, self.log, self.exit_code, self.metrics]
    }
}

/// The rule that every row keeps: no record says less than the clients saw, and a clean drain is not accused.
fn assert_says_no_less(record: &Value, exit_code: Option<i64>, endings: &Endings) {
    let facts = format!("{endings:?}, exit code {exit_code:?}: {record}");
    let idle = record["idle_streams"].as_u64().expect("a number");
    match record["stragglers"].as_u64() {
        Some(stragglers) if record["outcome"] != "interrupted" => {
            assert!(stragglers + idle >= endings.cut, "it says less than the clients saw: {facts}");
            assert!(stragglers <= endings.cut, "it accuses a clean drain: {facts}");
        }
        Some(stragglers) => assert!(stragglers >= endings.cut, "it says less than the clients saw: {facts}"),
        None => {
            let is_explained = record["outcome"] == "interrupted" || !warnings(record).is_empty();
            assert!(endings.cut > 0 && is_explained && exit_code != Some(0), "unknown without a warning: {facts}");
        }
    }
    assert!(exit_code != Some(0) || endings.cut <= idle, "exit code 0 although streams were cut: {facts}");
    assert!(exit_code != Some(10) || endings.cut > 0, "exit code 10 although no stream was cut: {facts}");
}

fn describe_endings(endings: &Endings) -> String {
    assert_eq!(endings.refused, 0, "{endings:?}");
    match (endings.clean, endings.cut) {
        (clean, 0) => format!("{clean} complete"),
        (0, cut) => format!("{cut} cut"),
        (clean, cut) => format!("{clean} complete, {cut} cut"),
    }
}

/// The texts of all ends of a container, in their order.
fn join(ends: &[Termination], text: impl Fn(&Termination) -> String) -> String {
    if ends.is_empty() {
        return "none".to_owned();
    }
    ends.iter().map(text).collect::<Vec<_>>().join("; then ")
}
