//! How a signal is parsed.

use std::str::FromStr;

use nix::sys::signal::Signal;

use super::OrNone;
use crate::suggest::closest;

/// Parses a signal by its name or number, or `none`.
///
/// # Errors
/// Says what is wrong with it.
pub fn signal(text: &str) -> Result<OrNone<Signal>, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(OrNone(None));
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    let number = text.parse::<i32>().ok().and_then(|number| Signal::try_from(number).ok());
    let signal = number.or_else(|| Signal::from_str(&name).ok());
    let signal = signal.ok_or_else(|| {
        let fix = "write e.g. SIGINT, SIGTERM, SIGUSR1, or none to only count and wait";
        format!("no such signal; {}{fix}", intended_signal(&name))
    })?;
    if matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
        return Err("no process can catch it, so it would cut every stream; write e.g. SIGINT or SIGTERM".into());
    }
    Ok(OrNone(Some(signal)))
}

/// Names the signal that was probably meant; empty if no name is similar. The common prefix would make all similar.
fn intended_signal(name: &str) -> String {
    let bare = |signal: Signal| signal.as_str().trim_start_matches("SIG");
    let typed = name.trim_start_matches("SIG");
    let intended = closest(typed, Signal::iterator().map(bare));
    intended.map_or_else(String::new, |intended| format!("SIG{intended} was probably intended; or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_accepts_names_numbers_and_none() {
        for text in ["SIGINT", "INT", "int", "2"] {
            assert_eq!(signal(text), Ok(OrNone(Some(Signal::SIGINT))), "{text}");
        }
        assert_eq!(signal("none"), Ok(OrNone(None)));
        assert!(signal("SIGKILL").unwrap_err().contains("no process can catch it"));
        assert!(signal("SIGFOO").unwrap_err().contains("no such signal; write"));
        for (text, intended) in [("SIGINTT", "SIGINT"), ("trem", "SIGTERM"), ("USR11", "SIGUSR1")] {
            let error = signal(text).unwrap_err();
            assert!(error.contains(&format!("{intended} was probably intended")), "{text}: {error}");
        }
        assert!(signal("0").unwrap_err().contains("no such signal"));
    }
}
