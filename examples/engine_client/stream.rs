//! One stream of the client, from its opening to its end.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, interval_at, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::args::Args;
use crate::audio::{Audio, FRAME_EVERY};
use crate::clock::now;
use crate::plan::Plan;
use crate::say;

/// How long the end of the connection is awaited after the close frame.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// How a stream ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    Clean { results: u64 },
    Cut { why: String },
    Refused { why: String },
}

struct Stream {
    socket: WebSocketStream<TcpStream>,
    plan: Plan,
    args: Rc<Args>,
    opened: Instant,
    results: u64,
    final_result: bool,
}

/// What may happen next while a stream is open.
enum Event {
    Heard(Option<Result<Message, Error>>),
    SpeakNow,
    KeepAliveNow,
    Over,
}

/// Opens a stream, follows its plan and prints how it ended.
pub(crate) async fn run(plan: Plan, args: Rc<Args>) -> Ending {
    let (number, started) = (plan.number, now());
    let ending = match connect(&args).await {
        Ok(socket) => Stream::new(socket, plan, args).run().await,
        Err(why) => Ending::Refused { why },
    };
    let seconds = started.elapsed().as_secs_f64();
    match &ending {
        Ending::Clean { results } => {
            say(&format!("stream {number} ended cleanly after {seconds:.1}s code=1000 results={results}"));
        }
        Ending::Cut { why } => say(&format!("stream {number} CUT after {seconds:.1}s: {why}")),
        Ending::Refused { why } => say(&format!("stream {number} REFUSED: {why}")),
    }
    ending
}

async fn connect(args: &Args) -> Result<WebSocketStream<TcpStream>, String> {
    let (host, port) = (args.url.host().unwrap_or_default(), args.url.port_u16().unwrap_or(80));
    let tcp = TcpStream::connect(format!("{host}:{port}")).await.map_err(|error| cause(&error.into()))?;
    let (socket, _) = client_async(&args.url, tcp).await.map_err(|error| cause(&error))?;
    Ok(socket)
}

impl Stream {
    fn new(socket: WebSocketStream<TcpStream>, plan: Plan, args: Rc<Args>) -> Self {
        Self { socket, plan, args, opened: now(), results: 0, final_result: false }
    }

    async fn run(mut self) -> Ending {
        if let Err(why) = self.follow_plan().await {
            return Ending::Cut { why };
        }
        let limit = self.args.close_timeout;
        match timeout(limit, self.close()).await {
            Ok(Ok(())) => Ending::Clean { results: self.results },
            Ok(Err(why)) => Ending::Cut { why },
            Err(_) => Ending::Cut { why: format!("no clean close within {}", humantime::format_duration(limit)) },
        }
    }

    /// Sends audio or `KeepAlive` until the planned end; anything that ends the stream earlier is an error.
    async fn follow_plan(&mut self) -> Result<(), String> {
        let mut audio = Audio::new(self.plan.random.clone(), self.args.rate);
        let mut frames = interval(FRAME_EVERY);
        let mut keepalives = self.keepalives();
        loop {
            match self.next_event(&mut frames, &mut keepalives).await {
                Event::Heard(message) => self.hear(message)?,
                Event::SpeakNow => self.send(Message::binary(audio.frame())).await?,
                Event::KeepAliveNow => self.send(control("KeepAlive")).await?,
                Event::Over => return Ok(()),
            }
        }
    }

    fn keepalives(&self) -> Interval {
        let mut ticks = interval_at(self.opened + self.args.idle_from, self.args.keepalive_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    async fn next_event(&mut self, frames: &mut Interval, keepalives: &mut Interval) -> Event {
        let idle = self.plan.idles && self.opened.elapsed() >= self.args.idle_from;
        let end = self.opened + self.plan.duration;
        tokio::select! {
            message = self.socket.next() => Event::Heard(message),
            () = sleep_until(end) => Event::Over,
            _ = frames.tick(), if !idle => Event::SpeakNow,
            _ = keepalives.tick(), if self.plan.idles => Event::KeepAliveNow,
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
        self.socket.send(message).await.map_err(|error| cause(&error))
    }
}

fn control(kind: &str) -> Message {
    Message::text(json!({ "type": kind }).to_string())
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
