//! Prints the drain as it happens: who does what, and what it means.

use std::process::ExitStatus;
use std::time::Instant;

use lameduck::io::report::StatusReport;
use serde_json::Value;

use crate::clock::now;
use crate::events::{Event, Line, Origin};
use crate::http::Answer;
use crate::pod::EXIT_DELAY;
use crate::record::{Ending, Kind, Record};
use crate::screen::{Screen, Speaker};

/// The printed events, and the record of them.
pub(crate) struct Transcript<'a> {
    pub(crate) screen: &'a mut Screen,
    pub(crate) record: Record,
    /// When lameduck logged the start of the drain, the signal and the end.
    pub(crate) begun: Option<Instant>,
    pub(crate) signalled: Option<Instant>,
    over: Option<Instant>,
    /// The last number of streams printed, the number of idle ones among them, and the maximum.
    streams: Option<u64>,
    idle: u64,
    max_streams: u64,
}

impl<'a> Transcript<'a> {
    /// Starts the transcript of a drain whose hook is called now, with this many streams open.
    pub(crate) fn begin(screen: &'a mut Screen, streams: u64) -> Self {
        let called = now();
        screen.start_clock(called);
        let remark = "no answer until the drain is over";
        screen.event(called, Speaker::Kubelet, "GET /prestop", remark);
        let record = Record::new(called);
        Self {
            screen,
            record,
            begun: None,
            signalled: None,
            over: None,
            streams: Some(streams),
            idle: 0,
            max_streams: streams,
        }
    }

    /// Whether the event's cause has not been printed yet: lines of different processes may arrive out of order.
    pub(crate) fn is_early(&self, event: &Event) -> bool {
        match event {
            Event::Line(line) if line.from == Origin::Engine => is_signal(&line.text) && self.signalled.is_none(),
            Event::Hook(_) => self.over.is_none(),
            Event::Line(_) | Event::Interrupted => false,
        }
    }

    pub(crate) fn print(&mut self, speaker: Speaker, text: &str, remark: &str) {
        self.screen.event(now(), speaker, text, remark);
    }

    pub(crate) fn on_line(&mut self, line: &Line) {
        match line.from {
            Origin::Cargo => {}
            Origin::Engine => self.on_engine_line(line),
            Origin::Lameduck => self.on_lameduck_line(line),
            Origin::Client { after } => self.on_client_line(line, after),
        }
    }

    fn on_engine_line(&mut self, line: &Line) {
        let text = line.text.strip_prefix("engine: ").unwrap_or(&line.text);
        let remark = if text.starts_with("exit ") {
            &format!("{EXIT_DELAY} after its last stream")
        } else if text.contains(" opened ") {
            "the pod still accepts new streams"
        } else {
            ""
        };
        if is_signal(text) {
            self.record.signals.push(text.to_owned());
        }
        // The clients report the ends of the streams.
        if !text.contains(" closed after ") {
            self.screen.event(line.at, Speaker::Engine, text, remark);
        }
    }

    fn on_lameduck_line(&mut self, line: &Line) {
        let entry: Value = serde_json::from_str(&line.text).unwrap_or_default();
        let field = |key: &str| entry.get(key).map_or_else(String::new, plain);
        let text = match entry.get("message").and_then(Value::as_str) {
            Some("started" | "target found" | "not ready" | "ready" | "draining" | "SIGTERM received") => return,
            Some(message) if message.starts_with("drain started") => {
                self.begun = Some(line.at);
                format!("{message}; {} streams", field("streams"))
            }
            Some("signal sent") => {
                self.signalled = Some(line.at);
                format!("{} sent to process {} only", field("signal"), field("pid"))
            }
            Some("drain over") => {
                self.over = Some(line.at);
                format!("drain over: {}, {} stragglers", field("outcome"), field("stragglers"))
            }
            Some(message) => [message, &field("error"), &field("reason")].join(" ").trim_end().to_owned(),
            None => line.text.clone(),
        };
        self.screen.event(line.at, Speaker::Lameduck, &text, "");
    }

    fn on_client_line(&mut self, line: &Line, after: u32) {
        let Some(ending) = Ending::parse(&line.text, after, line.at) else { return };
        let remark = match ending.kind {
            Kind::Clean | Kind::Cut => "",
            Kind::Refused => "the listener is closed",
        };
        self.screen.event(line.at, Speaker::Client, &format!("stream {} {}", ending.number, ending.text), remark);
        self.record.endings.push(ending);
    }

    pub(crate) fn on_answer(&mut self, answer: Answer) {
        self.screen.event(
            answer.began,
            Speaker::Kubelet,
            &format!("answer to the hook: {} {}", answer.status, answer.body),
            "",
        );
        self.record.answer = Some(answer);
    }

    /// Prints the number of streams that lameduck counts, if it has changed.
    pub(crate) fn on_status(&mut self, status: &StatusReport) {
        let (Some(drain), Some(streams)) = (&status.drain, status.streams) else { return };
        let left = format!("{:.0} s", drain.remaining_seconds);
        let idle = status.idle_streams.unwrap_or(0);
        if (self.streams, self.idle) != (Some(streams), idle) && self.over.is_none() && self.record.answer.is_none() {
            let remark = match (streams, idle > self.idle) {
                (0, _) => "lameduck waits until this has held for 1 s",
                (_, true) => "it has sent only keep-alives for 4 s",
                (_, false) => "",
            };
            (self.streams, self.idle) = (Some(streams), idle);
            self.max_streams = self.max_streams.max(streams);
            self.print(Speaker::Lameduck, &format!("{}, {left} left", stream_count(streams, idle)), remark);
        }
        let bar = self.screen.bar(streams, self.max_streams);
        let held = if self.record.answer.is_none() { "hook held, no answer yet" } else { "hook answered" };
        self.screen.status(&format!("         {bar}  {}, {left} left, {held}", stream_count(streams, idle)));
    }

    pub(crate) fn on_probe(&mut self, answer: Answer) {
        let remark = "the Service stops sending new clients here";
        let code = answer.status.split(' ').next().unwrap_or_default();
        self.print(Speaker::Kubelet, &format!("GET /readyz {code} {}", answer.body), remark);
        self.record.readiness = Some(answer);
    }

    pub(crate) fn on_sidecar_exit(&mut self, status: ExitStatus) {
        let text = status.code().map_or_else(|| status.to_string(), |code| format!("exit code={code}"));
        self.print(Speaker::Lameduck, &text, "");
        self.record.sidecar = Some(status);
    }
}

fn is_signal(text: &str) -> bool {
    text.contains(" received (")
}

fn stream_count(streams: u64, idle: u64) -> String {
    let all = if streams == 1 { "1 stream".to_owned() } else { format!("{streams} streams") };
    if idle == 0 { all } else { format!("{all}, {idle} of them idle") }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
