//! A metrics page that a test serves, breaks and repairs at run time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use crate::process::free_address;

/// Serves the page until it is dropped.
pub struct PageServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What a client gets.
#[derive(Clone, Debug, PartialEq)]
pub enum PageReply {
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// One of these replies after the other, as if a process gave each of them.
    InTurn(Vec<PageReply>),
    /// Nothing: the request is read and never answered.
    Hang,
    /// No connection: the port is closed.
    Refuse,
    /// No connection: the server has been dropped.
    Stop,
}

struct Shared {
    reply: Mutex<PageReply>,
    changed: Condvar,
}

impl PageReply {
    /// A page that counts this many streams.
    pub fn streams(streams: u64) -> Self {
        Self::text(&format!("engine_active_requests{{kind=\"stream\"}} {streams}\n"))
    }

    /// A complete page of plain text.
    pub fn text(text: &str) -> Self {
        Self::ok("text/plain", text)
    }

    /// A complete page of this content type.
    pub fn ok(kind: &str, text: &str) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}", text.len());
        Self::Raw(format!("{head}\r\nConnection: close\r\n\r\n{text}").into_bytes())
    }
}

impl PageServer {
    pub fn new(reply: PageReply) -> Self {
        let address = free_address();
        let listener = TcpListener::bind(address).expect("the address is free");
        let shared = Arc::new(Shared { reply: Mutex::new(reply), changed: Condvar::new() });
        let serving = Arc::clone(&shared);
        thread::spawn(move || serve(listener, address, &serving));
        Self { address, shared }
    }

    pub fn with_streams(streams: u64) -> Self {
        Self::new(PageReply::streams(streams))
    }

    pub fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }

    pub fn set_streams(&self, streams: u64) {
        self.set_reply(PageReply::streams(streams));
    }

    /// Changes the reply. Returns when the port is closed, if it is to be.
    pub fn set_reply(&self, reply: PageReply) {
        let refuse = reply == PageReply::Refuse;
        *self.shared.lock() = reply;
        self.shared.changed.notify_all();
        // The first connection wakes the thread in `accept`; further ones show when the port is closed.
        while TcpStream::connect(self.address).is_ok() && refuse {}
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        self.set_reply(PageReply::Stop);
    }
}

impl Shared {
    /// The reply to the next client.
    fn next(&self) -> PageReply {
        match &mut *self.lock() {
            PageReply::InTurn(replies) => {
                replies.rotate_left(1);
                replies.last().cloned().expect("a reply")
            }
            reply => reply.clone(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, PageReply> {
        self.reply.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(listener: TcpListener, address: SocketAddr, shared: &Shared) {
    accept(&listener, shared);
    drop(listener);
    loop {
        let refusing = shared.changed.wait_while(shared.lock(), |reply| *reply == PageReply::Refuse);
        if *refusing.unwrap_or_else(PoisonError::into_inner) == PageReply::Stop {
            return;
        }
        accept(&TcpListener::bind(address).expect("the address is still free"), shared);
    }
}

/// Answers clients until the port is to be closed.
fn accept(listener: &TcpListener, shared: &Shared) {
    let mut unanswered = Vec::new();
    for stream in listener.incoming().map_while(Result::ok) {
        match shared.next() {
            PageReply::Raw(bytes) => {
                unanswered.clear();
                send(stream, bytes);
            }
            PageReply::Hang => unanswered.push(stream),
            PageReply::InTurn(_) => panic!("turns are not nested"),
            PageReply::Refuse | PageReply::Stop => return,
        }
    }
}

/// Sends the reply on a thread of its own: a client that sends no request delays no other.
fn send(mut stream: TcpStream, bytes: Vec<u8>) {
    thread::spawn(move || {
        let request = stream.read(&mut [0; 4096]);
        if request.is_ok_and(|length| length > 0) {
            let _ = stream.write_all(&bytes);
        }
    });
}
