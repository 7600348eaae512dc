//! One target, watched for its exit and signalled by pidfd, so that a pid used again is never mistaken for it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

use crate::io::liveness::{is_alive, stat_of};
use lameduck_machine::result::ExitStatus;
use lameduck_machine::target::Incarnation;

/// How often a target is looked at where the kernel gives no pidfd (old seccomp profiles refuse it).
const LOOK: Duration = Duration::from_millis(50);

/// How often, and how many times, a pidfd is asked for the end of a target whose reaping is under way.
const REAP_LOOK: Duration = Duration::from_millis(1);
const REAP_LOOKS: u32 = 20;

/// A target under watch.
#[derive(Debug)]
pub struct Watch {
    incarnation: Incarnation,
    pidfd: Option<Arc<OwnedFd>>,
}

impl Watch {
    /// Watches the target; `on_exit` is called from another thread, once, when it has ended.
    ///
    /// # Errors
    /// Fails if no thread can be started; the target is then not watched.
    pub fn start(
        incarnation: Incarnation,
        on_exit: impl FnOnce(Incarnation, ExitStatus) + Send + 'static,
    ) -> std::io::Result<Self> {
        let pidfd = open(incarnation.pid).map(Arc::new);
        let watched = pidfd.clone();
        thread::Builder::new().name("watch".into()).spawn(move || {
            // The exit code in /proc reads 0 where we may not see it, so that must be known while the target lives.
            let may_see = std::fs::read_link(format!("/proc/{}/exe", incarnation.pid)).is_ok();
            let sighted = goes_on(incarnation);
            if sighted {
                wait(incarnation, watched.as_deref());
            }
            on_exit(incarnation, ending(incarnation, watched.filter(|_| sighted).as_deref(), may_see));
        })?;
        Ok(Self { incarnation, pidfd })
    }

    /// Which life of the target this is.
    #[must_use]
    pub const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Sends the signal to this one process: by pidfd, or by pid where pidfds are refused.
    ///
    /// # Errors
    /// What the kernel says: `EPERM` where it is not permitted, `ESRCH` where the target has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        if !is_alive(self.incarnation).unwrap_or(false) {
            return Err(Errno::ESRCH);
        }
        match self.pidfd.as_deref().map(|pidfd| send(pidfd, signal)) {
            Some(Ok(())) => Ok(()),
            Some(Err(Errno::ESRCH)) => Err(Errno::ESRCH),
            Some(Err(_)) | None => kill(raw(self.incarnation.pid)?, signal),
        }
    }
}

fn raw(pid: u32) -> Result<Pid, Errno> {
    i32::try_from(pid).map(Pid::from_raw).map_err(|_| Errno::ESRCH)
}

fn open(pid: u32) -> Option<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

fn send(pidfd: &OwnedFd, signal: Signal) -> Result<(), Errno> {
    let signal = rustix::process::Signal::from_named_raw(signal as i32).ok_or(Errno::EINVAL)?;
    pidfd_send_signal(pidfd, signal).map_err(|error| Errno::from_raw(error.raw_os_error()))
}

/// Waits for the exit. A pidfd becomes readable when the process has ended, reaped or not (`pidfd_open(2)`).
fn wait(incarnation: Incarnation, pidfd: Option<&OwnedFd>) {
    let ended = |pidfd| poll(&mut [PollFd::new(pidfd, PollFlags::IN)], None).is_ok();
    while !pidfd.is_some_and(ended) {
        if !goes_on(incarnation) {
            return;
        }
        thread::sleep(LOOK);
    }
}

/// Whether the target lives, or at least is not known to have ended.
fn goes_on(incarnation: Incarnation) -> bool {
    is_alive(incarnation).unwrap_or(true)
}

/// How the target ended: by `/proc` until its parent has reaped it, by its pidfd afterwards, where the kernel tells.
fn ending(incarnation: Incarnation, pidfd: Option<&OwnedFd>, may_see: bool) -> ExitStatus {
    let zombie = || stat_of(incarnation.pid).filter(|stat| stat.ended && stat.started == incarnation.started);
    if let Some(stat) = zombie().filter(|_| may_see) {
        return by_status(stat.status);
    }
    let Some(pidfd) = pidfd else { return ExitStatus::Unknown };
    for _ in 0..REAP_LOOKS {
        match pidfd_exit::wait_status(pidfd) {
            Ok(Some(status)) => return by_status(status),
            Ok(None) => thread::sleep(REAP_LOOK),
            Err(_) => return ExitStatus::Unknown,
        }
    }
    ExitStatus::Unknown
}

/// Reads a wait status (wait(2)).
const fn by_status(status: i32) -> ExitStatus {
    match status & 0x7f {
        0 => ExitStatus::Code((status >> 8) & 0xff),
        signal => ExitStatus::Killed(signal),
    }
}
