//! Which sources count the streams, and which streams can be idle.

use std::time::Duration;

use crate::io::http::Url;
use crate::io::page::PageSelectors;
use crate::settings::args::SidecarArgs;
use crate::settings::error::{SettingError, shown};
use crate::settings::preset::Defaults;
use crate::settings::values::{self, OrNone, Ports, WaitFor};
use lameduck_machine::activity::IdleRule;
use lameduck_machine::policy::{AcceptLimit, IdlePolicy, StreamsPorts};
use lameduck_machine::reading::Source;
use lameduck_parsers::selector::Selector;

/// The series with the number of streams that Deepgram's Engine accepts; 0 means no limit.
const CAPACITY: &str = "engine_max_active_requests";
/// The window for the idle streams in the status, if no drain ends with idle streams.
const DEFAULT_IDLE_WINDOW: Duration = Duration::from_secs(60);
/// The shortest period of activity that is detected lasts a second, and it takes two polls.
const MIN_IDLE_WINDOW: Duration = Duration::from_secs(2);

/// The sources that count the streams.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The metrics page and the series to read from it.
    pub page: Option<(Url, PageSelectors)>,
    /// The JSON status page.
    pub status: Option<Url>,
    /// The ports whose connections are streams.
    pub streams_ports: StreamsPorts,
    /// How idle streams are detected.
    pub idle: IdlePolicy,
    /// The number of open streams at which load balancers should send no more.
    pub accept_below: Option<AcceptLimit>,
}

impl Sources {
    /// Fills in the defaults of the preset and checks that the settings fit together.
    ///
    /// # Errors
    /// Names the setting, its value and the fix.
    pub(super) fn new(args: &SidecarArgs, preset: &Defaults, wait_for: WaitFor) -> Result<Self, SettingError> {
        let streams_ports = StreamsPorts {
            ports: ports(&args.streams_port, &preset.streams_ports),
            gauge_leak_after: args.gauge_leak_after.as_ref().and_then(|OrNone(after)| *after),
        };
        let status_port = preset.status_path.zip(streams_ports.ports.first());
        let sources = Self {
            page: page(args, preset)?,
            status: status_port.map(|(path, port)| Url::new("127.0.0.1", *port, path)),
            streams_ports,
            idle: idle(args, ports(&args.activity_port, &preset.activity_ports)),
            accept_below: args.accept_below,
        };
        sources.check(args)?;
        sources.check_gauge_leak()?;
        sources.check_idle_settings(args, wait_for)?;
        Ok(sources)
    }

    /// Lists the sources that are set.
    #[must_use]
    pub fn list(&self) -> Vec<Source> {
        let selectors = self.page.as_ref().map(|(_, selectors)| selectors);
        [
            (Source::Metrics, selectors.is_some_and(|selectors| !selectors.eager.is_empty())),
            (Source::Lazy, selectors.is_some_and(|selectors| !selectors.lazy.is_empty())),
            (Source::Sockets, !self.streams_ports.ports.is_empty()),
            (Source::Status, self.status.is_some()),
        ]
        .into_iter()
        .filter_map(|(source, is_set)| is_set.then_some(source))
        .collect()
    }

