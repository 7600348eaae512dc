//! One stream of the client, from its opening to its end.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::args::Args;
use crate::clock::now;
use crate::plan::Plan;
use crate::speech::{Speech, bytes_on_wire, control};
use crate::{Told, say, until_told};

/// How long the answer to a request for a stream is awaited: packets to an address that is gone may just get lost.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// An engine that reads nothing for so long is given up.
const SEND_LIMIT: Duration = Duration::from_secs(30);
/// How long the end of the connection is awaited after the close frame.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// How a stream ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    Clean { results: u64, sent: u64 },
    Cut { why: String },
    Refused { why: String },
}

struct Stream {
    socket: WebSocketStream<TcpStream>,
    plan: Plan,
    args: Rc<Args>,
    told: Told,
    opened: Instant,
    /// Bytes on the wire after the handshake.
    sent: u64,
    results: u64,
    final_result: bool,
}

/// Why a phase of a stream is over.
enum Over {
    Phase,
    Stream,
}

/// Opens a stream, follows its plan and prints how it ended.
pub(crate) async fn run(plan: Plan, args: Rc<Args>, told: Told) -> Ending {
    let (number, started, quiet) = (plan.number, now(), args.arrivals.is_some());
    let ending = match timeout(OPEN_LIMIT, connect(&args)).await {
        Ok(Ok(socket)) => Stream::new(socket, plan, args, told).run().await,
        Ok(Err(why)) => Ending::Refused { why },
        Err(_) => Ending::Refused { why: "no answer".to_owned() },
    };
    let seconds = started.elapsed().as_secs_f64();
    match &ending {
        Ending::Clean { .. } if quiet => {}
        Ending::Clean { results, sent } => {
            say(&format!("stream {number} ended cleanly after {seconds:.1}s code=1000 results={results} sent={sent}B"));
        }
        Ending::Cut { why } => say(&format!("stream {number} CUT after {seconds:.1}s: {why}")),
        Ending::Refused { why } => say(&format!("stream {number} REFUSED: {why}")),
    }
    ending
}

/// Tries once, on a connection of its own.
async fn connect(args: &Args) -> Result<WebSocketStream<TcpStream>, String> {
    let (host, port) = (args.url.host().unwrap_or_default(), args.url.port_u16().unwrap_or(80));
    let because = |error: io::Error| cause(&error.into());
    let address = lookup_host(format!("{host}:{port}")).await.map_err(because)?.next();
    let tcp = TcpStream::connect(address.ok_or("the name has no address")?).await.map_err(because)?;
    // The default buffer of 128 KiB a stream is meant for heavier traffic than results.
    let config = WebSocketConfig::default().read_buffer_size(4 * 1024);
    let opened = client_async_with_config(&args.url, tcp, Some(config)).await;
    Ok(opened.map_err(|error| cause(&error))?.0)
}

impl Stream {
    fn new(socket: WebSocketStream<TcpStream>, plan: Plan, args: Rc<Args>, told: Told) -> Self {
        Self { socket, plan, args, told, opened: now(), sent: 0, results: 0, final_result: false }
    }

    async fn run(mut self) -> Ending {
        if let Err(why) = self.follow_plan().await {
            return Ending::Cut { why };
        }
        let limit = self.args.close_timeout;
        match timeout(limit, self.close()).await {
            Ok(Ok(())) => Ending::Clean { results: self.results, sent: self.sent },
            Ok(Err(why)) => Ending::Cut { why },
            Err(_) => Ending::Cut { why: format!("no clean close within {}", humantime::format_duration(limit)) },
        }
    }

    /// Does what is planned until the planned end; anything that ends the stream earlier is an error.
    async fn follow_plan(&mut self) -> Result<(), String> {
        let end = self.opened + self.plan.duration;
        let mut until = self.opened;
        for phase in self.plan.course.clone() {
            until = phase.lasts.and_then(|lasts| until.checked_add(lasts)).unwrap_or(end).min(end);
            let mut speech = Speech::new(phase.conduct, &self.args, &self.plan.random);
            if let Over::Stream = self.converse(&mut speech, until).await? {
                break;
            }
        }
        Ok(())
    }

    /// Speaks and listens until an instant, or until told that all is over.
    async fn converse(&mut self, speech: &mut Speech, until: Instant) -> Result<Over, String> {
        loop {
            tokio::select! {
                // The end first: a client that was held up must not say more than planned.
                biased;
                () = until_told(&mut self.told) => return Ok(Over::Stream),
                () = sleep_until(until) => return Ok(Over::Phase),
                message = self.socket.next() => self.hear(message)?,
                message = speech.next() => self.send(message).await?,
            }
        }
    }

    /// Says that the stream is over, and waits for the final result and the close.
    async fn close(&mut self) -> Result<(), String> {
        self.final_result = false;
        self.send(control("CloseStream")).await?;
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(Some(CloseFrame { code: CloseCode::Normal, .. })))) => break,
                message => self.hear(message)?,
            }
        }
        // The stream has had all it needs, whether the closing handshake finishes or not.
        let rest = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _ = timeout(HANDSHAKE_LIMIT, rest).await;
        if self.final_result { Ok(()) } else { Err("closed with 1000 but without a final result".to_owned()) }
    }

    fn hear(&mut self, message: Option<Result<Message, Error>>) -> Result<(), String> {
        match message {
            Some(Ok(Message::Text(text))) => self.count(&text),
            Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(Some(frame)))) => {
                return Err(format!("closed with {} {}", u16::from(frame.code), frame.reason).trim_end().to_owned());
            }
            Some(Ok(Message::Close(None))) => return Err("closed without a code".to_owned()),
            Some(Err(error)) => return Err(cause(&error)),
            None => return Err("connection closed".to_owned()),
        }
        Ok(())
    }

    fn count(&mut self, text: &str) {
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        if message.get("type").and_then(Value::as_str) == Some("Results") {
            self.results += 1;
            self.final_result |= message.get("is_final").and_then(Value::as_bool) == Some(true);
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), String> {
        let bytes = bytes_on_wire(&message);
        let sending = timeout(SEND_LIMIT, self.socket.send(message)).await;
        sending.map_err(|_| "engine reads nothing".to_owned())?.map_err(|error| cause(&error))?;
        self.sent += bytes;
        Ok(())
    }
}

/// Says why in few words, without the system's error number.
fn cause(error: &Error) -> String {
    if let Error::Http(response) = error {
        return format!("HTTP {}", response.status());
    }
    if let Error::Io(error) = error
        && error.kind() != io::ErrorKind::Other
    {
        return error.kind().to_string();
    }
    error.to_string().to_lowercase()
}
