//! The client of the metrics page: `lameduck::io::page` over a real connection, for any response.
//!
//! The first byte chooses whether the rest is the response or a page, whose framing the second byte chooses.
#![no_main]

use std::net::Ipv4Addr;
use std::time::Duration;

use lameduck::io::http::Url;
use lameduck::io::page::{MetricsPage, PageSelectors};
use lameduck_machine::reading::{Count, ReadErrorKind, Reading};
use lameduck_parsers::exposition::{Format, Page};
use lameduck_parsers::selector::Selector;
use libfuzzer_sys::{Corpus, fuzz_target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

const TIMEOUT: Duration = Duration::from_secs(8);

struct Host {
    runtime: Runtime,
    selectors: Vec<Selector>,
}

thread_local! {
    static HOST: Host = Host {
        runtime: Builder::new_current_thread().enable_all().build().unwrap(),
        selectors: vec!["active".parse().unwrap()],
    };
}

impl Host {
    /// Reads this response.
    async fn read(&self, response: &[u8]) -> Reading {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = Url::new("127.0.0.1", address.port(), "/metrics");
        let page = MetricsPage::new(url, PageSelectors { eager: self.selectors.clone(), ..PageSelectors::default() });
        let connection = TcpStream::connect(address).await.unwrap();
        let reader = page.read(Ok(connection), TIMEOUT);
        let (result, ()) = tokio::join!(reader, serve(&listener, response));
        let (_, reading) = result.readings.into_iter().next().expect("every source has a reading");
        reading
    }

    /// Returns the counts of the page, if its body is complete.
    fn expected(&self, body: &[u8], format: Format, delimited: bool) -> Option<Vec<Option<Count>>> {
        let mut page = Page::new(&self.selectors, format);
        page.feed(body).ok()?;
        let sums = page.finish(delimited).ok()?;
        Some(sums.iter().map(|sum| sum.map(|sum| Count { streams: sum.total, never_idle: sum.non_idle })).collect())
    }
}

/// Responds to one client and closes the connection.
async fn serve(listener: &TcpListener, response: &[u8]) {
    let (mut stream, _) = listener.accept().await.unwrap();
    // The client sends its request in one piece.
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await;
    let _ = stream.write_all(response).await;
    let _ = stream.shutdown().await;
    // The client must have read everything before the connection is reset, which frees the port immediately.
    while stream.read(&mut request).await.is_ok_and(|length| length > 0) {}
    let _ = stream.set_zero_linger();
}

/// A response with a framed page.
struct Framed {
    response: Vec<u8>,
    format: Format,
    /// Whether the framing shows where the page ends.
    delimited: bool,
    /// Whether the response is not truncated.
    complete: bool,
}

fn frame(choices: u8, body: &[u8]) -> Framed {
    let open_metrics = choices & 1 != 0;
    let kind = if open_metrics { "application/openmetrics-text; version=1.0.0" } else { "text/plain" };
    let mut response = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n").into_bytes();
    let delimited = choices >> 1 & 3 > 0;
    match choices >> 1 & 3 {
        0 => response.extend_from_slice(b"\r\n"),
        1 => response.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes()),
        _ => response.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
    }
    if choices >> 1 & 3 > 1 {
        for chunk in body.chunks(1 + usize::from(choices >> 4)) {
            response.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            response.extend_from_slice(chunk);
            response.extend_from_slice(b"\r\n");
        }
        response.extend_from_slice(b"0\r\n\r\n");
    } else {
        response.extend_from_slice(body);
    }
    // Truncate only what is delimited: of other pages nothing would show it.
    let complete = choices & 8 == 0 || !delimited || body.is_empty();
    response.truncate(response.len() - usize::from(!complete));
    Framed { response, format: if open_metrics { Format::OpenMetrics } else { Format::Text }, delimited, complete }
}

/// Returns whether the bytes contain status 200, perhaps after informational responses.
fn has_status_200(response: &[u8]) -> bool {
    response.windows(12).any(|start| matches!(start, b"HTTP/1.1 200" | b"HTTP/1.0 200"))
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let [raw, choices, rest @ ..] = data else { return Corpus::Reject };
    HOST.with(|host| {
        if raw & 1 != 0 {
            match host.runtime.block_on(host.read(rest)) {
                Reading::Counts(_) => assert!(has_status_200(rest), "a page without status 200 was accepted"),
                Reading::Unknown(error) => assert!(!error.message.is_empty()),
            }
            return;
        }
        let Framed { response, format, delimited, complete } = frame(*choices, rest);
        let expected = host.expected(rest, format, delimited).filter(|_| complete);
        match (host.runtime.block_on(host.read(&response)), expected) {
            (Reading::Counts(counts), Some(expected)) => assert_eq!(counts, expected),
            (Reading::Unknown(error), None) => assert_eq!(error.kind, ReadErrorKind::Invalid, "{}", error.message),
            (reading, expected) => panic!("{reading:?}, expected {expected:?}"),
        }
    });
    Corpus::Keep
});
