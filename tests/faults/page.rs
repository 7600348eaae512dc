//! The engine's metrics page, healthy and faulty. Wherever a fault allows it, a careless reader would see zero streams.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::engine::{Engine, bind};
use crate::matrix::PageFault;

/// Size of the page of `PageFault::Long`, in bytes.
const LONG_PAGE_BYTES: usize = 60_000_000;
/// Target of the redirect: a page that reports zero streams.
const REDIRECT_PATH: &str = "/elsewhere";

/// The server of the metrics page.
#[derive(Clone)]
pub(crate) struct MetricsPage {
    address: SocketAddr,
    engine: Arc<Engine>,
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Clone, Copy, Default)]
struct State {
    fault: Option<PageFault>,
    /// Number of streams when the fault began; a frozen page keeps reporting it.
    frozen: u64,
}

impl MetricsPage {
    pub(crate) fn serve(engine: &Arc<Engine>, address: SocketAddr) -> Self {
        let page = Self { address, engine: Arc::clone(engine), shared: Arc::default() };
        let (server, mut listener) = (page.clone(), Some(bind(address)));
        thread::spawn(move || {
            loop {
                server.accept(&listener.take().unwrap_or_else(|| bind(address)));
                server.wait_until_up();
            }
        });
        page
    }

    pub(crate) fn set_fault(&self, fault: Option<PageFault>) {
        *self.lock() = State { fault, frozen: self.engine.streams.load(Ordering::SeqCst) };
        self.shared.1.notify_all();
        // Wakes the accepting thread, which may have to close its port.
        drop(TcpStream::connect(self.address));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until_up(&self) {
        drop(self.shared.1.wait_while(self.lock(), |state| state.fault == Some(PageFault::Down)));
    }

    fn accept(&self, listener: &TcpListener) {
        for stream in listener.incoming().map_while(Result::ok) {
            let state = *self.lock();
            if state.fault == Some(PageFault::Down) {
                return;
            }
            let page = self.clone();
            thread::spawn(move || page.respond(state, stream));
        }
    }

    fn respond(&self, state: State, mut stream: TcpStream) -> Option<()> {
        let mut request = [0; 4096];
        let length = stream.read(&mut request).ok().filter(|length| *length > 0)?;
        let streams = self.engine.streams.load(Ordering::SeqCst);
        if String::from_utf8_lossy(&request[..length]).contains(REDIRECT_PATH) {
            return stream.write_all(&response("", metrics(0).as_bytes())).ok();
        }
        let Some(fault) = state.fault else {
            return stream.write_all(&response("", metrics(streams).as_bytes())).ok();
        };
        println!("faulty");
        let bytes = match fault {
            PageFault::Down => return None,
            PageFault::Hanging => {
                // Returns when the client gives up.
                let _ = stream.read(&mut request);
                return None;
            }
            PageFault::Trickling => return send_slowly(&mut stream, metrics(streams).as_bytes()),
            PageFault::Long => return send_long_page(&mut stream, streams),
            PageFault::Garbage => response("", &garbage()),
            PageFault::Frozen => response("", metrics(state.frozen).as_bytes()),
            PageFault::Redirecting => redirect(self.address),
            PageFault::Gzip => response("Content-Encoding: gzip\r\n", &gzip(metrics(0).as_bytes())),
        };
        stream.write_all(&bytes).ok()
    }
}

fn metrics(streams: u64) -> String {
    format!("engine_active_requests{{kind=\"stream\"}} {streams}\n")
}

fn head(header: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

fn response(header: &str, body: &[u8]) -> Vec<u8> {
    [head(header, body.len()).as_bytes(), body].concat()
}

/// A redirect to a page that reports zero; its own body reports zero as well.
fn redirect(address: SocketAddr) -> Vec<u8> {
    let body = metrics(0);
    let location = format!("Location: http://{address}{REDIRECT_PATH}\r\nContent-Length: {}", body.len());
    format!("HTTP/1.1 302 Found\r\n{location}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

/// Noise, a zero, and the same series again but broken, which makes the whole page unreadable.
fn garbage() -> Vec<u8> {
    let noise = (0..4096_u32).map(|at| u8::try_from(at.wrapping_mul(2_654_435_761) >> 24).expect("a byte"));
    let series = format!("\n{}engine_active_requests{{kind=\"str", metrics(0));
    noise.clone().chain(series.into_bytes()).chain(noise).collect()
}

fn send_slowly(stream: &mut TcpStream, body: &[u8]) -> Option<()> {
    stream.write_all(head("", body.len()).as_bytes()).ok()?;
    for byte in body {
        stream.write_all(&[*byte]).ok()?;
        thread::sleep(Duration::from_secs(1));
    }
    Some(())
}

/// Sends the count as the last line.
fn send_long_page(stream: &mut TcpStream, streams: u64) -> Option<()> {
    let (block, last) = ("filler_total{of=\"nothing in particular\"} 1\n".repeat(1500), metrics(streams));
    let blocks = LONG_PAGE_BYTES.div_ceil(block.len());
    stream.write_all(head("", blocks * block.len() + last.len()).as_bytes()).ok()?;
    for _ in 0..blocks {
        stream.write_all(block.as_bytes()).ok()?;
    }
    stream.write_all(last.as_bytes()).ok()
}

/// Uses one stored block (RFC 1951, 3.2.4), so that a reader that overlooks the encoding finds lines of text.
fn gzip(text: &[u8]) -> Vec<u8> {
    let text = &[b"\n", text].concat()[..];
    let length = u16::try_from(text.len()).expect("a short text");
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1];
    let sizes = [length.to_le_bytes(), (!length).to_le_bytes()].concat();
    [&head, &sizes[..], text, &crc32(text).to_le_bytes(), &u32::from(length).to_le_bytes()].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
