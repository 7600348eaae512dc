//! `POST /deadline`: the controller of the fleet shortens the deadline of a drain.
//!
//! A deadline that is too early cuts streams. So every call needs the token, also from loopback, and without
//! `--token-file` every call is rejected.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::{Method, Request as HttpRequest, StatusCode};
use serde::{Deserialize, Serialize};

use super::response::{HttpResponse, json, method_not_allowed, shutting_down, text};
use super::{HEAD_TIMEOUT, ServerState, query};
use crate::io::rounding::rounded_seconds;
use crate::queue::Request;

/// The maximum size of the body, in bytes.
const MAX_BODY_BYTES: usize = 1024;

const EXAMPLE: &str = r#"send JSON such as {"remaining_seconds": 595.0}"#;

/// The body of the request, and of the response.
#[derive(Debug, Deserialize, Serialize)]
struct Deadline {
    remaining_seconds: f64,
}

/// Shortens the deadline of the drain in progress.
pub(super) async fn shorten(request: HttpRequest<Incoming>, state: &ServerState) -> HttpResponse {
    if request.method() != Method::POST {
        return method_not_allowed("POST");
    }
    let Some(token) = &state.token else {
        return text(
            StatusCode::FORBIDDEN,
            "the sidecar has no --token-file, and without it no deadline can be changed",
        );
    };
    if !token.authorizes(request.headers().get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes)) {
        return text(StatusCode::FORBIDDEN, "the header `Authorization: Bearer …` with the token is missing or wrong");
    }
    let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect();
    let remaining = match tokio::time::timeout(HEAD_TIMEOUT, body).await {
        Ok(Ok(body)) => parse(&body.to_bytes()),
        Ok(Err(_)) => Err(format!("the body is incomplete or longer than {MAX_BODY_BYTES} bytes; {EXAMPLE}")),
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
    };
    match remaining {
        Ok(remaining) => respond(remaining, state).await,
        Err(error) => text(StatusCode::BAD_REQUEST, &error),
    }
}

async fn respond(remaining: Duration, state: &ServerState) -> HttpResponse {
    match query(&state.queue, |reply| Request::ShortenDeadline(remaining, reply)).await {
        Some(Some(remaining)) => {
            let deadline = Deadline { remaining_seconds: rounded_seconds(remaining) };
            json(&serde_json::to_string(&deadline).unwrap_or_default())
        }
        Some(None) => text(StatusCode::CONFLICT, "no drain is in progress"),
        None => shutting_down(),
    }
}

fn parse(body: &[u8]) -> Result<Duration, String> {
    let deadline: Deadline = serde_json::from_slice(body).map_err(|error| format!("{error}; {EXAMPLE}"))?;
    let seconds = deadline.remaining_seconds;
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("remaining_seconds {seconds:?}: {error}; {EXAMPLE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_a_number_of_seconds() {
        for (body, seconds) in [
            (r#"{"remaining_seconds":595.0}"#, 595.0),
            (r#" {"remaining_seconds": 20, "reason": "evicted"} "#, 20.0),
            (r#"{"remaining_seconds":0}"#, 0.0),
        ] {
            assert_eq!(parse(body.as_bytes()), Ok(Duration::from_secs_f64(seconds)), "{body}");
        }
    }

    #[test]
    fn invalid_body_is_refused_with_example() {
        for (body, reason) in [
            ("", "EOF"),
            ("595", "invalid type"),
            (r#"{"remaining":1}"#, "missing field `remaining_seconds`"),
            (r#"{"remaining_seconds":"1"}"#, "invalid type"),
            (r#"{"remaining_seconds":null}"#, "invalid type"),
            (r#"{"remaining_seconds":-1}"#, "remaining_seconds -1.0: "),
            (r#"{"remaining_seconds":1e300}"#, "remaining_seconds 1e300: "),
        ] {
            let error = parse(body.as_bytes()).unwrap_err();
            assert!(error.contains(reason) && error.ends_with(EXAMPLE), "{body}: {error}");
        }
    }
}
