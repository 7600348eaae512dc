//! The JSON status page of Deepgram's API: it is served on the port that streams come to, and goes with it.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::StatusCode;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::io::http::{self, Url};
use lameduck_machine::reading::{Count, ReadError, ReadErrorKind, Reading};

/// The largest page that is read, in bytes.
const LARGEST: usize = 64 * 1024;

/// A status page.
#[derive(Clone, Debug)]
pub struct StatusPage {
    url: Url,
}

/// The fields that count (Deepgram, "Status endpoint" of a self-hosted deployment). The last came with release 260319.
#[derive(Debug, Deserialize)]
struct Fields {
    #[serde(rename = "active_batch_requests")]
    batch: Option<u64>,
    #[serde(rename = "active_stream_requests")]
    streams: Option<u64>,
    #[serde(rename = "active_listen_v2_stream_requests")]
    listen_v2: Option<u64>,
}

impl StatusPage {
    /// The page at `url`.
    #[must_use]
    pub const fn new(url: Url) -> Self {
        Self { url }
    }

    /// Where it is.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Reads the page over this connection, for at most `bound`.
    pub async fn read(&self, connection: Result<TcpStream, ReadError>, bound: Duration) -> Reading {
        let late = || Err(ReadError::new(ReadErrorKind::NoResponse, format!("no whole page within {bound:?}")));
        match tokio::time::timeout(bound, self.fetch(connection)).await.unwrap_or_else(|_| late()) {
            Ok(fields) => Reading::Counts(vec![fields.count()]),
            Err(fault) => Reading::Unknown(ReadError { message: format!("{}: {}", self.url, fault.message), ..fault }),
        }
    }

    async fn fetch(&self, connection: Result<TcpStream, ReadError>) -> Result<Fields, ReadError> {
        let response = http::request(connection?, &self.url, "application/json")
            .await
            .map_err(|error| http::read_error(&error))?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(ReadError::new(ReadErrorKind::NoResponse, format!("status {status}, not 200 OK")));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| ReadError::new(ReadErrorKind::Invalid, format!("page cut off: {error}")))?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| ReadError::new(ReadErrorKind::Invalid, error))
    }
}

impl Fields {
    /// What they count; `None` where none is there. A batch works without receiving a byte, and is never idle.
    fn count(&self) -> Option<Count> {
        let batch = self.batch.map(|batch| Count { streams: batch, never_idle: batch });
        let streams = [self.streams, self.listen_v2].map(|streams| streams.map(Count::of));
        [batch].into_iter().chain(streams).flatten().reduce(Count::plus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(json: &str) -> Option<Count> {
        serde_json::from_str::<Fields>(json).unwrap().count()
    }

    #[test]
    fn the_three_counts_are_added_and_a_batch_is_never_idle() {
        let page = r#"{"system_health":"Healthy","active_batch_requests":1,"active_stream_requests":2,
            "active_listen_v2_stream_requests":4}"#;
        assert_eq!(count(page), Some(Count { streams: 7, never_idle: 1 }));
        assert_eq!(count(r#"{"active_batch_requests":0,"active_stream_requests":2}"#), Some(Count::of(2)));
    }

    #[test]
    fn a_page_without_counts_is_absent_and_never_zero() {
        assert_eq!(count(r#"{"system_health":"Healthy"}"#), None);
    }

    #[test]
    fn a_count_that_is_no_whole_number_is_refused() {
        for wrong in ["-1", "0.5", "\"3\"", "true"] {
            let page = format!(r#"{{"active_stream_requests":{wrong}}}"#);
            assert!(serde_json::from_str::<Fields>(&page).is_err(), "{wrong}");
        }
    }
}
