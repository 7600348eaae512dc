//! The presets: default settings for one kind of target, and how to recognise its container in a manifest.

use crate::io::target_signal::TargetSignal;
use clap::ValueEnum;

use crate::io::http::Url;
use crate::settings::values::WaitFor;
use lameduck_parsers::selector::Selector;

/// The port on which Deepgram's Engine and API accept streams.
const DEEPGRAM_PORT: u16 = 8080;

/// Defaults for one kind of target. The comments are help texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Deepgram's self-hosted Engine.
    DeepgramEngine,
    /// Deepgram's self-hosted API: no metrics page; streams are connections to port 8080; the target is stem; a drain ends with its exit.
    DeepgramApi,
    /// Nothing is preset: no source, no target, no signal.
    Generic,
}

/// The default settings of one preset.
pub(super) struct Defaults {
    pub(super) metrics_url: Option<Url>,
    pub(super) streams: Vec<Selector>,
    pub(super) lazy_streams: Vec<Selector>,
    /// Which series of `streams` count streams that can be idle. Those of `lazy_streams` all can.
    pub(super) idle_streams: Vec<Selector>,
    pub(super) streams_ports: Vec<u16>,
    pub(super) activity_ports: Vec<u16>,
    /// The path of a JSON status page on the first of the streams ports.
    pub(super) status_path: Option<&'static str>,
    pub(super) target: Option<&'static str>,
    pub(super) signal: Option<TargetSignal>,
    pub(super) wait_for: WaitFor,
}

impl Preset {
    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DeepgramEngine => "deepgram-engine",
            Self::DeepgramApi => "deepgram-api",
            Self::Generic => "generic",
        }
    }

    /// The default of `--target`.
    #[must_use]
    pub const fn target(self) -> Option<&'static str> {
        match self {
            Self::DeepgramEngine => Some("impeller"),
            Self::DeepgramApi => Some("stem"),
            Self::Generic => None,
        }
    }

    /// The default of `--signal`.
    #[must_use]
    pub fn signal(self) -> Option<TargetSignal> {
        self.defaults().signal
    }

    /// The last path component of the image that the vendor publishes.
    #[must_use]
    pub const fn image(self) -> Option<&'static str> {
        match self {
            Self::DeepgramEngine => Some("self-hosted-engine"),
            Self::DeepgramApi => Some("self-hosted-api"),
            Self::Generic => None,
        }
    }

    pub(super) fn defaults(self) -> Defaults {
        let defaults = match self {
            Self::DeepgramEngine => engine(),
            Self::DeepgramApi => api(),
            Self::Generic => generic(),
        };
        Defaults { target: self.target(), ..defaults }
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
        signal: Some(TargetSignal::INT),
        ..generic()
    }
}

/// Clients pool their connections to the API, and some of its work holds no connection, so only its exit proves that
/// all work has ended.
fn api() -> Defaults {
    Defaults {
        streams_ports: vec![DEEPGRAM_PORT],
        activity_ports: vec![DEEPGRAM_PORT],
        status_path: Some("/v1/status"),
        signal: Some(TargetSignal::INT),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for preset in Preset::value_variants() {
            assert_eq!(preset.to_possible_value().unwrap().get_name(), preset.name());
        }
    }
}
