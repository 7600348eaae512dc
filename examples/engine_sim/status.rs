//! The API's own page, `GET /v1/status`: JSON with three counts.

use crate::kind::Kind;
use crate::page::{Page, shown};
use crate::tally::Tally;

/// Writes the page as text rather than by a serializer: a lie such as `NaN` is no JSON.
///
/// Synthesis has no count on it, as documented: some of the API's work cannot be seen from here.
pub(crate) fn render(tally: &Tally, page: Page) -> String {
    let count = |kind| shown(kind, tally.of(kind).active, page);
    let [batch, stream, flux] = [Kind::Batch, Kind::Stream, Kind::Flux].map(count);
    format!(
        r#"{{"system_health":"Healthy","active_batch_requests":{batch},"active_stream_requests":{stream},"active_listen_v2_stream_requests":{flux}}}"#
    )
}
