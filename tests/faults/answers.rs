//! What the engine's page answers, sound and faulty. Where a fault can be laid so that a careless reader takes the page
//! for zero, it is.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::engine::{Engine, bind};
use crate::matrix::PageFault;

/// How long the long page is.
const LONG: usize = 60_000_000;
/// What a redirection leads to: a page that says zero.
const ELSEWHERE: &str = "/elsewhere";

/// The page.
#[derive(Clone)]
pub(crate) struct Pages {
    address: SocketAddr,
    engine: Arc<Engine>,
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Clone, Copy, Default)]
struct State {
    fault: Option<PageFault>,
    /// The streams when the page froze.
    frozen: u64,
}

impl Pages {
    pub(crate) fn serve(engine: &Arc<Engine>, address: SocketAddr) -> Self {
        let pages = Self { address, engine: Arc::clone(engine), shared: Arc::default() };
        let (serving, mut listener) = (pages.clone(), Some(bind(address)));
        thread::spawn(move || {
            loop {
                serving.accept(&listener.take().unwrap_or_else(|| bind(address)));
                serving.wait_until_up();
            }
        });
        pages
    }

    pub(crate) fn become_faulty(&self, fault: Option<PageFault>) {
        *self.lock() = State { fault, frozen: self.engine.streams.load(Ordering::SeqCst) };
        self.shared.1.notify_all();
        // Wakes the thread that accepts: it may have to close its port.
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
            let pages = self.clone();
            thread::spawn(move || pages.answer(state, stream));
        }
    }

    fn answer(&self, state: State, mut stream: TcpStream) -> Option<()> {
        let mut request = [0; 4096];
        let length = stream.read(&mut request).ok().filter(|length| *length > 0)?;
        let streams = self.engine.streams.load(Ordering::SeqCst);
        if String::from_utf8_lossy(&request[..length]).contains(ELSEWHERE) {
            return stream.write_all(&whole("", page(0).as_bytes())).ok();
        }
        let Some(fault) = state.fault else { return stream.write_all(&whole("", page(streams).as_bytes())).ok() };
        println!("faulty");
        let said = match fault {
            PageFault::Down => return None,
            PageFault::Hanging => {
                // Until the caller gives up.
                let _ = stream.read(&mut request);
                return None;
            }
            PageFault::Trickling => return trickle(&mut stream, page(streams).as_bytes()),
            PageFault::Long => return long(&mut stream, streams),
            PageFault::Garbage => whole("", &garbage()),
            PageFault::Frozen => whole("", page(state.frozen).as_bytes()),
            PageFault::Redirecting => redirection(self.address),
            PageFault::Gzip => whole("Content-Encoding: gzip\r\n", &gzip(page(0).as_bytes())),
        };
        stream.write_all(&said).ok()
    }
}

fn page(streams: u64) -> String {
    format!("engine_active_requests{{kind=\"stream\"}} {streams}\n")
}

fn head(header: &str, length: usize) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

fn whole(header: &str, body: &[u8]) -> Vec<u8> {
    [head(header, body.len()).as_bytes(), body].concat()
}

/// Where it leads there is a page that says zero, and so there is in its own body.
fn redirection(address: SocketAddr) -> Vec<u8> {
    let body = page(0);
    let head = format!("HTTP/1.1 302 Found\r\nLocation: http://{address}{ELSEWHERE}\r\nContent-Length: {}", body.len());
    format!("{head}\r\nConnection: close\r\n\r\n{body}").into_bytes()
}

/// Noise, a zero, and the same series again, broken: after that no reader should believe the page.
fn garbage() -> Vec<u8> {
    let noise = (0..4096_u32).map(|at| u8::try_from(at.wrapping_mul(2_654_435_761) >> 24).expect("a byte"));
    let series = format!("\n{}engine_active_requests{{kind=\"str", page(0));
    noise.clone().chain(series.into_bytes()).chain(noise).collect()
}

fn trickle(stream: &mut TcpStream, body: &[u8]) -> Option<()> {
    stream.write_all(head("", body.len()).as_bytes()).ok()?;
    for byte in body {
        stream.write_all(&[*byte]).ok()?;
        thread::sleep(Duration::from_secs(1));
    }
    Some(())
}

/// The count comes last.
fn long(stream: &mut TcpStream, streams: u64) -> Option<()> {
    let (block, last) = ("filler_total{of=\"nothing in particular\"} 1\n".repeat(1500), page(streams));
    let blocks = LONG.div_ceil(block.len());
    stream.write_all(head("", blocks * block.len() + last.len()).as_bytes()).ok()?;
    for _ in 0..blocks {
        stream.write_all(block.as_bytes()).ok()?;
    }
    stream.write_all(last.as_bytes()).ok()
}

/// One stored block (RFC 1951, 3.2.4), so that whoever overlooks the encoding finds lines of text.
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
