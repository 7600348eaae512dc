//! The metrics page: one GET, parsed line by line as the bytes arrive.

mod response;

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::io::http::kept::{Idle, KeptConnection};
use crate::io::http::{self, AfterResponse, Url};
use crate::suggest::gauges::{Gauges, Suggestion};
use lameduck_machine::reading::{Count, Counter, PageProcess, ReadError, ReadErrorKind, Reading, Source};
use lameduck_machine::target::Incarnation;
use lameduck_parsers::exposition::{self, Page, Sum};
use lameduck_parsers::selector::Selector;
pub use response::PageResponse;

/// A metrics page and the selectors of its series.
#[derive(Debug)]
pub struct MetricsPage {
    url: Url,
    selectors: PageSelectors,
    /// The same selectors as one list, for the parser.
    list: Vec<Selector>,
    /// Whether every selector of the series that exist from the start has matched in the last page. The text of the
    /// page is kept only while this is false.
    matched: AtomicBool,
    /// The connection that [`read_kept`](Self::read_kept) uses.
    pub connection: KeptConnection,
}

/// The series that are read from a page.
#[derive(Clone, Debug, Default)]
pub struct PageSelectors {
    /// The series that exist from the start.
    pub eager: Vec<Selector>,
    /// The series that appear with the first request.
    pub lazy: Vec<Selector>,
    /// Which of both count streams that can be idle.
    pub idle: Vec<Selector>,
    /// The series with the target's own limit of streams.
    pub capacity: Option<Selector>,
}

/// The sums of a page, by the kind of their selectors. A sum is `None` if no series matches its selector.
#[derive(Clone, Debug)]
pub struct PageSums {
    /// One for each of [`PageSelectors::eager`].
    pub eager: Vec<Option<Sum>>,
    /// One for each of [`PageSelectors::lazy`].
    pub lazy: Vec<Option<Sum>>,
    /// The sum of [`PageSelectors::capacity`].
    pub capacity: Option<Sum>,
}

/// The result of reading a page.
#[derive(Clone, Debug)]
pub struct PageReadings {
    /// The reading of every source on the page.
    pub readings: Vec<(Source, Reading)>,
    /// The target's own limit of streams, if there is a selector for it and it matches.
    pub capacity: Option<u64>,
    /// What the page has instead, if a selector matched nothing.
    pub instead: Option<Suggestion>,
    /// What the page says about the process that served it; `None` if it could not be read.
    pub process: Option<PageProcess>,
}

impl PageReadings {
    /// Whether every source on the page was read, and none counts a stream.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.readings.iter().all(|(_, reading)| match reading {
            Reading::Counts(counts) => counts.iter().flatten().all(|count| count.streams == 0),
            Reading::Unknown(_) => false,
        })
    }

    /// Whether the page shows when its process started.
    #[must_use]
    pub fn shows_start(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.started_at.is_some())
    }
}

/// What was read of a page.
struct PageContent {
    sums: PageSums,
    process: PageProcess,
    /// Its text, as far as it is kept for suggestions.
    kept: Vec<u8>,
}

/// How much of a page is kept for suggestions, in bytes: the sidecar's container may have little memory.
pub const MAX_KEPT_BYTES: usize = 256 * 1024;

/// The page is also requested over a new connection if the kept one gives none within the timeout divided by this.
const KEPT_SHARE: u32 = 4;

impl PageSelectors {
    /// The selectors of all sums, as one list for the parser.
    #[must_use]
    pub fn to_list(&self) -> Vec<Selector> {
        self.eager.iter().chain(&self.lazy).chain(&self.capacity).cloned().collect()
    }

    /// Sorts the parser's sums for [`to_list`](Self::to_list).
    #[must_use]
    pub fn sort(&self, sums: Vec<Option<Sum>>) -> PageSums {
        let mut sums = sums.into_iter();
        PageSums {
            eager: sums.by_ref().take(self.eager.len()).collect(),
            lazy: sums.by_ref().take(self.lazy.len()).collect(),
            capacity: sums.next().flatten(),
        }
    }
}

