//! How single values are parsed. An error says what is wrong and what to write instead.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use rustix::fs::{Access, access};
use tracing::level_filters::LevelFilter;

use crate::io::http::Url;
use crate::io::target_signal::TargetSignal;
use crate::suggest::closest;
use lameduck_machine::activity::WorkDirection;
use lameduck_machine::policy::{AcceptLimit, SigtermPolicy};
use lameduck_parsers::selector::Selector;

pub use self::signal::{signal, signals};

mod signal;

/// A value, or `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrNone<T>(pub Option<T>);

/// The selectors of one occurrence of a setting: an environment variable holds one per line.
#[derive(Clone, Debug, PartialEq)]
pub struct Selectors(pub Vec<Selector>);

/// The ports of one occurrence of a setting: an environment variable holds one per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports(pub Vec<u16>);

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

/// The signals of one occurrence of a setting: an environment variable holds one per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signals(pub Vec<TargetSignal>);

/// A log level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(pub LevelFilter);

/// What ends a drain. The comments are help texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// Zero streams.
    Zero,
    /// Only the exit of the target.
    Exit,
}

/// The format of log lines. The comments are help texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Parses a duration such as `1h30m`; a bare number is seconds.
///
/// # Errors
/// Says how to write one.
pub fn duration(text: &str) -> Result<Duration, String> {
    let fix = "write it like 30m, 1h30m or 500ms; a bare number is seconds";
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Duration::from_secs).map_err(|_| format!("too long; {fix}"));
    }
    humantime::parse_duration(text).map_err(|error| format!("{error}; {fix}"))
}

/// Parses one selector per line.
///
/// # Errors
/// Says which selector is invalid, and why.
pub fn selectors(text: &str) -> Result<Selectors, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let selectors: Result<Vec<Selector>, _> = lines.map(Selector::from_str).collect();
    match selectors {
        Ok(none) if none.is_empty() => Err("names no series; write one, or omit the setting for its default".into()),
        Ok(selectors) => Ok(Selectors(selectors)),
        Err(error) => Err(error.to_string()),
    }
}

/// Returns the selectors of all occurrences; `None` if there are none.
#[must_use]
pub fn flatten(occurrences: &[Selectors]) -> Option<Vec<Selector>> {
    let all: Vec<Selector> = occurrences.iter().flat_map(|selectors| selectors.0.iter().cloned()).collect();
    (!all.is_empty()).then_some(all)
}

/// Parses the name of a process.
///
/// # Errors
/// Says what is wrong with it.
pub fn target(text: &str) -> Result<String, String> {
    match text {
        "" => Err("the name is empty; write e.g. impeller".into()),
        _ if text.trim() != text => Err("the name begins or ends with a blank; remove it".into()),
        _ if text.contains('/') => Err("this is a path, not a name; write only its last part".into()),
        _ => Ok(text.to_owned()),
    }
}

/// Parses an address to listen on, or `none`.
///
/// # Errors
/// Says how to write it.
pub fn listen(text: &str) -> Result<OrNone<Listen>, String> {
    if text == "none" {
        return Ok(OrNone(None));
    }
    text.parse().map(|listen| OrNone(Some(listen)))
}

/// Parses a port number.
///
/// # Errors
/// Says what a port is.
pub fn port(text: &str) -> Result<u16, String> {
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| "a port is a number from 1 to 65535".into())
}

/// Parses one port per line.
///
/// # Errors
/// Says what a port is.
pub fn ports(text: &str) -> Result<Ports, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match lines.map(port).collect::<Result<Vec<u16>, _>>()? {
        none if none.is_empty() => Err("names no port; write one, or omit the setting for its default".into()),
        ports => Ok(Ports(ports)),
    }
}

/// Parses `off` or a duration.
///
/// # Errors
/// Says how to write it.
pub fn duration_or_off(text: &str) -> Result<OrNone<Duration>, String> {
    if text.eq_ignore_ascii_case("off") {
        return Ok(OrNone(None));
    }
    duration(text).map(|time| OrNone(Some(time))).map_err(|error| format!("{error}; or write off"))
}

/// Parses a rate in bytes per second.
///
/// # Errors
/// Says how to write it.
pub fn rate(text: &str) -> Result<u64, String> {
    let rate = text.trim().parse().ok().filter(|rate| *rate > 0);
    rate.ok_or_else(|| "a rate is a whole number of bytes per second, at least 1, e.g. 256".into())
}

/// Returns a parser for the bytes that are work, with a help text for each value.
#[must_use]
pub fn idle_direction() -> impl TypedValueParser<Value = WorkDirection> {
    choice(&[
        ("received", WorkDirection::Received, "Bytes that the target receives, such as audio"),
        ("sent", WorkDirection::Sent, "Bytes that the target sends, such as events, speech or tokens"),
        ("either", WorkDirection::Either, "Both: a connection is active if it carries enough bytes in one direction"),
    ])
}

/// Parses a number of streams, or `capacity`.
///
/// # Errors
/// Says how to write it.
pub fn accept_below(text: &str) -> Result<AcceptLimit, String> {
    if text.eq_ignore_ascii_case("capacity") {
        return Ok(AcceptLimit::Capacity);
    }
    let limit = text.trim().parse().ok().filter(|limit| *limit > 0);
    limit.map(AcceptLimit::Streams).ok_or_else(|| {
        "write a number of streams, at least 1, or capacity for the limit that the metrics page shows".into()
    })
}

