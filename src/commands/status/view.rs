//! The live view as lines that fit the terminal. Without enough room, the least important lines are left out.

use crate::commands::status::graph;
use crate::commands::status::history::{History, Sample};
use crate::commands::status::lines::{Line, Size, Style};
use crate::commands::status::text::{describe_outcome, describe_source, describe_target, format_duration, or_unknown};
use crate::io::report::durations::DurationsReport;
use crate::io::report::{DrainReport, OutcomeReport, SourceReport, StatusReport};

#[cfg(test)]
mod tests;

/// A terminal of at least this many rows has room for graphs of several lines.
const TALL_TERMINAL: usize = 24;
/// A terminal of at least this many columns has room for wider keys.
const WIDE_TERMINAL: usize = 40;
/// A shorter bar shows nothing useful.
const MIN_BAR_WIDTH: usize = 10;

/// What the view shows.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The streams until now.
    pub history: History,
    /// The last status from the sidecar.
    pub report: StatusReport,
    /// For how many seconds the sidecar has not answered; `None` while it does.
    pub unreachable_for: Option<u64>,
}

/// The priority of a line, the highest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Priority {
    Phase,
    Streams,
    TimeLeft,
    End,
    Graph,
    Drained,
    Target,
    Sources,
    Durations,
    Detail,
    Blank,
}

/// Returns the lines of the view, never wider or higher than the terminal.
#[must_use]
pub fn lines(observed: &Observed, size: Size) -> Vec<Line> {
    let mut page = Page { size, lines: Vec::new() };
    let report = &observed.report;
    page.header(report, observed.unreachable_for);
    page.streams(report, &observed.history);
    page.blank();
    report.sources.iter().for_each(|source| page.source(source));
    if let Some(seconds) = report.disagreement_seconds {
        let text = format!("disagree for {}; the largest count is used", format_duration(seconds.round()));
        page.put(Priority::Sources, "sources", &text, Style::Warning);
    }
    let alive = report.target.as_ref().is_some_and(|target| target.alive);
    let style = if alive { Style::Plain } else { Style::Warning };
    page.put(Priority::Target, "target", &describe_target(report.target.as_ref()), style);
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

/// The height of a graph in lines, and the value that fills it.
#[derive(Clone, Copy)]
struct Scale {
    rows: usize,
    peak: u64,
}

struct Page {
    size: Size,
    lines: Vec<(Priority, Line)>,
}

impl Page {
    fn header(&mut self, report: &StatusReport, unreachable_for: Option<u64>) {
        let title = format!("lameduck {}; Ctrl-C closes this view, nothing else", report.version);
        self.push(Priority::Detail, &title, Style::Dim);
        if let Some(seconds) = unreachable_for {
            #[expect(clippy::cast_precision_loss, reason = "a view is not open for that long")]
            let duration = format_duration(seconds as f64);
            self.push(Priority::Phase, &format!("no sidecar answers for {duration}; last status:"), Style::Bad);
        }
        let style = if report.phase == "serving" { Style::Good } else { Style::Bold };
        self.put(Priority::Phase, "phase", &report.phase.replace('_', " "), style);
    }

    fn streams(&mut self, report: &StatusReport, history: &History) {
        let Sample { streams, idle } = Sample::from_report(report);
        let active = Sample::from_report(report).active();
        let parts = match (active, idle) {
            (Some(active), Some(idle)) => format!(": {active} active, {idle} idle"),
            (None, _) | (_, None) => String::new(),
        };
        let style = if streams.is_some() { Style::Bold } else { Style::Warning };
        self.put(Priority::Streams, "streams", &(or_unknown(streams) + &parts), style);
        let (samples, step) = history.columns(self.value_width());
        self.graphs(&samples, step);
    }

    fn graphs(&mut self, samples: &[Sample], step: usize) {
        let peak = samples.iter().filter_map(|sample| sample.streams).max();
        let tall = self.size.rows >= TALL_TERMINAL;
        let all = |value: fn(&Sample) -> Option<u64>| samples.iter().map(value).collect::<Vec<_>>();
        if samples.iter().any(|sample| sample.idle.is_some()) {
            let scale = Scale { rows: if tall { 2 } else { 1 }, peak: peak.unwrap_or(0) };
            self.graph("active", &all(|sample| sample.active()), scale, Style::Good);
            self.graph("idle", &all(|sample| sample.idle), scale, Style::Warning);
        } else {
            let scale = Scale { rows: if tall { 4 } else { 1 }, peak: peak.unwrap_or(0) };
            self.graph("", &all(|sample| sample.streams), scale, Style::Good);
        }
        let peak = peak.map(|peak| format!("highest: {peak}")).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "a few hours at most")]
        let first = format_duration((samples.len() * step) as f64);
        let axis = axis(&format!("{first} ago"), &peak, "now", samples.len());
        self.put(Priority::Detail, "", &axis, Style::Dim);
    }

    fn graph(&mut self, name: &str, values: &[Option<u64>], scale: Scale, style: Style) {
        for (index, line) in graph::columns(values, scale.rows, scale.peak).iter().enumerate() {
            let key = if index + 1 == scale.rows { name } else { "" };
            self.put(Priority::Graph, key, line, style);
        }
    }

    fn source(&mut self, source: &SourceReport) {
        let style = if source.streams.is_some() { Style::Plain } else { Style::Warning };
        self.put(Priority::Sources, "source", &describe_source(source), style);
    }

    fn outcome(&mut self, outcome: &OutcomeReport) {
        self.blank();
        let style = match outcome.stragglers {
            Some(0) => Style::Good,
            Some(_) => Style::Bad,
            None => Style::Warning,
        };
        self.put(Priority::Streams, "outcome", &describe_outcome(outcome), style);
    }

    fn drain(&mut self, report: &StatusReport, drain: &DrainReport) {
        let DrainReport { trigger, elapsed_seconds, remaining_seconds, streams_at_start, signalled } = drain;
        self.blank();
        self.drained(report.streams, *streams_at_start);
        let spent = elapsed_seconds / (elapsed_seconds + remaining_seconds);
        let left = format_duration(remaining_seconds.round());
        self.bar(Priority::TimeLeft, "time", Some(spent), &format!("{left} left"));
        let (end, style) = estimate(report, *remaining_seconds);
        self.put(Priority::End, "end", &end, style);
        let signal = if *signalled { "signalled" } else { "not signalled" };
        let detail = format!("by {trigger}, for {}, target {signal}", format_duration(elapsed_seconds.round()));
        self.put(Priority::Detail, "drain", &detail, Style::Dim);
    }

    /// Shows how many streams have ended since the start of the drain. New streams may have started meanwhile.
    fn drained(&mut self, streams: Option<u64>, at_start: Option<u64>) {
        let ended = at_start.zip(streams).map(|(at_start, streams)| at_start.saturating_sub(streams));
        let text = format!("{} of {} ended", or_unknown(ended), or_unknown(at_start));
        #[expect(clippy::cast_precision_loss, reason = "precise enough to draw")]
        let share = ended.zip(at_start).map(|(ended, at_start)| ended as f64 / at_start as f64);
        self.bar(Priority::Drained, "drained", share, &text);
    }

    fn durations(&mut self, durations: &DurationsReport) {
        let DurationsReport { count, p50_seconds, p90_seconds, p99_seconds, longest_seconds, .. } = durations;
        let [p50, p90, p99, longest] =
            [p50_seconds, p90_seconds, p99_seconds, longest_seconds].map(|seconds| rounded(*seconds));
        let observed = format!("{count} streams: p50 {p50}, p90 {p90}, p99 {p99}, longest {longest}");
        let grace = format_duration(durations.recommended_grace_period_seconds);
        let reason = if durations.low_sample_count {
            "few streams were seen, check again later"
        } else {
            "the longest seen plus a fifth"
        };
        self.blank();
        self.put(Priority::Durations, "seen", &observed, Style::Plain);
        self.put(Priority::Durations, "advice", &format!("grace period {grace}: {reason}"), Style::Plain);
    }

    /// Adds a bar with a text. Without a share, or without room, it adds only the text.
    fn bar(&mut self, priority: Priority, key: &str, share: Option<f64>, text: &str) {
        let width = self.value_width().saturating_sub(text.chars().count() + 1);
        let value = match share {
            Some(share) if width >= MIN_BAR_WIDTH => format!("{} {text}", graph::bar(share, width)),
            Some(_) | None => text.to_owned(),
        };
        self.put(priority, key, &value, Style::Plain);
    }

    /// The number of characters that fit in a value.
    const fn value_width(&self) -> usize {
        self.size.columns.saturating_sub(self.key_width())
    }

    /// The width of the keys, of which the longest has seven characters.
    const fn key_width(&self) -> usize {
        if self.size.columns >= WIDE_TERMINAL { 9 } else { 8 }
    }

    fn put(&mut self, priority: Priority, key: &str, value: &str, style: Style) {
        self.lines.push((priority, Line::new(key, self.key_width(), value, style, self.size.columns)));
    }

    fn push(&mut self, priority: Priority, text: &str, style: Style) {
        self.lines.push((priority, Line::new("", 0, text, style, self.size.columns)));
    }

    fn blank(&mut self) {
        self.push(Priority::Blank, "", Style::Plain);
    }

    /// Keeps as many lines as fit, in their order, and drops those of the lowest priority first.
    fn fit(self) -> Vec<Line> {
        let mut ranking: Vec<_> =
            self.lines.iter().enumerate().map(|(index, (priority, _))| (*priority, index)).collect();
        ranking.sort_unstable();
        let kept: Vec<_> = ranking.into_iter().take(self.size.rows).map(|(_, index)| index).collect();
        let lines = self.lines.into_iter().enumerate();
        lines.filter(|(index, _)| kept.contains(index)).map(|(_, (_, line))| line).collect()
    }
}

