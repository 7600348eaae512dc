//! The API's status page, `GET /v1/status`: JSON with three counts.

use crate::kind::Kind;
use crate::page::{Page, displayed_count};
use crate::statistics::Statistics;

/// Writes the page as text, not with a serializer: a false count such as `NaN` is not valid JSON.
///
/// As documented, it has no count of synthesis: the page does not show all of the API's work.
pub(crate) fn render(statistics: &Statistics, page: Page) -> String {
    let count = |kind| displayed_count(kind, statistics.of(kind).active, page);
    let [batch, stream, flux] = [Kind::Batch, Kind::Stream, Kind::Flux].map(count);
    format!(
        r#"{{"system_health":"Healthy","active_batch_requests":{batch},"active_stream_requests":{stream},"active_listen_v2_stream_requests":{flux}}}"#
    )
}