/// Returns a parser for what the sidecar does on SIGTERM, with a help text for each value.
#[must_use]
pub fn sigterm_policy() -> impl TypedValueParser<Value = SigtermPolicy> {
    const AUTO: &str =
        "While streams may be open, wait up to 30 s for a hook and drain if it is called; otherwise exit";
    choice(&[
        ("auto", SigtermPolicy::Auto, AUTO),
        ("drain", SigtermPolicy::Drain, "Drain, as if the hook had been called"),
        ("exit", SigtermPolicy::Exit, "Exit at once"),
    ])
}

/// Returns a parser for one of these names, each with its value and a help text.
fn choice<T: Copy + Send + Sync>(values: &'static [(&str, T, &str); 3]) -> impl TypedValueParser<Value = T> {
    let names = values.iter().map(|(name, _, help)| PossibleValue::new(*name).help(*help));
    PossibleValuesParser::new(names).map(|name| {
        let chosen = values.iter().find(|(known, _, _)| *known == name);
        chosen.map_or(values[0].1, |(_, value, _)| *value)
    })
}

/// Parses whether a switch is on.
///
/// # Errors
/// Says how to write it.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("write true or false".into()),
    }
}

/// Parses the path of the termination message.
///
/// # Errors
/// Refuses a path that cannot be a file.
pub fn termination_log(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if text.is_empty() || path.is_dir() || !parent.is_dir() {
        return Err("this is not a file in an existing directory; write e.g. /dev/termination-log".into());
    }
    Ok(path.to_owned())
}

/// Parses the state directory, or `none`.
///
/// # Errors
/// Refuses a directory that this user cannot write to.
pub fn state_dir(text: &str) -> Result<OrNone<PathBuf>, String> {
    match text {
        "none" => Ok(OrNone(None)),
        _ if is_writable(Path::new(text)) => Ok(OrNone(Some(text.into()))),
        _ => Err("this is not a directory that this user can write to; mount one there, or write none".into()),
    }
}

/// Parses a path, or `none`, without checking the path: it may belong to another container, or its errors are
/// reported later.
///
/// # Errors
/// Never.
pub fn path_or_none(text: &str) -> Result<OrNone<PathBuf>, String> {
    Ok(OrNone((text != "none").then(|| text.into())))
}

/// Parses the address of the sidecar: `host:port` or a URL.
///
/// # Errors
/// Says how to write it.
pub fn address(text: &str) -> Result<Url, String> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    url.parse().map_err(|error| format!("{error}; or write host:port, e.g. 127.0.0.1:8089"))
}

/// Whether this user can create files in a directory.
#[must_use]
pub fn is_writable(dir: &Path) -> bool {
    dir.is_dir() && access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let any = text.strip_prefix(':').map(|port| format!("[::]:{port}"));
        let address = any.as_deref().unwrap_or(text).parse();
        address.map(Self).map_err(|_| "write an address and a port, e.g. [::]:8089 or 0.0.0.0:8089".into())
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            let intended = closest(text, ["error", "warn", "info", "debug", "trace"]);
            let intended = intended.map_or_else(String::new, |level| format!("{level} was probably intended; or "));
            format!("{intended}write error, warn, info, debug or trace")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_accepts_units_and_bare_seconds() {
        for (text, millis) in
            [("30m", 1_800_000), ("1h30m", 5_400_000), ("500ms", 500), ("45", 45_000), ("0s", 0), ("0", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "x", "-5s", "5 parsecs", "99999999999999999999999"] {
            assert!(duration(text).unwrap_err().contains("write it like 30m"), "{text}");
        }
    }

    #[test]
    fn switch_is_on_or_off() {
        for (texts, on) in [(["true", "TRUE", "yes", "on", "1"], true), (["false", "False", "no", "off", "0"], false)] {
            assert!(texts.iter().all(|text| switch(text) == Ok(on)), "{texts:?}");
        }
        for text in ["", "maybe", "2"] {
            assert!(switch(text).unwrap_err().contains("write true or false"), "{text}");
        }
    }

    #[test]
    fn selectors_are_one_per_line_and_blank_lines_are_skipped() {
        let both = selectors("a{b=\"c\"}\n\nd\n").unwrap();
        assert_eq!(both.0.len(), 2);
        assert_eq!(flatten(&[both.clone(), both]).unwrap().len(), 4);
        assert_eq!(flatten(&[]), None);
        assert!(selectors("\n").unwrap_err().contains("names no series"));
        assert!(selectors("a{").is_err());
    }

    #[test]
    fn address_may_omit_host_or_scheme() {
        assert_eq!("[::]:8089".parse(), ":8089".parse::<Listen>());
        assert!("8089".parse::<Listen>().is_err());
        assert_eq!(address("127.0.0.1:8089").unwrap().to_string(), "http://127.0.0.1:8089/");
        assert_eq!(address("http://127.0.0.1:8089").unwrap().to_string(), "http://127.0.0.1:8089/");
        assert!(address("a b").is_err());
    }
}
