//! The clients: each opens one stream and stays until the test asks it to leave, or until the server ends the stream.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use lameduck_test_support::process::wait_until;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// The time between two clients that leave.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long a client that leaves waits for the server.
const SERVER_TIMEOUT: Duration = Duration::from_secs(15);

/// What the clients open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Server-sent events at `/events`.
    Events,
    /// A WebSocket at `/echo`.
    WebSocket,
}

/// How a client's stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client ended it.
    Complete,
    /// The server kept it open, but sent nothing more.
    Stalled,
    /// The server ended it, with this code if it sent a close frame.
    Cut(Option<u16>),
}

/// How the streams of all clients ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endings(pub(crate) Vec<Ending>);

/// Clients with open streams.
pub(crate) struct Clients {
    leave: watch::Sender<bool>,
    open: Arc<AtomicUsize>,
    thread: JoinHandle<Vec<Ending>>,
}

/// What all clients share.
#[derive(Clone)]
struct Shared {
    /// The server's port on 127.0.0.1.
    port: u16,
    leave: watch::Receiver<bool>,
    open: Arc<AtomicUsize>,
}

impl Clients {
    /// Opens this many streams; returns when the server has sent data on each.
    pub(crate) fn open(port: u16, protocol: Protocol, streams: usize) -> Self {
        let (leave, told) = watch::channel(false);
        let open = Arc::new(AtomicUsize::new(0));
        let shared = Shared { port, leave: told, open: Arc::clone(&open) };
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
            runtime.block_on(join_all((0..streams).map(|index| run(shared.clone(), protocol, index))))
        });
        wait_until(|| open.load(Ordering::Relaxed) == streams || thread.is_finished());
        assert!(streams == 0 || !thread.is_finished(), "a stream ended at once");
        Self { leave, open, thread }
    }

    /// Waits until the server has ended all streams.
    pub(crate) fn wait_until_cut(&self) {
        wait_until(|| self.open.load(Ordering::Relaxed) == 0);
    }

    /// Lets the clients end the streams that are open, one after the other.
    pub(crate) fn leave(self) -> Endings {
        // Without a receiver, all clients have ended.
        let _ = self.leave.send(true);
        Endings(self.thread.join().expect("no client panics"))
    }
}

impl Endings {
    /// How many were not complete.
    pub(crate) fn cut(&self) -> usize {
        self.0.iter().filter(|ending| **ending != Ending::Complete).count()
    }
}

impl Display for Endings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let count = |ending| self.0.iter().filter(|other| **other == ending).count();
        let mut endings = self.0.clone();
        endings.dedup();
        let describe = |ending: &Ending| match ending {
            Ending::Complete => format!("{} complete", count(*ending)),
            Ending::Stalled => format!("{} stalled", count(*ending)),
            Ending::Cut(None) => format!("{} cut", count(*ending)),
            Ending::Cut(Some(code)) => format!("{} cut ({code})", count(*ending)),
        };
        let described: Vec<String> = endings.iter().map(describe).collect();
        f.write_str(if described.is_empty() { "no stream" } else { "" })?;
        f.write_str(&described.join(", "))
    }
}

async fn run(shared: Shared, protocol: Protocol, index: usize) -> Ending {
    let mut leave = shared.leave.clone();
    let told_to_leave = async move {
        // An error means that all are to leave: the sender is gone.
        let _ = leave.wait_for(|leave| *leave).await;
        sleep(INTERVAL * u32::try_from(index).expect("few clients")).await;
    };
    let open = Arc::clone(&shared.open);
    let ending = match protocol {
        Protocol::Events => {
            let stream = receive_first_event(&shared).await.expect("the server sends events");
            tokio::select! {
                () = told_to_leave => leave_events(&stream).await,
                () = receive_until_end(&stream) => Ending::Cut(None),
            }
        }
        Protocol::WebSocket => {
            let mut socket = receive_first_echo(&shared).await;
            tokio::select! {
                () = told_to_leave => leave_socket(&mut socket).await,
                ending = receive_until_closed(&mut socket) => ending,
            }
        }
    };
    open.fetch_sub(1, Ordering::Relaxed);
    ending
}

async fn receive_first_event(shared: &Shared) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", shared.port)).await?;
    stream.writable().await?;
    let request = b"GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
    assert_eq!(stream.try_write(request)?, request.len());
    let mut received = Vec::new();
    while !received.windows(5).any(|window| window == b"data:") {
        let bytes = receive(&stream).await?;
        assert!(!bytes.is_empty(), "the server refused: {}", String::from_utf8_lossy(&received));
        received.extend(bytes);
    }
    shared.open.fetch_add(1, Ordering::Relaxed);
    Ok(stream)
}

/// Leaves with the next event.
async fn leave_events(stream: &TcpStream) -> Ending {
    match timeout(SERVER_TIMEOUT, receive(stream)).await {
        Ok(Ok(bytes)) if !bytes.is_empty() => Ending::Complete,
        Ok(_) => Ending::Cut(None),
        Err(_) => Ending::Stalled,
    }
}

/// Returns when the connection is closed or reset.
async fn receive_until_end(stream: &TcpStream) {
    while receive(stream).await.is_ok_and(|bytes| !bytes.is_empty()) {}
}

/// The next bytes; none at the end of the connection.
async fn receive(stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 4096];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn receive_first_echo(shared: &Shared) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", shared.port)).await.expect("the server listens");
    let url = format!("ws://127.0.0.1:{}/echo", shared.port);
    let (mut socket, _) = client_async(url, stream).await.expect("the server accepts WebSockets");
    socket.send(Message::text("first")).await.expect("the WebSocket is open");
    let echo = socket.next().await.expect("the WebSocket is open").expect("the server echoes");
    assert_eq!(echo, Message::text("first"));
    shared.open.fetch_add(1, Ordering::Relaxed);
    socket
}

/// Receives until the server ends the stream.
async fn receive_until_closed(socket: &mut WebSocketStream<TcpStream>) -> Ending {
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(frame))) => {
                finish_closing(socket).await;
                return Ending::Cut(frame.map(|frame| frame.code.into()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Ending::Cut(None),
        }
    }
}

/// Leaves after one more echo.
async fn leave_socket(socket: &mut WebSocketStream<TcpStream>) -> Ending {
    let last_echo = async {
        socket.send(Message::text("last")).await?;
        socket.next().await.unwrap_or(Err(Error::ConnectionClosed))
    };
    match timeout(SERVER_TIMEOUT, last_echo).await {
        Ok(Ok(Message::Close(frame))) => Ending::Cut(frame.map(|frame| frame.code.into())),
        Ok(Ok(_)) => {
            let _ = socket.close(None).await;
            finish_closing(socket).await;
            Ending::Complete
        }
        Ok(Err(_)) => Ending::Cut(None),
        Err(_) => Ending::Stalled,
    }
}

/// Receives until the connection is closed, which also answers a close frame.
async fn finish_closing(socket: &mut WebSocketStream<TcpStream>) {
    let _ =
        timeout(SERVER_TIMEOUT, async { while socket.next().await.is_some_and(|message| message.is_ok()) {} }).await;
}