    /// Lists every port whose connections are observed.
    #[must_use]
    pub fn watched_ports(&self) -> Vec<u16> {
        let mut ports = [self.streams_ports.ports.as_slice(), self.idle.ports.as_slice()].concat();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    fn check(&self, args: &SidecarArgs) -> Result<(), SettingError> {
        if self.list().is_empty() {
            return Err(SettingError::new(
                "--preset",
                args.preset.name(),
                "there is no source to count streams with",
                "name a page with --metrics-url and its series with --streams, or a port with --streams-port",
            ));
        }
        match (self.accept_below, &self.page) {
            (Some(AcceptLimit::Capacity), None) => Err(SettingError::new(
                "--accept-below",
                "capacity",
                format!("there is no metrics page from which to read {CAPACITY}"),
                "name the page with --metrics-url, or write a number",
            )),
            (Some(AcceptLimit::Capacity), Some(_)) | (Some(AcceptLimit::Streams(_)) | None, _) => Ok(()),
        }
    }

    fn check_gauge_leak(&self) -> Result<(), SettingError> {
        let Some(after) = self.streams_ports.gauge_leak_after else { return Ok(()) };
        let refused = |cause, fix| Err(SettingError::new("--gauge-leak-after", shown(after), cause, fix));
        if self.streams_ports.ports.is_empty() {
            return refused(
                "without the connections of the streams, a leak cannot be detected",
                "name the port of the streams with --streams-port",
            );
        }
        if self.page.is_none() && self.status.is_none() {
            return refused("no page is set, so there is no count to overrule", "leave it out");
        }
        if after.is_zero() {
            return refused("a stream that has just begun would be overruled", "set it longer, e.g. 5m, or write off");
        }
        Ok(())
    }

    fn check_idle_settings(&self, args: &SidecarArgs, wait_for: WaitFor) -> Result<(), SettingError> {
        let Some(window) = idle_window(args) else { return Ok(()) };
        let refused = |cause: &str, fix: &str| Err(SettingError::new("--idle-after", shown(window), cause, fix));
        if window < MIN_IDLE_WINDOW {
            return refused("a keep-alive or a short pause would count as idle", "set at least 2s, e.g. 60s");
        }
        if self.idle.ports.is_empty() {
            return refused("idle streams cannot be detected", "name the port of the streams with --activity-port");
        }
        if let Some(port) = self.streams_ports.ports.iter().find(|port| !self.idle.ports.contains(port)) {
            return refused(
                &format!("idle streams of --streams-port {port} cannot be detected"),
                "name that port with --activity-port, too",
            );
        }
        if wait_for == WaitFor::Exit {
            return refused("with --wait-for exit, only the exit of the target ends a drain", "keep one of the two");
        }
        if self.page.as_ref().is_some_and(|(_, selectors)| selectors.idle.is_empty()) {
            return refused("no stream of the metrics page can be idle", "name those that can with --idle-streams");
        }
        Ok(())
    }
}

fn ports(typed: &[Ports], preset: &[u16]) -> Vec<u16> {
    let all: Vec<u16> = typed.iter().flat_map(|ports| ports.0.iter().copied()).collect();
    if all.is_empty() { preset.to_vec() } else { all }
}

fn idle_window(args: &SidecarArgs) -> Option<Duration> {
    args.idle_after.as_ref().and_then(|OrNone(window)| *window)
}

fn idle(args: &SidecarArgs, ports: Vec<u16>) -> IdlePolicy {
    let window = idle_window(args);
    let rule = IdleRule {
        window: window.unwrap_or(DEFAULT_IDLE_WINDOW),
        rate: args.idle_rate,
        direction: args.idle_direction,
    };
    IdlePolicy { ports, rule, ends_drain: window.is_some() }
}

fn page(args: &SidecarArgs, preset: &Defaults) -> Result<Option<(Url, PageSelectors)>, SettingError> {
    let selectors = selectors(args, preset);
    match (args.metrics_url.as_ref().or(preset.metrics_url.as_ref()), &selectors.eager[..], &selectors.lazy[..]) {
        (None, [], []) => Ok(None),
        (None, [], [lazy, ..]) => Err(without_page("--lazy-streams", lazy)),
        (None, [streams, ..], _) => Err(without_page("--streams", streams)),
        (Some(url), [], []) => {
            Err(SettingError::new("--metrics-url", url, "no series is read from it", "name a series with --streams"))
        }
        (Some(_), [], [lazy, ..]) => Err(SettingError::new(
            "--lazy-streams",
            lazy,
            "a typing error in such a selector would look like zero streams",
            "add --streams with a series that the page always shows",
        )),
        (Some(url), _, _) => Ok(Some((url.clone(), selectors))),
    }
}

fn without_page(flag: &str, selector: &Selector) -> SettingError {
    SettingError::new(flag, selector, "there is no page from which to read it", "name the page with --metrics-url")
}

fn selectors(args: &SidecarArgs, preset: &Defaults) -> PageSelectors {
    let or = |typed, default: &[Selector]| values::flatten(typed).unwrap_or_else(|| default.to_vec());
    let eager = or(&args.streams, &preset.streams);
    let lazy = or(&args.lazy_streams, &preset.lazy_streams);
    let default_idle =
        if preset.idle_streams.is_empty() { Vec::new() } else { [&preset.idle_streams[..], &lazy].concat() };
    let idle = or(&args.idle_streams, &default_idle);
    let capacity = match args.accept_below {
        Some(AcceptLimit::Capacity) => CAPACITY.parse().ok(),
        Some(AcceptLimit::Streams(_)) | None => None,
    };
    PageSelectors { eager, lazy, idle, capacity }
}
