//! `lameduck status`: the current state of the sidecar, once or until the user stops it.

use std::fmt::Display;
use std::time::Duration;

use hyper::{Method, StatusCode};

use crate::commands::{CommandError, Exit, block_on, print_line};
use crate::io::http::{self, Url};
use crate::io::report::StatusReport;
use crate::sanitize::sanitize;

pub mod graph;
pub mod history;
pub mod lines;
mod poll;
pub mod screen;
pub mod text;
pub mod view;
pub mod watch;

/// How long the sidecar may take to answer.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest response that is read, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Prints the status.
///
/// # Errors
/// Fails if the sidecar cannot be reached.
pub fn run(address: &Url, json: bool) -> Result<Exit, CommandError> {
    block_on(async {
        let text = get(address, "/status", STATUS_TIMEOUT).await?;
        if json {
            print_line(text.trim_end());
        } else {
            print_line(text::render(&parse(address, &text)?).trim_end());
        }
        Ok(Exit::Success)
    })
}

/// Prints the answer of `/readyz`, and returns [`Exit::NotReady`] if the pod is not ready.
///
/// # Errors
/// Fails if the sidecar cannot be reached, or answers with another status than 200 or 503.
pub fn ready(address: &Url) -> Result<Exit, CommandError> {
    block_on(async {
        let (status, text) = exchange(address, Method::GET, "/readyz", STATUS_TIMEOUT).await?;
        let exit = match status {
            StatusCode::OK => Exit::Success,
            StatusCode::SERVICE_UNAVAILABLE => Exit::NotReady,
            _ => return Err(unreachable(address, "/readyz", &status)),
        };
        print_line(&sanitize(text.trim_end()));
        Ok(exit)
    })
}

/// Gets the status from the sidecar.
///
/// # Errors
/// Fails if the sidecar cannot be reached, or if the server at this address is not a sidecar.
pub async fn fetch(address: &Url) -> Result<StatusReport, CommandError> {
    parse(address, &get(address, "/status", STATUS_TIMEOUT).await?)
}

/// Gets one page from the sidecar.
///
/// # Errors
/// Fails if the sidecar cannot be reached, answers with another status than 200, or does not answer within `timeout`.
pub async fn get(address: &Url, path: &str, timeout: Duration) -> Result<String, CommandError> {
    match exchange(address, Method::GET, path, timeout).await? {
        (StatusCode::OK, text) => Ok(text),
        (StatusCode::CONFLICT, text) => Err(CommandError::new(Exit::NotReady, sanitize(text.trim_end()))),
        (status, _) => Err(unreachable(address, path, &status)),
    }
}

/// Cancels the drain that a user has started.
///
/// # Errors
/// Fails if the sidecar cannot be reached, or if the drain cannot be cancelled.
pub async fn cancel(address: &Url) -> Result<String, CommandError> {
    match exchange(address, Method::POST, "/cancel", STATUS_TIMEOUT).await? {
        (StatusCode::OK, text) => Ok(sanitize(text.trim_end())),
        (StatusCode::CONFLICT, text) => {
            Err(CommandError::new(Exit::NotReady, format!("cannot cancel: {}", sanitize(text.trim_end()))))
        }
        (StatusCode::FORBIDDEN, text) => Err(CommandError::new(Exit::NotPermitted, sanitize(text.trim_end()))),
        (status, _) => Err(unreachable(address, "/cancel", &status)),
    }
}

async fn exchange(
    address: &Url,
    method: Method,
    path: &str,
    timeout: Duration,
) -> Result<(StatusCode, String), CommandError> {
    let url = address.with_path(path);
    let exchange = async {
        let response = if method == Method::POST { http::post(&url).await } else { http::get(&url, "*/*").await };
        let response = response.map_err(|error| unreachable(address, path, &error))?;
        let status = response.head.status;
        let body = response.read_all(MAX_RESPONSE_BYTES).await.map_err(|error| unreachable(address, path, &error))?;
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    };
    let late = |_| Err(unreachable(address, path, &format_args!("no answer within {timeout:?}")));
    tokio::time::timeout(timeout, exchange).await.unwrap_or_else(late)
}

fn unreachable(address: &Url, path: &str, error: &dyn Display) -> CommandError {
    let url = address.with_path(path);
    let message = format!("no sidecar answers at {url}: {error}; is it running there? See --address");
    CommandError::new(Exit::Unreachable, message)
}

fn parse(address: &Url, text: &str) -> Result<StatusReport, CommandError> {
    serde_json::from_str(text).map_err(|error| {
        let message = format!("the server at {address} is not lameduck: {error}; see --address");
        CommandError::new(Exit::Unreachable, message)
    })
}
