//! The signal for the target: a signal with a name of its own, or a real-time signal.

use std::fmt;
use std::str::FromStr;

use nix::sys::signal::Signal;

/// The names of the real-time signals as `kill -l` writes them, from `SIGRTMIN` on.
const REAL_TIME_NAMES: [&str; 31] = [
    "SIGRTMIN",
    "SIGRTMIN+1",
    "SIGRTMIN+2",
    "SIGRTMIN+3",
    "SIGRTMIN+4",
    "SIGRTMIN+5",
    "SIGRTMIN+6",
    "SIGRTMIN+7",
    "SIGRTMIN+8",
    "SIGRTMIN+9",
    "SIGRTMIN+10",
    "SIGRTMIN+11",
    "SIGRTMIN+12",
    "SIGRTMIN+13",
    "SIGRTMIN+14",
    "SIGRTMIN+15",
    "SIGRTMAX-14",
    "SIGRTMAX-13",
    "SIGRTMAX-12",
    "SIGRTMAX-11",
    "SIGRTMAX-10",
    "SIGRTMAX-9",
    "SIGRTMAX-8",
    "SIGRTMAX-7",
    "SIGRTMAX-6",
    "SIGRTMAX-5",
    "SIGRTMAX-4",
    "SIGRTMAX-3",
    "SIGRTMAX-2",
    "SIGRTMAX-1",
    "SIGRTMAX",
];

/// A signal that can be sent to the target.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TargetSignal {
    name: &'static str,
    signal: rustix::process::Signal,
}

impl TargetSignal {
    /// SIGINT.
    pub const INT: Self = Self { name: "SIGINT", signal: rustix::process::Signal::INT };
    /// SIGTERM.
    pub const TERM: Self = Self { name: "SIGTERM", signal: rustix::process::Signal::TERM };
    /// SIGKILL.
    pub const KILL: Self = Self { name: "SIGKILL", signal: rustix::process::Signal::KILL };
    /// SIGTSTP.
    pub const TSTP: Self = Self { name: "SIGTSTP", signal: rustix::process::Signal::TSTP };
    /// SIGCONT.
    pub const CONT: Self = Self { name: "SIGCONT", signal: rustix::process::Signal::CONT };
    /// SIGSTOP.
    pub const STOP: Self = Self { name: "SIGSTOP", signal: rustix::process::Signal::STOP };

    /// The signal with this number; `None` if there is none, or if the C library reserves it for its threads.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        if let Some(signal) = rt_signal::from_number(number) {
            let name = usize::try_from(number - rt_signal::MIN).ok().and_then(|place| REAL_TIME_NAMES.get(place))?;
            return Some(Self { name, signal });
        }
        let name = Signal::try_from(number).ok()?.as_str();
        Some(Self { name, signal: rustix::process::Signal::from_named_raw(number)? })
    }

    /// All real-time signals.
    pub fn real_time() -> impl Iterator<Item = Self> {
        (rt_signal::MIN..=rt_signal::MAX).filter_map(Self::from_number)
    }

    /// The names of all signals, as [`Self::as_str`] writes them.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Signal::iterator().map(Signal::as_str).chain(REAL_TIME_NAMES)
    }

    /// Its name, such as `SIGINT` or `SIGRTMIN+3`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.name
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.signal.as_raw()
    }

    /// For the calls that send it.
    #[must_use]
    pub const fn raw(self) -> rustix::process::Signal {
        self.signal
    }
}

/// A real-time signal that is not between SIGRTMIN and SIGRTMAX, or a name that no signal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSuchSignal {
    /// The offset of a real-time signal is out of range.
    OutOfRange,
    /// No signal has this name.
    UnknownName,
}

impl FromStr for TargetSignal {
    type Err = NoSuchSignal;

    /// Parses a name in capitals with the prefix `SIG`.
    fn from_str(name: &str) -> Result<Self, NoSuchSignal> {
        if let Some(number) = real_time_number(name)? {
            return Self::from_number(number).ok_or(NoSuchSignal::OutOfRange);
        }
        let signal = Signal::from_str(name).map_err(|_| NoSuchSignal::UnknownName)?;
        Self::from_number(signal as i32).ok_or(NoSuchSignal::UnknownName)
    }
}

/// The number of `SIGRTMIN+n` or `SIGRTMAX-n`; `None` for a name of another form.
fn real_time_number(name: &str) -> Result<Option<i32>, NoSuchSignal> {
    let (base, sign, offset) = match (name.strip_prefix("SIGRTMIN"), name.strip_prefix("SIGRTMAX")) {
        (Some(offset), _) => (rt_signal::MIN, '+', offset),
        (None, Some(offset)) => (rt_signal::MAX, '-', offset),
        (None, None) => return Ok(None),
    };
    if offset.is_empty() {
        return Ok(Some(base));
    }
    let digits = offset.strip_prefix(sign).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let digits = digits.filter(|digits| !digits.is_empty()).ok_or(NoSuchSignal::OutOfRange)?;
    let offset: i32 = digits.parse().map_err(|_| NoSuchSignal::OutOfRange)?;
    let number = if sign == '+' { base.checked_add(offset) } else { base.checked_sub(offset) };
    number.map(Some).ok_or(NoSuchSignal::OutOfRange)
}

impl fmt::Display for TargetSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for TargetSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for number in -1..=70 {
            let expected = matches!(number, 1..=31 | 34..=64);
            let signal = TargetSignal::from_number(number);
            assert_eq!(signal.is_some(), expected, "{number}");
            if let Some(signal) = signal {
                assert_eq!((signal.number(), signal.as_str().parse()), (number, Ok(signal)));
            }
        }
        let all = (1..=64).filter_map(TargetSignal::from_number).map(TargetSignal::as_str);
        assert_eq!(TargetSignal::names().collect::<Vec<_>>(), all.collect::<Vec<_>>());
    }

    #[test]
    fn names_are_those_of_the_shell() {
        let listed = std::process::Command::new("bash").args(["-c", "kill -l"]).output().unwrap().stdout;
        let listed = String::from_utf8(listed).unwrap();
        let words: Vec<&str> = listed.split_whitespace().collect();
        assert!(words.len() > 100, "{listed}");
        for pair in words.chunks(2) {
            let number = pair[0].trim_end_matches(')').parse().unwrap();
            assert_eq!(TargetSignal::from_number(number).map(TargetSignal::as_str), Some(pair[1]));
        }
    }

    #[test]
    fn offsets_count_from_either_end() {
        for (name, number) in
            [("SIGRTMIN", 34), ("SIGRTMIN+0", 34), ("SIGRTMIN+20", 54), ("SIGRTMAX", 64), ("SIGRTMAX-30", 34)]
        {
            assert_eq!(name.parse().map(TargetSignal::number), Ok(number), "{name}");
        }
        for name in ["SIGRTMIN+31", "SIGRTMAX-31", "SIGRTMIN-1", "SIGRTMAX+1", "SIGRTMIN+", "SIGRTMIN+-1", "SIGRTMIN3"]
        {
            assert_eq!(name.parse::<TargetSignal>(), Err(NoSuchSignal::OutOfRange), "{name}");
        }
        assert_eq!("SIGRTMIN+99999999999".parse::<TargetSignal>(), Err(NoSuchSignal::OutOfRange));
        assert_eq!("SIGFOO".parse::<TargetSignal>(), Err(NoSuchSignal::UnknownName));
    }
}
