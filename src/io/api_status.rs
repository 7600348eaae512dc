//! The JSON status page of Deepgram's API. It is on the same port as the streams, and closes with it.

use std::time::Duration;

use serde::Deserialize;
use tokio::net::TcpStream;

use crate::io::http::{self, AfterResponse, Url};
use lameduck_machine::reading::{Count, ReadError, ReadErrorKind, Reading};

/// The maximum size of the page, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// A status page.
#[derive(Clone, Debug)]
pub struct StatusPage {
    url: Url,
}

/// The fields with counts (Deepgram, "Status endpoint" of a self-hosted deployment). `listen_v2` exists since release
/// 260319.
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

    /// The page's URL.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Reads the page over this connection, for at most `timeout`.
    pub async fn read(&self, connection: Result<TcpStream, ReadError>, timeout: Duration) -> Reading {
        match http::with_timeout(&self.url, timeout, self.fetch(connection)).await {
            Ok(fields) => Reading::Counts(vec![fields.count()]),
            Err(error) => Reading::Unknown(error),
        }
    }

    async fn fetch(&self, connection: Result<TcpStream, ReadError>) -> Result<Fields, ReadError> {
        let response = http::get_over(connection?, &self.url, "application/json", AfterResponse::Close)
            .await
            .map_err(|error| http::read_error(&error))?;
        http::check_status(response.head.status)?;
        let body = response.read_all(MAX_BYTES).await;
        let body =
            body.map_err(|error| ReadError::new(ReadErrorKind::Invalid, format!("cannot read the page: {error}")))?;
        serde_json::from_slice(&body).map_err(|error| ReadError::new(ReadErrorKind::Invalid, error))
    }
}

impl Fields {
    /// The sum of all fields; `None` if the page has none of them. A batch request works without receiving bytes, so it is
    /// never idle.
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
    fn sums_all_fields_and_batch_is_never_idle() {
        let page = r#"{"system_health":"Healthy","active_batch_requests":1,"active_stream_requests":2,
            "active_listen_v2_stream_requests":4}"#;
        assert_eq!(count(page), Some(Count { streams: 7, never_idle: 1 }));
        assert_eq!(count(r#"{"active_batch_requests":0,"active_stream_requests":2}"#), Some(Count::of(2)));
    }

    #[test]
    fn page_without_fields_is_absent_not_zero() {
        assert_eq!(count(r#"{"system_health":"Healthy"}"#), None);
    }

    #[test]
    fn non_integer_count_is_rejected() {
        for invalid in ["-1", "0.5", "\"3\"", "true"] {
            let page = format!(r#"{{"active_stream_requests":{invalid}}}"#);
            assert!(serde_json::from_str::<Fields>(&page).is_err(), "{invalid}");
        }
    }
}
