//! lameduck's own metrics, as Prometheus text.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::time::Duration;

use crate::io::rounding::rounded_seconds;
use lameduck_machine::io::TargetEnded;
use lameduck_machine::reading::Source;
use lameduck_machine::result::{DrainResult, Outcome};
use lameduck_machine::snapshot::{Phase, Snapshot};
use lameduck_machine::source_state::SourceStatus;

/// The counters since the start of this process.
#[derive(Debug)]
pub struct Metrics {
    readings: BTreeMap<(Source, &'static str), u64>,
    source_read_durations: Histogram,
    drains: BTreeMap<&'static str, u64>,
    drain_durations: Histogram,
    stream_durations: Histogram,
    stragglers: u64,
    target_exits: [u64; 2],
    signals: BTreeMap<(String, &'static str), u64>,
}

impl Metrics {
    /// All counters at zero. The series of these sources exist from the start.
    #[must_use]
    pub fn new(sources: &[Source]) -> Self {
        let results = ["ok", "absent", "unknown"];
        Self {
            readings: sources.iter().flat_map(|s| results.map(|result| ((*s, result), 0))).collect(),
            source_read_durations: Histogram::new(&[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0]),
            drains: Outcome::ALL.into_iter().map(|outcome| (outcome.name(), 0)).collect(),
            drain_durations: Histogram::new(&[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0]),
            stream_durations: Histogram::new(&[
                1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0,
            ]),
            stragglers: 0,
            target_exits: [0; 2],
            signals: BTreeMap::new(),
        }
    }

    /// Counts one reading, by the state of its source after it, and its duration.
    pub fn record_reading(&mut self, source: Source, status: &SourceStatus, took: Duration) {
        let result = match status {
            SourceStatus::Counted(_) => "ok",
            SourceStatus::Absent => "absent",
            SourceStatus::NotPolled | SourceStatus::Unknown(_) => "unknown",
        };
        *self.readings.entry((source, result)).or_default() += 1;
        self.source_read_durations.observe(took);
    }

    /// Counts a finished drain.
    pub fn record_drain(&mut self, result: &DrainResult) {
        *self.drains.entry(result.outcome.name()).or_default() += 1;
        self.drain_durations.observe(result.duration);
    }

    /// Counts streams that were cut.
    pub const fn record_stragglers(&mut self, streams: u64) {
        self.stragglers = self.stragglers.saturating_add(streams);
    }

    /// Counts an exit of the target.
    pub const fn record_target_end(&mut self, ended: TargetEnded) {
        match ended {
            TargetEnded::Serving(_) => self.target_exits[0] += 1,
            TargetEnded::Drain => self.target_exits[1] += 1,
        }
    }

    /// Counts a stream that was observed from start to end.
    pub fn record_stream_duration(&mut self, duration: Duration) {
        self.stream_durations.observe(duration);
    }

    /// Counts a signal and whether the kernel accepted it.
    pub fn record_signal(&mut self, signal: &str, sent: bool) {
        *self.signals.entry((signal.to_owned(), if sent { "sent" } else { "failed" })).or_default() += 1;
    }

    /// The metrics page for this snapshot. `boot_time` is the wall clock's time at boot.
    #[must_use]
    pub fn render(&self, now: &Snapshot, boot_time: Duration) -> String {
        let mut page = Page::default();
        page.state(now, boot_time);
        page.family("source_readings_total", "counter", "Number of source readings, by source and result.");
        for ((source, result), count) in &self.readings {
            page.sample(&format!("source_readings_total{{source=\"{}\",result=\"{result}\"}}", source.name()), count);
        }
        page.histogram("source_read_duration_seconds", "Time to read a source.", &self.source_read_durations);
        page.family("drains_total", "counter", "Number of finished drains, by outcome.");
        for (outcome, count) in &self.drains {
            page.sample(&format!("drains_total{{outcome=\"{outcome}\"}}"), count);
        }
        page.histogram("drain_duration_seconds", "Duration of finished drains.", &self.drain_durations);
        page.histogram(
            "stream_duration_seconds",
            "Duration of streams observed from start to end.",
            &self.stream_durations,
        );
        page.family(
            "stragglers_total",
            "counter",
            "Number of streams known to have been open at a drain deadline or when the target ended.",
        );
        page.sample("stragglers_total", self.stragglers);
        page.family("target_exits_total", "counter", "Number of exits of the target, while serving or in a drain.");
        for (during, exits) in ["serving", "drain"].into_iter().zip(self.target_exits) {
            page.sample(&format!("target_exits_total{{during=\"{during}\"}}"), exits);
        }
        if !self.signals.is_empty() {
            page.family("signals_total", "counter", "Number of signals to the target, by signal and result.");
        }
        for ((signal, result), count) in &self.signals {
            page.sample(&format!("signals_total{{signal=\"{signal}\",result=\"{result}\"}}"), count);
        }
        page.0
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP lameduck_{name} {help}\n# TYPE lameduck_{name} {kind}\n");
    }

    fn sample(&mut self, series: &str, value: impl Display) {
        let _ = writeln!(self.0, "lameduck_{series} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, value);
    }

    fn state(&mut self, now: &Snapshot, boot_time: Duration) {
        if let Some(streams) = now.streams.count {
            self.gauge("streams", "Number of open streams. Omitted if unknown.", streams);
        }
        if let Some(idle) = now.streams.idle {
            self.gauge("idle_streams", "Number of idle streams. Omitted if unknown.", idle);
        }
        self.family("source_up", "gauge", "1 if the last reading of the source returned a count, otherwise 0.");
        for source in &now.streams.sources {
            let up = u8::from(matches!(source.status, SourceStatus::Counted(_)));
            self.sample(&format!("source_up{{source=\"{}\"}}", source.source.name()), up);
        }
        self.family("phase", "gauge", "1 for the current phase, 0 for all others.");
        for phase in Phase::ALL {
            self.sample(&format!("phase{{phase=\"{}\"}}", phase.name()), u8::from(phase == now.phase));
        }
        let alive = now.target.as_ref().is_some_and(|target| target.alive);
        self.gauge("target_up", "1 if the target is visible and alive, otherwise 0.", u8::from(alive));
        self.gauge("hook_callers", "Number of waiting hook callers.", now.hook_callers);
        if let Some(drain) = &now.drain {
            let deadline = rounded_seconds(boot_time + drain.deadline.as_duration());
            self.gauge("drain_deadline_timestamp_seconds", "Unix time of the drain deadline.", deadline);
        }
        self.family("build_info", "gauge", "Version of the running lameduck. Always 1.");
        self.sample(concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        for (bound, count) in histogram.bounds.iter().zip(&histogram.counts) {
            self.sample(&format!("{name}_bucket{{le=\"{bound}\"}}"), count);
        }
        self.sample(&format!("{name}_bucket{{le=\"+Inf\"}}"), histogram.total);
        self.sample(&format!("{name}_sum"), rounded_seconds(histogram.sum));
        self.sample(&format!("{name}_count"), histogram.total);
    }
}

/// A Prometheus histogram of durations, in seconds.
#[derive(Debug)]
struct Histogram {
    bounds: &'static [f64],
    /// For each bound, the number of durations of at most that length.
    counts: Vec<u64>,
    total: u64,
    sum: Duration,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len()], total: 0, sum: Duration::ZERO }
    }

    fn observe(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        for (bound, count) in self.bounds.iter().zip(&mut self.counts) {
            *count += u64::from(seconds <= *bound);
        }
        self.total += 1;
        self.sum = self.sum.saturating_add(duration);
    }
}
