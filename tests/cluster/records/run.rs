//! One pod whose records are compared with what its clients saw.

use serde_json::Value;

use super::expected::{self, Expected};
use crate::support::client::{Client, Endings};
use crate::support::clock::{now, since};
use crate::support::log::Log;
use crate::support::manifest::{LAMEDUCK, Manifest};
use crate::support::matrix::{self, Row};
use crate::support::namespace::{Namespace, text};
use crate::support::node;
use crate::support::pod::{ENDLESS, Pod};
use crate::support::records::{Scraper, Termination, describe, last_record, terminations};

/// A pod with open streams.
pub(super) struct Run<'a> {
    pub(super) pod: Pod<'a>,
    /// The logs of the sidecar's runs.
    logs: Vec<Log>,
    clients: Vec<Client>,
    scraper: Scraper,
}

impl<'a> Run<'a> {
    /// Starts the pod, and opens three streams.
    pub(super) fn start(namespace: &'a Namespace, manifest: &Manifest) -> Self {
        Self::start_with(namespace, manifest, &["3:audio"])
    }

    /// Starts the pod, and one client for each of these, which together open three streams.
    pub(super) fn start_with(namespace: &'a Namespace, manifest: &Manifest, clients: &[&str]) -> Self {
        let pod = namespace.start(manifest);
        pod.wait_ready();
        let client = |streams: &&str| pod.client(&["--streams", streams, "--durations", ENDLESS]);
        let clients = clients.iter().map(client).collect();
        pod.engine.wait_for("stream 3 opened");
        pod.wait_for_status("three streams", |status| status["streams"] == 3);
        let scraper = Scraper::start(&pod);
        let logs = vec![pod.lameduck.clone()];
        Self { pod, logs, clients, scraper }
    }

    /// Deletes the pod, and waits until its object and its processes are gone.
    pub(super) fn delete_and_wait(&self, args: &[&str]) {
        let sidecar = self.pod.process("lameduck");
        self.pod.delete(args);
        self.wait_gone(sidecar);
    }

    /// Deletes the pod, lets the streams of the first client end after the signal, and waits until all is gone.
    pub(super) fn drain_and_wait(&self) {
        let sidecar = self.pod.process("lameduck");
        self.pod.delete(&[]);
        self.end_streams();
        self.wait_gone(sidecar);
    }

    /// Lets the streams of the first client end after the signal.
    pub(super) fn end_streams(&self) {
        self.pod.wait_until_counted_after_signal();
        self.clients[0].end_streams();
    }

    /// After a forced deletion, the object is gone at once, and the processes and logs end later.
    fn wait_gone(&self, sidecar: i32) {
        let start = now();
        self.pod.wait_gone();
        node::wait_until_ended(sidecar);
        node::wait_until_logged(&self.pod.container_ids());
        println!("         waited {} s until {} was gone", since(start).as_secs(), self.pod.name);
    }

    /// Reads the log of the sidecar's second run as well. Its file disappears with the pod.
    pub(super) fn follow_restarted_sidecar(&mut self) {
        self.logs.push(self.pod.log(LAMEDUCK, 1));
    }

    /// Compares the records with what the clients saw and with what is expected, and adds them to the table.
    pub(super) fn finish(self, expected: &Expected) -> String {
        let endings = Endings::of_all(&self.clients);
        let ends = terminations(&self.pod);
        let logged = self.logs.iter().filter_map(last_record).next_back();
        let message = ends.last().and_then(Termination::record);
        for record in [&message, &logged].into_iter().flatten() {
            assert_says_no_less(record, ends.last().map(|end| end.exit_code), &endings);
        }
        if let (Some(message), Some(logged)) = (&message, &logged) {
            assert_eq!(message["id"], logged["id"], "the records are of one drain");
            if message["outcome"] == logged["outcome"] {
                assert_eq!(message["stragglers"], logged["stragglers"], "the records say the same");
            }
        }
        let texts = [
            describe_endings(&endings),
            join(&ends, |end| describe(end.record().as_ref())),
            self.describe_log(logged.as_ref()),
            join(&ends, |end| end.exit_code.to_string()),
            self.scraper.describe(),
        ];
        let is_usual = expected.compare(&texts);
        let found = texts.join(" | ");
        let is_silent = texts[1] == "none" && texts[2] == "none";
        assert!(endings.cut == 0 || !is_silent, "streams were cut, and nothing says so: {found}");
        let cells = expected.usual.columns().map(|allowed| allowed.join(" *or* "));
        let cells = [expected.scenario.to_owned()].into_iter().chain(cells).collect();
        matrix::add(Row { position: expected::position(expected), cells, is_usual });
        let found = if is_usual { found } else { format!("{found} (delayed)") };
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

/// Log lines without a record, with the number of streams.
const STREAMS_LOGGED: [&str; 4] = [
    "the target has ended while it was serving, and its streams with it",
    "SIGTERM received",
    "drain started: not ready, still accepting",
    "draining",
];

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
        None => assert!(endings.cut > 0 && exit_code != Some(0), "it does not know of a clean drain: {facts}"),
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