/// Estimates when all streams will have ended, from the durations of earlier streams.
fn estimate(report: &StatusReport, remaining: f64) -> (String, Style) {
    if report.streams == Some(0) {
        return ("no streams left".to_owned(), Style::Good);
    }
    match report.durations.as_ref().and_then(|durations| durations.estimated_time_to_zero_seconds) {
        Some(end) if end > remaining => {
            (format!("in {} (median estimate), after the deadline", rounded(end)), Style::Warning)
        }
        Some(end) => (format!("in {} (median estimate)", rounded(end)), Style::Plain),
        None => ("no estimate".to_owned(), Style::Dim),
    }
}

/// Formats a time, in whole seconds from ten seconds up.
fn rounded(seconds: f64) -> String {
    format_duration(if seconds < 10.0 { seconds } else { seconds.round() })
}

/// Places three labels under a graph: at its left end, in the middle and at its right end. If they do not fit, only the
/// last one is shown.
fn axis(left: &str, middle: &str, right: &str, width: usize) -> String {
    let labels = left.len() + middle.len() + right.len();
    if width < labels + 4 {
        return format!("{right:>width$}");
    }
    let before = (width - labels) / 2;
    let after = width - labels - before;
    format!("{left}{}{middle}{}{right}", " ".repeat(before), " ".repeat(after))
}
