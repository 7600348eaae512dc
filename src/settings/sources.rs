//! Which sources count the streams, and which of the streams can be idle.

use std::time::Duration;

use clap::ValueEnum;

use crate::io::http::Url;
use crate::io::page::PageSelectors;
use crate::settings::args::{AcceptBelowArg, SidecarArgs, WaitFor};
use crate::settings::preset::Defaults;
use crate::settings::values::{self, Ports};
use lameduck_machine::activity::IdleRule;
use lameduck_machine::policy::{AcceptLimit, IdlePolicy};
use lameduck_machine::reading::Source;
use lameduck_parsers::selector::Selector;

/// The series that tells how many streams Deepgram's Engine takes; 0 is no limit.
const CAPACITY: &str = "engine_max_active_requests";
/// The window in which idle streams are told apart for people, where idle streams end no drain.
const DEFAULT_IDLE_WINDOW: Duration = Duration::from_secs(60);
/// The shortest stretch that is work is a second, and two looks must see it.
const MIN_IDLE_WINDOW: Duration = Duration::from_secs(2);

/// What counts the streams.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The metrics page and what is to be found on it.
    pub page: Option<(Url, PageSelectors)>,
    /// The JSON status page.
    pub status: Option<Url>,
    /// The ports whose connections are streams.
    pub streams_ports: Vec<u16>,
    /// How idle streams are told apart.
    pub idleness: IdlePolicy,
    /// From how many streams on load balancers should send no more.
    pub accept_below: Option<AcceptLimit>,
}

impl Sources {
    /// Fills in the preset's defaults and checks that everything fits together.
    ///
    /// # Errors
    /// Names the flag, the value and the mend.
    pub(super) fn new(args: &SidecarArgs, preset: &Defaults, wait_for: WaitFor) -> Result<Self, String> {
        let streams_ports = ports(&args.streams_port, &preset.streams_ports);
        let status_port = preset.status_path.zip(streams_ports.first());
        let sources = Self {
            page: page(args, preset)?,
            status: status_port.map(|(path, port)| Url::new("127.0.0.1", *port, path)),
            streams_ports,
            idleness: idleness(args, ports(&args.activity_port, &preset.activity_ports)),
            accept_below: args.accept_below.map(|acceptance| match acceptance {
                AcceptBelowArg::Streams(most) => AcceptLimit::Streams(most),
                AcceptBelowArg::Capacity => AcceptLimit::Capacity,
            }),
        };
        sources.check(args)?;
        sources.check_idleness(args, wait_for)?;
        Ok(sources)
    }

    /// The sources that there are.
    #[must_use]
    pub fn list(&self) -> Vec<Source> {
        let wanted = self.page.as_ref().map(|(_, wanted)| wanted);
        [
            (Source::Metrics, wanted.is_some_and(|wanted| !wanted.eager.is_empty())),
            (Source::Lazy, wanted.is_some_and(|wanted| !wanted.lazy.is_empty())),
            (Source::Sockets, !self.streams_ports.is_empty()),
            (Source::Status, self.status.is_some()),
        ]
        .into_iter()
        .filter_map(|(source, is_there)| is_there.then_some(source))
        .collect()
    }

    /// Every port whose connections are looked at.
    #[must_use]
    pub fn watched_ports(&self) -> Vec<u16> {
        let mut ports = [self.streams_ports.as_slice(), self.idleness.ports.as_slice()].concat();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    fn check(&self, args: &SidecarArgs) -> Result<(), String> {
        if self.list().is_empty() {
            let preset = args.preset.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
            return Err(format!(
                "--preset {preset}: there is no source to count streams with; name a page with --metrics-url and its series with --streams, or a port with --streams-port"
            ));
        }
        match (self.accept_below, &self.page) {
            (Some(AcceptLimit::Capacity), None) => Err(format!(
                "--accept-below capacity: there is no page that tells {CAPACITY}; name it with --metrics-url, or write a number"
            )),
            (Some(AcceptLimit::Capacity), Some(_)) | (Some(AcceptLimit::Streams(_)) | None, _) => Ok(()),
        }
    }

    fn check_idleness(&self, args: &SidecarArgs, wait_for: WaitFor) -> Result<(), String> {
        let Some(window) = args.idle_after.as_ref().and_then(|choice| choice.0) else { return Ok(()) };
        let refuse = |mend: &str| Err(format!("--idle-after {window:?}: {mend}"));
        if window < MIN_IDLE_WINDOW {
            return refuse("a keep-alive or a short pause would pass for idleness; at least 2s, e.g. 60s");
        }
        if self.idleness.ports.is_empty() {
            return refuse(
                "nothing tells idle streams from working ones; name the port of the streams with --activity-port",
            );
        }
        if let Some(port) = self.streams_ports.iter().find(|port| !self.idleness.ports.contains(port)) {
            return refuse(&format!(
                "nothing tells the idle streams of --streams-port {port} from working ones; name that port with --activity-port, too"
            ));
        }
        match wait_for {
            WaitFor::Exit => {
                return refuse("with --wait-for exit only the target's own exit ends a drain; keep one of them");
            }
            WaitFor::Zero => {}
        }
        if self.page.as_ref().is_some_and(|(_, wanted)| wanted.idle.is_empty()) {
            return refuse("no stream of the page can be idle; say which can with --idle-streams");
        }
        Ok(())
    }
}

fn ports(chosen: &[Ports], preset: &[u16]) -> Vec<u16> {
    let all: Vec<u16> = chosen.iter().flat_map(|ports| ports.0.iter().copied()).collect();
    if all.is_empty() { preset.to_vec() } else { all }
}

fn idleness(args: &SidecarArgs, ports: Vec<u16>) -> IdlePolicy {
    let window = args.idle_after.as_ref().and_then(|choice| choice.0);
    let rule = IdleRule { window: window.unwrap_or(DEFAULT_IDLE_WINDOW), rate: args.idle_rate };
    IdlePolicy { ports, rule, ends_drain: window.is_some() }
}

fn page(args: &SidecarArgs, preset: &Defaults) -> Result<Option<(Url, PageSelectors)>, String> {
    let or = |typed, default: &[Selector]| values::flatten(typed).unwrap_or_else(|| default.to_vec());
    let steady = or(&args.streams, &preset.streams);
    let lazy = or(&args.lazy_streams, &preset.lazy_streams);
    let default_idle =
        if preset.idle_streams.is_empty() { Vec::new() } else { [&preset.idle_streams[..], &lazy].concat() };
    let idle = or(&args.idle_streams, &default_idle);
    let capacity = match args.accept_below {
        Some(AcceptBelowArg::Capacity) => CAPACITY.parse().ok(),
        Some(AcceptBelowArg::Streams(_)) | None => None,
    };
    match (args.metrics_url.clone().or_else(|| preset.metrics_url.clone()), &steady[..], &lazy[..]) {
        (None, [], []) => Ok(None),
        (None, _, _) => Err("--streams: there is no page to find them on; name it with --metrics-url".into()),
        (Some(url), [], []) => {
            Err(format!("--metrics-url {url}: nothing is looked for on it; name a series with --streams"))
        }
        (Some(_), [], [lazy, ..]) => Err(format!(
            "--lazy-streams {lazy}: such series cannot tell a typing error from silence; add --streams with a series that the page always has"
        )),
        (Some(url), _, _) => Ok(Some((url, PageSelectors { eager: steady, lazy, idle, capacity }))),
    }
}
