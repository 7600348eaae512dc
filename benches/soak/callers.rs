//! The clients that call the sidecar while it works: probes, scrapes, watchers and misbehaving clients.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::thread;
use std::time::Duration;

use lameduck_test_support::shipped::Result;

/// Number of requests that a watcher sends over one connection.
const REQUESTS_PER_CONNECTION: usize = 10;
const READ_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Shared {
    /// Read-locked while a connection is open, so that a write lock excludes all callers.
    pause: RwLock<()>,
    stop: AtomicBool,
    answered: AtomicU64,
}

/// The running callers, each in a thread of its own.
pub(crate) struct Callers {
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Callers {
    pub(crate) fn start(address: &str) -> Self {
        let shared = Arc::new(Shared::default());
        let kinds: [fn(&str, &Shared) -> Result<()>; 4] = [probe, scrape, watch, misbehave];
        let threads = kinds.map(|call| {
            let (shared, address) = (Arc::clone(&shared), address.to_owned());
            thread::spawn(move || {
                while !shared.stop.load(Ordering::Relaxed) {
                    let _running = shared.pause.read();
                    if let Err(error) = call(&address, &shared) {
                        eprintln!("a request failed: {error}");
                    }
                }
            })
        });
        Self { shared, threads: threads.into() }
    }

    /// Pauses all callers until the guard is dropped; none of them has a connection open meanwhile.
    pub(crate) fn pause(&self) -> RwLockWriteGuard<'_, ()> {
        self.shared.pause.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops all callers, and returns the number of requests answered.
    pub(crate) fn stop(self) -> u64 {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let _ = thread.join();
        }
        self.shared.answered.load(Ordering::Relaxed)
    }
}

/// Probes as the kubelet does: each over a connection of its own.
fn probe(address: &str, shared: &Shared) -> Result<()> {
    for path in ["/livez", "/readyz", "/accepting"] {
        request(address, path, shared)?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn scrape(address: &str, shared: &Shared) -> Result<()> {
    request(address, "/metrics", shared)?;
    thread::sleep(Duration::from_millis(100));
    Ok(())
}

fn request(address: &str, path: &str, shared: &Shared) -> Result<()> {
    get(address, path)?;
    shared.answered.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Requests the status over a connection that stays open.
fn watch(address: &str, shared: &Shared) -> Result<()> {
    let mut stream = connect(address)?;
    for _ in 0..REQUESTS_PER_CONNECTION {
        write!(stream, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let mut answer = [0; 16 * 1024];
        let mut length = 0;
        while !answer[..length].ends_with(b"}\n") {
            match stream.read(&mut answer[length..])? {
                0 => return Err("incomplete status".into()),
                more => length += more,
            }
        }
        shared.answered.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Sends incomplete and invalid requests, and disconnects without reading the answer.
fn misbehave(address: &str, _: &Shared) -> Result<()> {
    for bytes in
        [&b"GET /li"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"POST /status HTTP/1.1\r\n\r\n", b""]
    {
        connect(address)?.write_all(bytes)?;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Sends a request over a connection of its own, and returns the complete answer.
pub(crate) fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = send(address, path)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.is_empty() { Err(format!("no answer to {path}").into()) } else { Ok(answer) }
}

/// Sends a request; the caller reads the answer.
pub(crate) fn send(address: &str, path: &str) -> Result<TcpStream> {
    let mut stream = connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    Ok(stream)
}

fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    Ok(stream)
}
