//! Watches one target for its exit, and signals it. A pidfd makes sure that a reused pid is never taken for the target.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use rustix::process::{Pid, PidfdFlags, kill_process, pidfd_open, pidfd_send_signal};
use tokio::net::unix::pipe;

use crate::io::liveness::{is_alive, stat_of};
use crate::io::target_signal::TargetSignal;
use lameduck_machine::result::ExitStatus;
use lameduck_machine::target::Incarnation;

/// How often a target is polled if there is no pidfd (old seccomp profiles forbid it).
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How often a pidfd is read again while the target has ended but is not reaped yet.
const REAP_RETRY_INTERVAL: Duration = Duration::from_millis(1);
const MAX_REAP_RETRIES: u32 = 20;

/// A watched target.
#[derive(Debug)]
pub struct Watch {
    incarnation: Incarnation,
    pidfd: Option<OwnedFd>,
}

impl Watch {
    /// Watches the target. The returned future ends with the target. Both need the runtime.
    pub fn start(incarnation: Incarnation) -> (Self, impl Future<Output = ExitStatus> + Send + use<>) {
        let pidfd = open(incarnation.pid);
        let watched = pidfd.as_ref().and_then(|pidfd| awaitable(pidfd).ok());
        // Without permission, the exit code in /proc reads as 0. This must be checked while the target is alive.
        let can_read_status = std::fs::read_link(format!("/proc/{}/exe", incarnation.pid)).is_ok();
        let was_alive = may_be_alive(incarnation);
        let exit = async move {
            if was_alive {
                wait(incarnation, watched.as_ref()).await;
            }
            exit_status(incarnation, watched.as_ref().filter(|_| was_alive), can_read_status).await
        };
        (Self { incarnation, pidfd }, exit)
    }

    /// The watched incarnation.
    #[must_use]
    pub const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Sends the signal to this process only: by pidfd, or by pid if there is no pidfd.
    ///
    /// # Errors
    /// The kernel's error: `EPERM` if this is not permitted, `ESRCH` if the target has ended.
    pub fn signal(&self, signal: TargetSignal) -> Result<(), Errno> {
        if !is_alive(self.incarnation).unwrap_or(false) {
            return Err(Errno::ESRCH);
        }
        match self.pidfd.as_ref().map(|pidfd| send(pidfd, signal)) {
            Some(Ok(())) => Ok(()),
            Some(Err(Errno::ESRCH)) => Err(Errno::ESRCH),
            Some(Err(_)) | None => kill(self.incarnation.pid, signal),
        }
    }
}

fn raw(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

fn open(pid: u32) -> Option<OwnedFd> {
    pidfd_open(raw(pid)?, PidfdFlags::empty()).ok()
}

fn kill(pid: u32, signal: TargetSignal) -> Result<(), Errno> {
    kill_process(raw(pid).ok_or(Errno::ESRCH)?, signal.raw()).map_err(errno)
}

fn send(pidfd: &OwnedFd, signal: TargetSignal) -> Result<(), Errno> {
    pidfd_send_signal(pidfd, signal.raw()).map_err(errno)
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

/// A copy of a pidfd whose readiness can be awaited. `AsyncFd` would accept any descriptor but needs `unsafe`. A pipe's
/// receiver accepts any descriptor as well, and only its readiness is used.
fn awaitable(pidfd: &OwnedFd) -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd_unchecked(pidfd.try_clone()?)
}

/// Waits for the exit. A pidfd becomes readable when the process has ended, reaped or not (`pidfd_open(2)`).
async fn wait(incarnation: Incarnation, pidfd: Option<&pipe::Receiver>) {
    if let Some(pidfd) = pidfd
        && pidfd.readable().await.is_ok()
    {
        return;
    }
    while may_be_alive(incarnation) {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Whether the target is not known to have ended.
fn may_be_alive(incarnation: Incarnation) -> bool {
    is_alive(incarnation).unwrap_or(true)
}

/// The exit status of the target: from `/proc` until its parent has reaped it, then from its pidfd if the kernel supports
/// that.
async fn exit_status(incarnation: Incarnation, pidfd: Option<&pipe::Receiver>, can_read_status: bool) -> ExitStatus {
    let zombie = || stat_of(incarnation.pid).filter(|stat| stat.ended && stat.started == incarnation.started);
    if let Some(stat) = zombie().filter(|_| can_read_status) {
        return from_wait_status(stat.status);
    }
    let Some(pidfd) = pidfd else { return ExitStatus::Unknown };
    for _ in 0..MAX_REAP_RETRIES {
        match pidfd_exit::wait_status(pidfd) {
            Ok(Some(status)) => return from_wait_status(status),
            Ok(None) => tokio::time::sleep(REAP_RETRY_INTERVAL).await,
            Err(_) => return ExitStatus::Unknown,
        }
    }
    ExitStatus::Unknown
}

/// Decodes a wait status (wait(2)).
const fn from_wait_status(status: i32) -> ExitStatus {
    match status & 0x7f {
        0 => ExitStatus::Code((status >> 8) & 0xff),
        signal => ExitStatus::Killed(signal),
    }
}
