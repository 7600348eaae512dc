//! `lameduck status`: what the sidecar sees, once or for as long as somebody looks.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::StatusCode;

use crate::commands::{CommandError, Exit, block_on, print_line};
use crate::io::http::{self, Url};
use crate::io::report::StatusReport;

pub mod graph;
pub mod history;
pub mod lines;
pub mod screen;
pub mod text;
pub mod view;
pub mod watch;

/// How long the sidecar may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 64 * 1024;

/// Prints the status.
///
/// # Errors
/// Fails where the sidecar cannot be reached.
pub fn run(address: &Url, json: bool) -> Result<Exit, CommandError> {
    block_on(async {
        let text = page(address, "/status", PATIENCE).await?;
        if json {
            print_line(text.trim_end());
        } else {
            print_line(text::render(&parse(address, &text)?).trim_end());
        }
        Ok(Exit::Success)
    })
}

/// Asks the sidecar for its status.
///
/// # Errors
/// Fails where the sidecar cannot be reached or is none.
pub async fn fetch(address: &Url) -> Result<StatusReport, CommandError> {
    parse(address, &page(address, "/status", PATIENCE).await?)
}

/// Asks the sidecar for one page and waits for at most `patience`.
///
/// # Errors
/// Fails where the sidecar cannot be reached or answers anything but 200.
pub async fn page(address: &Url, path: &str, patience: Duration) -> Result<String, CommandError> {
    let url = address.with_path(path);
    let unreachable = |error: &dyn std::fmt::Display| {
        CommandError::new(
            Exit::Unreachable,
            format!("no sidecar answers at {url}: {error}; is it running there? See --address"),
        )
    };
    let exchange = async {
        let response = http::get(&url, "*/*").await.map_err(|error| unreachable(&error))?;
        if response.status() != StatusCode::OK {
            return Err(unreachable(&response.status()));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(|error| unreachable(&error))?;
        Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    };
    tokio::time::timeout(patience, exchange).await.unwrap_or_else(|_| Err(unreachable(&"no answer in time")))
}

fn parse(address: &Url, text: &str) -> Result<StatusReport, CommandError> {
    serde_json::from_str(text).map_err(|error| {
        CommandError::new(
            Exit::Unreachable,
            format!("what answers at {address} is not lameduck: {error}; see --address"),
        )
    })
}
