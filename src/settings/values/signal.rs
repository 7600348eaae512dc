//! How a signal is parsed.

use super::{OrNone, Signals};
use crate::io::target_signal::{NoSuchSignal, TargetSignal};
use crate::suggest::closest;

/// Parses a signal by its name or number, or `none`.
///
/// # Errors
/// Says what is wrong with it.
pub fn signal(text: &str) -> Result<OrNone<TargetSignal>, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(OrNone(None));
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    let signal = match text.parse::<i32>() {
        Ok(number) => from_number(number)?,
        Err(_) => name.parse().map_err(|error| refusal(error, &name))?,
    };
    if [TargetSignal::KILL, TargetSignal::STOP].contains(&signal) {
        return Err("no process can catch it, so it would cut every stream; write e.g. SIGINT or SIGTERM".into());
    }
    Ok(OrNone(Some(signal)))
}

/// Signals that cannot begin a drain: they are the kernel's, or stop and continue processes.
const NO_STOP: [&str; 11] = [
    "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV", "SIGSYS", "SIGCHLD", "SIGCONT", "SIGTSTP", "SIGPIPE",
];

/// Parses one signal per line: those that begin a drain.
///
/// # Errors
/// Says what is wrong with one of them.
pub fn signals(text: &str) -> Result<Signals, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let signals: Vec<OrNone<TargetSignal>> = lines.map(signal).collect::<Result<_, _>>()?;
    let fix = "write e.g. SIGTERM, SIGINT, SIGQUIT or SIGUSR1";
    let signals: Option<Vec<TargetSignal>> = signals.into_iter().map(|OrNone(signal)| signal).collect();
    match signals {
        Some(signals) if signals.iter().any(|signal| NO_STOP.contains(&signal.as_str())) => {
            Err(format!("the kernel sends this signal for other purposes; {fix}"))
        }
        Some(signals) if !signals.is_empty() => Ok(Signals(signals)),
        Some(_) | None => Err(format!("names no signal; {fix}")),
    }
}

fn from_number(number: i32) -> Result<TargetSignal, String> {
    TargetSignal::from_number(number).ok_or_else(|| match number {
        32 | 33 => format!("the C library uses this signal for its threads; {REAL_TIME_FIX}"),
        _ => {
            "no such signal; write a name such as SIGINT, a number from 1 to 64, or none to only count and wait".into()
        }
    })
}

/// How to write a real-time signal.
const REAL_TIME_FIX: &str = "real-time signals are SIGRTMIN to SIGRTMIN+30, the numbers 34 to 64; SIGRTMAX-n counts back \
    from 64";

fn refusal(error: NoSuchSignal, name: &str) -> String {
    match error {
        NoSuchSignal::OutOfRange => format!("no such real-time signal; {REAL_TIME_FIX}"),
        NoSuchSignal::UnknownName => {
            let fix = "write e.g. SIGINT, SIGTERM, SIGUSR1, SIGRTMIN+3, or none to only count and wait";
            format!("no such signal; {}{fix}", intended_signal(name))
        }
    }
}

/// Names the signal that was probably meant; empty if no name is similar. The common prefix would make all similar.
fn intended_signal(name: &str) -> String {
    let bare = |name: &'static str| name.trim_start_matches("SIG");
    let typed = name.trim_start_matches("SIG");
    let intended = closest(typed, TargetSignal::names().map(bare));
    intended.map_or_else(String::new, |intended| format!("SIG{intended} was probably intended; or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_accepts_names_numbers_and_none() {
        for text in ["SIGINT", "INT", "int", "2"] {
            assert_eq!(signal(text), Ok(OrNone(Some(TargetSignal::INT))), "{text}");
        }
        for text in ["SIGRTMIN+3", "RTMIN+3", "rtmin+3", "37", "SIGRTMAX-27"] {
            assert_eq!(signal(text), Ok(OrNone(TargetSignal::from_number(37))), "{text}");
        }
        assert_eq!(signal("none"), Ok(OrNone(None)));
        for text in ["SIGKILL", "9", "STOP"] {
            assert!(signal(text).unwrap_err().contains("no process can catch it"), "{text}");
        }
        assert!(signal("SIGFOO").unwrap_err().contains("no such signal; write"));
        for (text, intended) in
            [("SIGINTT", "SIGINT"), ("trem", "SIGTERM"), ("USR11", "SIGUSR1"), ("SIGTRMIN+3", "SIGRTMIN+3")]
        {
            let error = signal(text).unwrap_err();
            assert!(error.contains(&format!("{intended} was probably intended")), "{text}: {error}");
        }
        for text in ["0", "65", "-2"] {
            assert!(signal(text).unwrap_err().contains("from 1 to 64"), "{text}");
        }
    }

    #[test]
    fn refused_real_time_signal_names_the_range() {
        for text in ["SIGRTMIN+31", "RTMAX-31", "SIGRTMIN-1", "SIGRTMIN+x", "32", "33"] {
            let error = signal(text).unwrap_err();
            assert!(error.contains("SIGRTMIN to SIGRTMIN+30") && error.contains("34 to 64"), "{text}: {error}");
        }
    }
}
