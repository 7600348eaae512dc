//! What the live view shows, as lines that fit the terminal: the less room, the less of what matters least.

use crate::commands::status::graph;
use crate::commands::status::history::{History, Sample};
use crate::commands::status::lines::{Line, Size, Style};
use crate::commands::status::text::{describe_outcome, describe_source, describe_target, known, people};
use crate::io::report::durations::DurationsReport;
use crate::io::report::{DrainReport, OutcomeReport, SourceReport, StatusReport};

#[cfg(test)]
mod tests;

/// A terminal at least so high has room for graphs of several lines.
const HIGH: usize = 24;
/// A terminal at least so wide has room for keys that stand apart.
const WIDE: usize = 40;
/// A bar that is shorter says nothing.
const LEAST_BAR: usize = 10;

/// What is known of the sidecar.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The streams until now.
    pub history: History,
    /// What the sidecar said last.
    pub report: StatusReport,
    /// For how many seconds it has not answered; `None` while it does.
    pub silent_for: Option<u64>,
}

/// What gives way to what, the first to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Phase,
    Streams,
    TimeLeft,
    End,
    Graph,
    Drained,
    Target,
    Sources,
    DurationHistogram,
    Detail,
    Blank,
}

/// The lines of the view: never wider nor higher than the terminal.
#[must_use]
pub fn lines(seen: &Seen, size: Size) -> Vec<Line> {
    let mut page = Page { size, lines: Vec::new() };
    let report = &seen.report;
    page.head(report, seen.silent_for);
    page.streams(report, &seen.history);
    page.blank();
    report.sources.iter().for_each(|source| page.source(source));
    if let Some(seconds) = report.disagreement_seconds {
        let text = format!("disagree, for {}; the largest count holds", people(seconds.round()));
        page.put(Rank::Sources, "sources", &text, Style::Warning);
    }
    let alive = report.target.as_ref().is_some_and(|target| target.alive);
    let style = if alive { Style::Plain } else { Style::Warning };
    page.put(Rank::Target, "target", &describe_target(report.target.as_ref()), style);
    match (&report.outcome, &report.drain) {
        (Some(outcome), _) => page.outcome(outcome),
        (None, Some(drain)) => page.drain(report, drain),
        (None, None) => {}
    }
    if let Some(durations) = &report.durations {
        page.durations(durations);
    }
    page.fit()
}

struct Page {
    size: Size,
    lines: Vec<(Rank, Line)>,
}

impl Page {
    fn head(&mut self, report: &StatusReport, silent_for: Option<u64>) {
        let title = format!("lameduck {}; Ctrl-C ends this view and nothing else", report.version);
        self.push(Rank::Detail, &title, Style::Dim);
        if let Some(seconds) = silent_for {
            #[expect(clippy::cast_precision_loss, reason = "nobody looks on for so long")]
            let since = people(seconds as f64);
            self.push(Rank::Phase, &format!("no sidecar answers since {since}; what it said last:"), Style::Bad);
        }
        let style = if report.phase == "serving" { Style::Good } else { Style::Bold };
        self.put(Rank::Phase, "phase", &report.phase.replace('_', " "), style);
    }

    fn streams(&mut self, report: &StatusReport, history: &History) {
        let Sample { streams, idle } = Sample::of(report);
        let working = Sample::of(report).working();
        let parts = match (working, idle) {
            (Some(working), Some(idle)) => format!(": {working} working, {idle} idle"),
            (None, _) | (_, None) => String::new(),
        };
        let style = if streams.is_some() { Style::Bold } else { Style::Warning };
        self.put(Rank::Streams, "streams", &(known(streams) + &parts), style);
        let (samples, step) = history.columns(self.room());
        self.graphs(&samples, step);
    }

