//! A server of one metrics page that keeps connections alive.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use lameduck_test_support::shipped::Result;

/// The family of the series that count streams.
pub(crate) const FAMILY: &str = "engine_active_requests";

/// A server that runs until this program ends.
pub(crate) struct PageServer {
    pub(crate) url: String,
    requests: Arc<AtomicU32>,
}

impl PageServer {
    /// Serves a page of this size with one stream.
    pub(crate) fn start(bytes: usize) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let url = format!("http://{}/metrics", listener.local_addr()?);
        let (page, requests) = (Arc::new(page(bytes)), Arc::new(AtomicU32::new(0)));
        let counter = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(std::result::Result::ok) {
                let (page, counter) = (Arc::clone(&page), Arc::clone(&counter));
                thread::spawn(move || serve(&stream, &page, &counter));
            }
        });
        Ok(Self { url, requests })
    }

    /// How often the page was requested. Asking the sidecar would cost it CPU time.
    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// A page as an engine serves it: histograms, and the count of streams at the end.
fn page(bytes: usize) -> String {
    let line =
        |index| format!("request_duration_seconds_bucket{{route=\"/v1/listen\",shard=\"{index}\",le=\"0.5\"}} 17\n");
    let mut page =
        String::from("# HELP request_duration_seconds Time to answer.\n# TYPE request_duration_seconds histogram\n");
    for index in 0.. {
        if page.len() >= bytes {
            break;
        }
        page += &line(index);
    }
    page + &format!("# TYPE {FAMILY} gauge\n{FAMILY}{{kind=\"stream\"}} 1\n")
}

/// Answers the requests of one connection until it ends or the client asks for its end.
fn serve(stream: &TcpStream, page: &str, requests: &AtomicU32) {
    let mut lines = BufReader::new(stream).lines().map_while(std::result::Result::ok);
    loop {
        let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        if head.is_empty() {
            return;
        }
        requests.fetch_add(1, Ordering::Relaxed);
        let closes = head.iter().any(|line| line.eq_ignore_ascii_case("connection: close"));
        let connection = if closes { "close" } else { "keep-alive" };
        let length = page.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n"
        );
        let mut writer = stream;
        if writer.write_all((head + page).as_bytes()).is_err() || closes {
            return;
        }
    }
}