impl MetricsPage {
    /// The page at `url`.
    #[must_use]
    pub fn new(url: Url, selectors: PageSelectors) -> Self {
        let list = selectors.to_list();
        Self { url, selectors, list, matched: AtomicBool::new(false), connection: KeptConnection::default() }
    }

    /// The page's URL.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Reads the page over this connection, for at most `timeout`. Every source of the page gets a reading.
    pub async fn read(&self, connection: Result<TcpStream, ReadError>, timeout: Duration) -> PageReadings {
        let fetch = async {
            let mut response = PageResponse::request(connection?, &self.url, AfterResponse::Close).await?;
            self.fetch(&mut response).await
        };
        self.to_readings(http::with_timeout(&self.url, timeout, fetch).await).await
    }

    /// Reads the page, for at most `timeout`, over the connection that the last call has kept for this target, or a new
    /// one. Keeps it if that is allowed, and if the page was read without an error.
    ///
    /// A kept connection alone never makes a reading fail: if it gives no page, a new one is opened.
    pub async fn read_kept(&self, target: Option<Incarnation>, timeout: Duration) -> PageReadings {
        let fetch = async {
            let Some(idle) = self.connection.take(target) else { return self.fetch_new(target, timeout).await };
            let mut kept = pin!(self.fetch_over(idle));
            match tokio::time::timeout(timeout / KEPT_SHARE, &mut kept).await {
                Ok(Ok(content)) => return Ok(content),
                // The server may have closed it at the moment of the request.
                Ok(Err(_)) => return self.fetch_new(target, timeout).await,
                Err(_) => self.connection.give_up(),
            }
            tokio::select! {
                Ok(content) = kept => Ok(content),
                result = self.fetch_new(target, timeout) => result,
            }
        };
        self.to_readings(http::with_timeout(&self.url, timeout, fetch).await).await
    }

    async fn fetch_new(&self, target: Option<Incarnation>, timeout: Duration) -> Result<PageContent, ReadError> {
        let stream = http::connect_timeout(&self.url, timeout).await?;
        self.fetch_over(Idle { stream, target, requests: 0 }).await
    }

    /// Reads the page over this connection, and keeps it if possible.
    async fn fetch_over(&self, idle: Idle) -> Result<PageContent, ReadError> {
        let Idle { stream, target, requests } = idle;
        let mut response = PageResponse::request(stream, &self.url, self.connection.after_response()).await?;
        let content = self.fetch(&mut response).await?;
        if let Some(stream) = response.into_idle() {
            self.connection.put_back(Idle { stream, target, requests: requests + 1 });
        }
        Ok(content)
    }

    async fn to_readings(&self, content: Result<PageContent, ReadError>) -> PageReadings {
        match content {
            Ok(PageContent { sums: PageSums { eager, lazy, capacity }, process, kept }) => PageReadings {
                readings: self.readings(&Reading::Counts(counts(&eager)), &Reading::Counts(counts(&lazy))),
                capacity: capacity.map(|sum| sum.total),
                instead: self.suggest(&eager, kept).await,
                process: Some(process),
            },
            Err(error) => {
                let (unknown, capacity) = (Reading::Unknown(error), None);
                let readings = self.readings(&unknown, &unknown);
                PageReadings { readings, capacity, instead: None, process: None }
            }
        }
    }

    /// The readings of the sources that have selectors.
    fn readings(&self, eager: &Reading, lazy: &Reading) -> Vec<(Source, Reading)> {
        let PageSelectors { eager: eager_selectors, lazy: lazy_selectors, .. } = &self.selectors;
        [(Source::Metrics, eager_selectors, eager), (Source::Lazy, lazy_selectors, lazy)]
            .into_iter()
            .filter(|(_, selectors, _)| !selectors.is_empty())
            .map(|(source, _, reading)| (source, reading.clone()))
            .collect()
    }

