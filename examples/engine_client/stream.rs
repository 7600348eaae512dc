//! One stream of the client, from opening to end.

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
use crate::messages::{Messages, bytes_on_wire, control};
use crate::plan::Plan;
use crate::{Stop, log, until_stopped};

/// How long to wait for the answer to the handshake: packets to a vanished address may be lost silently.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// How long the engine may take to read a message.
const SEND_LIMIT: Duration = Duration::from_secs(30);
/// How long to wait for the end of the connection after the close frame.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// How a stream ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum StreamEnd {
    Clean { results: u64, sent: u64 },
    Cut { cause: String },
    Refused { cause: String },
}

struct Stream {
    socket: WebSocketStream<TcpStream>,
    plan: Plan,
    args: Rc<Args>,
    stop: Stop,
    opened: Instant,
    /// Bytes on the wire after the handshake.
    sent: u64,
    results: u64,
    final_result: bool,
}

/// What ended a phase.
enum PhaseEnd {
    Phase,
    Stream,
}

/// Opens a stream, follows its plan and logs how it ended.
pub(crate) async fn run(plan: Plan, args: Rc<Args>, stop: Stop) -> StreamEnd {
    let (number, started, quiet) = (plan.number, now(), args.arrivals.is_some());
    let end = match timeout(OPEN_LIMIT, connect(&args)).await {
        Ok(Ok(socket)) => Stream::new(socket, plan, args, stop).run().await,
        Ok(Err(cause)) => StreamEnd::Refused { cause },
        Err(_) => StreamEnd::Refused { cause: "no answer".to_owned() },
    };
    let seconds = started.elapsed().as_secs_f64();
    match &end {
        StreamEnd::Clean { .. } if quiet => {}
        StreamEnd::Clean { results, sent } => {
            log(&format!("stream {number} ended cleanly after {seconds:.1}s code=1000 results={results} sent={sent}B"));
        }
        StreamEnd::Cut { cause } => log(&format!("stream {number} CUT after {seconds:.1}s: {cause}")),
        StreamEnd::Refused { cause } => log(&format!("stream {number} REFUSED: {cause}")),
    }
    end
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
    fn new(socket: WebSocketStream<TcpStream>, plan: Plan, args: Rc<Args>, stop: Stop) -> Self {
        Self { socket, plan, args, stop, opened: now(), sent: 0, results: 0, final_result: false }
    }

    async fn run(mut self) -> StreamEnd {
        if let Err(cause) = self.follow_plan().await {
            return StreamEnd::Cut { cause };
        }
        let limit = self.args.close_timeout;
        match timeout(limit, self.close()).await {
            Ok(Ok(())) => StreamEnd::Clean { results: self.results, sent: self.sent },
            Ok(Err(cause)) => StreamEnd::Cut { cause },
            Err(_) => StreamEnd::Cut { cause: format!("no clean close within {}", humantime::format_duration(limit)) },
        }
    }

    /// Follows the plan to its end; anything that ends the stream earlier is an error.
    async fn follow_plan(&mut self) -> Result<(), String> {
        let end = self.opened + self.plan.duration;
        let mut until = self.opened;
        for phase in self.plan.phases.clone() {
            until = phase.duration.and_then(|duration| until.checked_add(duration)).unwrap_or(end).min(end);
            let mut messages = Messages::new(phase.payload, &self.args, &self.plan.random);
            if let PhaseEnd::Stream = self.exchange(&mut messages, until).await? {
                break;
            }
        }
        Ok(())
    }

    /// Sends and receives until an instant, or until all streams are to end.
    async fn exchange(&mut self, messages: &mut Messages, until: Instant) -> Result<PhaseEnd, String> {
        loop {
            tokio::select! {
                // The end first: a delayed client must not send more than planned.
                biased;
                () = until_stopped(&mut self.stop) => return Ok(PhaseEnd::Stream),
                () = sleep_until(until) => return Ok(PhaseEnd::Phase),
                message = self.socket.next() => self.on_message(message)?,
                message = messages.next() => self.send(message).await?,
            }
        }
    }

    /// Sends `CloseStream`, and waits for the final result and the close frame.
    async fn close(&mut self) -> Result<(), String> {
        self.final_result = false;
        self.send(control("CloseStream")).await?;
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(Some(CloseFrame { code: CloseCode::Normal, .. })))) => break,
                message => self.on_message(message)?,
            }
        }
        // The stream is complete, whether or not the closing handshake finishes.
        let rest = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _ = timeout(HANDSHAKE_LIMIT, rest).await;
        if self.final_result { Ok(()) } else { Err("closed with 1000 but without a final result".to_owned()) }
    }

    fn on_message(&mut self, message: Option<Result<Message, Error>>) -> Result<(), String> {
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

/// The cause in a few words, without the system's error number.
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