    fn graphs(&mut self, samples: &[Sample], step: usize) {
        let peak = samples.iter().filter_map(|sample| sample.streams).max();
        let high = self.size.rows >= HIGH;
        let all = |value: fn(&Sample) -> Option<u64>| samples.iter().map(value).collect::<Vec<_>>();
        if samples.iter().any(|sample| sample.idle.is_some()) {
            let rows = if high { 2 } else { 1 };
            self.graph("working", &all(|sample| sample.working()), rows, peak, Style::Good);
            self.graph("idle", &all(|sample| sample.idle), rows, peak, Style::Warning);
        } else {
            self.graph("", &all(|sample| sample.streams), if high { 4 } else { 1 }, peak, Style::Good);
        }
        let peak = peak.map(|peak| format!("highest: {peak}")).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "it is a few hours at most")]
        let first = people((samples.len() * step) as f64);
        let axis = axis(&format!("{first} ago"), &peak, "now", samples.len());
        self.put(Rank::Detail, "", &axis, Style::Dim);
    }

    fn graph(&mut self, name: &str, values: &[Option<u64>], rows: usize, peak: Option<u64>, style: Style) {
        for (at, line) in graph::columns(values, rows, peak.unwrap_or(0)).iter().enumerate() {
            let key = if at + 1 == rows { name } else { "" };
            self.put(Rank::Graph, key, line, style);
        }
    }

    fn source(&mut self, source: &SourceReport) {
        let style = if source.streams.is_some() { Style::Plain } else { Style::Warning };
        self.put(Rank::Sources, "source", &describe_source(source), style);
    }

    fn outcome(&mut self, outcome: &OutcomeReport) {
        self.blank();
        let style = match outcome.stragglers {
            Some(0) => Style::Good,
            Some(_) => Style::Bad,
            None => Style::Warning,
        };
        self.put(Rank::Streams, "outcome", &describe_outcome(outcome), style);
    }

    fn drain(&mut self, report: &StatusReport, drain: &DrainReport) {
        let DrainReport { trigger, elapsed_seconds, remaining_seconds, streams_at_start, signalled } = drain;
        self.blank();
        self.drained(report.streams, *streams_at_start);
        let spent = elapsed_seconds / (elapsed_seconds + remaining_seconds);
        let left = people(remaining_seconds.round());
        self.bar(Rank::TimeLeft, "time", Some(spent), &format!("{left} left"), Style::Plain);
        let (end, style) = estimate(report, *remaining_seconds);
        self.put(Rank::End, "end", &end, style);
        let signal = if *signalled { "signalled" } else { "not signalled" };
        let detail = format!("by {trigger}, for {}, target {signal}", people(elapsed_seconds.round()));
        self.put(Rank::Detail, "drain", &detail, Style::Dim);
    }

    /// How many of the streams of the start have ended; more can have come meanwhile.
    fn drained(&mut self, streams: Option<u64>, at_start: Option<u64>) {
        let ended = at_start.zip(streams).map(|(at_start, streams)| at_start.saturating_sub(streams));
        let text = format!("{} of {} ended", known(ended), known(at_start));
        #[expect(clippy::cast_precision_loss, reason = "it is a picture")]
        let share = ended.zip(at_start).map(|(ended, at_start)| ended as f64 / at_start as f64);
        self.bar(Rank::Drained, "drained", share, &text, Style::Plain);
    }

    fn durations(&mut self, durations: &DurationsReport) {
        let DurationsReport { count, p50_seconds, p90_seconds, p99_seconds, longest_seconds, .. } = durations;
        let [p50, p90, p99, longest] =
            [p50_seconds, p90_seconds, p99_seconds, longest_seconds].map(|seconds| rounded(*seconds));
        let seen = format!("{count} streams: p50 {p50}, p90 {p90}, p99 {p99}, longest {longest}");
        let grace = people(durations.recommended_grace_period_seconds);
        let why = if durations.low_sample_count {
            "few were seen, so look again later"
        } else {
            "the longest seen and a fifth more"
        };
        self.blank();
        self.put(Rank::DurationHistogram, "seen", &seen, Style::Plain);
        self.put(Rank::DurationHistogram, "advice", &format!("grace period {grace}: {why}"), Style::Plain);
    }

    /// A bar with what it means; without a share, or without room, only that.
    fn bar(&mut self, rank: Rank, key: &str, share: Option<f64>, text: &str, style: Style) {
        let width = self.room().saturating_sub(text.chars().count() + 1);
        let value = match share {
            Some(share) if width >= LEAST_BAR => format!("{} {text}", graph::bar(share, width)),
            Some(_) | None => text.to_owned(),
        };
        self.put(rank, key, &value, style);
    }

    /// How many characters a value may have.
    const fn room(&self) -> usize {
        self.size.columns.saturating_sub(self.key_width())
    }

    /// The longest keys have seven characters.
    const fn key_width(&self) -> usize {
        if self.size.columns >= WIDE { 9 } else { 8 }
    }

    fn put(&mut self, rank: Rank, key: &str, value: &str, style: Style) {
        self.lines.push((rank, Line::new(key, self.key_width(), value, style, self.size.columns)));
    }

    fn push(&mut self, rank: Rank, text: &str, style: Style) {
        self.lines.push((rank, Line::new("", 0, text, style, self.size.columns)));
    }

    fn blank(&mut self) {
        self.push(Rank::Blank, "", Style::Plain);
    }

    /// As many lines as there is room for, in their order; those of the lowest rank give way first.
    fn fit(self) -> Vec<Line> {
        let mut places: Vec<_> = self.lines.iter().enumerate().map(|(place, (rank, _))| (*rank, place)).collect();
        places.sort_unstable();
        let kept: Vec<_> = places.into_iter().take(self.size.rows).map(|(_, place)| place).collect();
        let lines = self.lines.into_iter().enumerate();
        lines.filter(|(place, _)| kept.contains(place)).map(|(_, (_, line))| line).collect()
    }
}

/// When all streams will have ended, by how long streams last; nothing where nobody can say.
fn estimate(report: &StatusReport, remaining: f64) -> (String, Style) {
    if report.streams == Some(0) {
        return ("no stream is left".to_owned(), Style::Good);
    }
    match report.durations.as_ref().and_then(|durations| durations.estimated_time_to_zero_seconds) {
        Some(end) if end > remaining => {
            (format!("in {}, as likely as not: after the deadline", rounded(end)), Style::Warning)
        }
        Some(end) => (format!("in {}, as likely as not", rounded(end)), Style::Plain),
        None => ("no estimate".to_owned(), Style::Dim),
    }
}

/// Whole seconds, from ten on.
fn rounded(seconds: f64) -> String {
    people(if seconds < 10.0 { seconds } else { seconds.round() })
}

/// Three words under a graph: at its left end, in the middle and at its right end; only the last where they do not fit.
fn axis(left: &str, middle: &str, right: &str, width: usize) -> String {
    let words = left.len() + middle.len() + right.len();
    if width < words + 4 {
        return format!("{right:>width$}");
    }
    let before = (width - words) / 2;
    let after = width - words - before;
    format!("{left}{}{middle}{}{right}", " ".repeat(before), " ".repeat(after))
}