    /// Suggests another selector for the first one that matches nothing.
    async fn suggest(&self, eager: &[Option<Sum>], mut text: Vec<u8>) -> Option<Suggestion> {
        let missing = eager.iter().position(Option::is_none);
        self.matched.store(missing.is_none(), Ordering::Relaxed);
        let selector = self.selectors.eager.get(missing?)?.clone();
        // A partial last line would look like another series.
        text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        // A hostile page can make this take longer than other events may wait.
        tokio::task::spawn_blocking(move || Gauges::read(&text).suggest(&selector)).await.ok()
    }

    /// Reads the page, and its text as far as it is kept.
    async fn fetch(&self, response: &mut PageResponse) -> Result<PageContent, ReadError> {
        let max_kept = if self.matched.load(Ordering::Relaxed) { 0 } else { MAX_KEPT_BYTES };
        let mut kept = Vec::new();
        let mut page = Page::new(&self.list, response.format).with_idle_selectors(&self.selectors.idle);
        while let Some(bytes) = response.next().await? {
            page.feed(&bytes).map_err(invalid)?;
            kept.extend_from_slice(&bytes[..bytes.len().min(max_kept - kept.len())]);
        }
        let (sums, process) = page.finish_with_process(response.framed).map_err(invalid)?;
        Ok(PageContent { sums: self.selectors.sort(sums), process: page_process(&process), kept })
    }
}

fn invalid(error: impl fmt::Display) -> ReadError {
    ReadError::new(ReadErrorKind::Invalid, error)
}

/// The stream counts of these sums. A series that no idle selector matches may do work that receives no bytes, so its
/// streams are never idle.
fn counts(sums: &[Option<Sum>]) -> Vec<Option<Count>> {
    let count = |sum: Sum| Count { streams: sum.total, never_idle: sum.non_idle };
    sums.iter().map(|sum| sum.map(count)).collect()
}

/// What the page says about its process, in the machine's numbers.
#[must_use]
pub fn page_process(process: &exposition::Process) -> PageProcess {
    let counter = |counter: &exposition::Counter| {
        let exposition::Counter { name, series, value } = counter;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
        let thousandths = (value * 1000.0).round() as u64;
        Counter { name: name.clone(), series: *series, thousandths }
    };
    PageProcess {
        // A time that is too large counts as unknown.
        started_at: process.start_time.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        counters: process.counters.iter().map(counter).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_is_converted_and_great_numbers_are_harmless() {
        let process = |start_time, value| {
            let counters = vec![exposition::Counter { name: "a_total".into(), series: 7, value }];
            page_process(&exposition::Process { start_time, counters })
        };
        let counter = |thousandths| vec![Counter { name: "a_total".into(), series: 7, thousandths }];
        let started_at = Some(Duration::from_millis(1_500));
        assert_eq!(process(Some(1.5), 0.25), PageProcess { started_at, counters: counter(250) });
        assert_eq!(process(Some(1e300), 1e300), PageProcess { started_at: None, counters: counter(u64::MAX) });
    }

    #[test]
    fn sums_are_sorted_by_selector_kind() {
        let selector = |name: &str| name.parse::<Selector>().unwrap();
        let sum = |total| Some(Sum { total, ..Sum::default() });
        let (eager, lazy) = (vec![selector("a"), selector("b")], vec![selector("c")]);
        let selectors = PageSelectors { eager, lazy, idle: vec![selector("a")], capacity: Some(selector("d")) };
        assert_eq!(selectors.to_list(), ["a", "b", "c", "d"].map(selector));
        let sums = selectors.sort(vec![sum(1), None, sum(3), sum(4)]);
        assert_eq!((sums.eager, sums.lazy, sums.capacity), (vec![sum(1), None], vec![sum(3)], sum(4)));
        let without_capacity = PageSelectors { capacity: None, ..selectors };
        assert_eq!(without_capacity.sort(vec![sum(1), sum(2), sum(3)]).capacity, None);
    }
}
