//! A metrics page that a test serves itself, and breaks and mends at run time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use crate::sidecar::free_address;

/// The page.
pub struct Page {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What the page's port does.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It says exactly this and closes.
    Raw(Vec<u8>),
    /// It takes the request and says nothing.
    Hang,
    /// Nobody listens.
    Refuse,
    /// The test is over.
    Stop,
}

struct Shared {
    answer: Mutex<Answer>,
    changed: Condvar,
}

impl Answer {
    /// A page that counts so many streams.
    pub fn count(streams: u64) -> Self {
        Self::text(&format!("engine_active_requests{{kind=\"stream\"}} {streams}\n"))
    }

    /// A whole page of plain text.
    pub fn text(text: &str) -> Self {
        Self::ok("text/plain", text)
    }

    /// A whole page of this type.
    pub fn ok(kind: &str, text: &str) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}", text.len());
        Self::Raw(format!("{head}\r\nConnection: close\r\n\r\n{text}").into_bytes())
    }
}

impl Page {
    pub fn new(answer: Answer) -> Self {
        let address = free_address();
        let listener = TcpListener::bind(address).expect("the address is free");
        let shared = Arc::new(Shared { answer: Mutex::new(answer), changed: Condvar::new() });
        let serving = Arc::clone(&shared);
        thread::spawn(move || serve(listener, address, &serving));
        Self { address, shared }
    }

    pub fn counting(streams: u64) -> Self {
        Self::new(Answer::count(streams))
    }

    pub fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }

    pub fn count(&self, streams: u64) {
        self.set(Answer::count(streams));
    }

    pub fn set(&self, answer: Answer) {
        let refuse = answer == Answer::Refuse;
        *self.shared.lock() = answer;
        self.shared.changed.notify_all();
        // Wakes a thread that accepts, and tells when nobody does any more.
        while TcpStream::connect(self.address).is_ok() && refuse {}
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.set(Answer::Stop);
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Answer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(listener: TcpListener, address: SocketAddr, shared: &Shared) {
    accept(&listener, shared);
    drop(listener);
    loop {
        let refusing = shared.changed.wait_while(shared.lock(), |answer| *answer == Answer::Refuse);
        if *refusing.unwrap_or_else(PoisonError::into_inner) == Answer::Stop {
            return;
        }
        accept(&TcpListener::bind(address).expect("the address is still free"), shared);
    }
}

/// Answers until nobody is to listen.
fn accept(listener: &TcpListener, shared: &Shared) {
    let mut hanging = Vec::new();
    for stream in listener.incoming().map_while(Result::ok) {
        let answer = shared.lock().clone();
        match answer {
            Answer::Raw(bytes) => {
                hanging.clear();
                say(stream, bytes);
            }
            Answer::Hang => hanging.push(stream),
            Answer::Refuse | Answer::Stop => return,
        }
    }
}

/// Says it on a thread of its own: a caller that says nothing holds up nobody.
fn say(mut stream: TcpStream, bytes: Vec<u8>) {
    thread::spawn(move || {
        let asked = stream.read(&mut [0; 4096]);
        if asked.is_ok_and(|length| length > 0) {
            let _ = stream.write_all(&bytes);
        }
    });
}
