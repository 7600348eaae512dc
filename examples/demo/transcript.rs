//! What is told of the drain: who says what, and what it means.

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

/// The teller, and what it has told.
pub(crate) struct Story<'a> {
    pub(crate) screen: &'a mut Screen,
    pub(crate) record: Record,
    /// When lameduck said that it had begun, signalled, ended the drain.
    pub(crate) begun: Option<Instant>,
    pub(crate) signalled: Option<Instant>,
    over: Option<Instant>,
    /// The count that was told last, and of these the idle ones; and the largest.
    streams: Option<u64>,
    idle: u64,
    most: u64,
}

impl<'a> Story<'a> {
    /// The story of a drain whose hook is called now, with so many streams open.
    pub(crate) fn begin(screen: &'a mut Screen, streams: u64) -> Self {
        let called = now();
        screen.start_clock(called);
        let remark = "held: no answer until the drain is over";
        screen.tell(called, Speaker::Kubelet, "GET /prestop", remark);
        let record = Record::new(called);
        Self {
            screen,
            record,
            begun: None,
            signalled: None,
            over: None,
            streams: Some(streams),
            idle: 0,
            most: streams,
        }
    }

    /// Whether this is an effect whose cause has not been told: lines of different processes come by different ways.
    pub(crate) fn is_early(&self, event: &Event) -> bool {
        match event {
            Event::Line(line) if line.from == Origin::Engine => is_signal(&line.text) && self.signalled.is_none(),
            Event::Hook(_) => self.over.is_none(),
            Event::Line(_) | Event::Interrupted => false,
        }
    }

    pub(crate) fn tell(&mut self, speaker: Speaker, text: &str, remark: &str) {
        self.screen.tell(now(), speaker, text, remark);
    }

    pub(crate) fn hear(&mut self, line: &Line) {
        match line.from {
            Origin::Cargo => {}
            Origin::Engine => self.hear_engine(line),
            Origin::Lameduck => self.hear_lameduck(line),
            Origin::Client { after } => self.hear_client(line, after),
        }
    }

    fn hear_engine(&mut self, line: &Line) {
        let text = line.text.strip_prefix("engine: ").unwrap_or(&line.text);
        let remark = if text.starts_with("exit ") {
            &format!("{EXIT_DELAY} after its last stream")
        } else if text.contains(" opened ") {
            "nobody is turned away yet"
        } else {
            ""
        };
        if is_signal(text) {
            self.record.signals.push(text.to_owned());
        }
        // Of the streams' ends the clients tell.
        if !text.contains(" closed after ") {
            self.screen.tell(line.at, Speaker::Engine, text, remark);
        }
    }

    fn hear_lameduck(&mut self, line: &Line) {
        let entry: Value = serde_json::from_str(&line.text).unwrap_or_default();
        let word = |key: &str| entry.get(key).map_or_else(String::new, plain);
        let text = match entry.get("message").and_then(Value::as_str) {
            Some("started" | "target found" | "not ready" | "ready" | "draining" | "SIGTERM received") => return,
            Some(message) if message.starts_with("drain begins") => {
                self.begun = Some(line.at);
                format!("{message}; {} streams", word("streams"))
            }
            Some("signal sent") => {
                self.signalled = Some(line.at);
                format!("{} sent, to process {} alone", word("signal"), word("pid"))
            }
            Some("drain over") => {
                self.over = Some(line.at);
                format!("drain over: {}, {} stragglers", word("outcome"), word("stragglers"))
            }
            Some(message) => [message, &word("error"), &word("reason")].join(" ").trim_end().to_owned(),
            None => line.text.clone(),
        };
        self.screen.tell(line.at, Speaker::Lameduck, &text, "");
    }

    fn hear_client(&mut self, line: &Line, after: u32) {
        let Some(ending) = Ending::read(&line.text, after, line.at) else { return };
        let remark = match ending.kind {
            Kind::Clean | Kind::Cut => "",
            Kind::Refused => "the listener is closed",
        };
        self.screen.tell(line.at, Speaker::Client, &format!("stream {} {}", ending.number, ending.words), remark);
        self.record.endings.push(ending);
    }

    pub(crate) fn answered(&mut self, answer: Answer) {
        self.screen.tell(answer.began, Speaker::Kubelet, &format!("{} {}", answer.status, answer.body), "");
        self.record.answer = Some(answer);
    }

    /// Tells how many streams lameduck counts, where that has changed.
    pub(crate) fn count(&mut self, status: &StatusReport) {
        let (Some(drain), Some(streams)) = (&status.drain, status.streams) else { return };
        let left = format!("{:.0} s", drain.remaining_seconds);
        let idle = status.idle_streams.unwrap_or(0);
        if (self.streams, self.idle) != (Some(streams), idle) && self.over.is_none() && self.record.answer.is_none() {
            let remark = match (streams, idle > self.idle) {
                (0, _) => "must hold for 1 s to be believed",
                (_, true) => "it sends keep-alives only, and has not worked for 4 s",
                (_, false) => "",
            };
            (self.streams, self.idle) = (Some(streams), idle);
            self.most = self.most.max(streams);
            self.tell(Speaker::Lameduck, &format!("{}, {left} left", number_of(streams, idle)), remark);
        }
        let bar = self.screen.bar(streams, self.most);
        let held = if self.record.answer.is_none() { "hook held, 0 bytes" } else { "hook answered" };
        self.screen.live(&format!("         {bar}  {}, {left} left, {held}", number_of(streams, idle)));
    }

    pub(crate) fn probed(&mut self, answer: Answer) {
        let remark = "so no new callers are sent here";
        let code = answer.status.split(' ').next().unwrap_or_default();
        self.tell(Speaker::Kubelet, &format!("GET /readyz {code} {}", answer.body), remark);
        self.record.readiness = Some(answer);
    }

    pub(crate) fn sidecar_ended(&mut self, status: ExitStatus) {
        let text = status.code().map_or_else(|| status.to_string(), |code| format!("exit code={code}"));
        self.tell(Speaker::Lameduck, &text, "");
        self.record.sidecar = Some(status);
    }
}

fn is_signal(text: &str) -> bool {
    text.contains(" received (")
}

fn number_of(streams: u64, idle: u64) -> String {
    let all = if streams == 1 { "1 stream".to_owned() } else { format!("{streams} streams") };
    if idle == 0 { all } else { format!("{all}, {idle} of them idle") }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
