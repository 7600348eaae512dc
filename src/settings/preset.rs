//! The presets: what the settings are for a kind of target, where nothing is said.

use nix::sys::signal::Signal;

use crate::io::http::Url;
use crate::settings::args::{Preset, WaitFor};
use lameduck_parsers::selector::Selector;

/// The port that Deepgram's Engine and API take streams on.
const DEEPGRAM_PORT: u16 = 8080;

/// The defaults of one preset.
pub(super) struct Defaults {
    pub(super) metrics_url: Option<Url>,
    pub(super) streams: Vec<Selector>,
    pub(super) lazy_streams: Vec<Selector>,
    /// Which of the streams that are there from the start can be idle; the lazy ones all can.
    pub(super) idle_streams: Vec<Selector>,
    pub(super) streams_ports: Vec<u16>,
    pub(super) activity_ports: Vec<u16>,
    /// The path of a JSON status page on the first port that streams come to.
    pub(super) status_path: Option<&'static str>,
    pub(super) target: Option<&'static str>,
    pub(super) signal: Option<Signal>,
    pub(super) wait_for: WaitFor,
}

impl Preset {
    pub(super) fn defaults(self) -> Defaults {
        match self {
            Self::DeepgramEngine => engine(),
            Self::DeepgramApi => api(),
            Self::Generic => generic(),
        }
    }
}

fn engine() -> Defaults {
    let selectors = |texts: &[&str]| texts.iter().filter_map(|text| text.parse().ok()).collect();
    Defaults {
        metrics_url: Some(Url::new("127.0.0.1", 9991, "/metrics")),
        streams: selectors(&["engine_active_requests"]),
        lazy_streams: selectors(&["engine_flux_used_streams", "flux_used_streams"]),
        idle_streams: selectors(&["engine_active_requests{kind=\"stream\"}"]),
        activity_ports: vec![DEEPGRAM_PORT],
        target: Some("impeller"),
        signal: Some(Signal::SIGINT),
        ..generic()
    }
}

/// The API's connections to its clients are pooled, and some of its work holds none: only its exit tells its end.
fn api() -> Defaults {
    Defaults {
        streams_ports: vec![DEEPGRAM_PORT],
        activity_ports: vec![DEEPGRAM_PORT],
        status_path: Some("/v1/status"),
        target: Some("stem"),
        signal: Some(Signal::SIGINT),
        wait_for: WaitFor::Exit,
        ..generic()
    }
}

fn generic() -> Defaults {
    Defaults {
        metrics_url: None,
        streams: Vec::new(),
        lazy_streams: Vec::new(),
        idle_streams: Vec::new(),
        streams_ports: Vec::new(),
        activity_ports: Vec::new(),
        status_path: None,
        target: None,
        signal: None,
        wait_for: WaitFor::Zero,
    }
}
