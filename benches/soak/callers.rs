//! Those who ask the sidecar while it works: probes, scrapes, people who watch, and callers without manners.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::thread;
use std::time::Duration;

use lameduck_test_support::shipped::Result;

/// How often a watcher asks over one connection before it takes another.
const KEPT: usize = 10;
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Shared {
    /// Held while a connection is open, so that all of them can be kept out.
    door: RwLock<()>,
    stop: AtomicBool,
    answered: AtomicU64,
}

/// The callers; each is a thread.
pub(crate) struct Callers {
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Callers {
    pub(crate) fn start(address: &str) -> Self {
        let shared = Arc::new(Shared::default());
        let kinds: [fn(&str, &Shared) -> Result<()>; 4] = [probe, scrape, watch, annoy];
        let threads = kinds.map(|call| {
            let (shared, address) = (Arc::clone(&shared), address.to_owned());
            thread::spawn(move || {
                while !shared.stop.load(Ordering::Relaxed) {
                    let _inside = shared.door.read();
                    if let Err(error) = call(&address, &shared) {
                        eprintln!("a caller was let down: {error}");
                    }
                }
            })
        });
        Self { shared, threads: threads.into() }
    }

    /// Keeps all callers out until the guard is dropped; none has a connection then.
    pub(crate) fn pause(&self) -> RwLockWriteGuard<'_, ()> {
        self.shared.door.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends them all, and tells how many requests were answered.
    pub(crate) fn stop(self) -> u64 {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let _ = thread.join();
        }
        self.shared.answered.load(Ordering::Relaxed)
    }
}

/// The kubelet: a connection for each probe.
fn probe(address: &str, shared: &Shared) -> Result<()> {
    for path in ["/livez", "/readyz", "/accepting"] {
        ask(address, path, shared)?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn scrape(address: &str, shared: &Shared) -> Result<()> {
    ask(address, "/metrics", shared)?;
    thread::sleep(Duration::from_millis(100));
    Ok(())
}

fn ask(address: &str, path: &str, shared: &Shared) -> Result<()> {
    get(address, path)?;
    shared.answered.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Somebody who keeps the connection.
fn watch(address: &str, shared: &Shared) -> Result<()> {
    let mut stream = connect(address)?;
    for _ in 0..KEPT {
        write!(stream, "GET /status HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let mut answer = [0; 16 * 1024];
        let mut length = 0;
        while !answer[..length].ends_with(b"}\n") {
            match stream.read(&mut answer[length..])? {
                0 => return Err("no whole status".into()),
                more => length += more,
            }
        }
        shared.answered.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Requests that nobody should send, and callers that leave in the middle.
fn annoy(address: &str, _: &Shared) -> Result<()> {
    for bytes in
        [&b"GET /li"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"POST /status HTTP/1.1\r\n\r\n", b""]
    {
        connect(address)?.write_all(bytes)?;
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The whole answer to a request over a connection of its own.
pub(crate) fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = call(address, path)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.is_empty() { Err(format!("no answer to {path}").into()) } else { Ok(answer) }
}

/// A request whose answer has not been read.
pub(crate) fn call(address: &str, path: &str) -> Result<TcpStream> {
    let mut stream = connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    Ok(stream)
}

fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}
