//! One open stream: audio in, results out.

use std::future;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::clock::now;
use crate::engine::Slot;
use crate::messages::{Control, metadata, results};
use crate::statistics::Moment;

/// How long a client may take to read a message.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// How long a client may take to answer a close frame.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// Audio is treated as linear16 at 8 kHz.
const BYTES_PER_SECOND: f64 = 16_000.0;
const NO_DATA: &str = "NET-0001 Deepgram did not receive audio data or a text message within the timeout window. See https://dpgr.am/net0001";

/// The connection of a stream.
pub(crate) type Socket = WebSocketStream<TokioIo<Upgraded>>;

pub(crate) struct Stream {
    slot: Slot,
    socket: Socket,
    opened: Instant,
    /// When audio or a `KeepAlive` last came.
    last_input: Instant,
    audio_bytes: u64,
    last_audio: Instant,
    /// Bytes of audio for which a result has been sent.
    answered_bytes: u64,
    results: u64,
}

/// The connection ended without a closing handshake.
struct Lost(String);

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl Stream {
    pub(crate) fn new(slot: Slot, socket: Socket) -> Self {
        let opened = now();
        Self {
            slot,
            socket,
            opened,
            last_input: opened,
            audio_bytes: 0,
            last_audio: opened,
            answered_bytes: 0,
            results: 0,
        }
    }

    pub(crate) async fn run(mut self) {
        let ending = self.run_to_close().await;
        let took = self.opened.elapsed();
        let Self { slot, audio_bytes, results, .. } = self;
        let (id, kind, engine) = (slot.id, slot.kind, slot.engine().clone());
        engine.observe(kind, Moment::Closed, took);
        // Leaves the gauge before the line: a test that has read the line relies on it.
        drop(slot);
        let (verb, end) = match ending {
            Ok(code) => ("closed", format!("code={code}")),
            Err(Lost(error)) => ("lost", format!("error=\"{error}\"")),
        };
        let seconds = took.as_secs_f64();
        engine.log(format_args!("stream {id} {verb} after {seconds:.1}s {end} audio={audio_bytes}B results={results}"));
    }

    /// Runs until either side closes the stream; returns the close code.
    async fn run_to_close(&mut self) -> Result<u16, Lost> {
        let mut ticks = self.ticks();
        loop {
            let silence = silence(self.deadline());
            tokio::select! {
                message = self.socket.next() => {
                    if let Some(code) = self.on_message(message.transpose()?).await? {
                        return Ok(code);
                    }
                }
                _ = ticks.tick() => self.send_interim().await?,
                () = silence => return self.close(CloseCode::Error, NO_DATA).await,
            }
        }
    }

    fn ticks(&self) -> Interval {
        let every = self.slot.engine().args().streams.interim_every;
        let mut ticks = interval_at(self.opened + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    /// When the stream will have been silent for too long.
    fn deadline(&self) -> Option<Instant> {
        let limit = self.slot.engine().args().streams.no_data_timeout;
        if self.slot.kind.needs_input() { self.last_input.checked_add(limit) } else { None }
    }

    async fn on_message(&mut self, message: Option<Message>) -> Result<Option<u16>, Lost> {
        match message {
            Some(Message::Binary(audio)) => self.on_audio(audio.len()),
            Some(Message::Text(text)) => match Control::parse(&text) {
                Control::KeepAlive => self.last_input = now(),
                Control::CloseStream => return self.finish().await.map(Some),
                Control::Other => {}
            },
            Some(Message::Close(frame)) => {
                self.read_to_end().await;
                return Ok(Some(frame.map_or(CloseCode::Status, |frame| frame.code).into()));
            }
            Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            None => return Err(Lost("connection closed".to_owned())),
        }
        Ok(None)
    }

    fn on_audio(&mut self, bytes: usize) {
        self.audio_bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        self.last_audio = now();
        self.last_input = self.last_audio;
    }

    /// Sends an interim result, if audio has come since the last one.
    async fn send_interim(&mut self) -> Result<(), Lost> {
        if self.audio_bytes == self.answered_bytes {
            return Ok(());
        }
        self.slot.engine().observe(self.slot.kind, Moment::Result, self.last_audio.elapsed());
        self.send_results(false).await
    }

    async fn finish(&mut self) -> Result<u16, Lost> {
        let early = self.slot.engine().args().streams.gauge_drops_early;
        if !early.is_zero() {
            self.slot.leave_gauge();
            sleep(early).await;
        }
        self.send_results(true).await?;
        self.send(Message::text(metadata(self.slot.id, seconds_of(self.audio_bytes)))).await?;
        self.close(CloseCode::Normal, "").await
    }

    async fn send_results(&mut self, is_final: bool) -> Result<(), Lost> {
        let (start, end) = (seconds_of(self.answered_bytes), seconds_of(self.audio_bytes));
        self.answered_bytes = self.audio_bytes;
        self.send(Message::text(results(start, end, is_final))).await?;
        self.results += 1;
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), Lost> {
        match timeout(SEND_LIMIT, self.socket.send(message)).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(Lost("client reads nothing".to_owned())),
        }
    }

    async fn close(&mut self, code: CloseCode, reason: &'static str) -> Result<u16, Lost> {
        self.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await?;
        self.read_to_end().await;
        Ok(code.into())
    }

    /// Lets the closing handshake finish. A socket closed with unread bytes would reset the connection, and the
    /// client could lose what was sent last.
    async fn read_to_end(&mut self) {
        let rest = async { while let Some(Ok(_)) = self.socket.next().await {} };
        let _ = timeout(CLOSE_LIMIT, rest).await;
    }
}

async fn silence(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => future::pending().await,
    }
}

#[expect(clippy::cast_precision_loss, reason = "no stream has 2^53 bytes")]
fn seconds_of(bytes: u64) -> f64 {
    bytes as f64 / BYTES_PER_SECOND
}
