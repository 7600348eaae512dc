//! What the records of a drain say: termination message, log, exit code and metrics.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::support::clock::{TIMEOUT, poll};
use crate::support::log::Log;
use crate::support::manifest::LAMEDUCK;
use crate::support::pod::{Pod, status};
use lameduck_test_support::http::request;

/// How often the metrics are scraped: far more often than by any Prometheus.
const SCRAPE_INTERVAL: Duration = Duration::from_millis(250);

/// The series that are records. Those that are zero are left out, except the first.
const RECORDS: [&str; 3] = ["stragglers_total", "drains_total", "target_exits_total{during=\"serving\"}"];

/// One end of a container, as `kubectl get pod --output json` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Termination {
    pub(crate) exit_code: i64,
    pub(crate) message: Option<String>,
}

impl Termination {
    /// The record in the message. With `FallbackToLogsOnError`, a message may also be the end of the log.
    pub(crate) fn record(&self) -> Option<Value> {
        let record: Value = serde_json::from_str(self.message.as_ref()?).ok()?;
        record["outcome"].is_string().then_some(record)
    }
}

/// Every end of lameduck's container in any version of the pod, until the object was deleted.
pub(crate) fn terminations(pod: &Pod) -> Vec<Termination> {
    let mut ends: Vec<(String, Termination)> = Vec::new();
    for event in pod.history() {
        let Some(status) = status(&event["object"], LAMEDUCK) else { continue };
        for state in [&status["lastState"]["terminated"], &status["state"]["terminated"]] {
            let (Some(id), Some(exit_code)) = (state["containerID"].as_str(), state["exitCode"].as_i64()) else {
                continue;
            };
            let end = Termination { exit_code, message: state["message"].as_str().map(str::to_owned) };
            match ends.iter_mut().find(|(known, _)| known == id) {
                Some((_, known)) => *known = end,
                None => ends.push((id.to_owned(), end)),
            }
        }
    }
    ends.into_iter().map(|(_, end)| end).collect()
}

/// The last record in a log.
pub(crate) fn last_record(log: &Log) -> Option<Value> {
    let lines = log.lines();
    let mut records = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records.rfind(|line| line["id"].is_string() && line["outcome"].is_string())
}

/// The codes of the warnings of a record.
pub(crate) fn warnings(record: &Value) -> Vec<String> {
    let codes = record["warnings"].as_array().expect("a list of warnings").iter();
    codes.map(|code| code.as_str().expect("a code").to_owned()).collect()
}

/// What matters in a record, as text for a table.
pub(crate) fn describe(record: Option<&Value>) -> String {
    let Some(record) = record else { return "none".to_owned() };
    let mut text =
        format!("`{}`, {} stragglers", record["outcome"].as_str().expect("an outcome"), record["stragglers"]);
    if record["idle_streams"] != 0 {
        write!(text, ", {} idle", record["idle_streams"]).expect("memory is writable");
    }
    for warning in warnings(record) {
        write!(text, ", `{warning}`").expect("memory is writable");
    }
    text
}

/// Scrapes the metrics of a sidecar until it no longer answers.
pub(crate) struct Scraper {
    last: Arc<Mutex<String>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Scraper {
    /// Starts with a first page.
    pub(crate) fn start(pod: &Pod) -> Self {
        let address = pod.address(8089);
        let first = poll(TIMEOUT, || scrape(address)).expect("the sidecar answers");
        let (last, stop) = (Arc::new(Mutex::new(first)), Arc::default());
        let (pages, stopped): (Arc<Mutex<String>>, Arc<AtomicBool>) = (Arc::clone(&last), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Some(page) = scrape(address) {
                    *pages.lock().expect("no thread panics here") = page;
                }
                thread::sleep(SCRAPE_INTERVAL);
            }
        });
        Self { last, stop, thread: Some(thread) }
    }

    /// The records in the last page that was scraped, as text for a table.
    pub(crate) fn describe(&self) -> String {
        let page = self.last.lock().expect("no thread panics here").clone();
        let records = page.lines().filter_map(|line| {
            let (series, value) = line.strip_prefix("lameduck_")?.split_once(' ')?;
            let position = RECORDS.iter().position(|record| series.starts_with(record))?;
            (value != "0" || position == 0).then(|| format!("`{series}` {value}"))
        });
        let mut records: Vec<String> = records.collect();
        records.sort_by_key(|record| !record.starts_with("`stragglers_total"));
        records.join(", ")
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A page that was sent to its end; `None` if there is none.
fn scrape(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(request("GET", "/metrics", "").as_bytes()).ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    let (head, body) = response.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    // A sidecar that exits answers with an error, or closes the connection early.
    (head.contains(" 200 ") && length == Some(body.len())).then(|| body.to_owned())
}
