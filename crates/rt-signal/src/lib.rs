//! Makes real-time signals that can be sent to another process.
//!
//! The safe functions of nix and rustix know only the signals with a name of their own. A real-time signal is only a
//! number, and making a signal from a number needs `unsafe`. This crate contains it, so that lameduck itself forbids
//! `unsafe`.

use rustix::process::Signal;

/// The number of `SIGRTMIN` in glibc and in the shells. glibc keeps the two real-time signals below it for its threads
/// (signal(7)).
pub const MIN: i32 = 34;

/// The number of `SIGRTMAX`.
pub const MAX: i32 = 64;

/// The real-time signal with this number; `None` if the number is not one of them.
#[must_use]
pub const fn from_number(number: i32) -> Option<Signal> {
    if MIN <= number && number <= MAX {
        // SAFETY: the number is a valid signal of Linux and not zero. A libc that reserves it for itself, as musl does
        // with 34, only requires that nothing handles, blocks or sends it in its own process. It is sent to others.
        Some(unsafe { Signal::from_raw_unchecked(number) })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use rustix::process::{Pid, kill_process};

    use super::*;

    #[test]
    fn only_real_time_signals_are_made() {
        for number in [i32::MIN, -1, 0, 2, 31, 32, 33, 65, i32::MAX] {
            assert_eq!(from_number(number), None, "{number}");
        }
        for number in MIN..=MAX {
            assert_eq!(from_number(number).map(Signal::as_raw), Some(number));
        }
    }

    #[test]
    fn signal_reaches_another_process() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        kill_process(Pid::from_child(&child), from_number(MIN + 3).unwrap()).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(MIN + 3));
    }
}
