//! The client of the metrics page: `lameduck::io::page` over a real connection, whatever is answered.
//!
//! The first byte says whether the rest is the answer itself, or a page that is framed as the second byte says.
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

const PATIENCE: Duration = Duration::from_secs(8);

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
    /// What is made of this answer.
    async fn read(&self, answer: &[u8]) -> Reading {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = Url::new("127.0.0.1", address.port(), "/metrics");
        let page = MetricsPage::new(url, PageSelectors { eager: self.selectors.clone(), ..PageSelectors::default() });
        let connection = TcpStream::connect(address).await.unwrap();
        let reader = page.read(Ok(connection), PATIENCE);
        let (found, ()) = tokio::join!(reader, serve(&listener, answer));
        let (_, reading) = found.readings.into_iter().next().expect("every source has its answer");
        reading
    }

    /// What the page says, if its body comes whole.
    fn expected(&self, body: &[u8], format: Format, framed: bool) -> Option<Vec<Option<Count>>> {
        let mut page = Page::new(&self.selectors, format);
        page.feed(body).ok()?;
        let sums = page.finish(framed).ok()?;
        Some(sums.iter().map(|sum| sum.map(|sum| Count { streams: sum.all, never_idle: sum.others })).collect())
    }
}

/// Answers one caller and leaves.
async fn serve(listener: &TcpListener, answer: &[u8]) {
    let (mut stream, _) = listener.accept().await.unwrap();
    // Whatever is asked: a request is there when its first bytes are, for it is sent in one piece.
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await;
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
    // The caller must have read all before the port is free again at once.
    while stream.read(&mut request).await.is_ok_and(|length| length > 0) {}
    let _ = stream.set_zero_linger();
}

/// A page in its frame, and whether all of it is there and its end is marked.
struct Framed {
    answer: Vec<u8>,
    format: Format,
    marked: bool,
    whole: bool,
}

fn frame(how: u8, body: &[u8]) -> Framed {
    let open_metrics = how & 1 != 0;
    let kind = if open_metrics { "application/openmetrics-text; version=1.0.0" } else { "text/plain" };
    let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n").into_bytes();
    let marked = how >> 1 & 3 > 0;
    match how >> 1 & 3 {
        0 => answer.extend_from_slice(b"\r\n"),
        1 => answer.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes()),
        _ => answer.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
    }
    if how >> 1 & 3 > 1 {
        for chunk in body.chunks(1 + usize::from(how >> 4)) {
            answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            answer.extend_from_slice(chunk);
            answer.extend_from_slice(b"\r\n");
        }
        answer.extend_from_slice(b"0\r\n\r\n");
    } else {
        answer.extend_from_slice(body);
    }
    // Cut off at the very end: of a page without a frame nothing would tell.
    let whole = how & 8 == 0 || !marked || body.is_empty();
    answer.truncate(answer.len() - usize::from(!whole));
    Framed { answer, format: if open_metrics { Format::OpenMetrics } else { Format::Text }, marked, whole }
}

/// A page that counts has come with status 200 (after others that only announce it).
fn is_granted(answer: &[u8]) -> bool {
    answer.windows(12).any(|start| matches!(start, b"HTTP/1.1 200" | b"HTTP/1.0 200"))
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let [raw, how, rest @ ..] = data else { return Corpus::Reject };
    HOST.with(|host| {
        if raw & 1 != 0 {
            match host.runtime.block_on(host.read(rest)) {
                Reading::Counts(_) => assert!(is_granted(rest), "a page was taken that was not granted"),
                Reading::Unknown(fault) => assert!(!fault.message.is_empty()),
            }
            return;
        }
        let Framed { answer, format, marked, whole } = frame(*how, rest);
        let expected = host.expected(rest, format, marked).filter(|_| whole);
        match (host.runtime.block_on(host.read(&answer)), expected) {
            (Reading::Counts(counts), Some(expected)) => assert_eq!(counts, expected),
            (Reading::Unknown(fault), None) => assert_eq!(fault.kind, ReadErrorKind::Invalid, "{}", fault.message),
            (reading, expected) => panic!("{reading:?}, and not {expected:?}"),
        }
    });
    Corpus::Keep
});
