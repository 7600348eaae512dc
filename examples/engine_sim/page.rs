//! The text of the metrics page, with the vendor's metric families and format.

use std::fmt::{self, Display, Write};
use std::str::FromStr;
use std::time::Duration;

use humantime::{format_duration, parse_duration};

use crate::args::FluxNames;
use crate::kind::Kind;
use crate::statistics::{Histogram, Statistics};

/// The capacity of the simulated GPU.
const MAX_STREAMS: u64 = 60;
const MAX_FLUX_STREAMS: u64 = 40;

/// The state of the page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Page {
    Ok,
    Slow(Duration),
    Hang,
    Garbage,
    Html,
    Error,
    Empty,
    Truncated,
    Aborted,
    Nan,
    Negative,
    /// As it was at this change.
    Frozen,
    /// This many streams and no other work, whatever is open.
    Says(u64),
}

/// What determines the page, apart from the counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) page: Page,
    pub(crate) max_active: u64,
    /// The start of the process, if the page shows it.
    pub(crate) started_at: Option<u64>,
    pub(crate) flux_names: FluxNames,
    pub(crate) flux_as_stream: bool,
}

struct Text(String);

const WORDS: [(&str, Page); 11] = [
    ("ok", Page::Ok),
    ("hang", Page::Hang),
    ("garbage", Page::Garbage),
    ("html", Page::Html),
    ("500", Page::Error),
    ("empty", Page::Empty),
    ("truncated", Page::Truncated),
    ("aborted", Page::Aborted),
    ("nan", Page::Nan),
    ("negative", Page::Negative),
    ("frozen", Page::Frozen),
];

impl FromStr for Page {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        if let Some(duration) = word.strip_prefix("slow:") {
            return parse_duration(duration).map(Self::Slow).map_err(|error| error.to_string());
        }
        if let Some(count) = word.strip_prefix("says:") {
            return count.parse().map(Self::Says).map_err(|_| "says: must be followed by a number".to_owned());
        }
        let known = WORDS.iter().find(|(name, _)| *name == word);
        known.map(|(_, page)| *page).ok_or_else(|| {
            let names: Vec<_> = WORDS.iter().map(|(name, _)| *name).collect();
            format!("must be slow:DURATION, says:N or one of {}", names.join(", "))
        })
    }
}

impl Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Slow(duration) = self {
            return write!(f, "slow:{}", format_duration(*duration));
        }
        if let Self::Says(count) = self {
            return write!(f, "says:{count}");
        }
        let known = WORDS.iter().find(|(_, page)| page == self);
        f.write_str(known.map_or("", |(name, _)| name))
    }
}

impl Text {
    fn family(&mut self, name: &str, kind: &str, unit: Option<&str>, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        if let Some(unit) = unit {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
    }

    fn line(&mut self, line: impl Display) {
        let _ = writeln!(self.0, "{line}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", None, help);
        self.line(format_args!("{name} {value}"));
    }

    fn histogram(&mut self, histogram: &Histogram) {
        let Histogram { family, buckets, count, sum } = histogram;
        let name = family.name;
        self.family(name, "histogram", family.unit, family.help);
        let (set, and) = match family.labels {
            "" => (String::new(), String::new()),
            labels => (format!("{{{labels}}}"), format!("{labels},")),
        };
        for (bucket, bound) in buckets.iter().zip(family.bounds) {
            self.line(format_args!("{name}_bucket{{{and}le=\"{bound:?}\"}} {bucket}"));
        }
        self.line(format_args!("{name}_bucket{{{and}le=\"+Inf\"}} {count}"));
        self.line(format_args!("{name}_sum{set} {sum}"));
        self.line(format_args!("{name}_count{set} {count}"));
    }
}

/// Writes the whole page, before it is broken.
pub(crate) fn render(statistics: &Statistics, shape: Shape) -> String {
    let mut text = Text(String::new());
    eager(&mut text, statistics, shape);
    requests(&mut text, statistics);
    for kind in Kind::ALL.into_iter().filter(|kind| statistics.of(*kind).is_registered()) {
        statistics.of(kind).histograms.iter().for_each(|histogram| text.histogram(histogram));
    }
    flux(&mut text, statistics, shape);
    text.line("# EOF");
    text.0
}

/// The families that exist from the start.
fn eager(text: &mut Text, statistics: &Statistics, shape: Shape) {
    text.gauge(
        "engine_estimated_stream_capacity",
        "The number of streams the node believes it can serve with acceptable latency.",
        (statistics.active() + 10).min(MAX_STREAMS),
    );
    text.family("engine_active_requests", "gauge", None, "Number of active inference requests.");
    for kind in [Kind::Batch, Kind::Stream, Kind::Tts] {
        let flux = if shape.flux_as_stream && kind == Kind::Stream { statistics.of(Kind::Flux).active } else { 0 };
        let value = displayed_count(kind, statistics.of(kind).active + flux, shape.page);
        text.line(format_args!("engine_active_requests{{kind=\"{}\"}} {value}", kind.name()));
    }
    if let Some(started_at) = shape.started_at {
        text.gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", started_at);
    }
    text.gauge(
        "engine_max_active_requests",
        "Maximum number of active inference requests. Zero means no limit.",
        shape.max_active,
    );
}

/// The count as the page shows it, correct or not.
pub(crate) fn displayed_count(kind: Kind, count: u64, page: Page) -> String {
    match page {
        Page::Nan => "NaN".to_owned(),
        Page::Negative => "-1".to_owned(),
        Page::Says(streams) => if kind == Kind::Stream { streams } else { 0 }.to_string(),
        Page::Ok
        | Page::Slow(_)
        | Page::Hang
        | Page::Garbage
        | Page::Html
        | Page::Error
        | Page::Empty
        | Page::Truncated
        | Page::Aborted
        | Page::Frozen => count.to_string(),
    }
}

/// The counter's family name lacks the `_total` of its samples, as `OpenMetrics` specifies.
fn requests(text: &mut Text, statistics: &Statistics) {
    let documented = [Kind::Batch, Kind::Stream, Kind::Tts];
    if !documented.iter().any(|kind| statistics.of(*kind).is_registered()) {
        return;
    }
    text.family("engine_requests", "counter", None, "Number of inference requests.");
    for kind in documented {
        for (status, count) in &statistics.of(kind).answered {
            let labels = format!("kind=\"{}\",response_status=\"{status}\"", kind.name());
            text.line(format_args!("engine_requests_total{{{labels}}} {count}"));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "one machine has far fewer streams than 2^53")]
fn flux(text: &mut Text, statistics: &Statistics, shape: Shape) {
    let prefix = match shape.flux_names {
        FluxNames::Prefixed => "engine_",
        FluxNames::Bare => "",
        FluxNames::None => return,
    };
    if !statistics.of(Kind::Flux).is_registered() {
        return;
    }
    let is_false = matches!(shape.page, Page::Says(_));
    let used = if is_false { 0 } else { statistics.of(Kind::Flux).active };
    let fraction = used as f64 / MAX_FLUX_STREAMS as f64;
    text.gauge(&format!("{prefix}flux_max_streams"), "Maximum number of Flux streams.", MAX_FLUX_STREAMS);
    text.gauge(&format!("{prefix}flux_used_streams"), "Number of Flux streams in use.", used);
    text.gauge(&format!("{prefix}flux_fraction_streams"), "Fraction of Flux streams in use.", fraction);
}
