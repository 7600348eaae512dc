//! Whether a process can be signalled.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::names::shell_name;
use crate::io::liveness::is_intact;
use crate::io::proc_file;
use crate::io::target_signal::TargetSignal;
use lameduck_machine::target::{Incarnation, SignalBlocker, TargetState};
use lameduck_parsers::procfs::{SignalMasks, Status};

/// The settings that decide whether the target can be signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalRules {
    /// The signal that will be sent to it, if any.
    pub signal: Option<TargetSignal>,
    /// Whether it may be signalled if the kernel does not show which signals it catches.
    pub assume_caught: bool,
}

/// What is read of a target that is known already.
#[derive(Clone, Debug, Default)]
pub struct KnownTarget {
    /// Its state.
    pub state: TargetState,
    /// What it is instead, if it does not catch the configured signal.
    pub uncaught: Option<Uncaught>,
}

/// A target that does not catch the configured signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncaught {
    /// The signals that it catches.
    pub caught: Vec<&'static str>,
    /// Its name, if it is a shell, which seldom passes signals on.
    pub shell: Option<String>,
}

impl Uncaught {
    /// A process with these masks.
    #[must_use]
    pub fn new(pid: u32, masks: &SignalMasks) -> Self {
        Self { caught: caught_signals(masks), shell: shell_name(pid) }
    }
}

impl SignalRules {
    /// Reads the state of a known target from its own entry in `/proc`: first `stat`, then `status` if a signal is
    /// configured. Neither waits for the lock on its memory, as `cmdline` does.
    #[must_use]
    pub fn read_target(&self, target: Incarnation) -> KnownTarget {
        match is_intact(target) {
            Err(_) => return KnownTarget::default(),
            Ok(false) => return KnownTarget { state: TargetState::Exiting, uncaught: None },
            Ok(true) => {}
        }
        if self.signal.is_none() {
            return KnownTarget { state: TargetState::Intact(None), uncaught: None };
        }
        // Without a status, it has ended just now, which its watch reports.
        let Some(status) = status_of(target.pid) else { return KnownTarget::default() };
        let blocker = self.blocker(target.pid, &status);
        let masks = status.signals.filter(|_| blocker == Some(SignalBlocker::NotCaught));
        let uncaught = masks.map(|masks| Uncaught::new(target.pid, &masks));
        KnownTarget { state: TargetState::Intact(blocker), uncaught }
    }

    /// Why a process with this status cannot be signalled; `None` if it can, or if no signal is configured.
    pub(super) fn blocker(&self, pid: u32, status: &Status) -> Option<SignalBlocker> {
        let signal = self.signal?;
        if let Err(errno) = may_signal(pid) {
            let ours = rustix::process::geteuid().as_raw();
            return Some(SignalBlocker::NotPermitted { errno: errno as i32, theirs: status.uid, ours });
        }
        match status.signals {
            Some(masks) => (!masks.catches(signal.number())).then_some(SignalBlocker::NotCaught),
            None => (!self.assume_caught).then_some(SignalBlocker::CaughtUnknown),
        }
    }
}

/// Checks that this process is permitted to signal another one. Signal 0 only checks the permission (kill(2)).
///
/// # Errors
/// The kernel's refusal: `EPERM` because of the users or a seccomp profile, `EACCES` because of a security module such as
/// AppArmor. A process that has ended refuses nothing.
pub fn may_signal(pid: u32) -> Result<(), Errno> {
    let pid = i32::try_from(pid).map_err(|_| Errno::EINVAL)?;
    match kill(Pid::from_raw(pid), None) {
        Err(Errno::ESRCH) => Ok(()),
        result => result,
    }
}

/// The most real-time signals that are listed. A runtime may catch all of them, which shows nothing.
const MAX_REAL_TIME: usize = 4;

/// The signals that a process catches, among those on which programs usually drain.
#[must_use]
pub fn caught_signals(masks: &SignalMasks) -> Vec<&'static str> {
    const COMMON: [Signal; 6] =
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];
    let common = COMMON.into_iter().filter(|signal| masks.catches(*signal as i32)).map(Signal::as_str);
    let real_time = TargetSignal::real_time().filter(|signal| masks.catches(signal.number()));
    let mut real_time: Vec<&str> = real_time.map(TargetSignal::as_str).collect();
    if real_time.len() > MAX_REAL_TIME {
        real_time.clear();
    }
    common.chain(real_time).collect()
}

/// Reads a process's user and signal dispositions from `/proc/pid/status`; `None` if the process is gone.
#[must_use]
pub fn status_of(pid: u32) -> Option<Status> {
    let text = match proc_file::read(&format!("/proc/{pid}/status")) {
        Ok(text) => text,
        // A security module may forbid reading this file of another process.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Vec::new(),
        Err(_) => return None,
    };
    let owner = || Some(fs::metadata(format!("/proc/{pid}")).ok()?.uid());
    // The process name in it may be any bytes.
    Status::parse(&String::from_utf8_lossy(&text), owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_time_signals_are_listed_unless_a_runtime_catches_them_all() {
        let masks = |caught| SignalMasks { caught, ignored: 0, blocked: 0 };
        assert_eq!(caught_signals(&masks((1 << 1) | (1 << 36))), ["SIGINT", "SIGRTMIN+3"]);
        // glibc catches 32 and 33 for its threads.
        assert_eq!(caught_signals(&masks((1 << 14) | (3 << 31))), ["SIGTERM"]);
        let all = caught_signals(&masks(u64::MAX));
        assert!(all.len() == 6 && all.iter().all(|name| !name.contains("RT")), "{all:?}");
    }
}
