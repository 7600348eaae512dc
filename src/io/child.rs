//! The child of `lameduck run`: starts it, signals it, and reaps it and the orphans that lameduck adopts.
//!
//! The child has a process group of its own, so that only lameduck signals it: Ctrl-C in a terminal signals a whole group.
//! All waiting is done by one thread, because a wait for any child takes the status of every child.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use lameduck_machine::result::ExitStatus;
use rustix::io::Errno;
use rustix::process::{
    Pid, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, WaitStatus, getpgid, getpid, getppid, getsid, kill_process,
    kill_process_group, set_child_subreaper, test_kill_process_group, wait, waitid,
};

use signal_hook::consts::SIGCHLD;

use crate::io::liveness::stat_of;
use crate::io::target_signal::TargetSignal;

/// The executable of this process, even if its file was replaced.
const OWN_EXECUTABLE: &str = "/proc/self/exe";
/// The hidden subcommand that becomes the child.
pub const EXEC_SUBCOMMAND: &str = "exec-child";

/// The child.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    /// How it ended, once it is reaped. Until then its pid cannot be reused.
    status: Mutex<Option<ExitStatus>>,
}

/// What happens to the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildEvent {
    /// A signal with this number has stopped it.
    Stopped(i32),
    /// It has ended, and is reaped next.
    Ended(ExitStatus),
    /// It has been reaped.
    Reaped {
        /// Whether it has left processes, which are children of this process now.
        leaves_others: bool,
    },
}

impl Child {
    /// Starts the child from the main thread, whose end is the parent's death for the kernel.
    ///
    /// # Errors
    /// Fails if no process can be started. Whether the command itself can be executed is known only later.
    pub fn spawn(command: &[OsString]) -> io::Result<Self> {
        // Where SIGCHLD is ignored, the kernel reaps every child, and nobody learns its status. A handler ends that.
        signal_hook::flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)))?;
        // Orphans of the child become children of this process, as they do if it is PID 1.
        set_child_subreaper(Some(getpid()))?;
        // Searches already see the name of the command.
        let mut stage = Command::new(OWN_EXECUTABLE);
        stage
            .arg0(command.first().map_or(OsStr::new("lameduck"), OsString::as_os_str))
            .arg(EXEC_SUBCOMMAND)
            .arg(std::process::id().to_string())
            .arg("--")
            .args(command);
        stage.process_group(0);
        if io::stdin().is_terminal() {
            // A read from the terminal would stop a process that is not in the foreground.
            stage.stdin(Stdio::null());
        }
        let pid = Pid::from_child(&stage.spawn()?);
        Ok(Self { pid, status: Mutex::new(None) })
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// How it ended; `None` until it is reaped.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        *self.lock()
    }

    /// Sends a signal to the child alone.
    ///
    /// # Errors
    /// `ESRCH` if it is reaped, or the kernel's refusal.
    pub fn signal(&self, signal: TargetSignal) -> Result<(), Errno> {
        let status = self.lock();
        if status.is_some() {
            return Err(Errno::SRCH);
        }
        kill_process(self.pid, signal.raw())
    }

    /// Sends a signal to the child's process group, which may outlive the child.
    ///
    /// # Errors
    /// `ESRCH` if the group is empty, or the kernel's refusal.
    pub fn signal_group(&self, signal: TargetSignal) -> Result<(), Errno> {
        kill_process_group(self.pid, signal.raw())
    }

    /// Stops the child's process group, and then this process, as a terminal does with the group of this process. Does
    /// nothing if no shell would continue this process.
    pub fn suspend(&self) {
        if is_init() {
            let _ = self.signal_group(TargetSignal::TSTP);
        } else if has_job_control() {
            let _ = self.signal_group(TargetSignal::TSTP);
            let _ = kill_process(getpid(), TargetSignal::STOP.raw());
        }
    }

    /// Whether the child's process group has a member.
    #[must_use]
    pub fn has_group(&self) -> bool {
        test_kill_process_group(self.pid) != Err(Errno::SRCH)
    }

    /// Reaps the child and all orphans in a thread, and passes on what happens to the child. It ends with the last of
    /// them.
    ///
    /// # Errors
    /// Fails if the thread cannot be started.
    pub fn start_reaper(self: &Arc<Self>, mut on_event: impl FnMut(ChildEvent) + Send + 'static) -> io::Result<()> {
        let child = Arc::clone(self);
        thread::Builder::new().name("reaper".into()).spawn(move || {
            while await_change() {
                if !child.take_event(&mut on_event) {
                    child.reap_other(&mut on_event);
                }
            }
            child.end_unseen(&mut on_event);
        })?;
        Ok(())
    }

    /// Handles a change of the child, and returns whether there was one.
    fn take_event(&self, on_event: &mut impl FnMut(ChildEvent)) -> bool {
        if self.status().is_some() {
            return false;
        }
        let poll = |options| waitid(WaitId::Pid(self.pid), options | WaitIdOptions::NOHANG).ok().flatten();
        if let Some(status) = poll(WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            let status = from_id_status(&status);
            // While the child is a zombie, others can read its status too.
            on_event(ChildEvent::Ended(status));
            let mut reaped = self.lock();
            poll(WaitIdOptions::EXITED);
            *reaped = Some(status);
            drop(reaped);
            on_event(ChildEvent::Reaped { leaves_others: has_children() });
            return true;
        }
        let stopped = poll(WaitIdOptions::STOPPED).and_then(|status| status.stopping_signal());
        if let Some(signal) = stopped {
            on_event(ChildEvent::Stopped(signal));
        }
        stopped.is_some()
    }

    fn reap_other(&self, on_event: &mut impl FnMut(ChildEvent)) {
        let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG | WaitOptions::UNTRACED) else { return };
        if pid != self.pid {
            return;
        }
        // The child has changed just now.
        if let Some(signal) = status.stopping_signal() {
            return on_event(ChildEvent::Stopped(signal));
        }
        let status = from_status(status);
        *self.lock() = Some(status);
        on_event(ChildEvent::Ended(status));
        on_event(ChildEvent::Reaped { leaves_others: has_children() });
    }

    /// Handles an end whose status something else has taken: this process has no child any more.
    fn end_unseen(&self, on_event: &mut impl FnMut(ChildEvent)) {
        let mut status = self.lock();
        if status.is_none() {
            *status = Some(ExitStatus::Unknown);
            drop(status);
            on_event(ChildEvent::Ended(ExitStatus::Unknown));
            on_event(ChildEvent::Reaped { leaves_others: false });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<ExitStatus>> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this process is the first of its PID namespace. The kernel drops every signal to it that it does not catch.
#[must_use]
pub fn is_init() -> bool {
    getpid().is_init()
}

/// Whether a shell in the same session may continue this process: its process group is not orphaned (setpgid(2)).
fn has_job_control() -> bool {
    let (group, session) = (getpgid(None), getsid(None));
    let mut ancestor = getppid();
    while let Some(pid) = ancestor {
        if getsid(Some(pid)) != session {
            return false;
        }
        if getpgid(Some(pid)) != group {
            return true;
        }
        ancestor = stat_of(pid.as_raw_nonzero().get().unsigned_abs())
            .and_then(|stat| Pid::from_raw(i32::try_from(stat.parent).ok()?));
    }
    false
}

/// Waits until a child has stopped or ended, without reaping it. Returns false if there is no child.
fn await_change() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::All, options), Ok(_) | Err(Errno::INTR))
}

/// Whether this process has a child.
fn has_children() -> bool {
    waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG).is_ok()
}

fn from_id_status(status: &WaitIdStatus) -> ExitStatus {
    let code = status.exit_status().map(ExitStatus::Code);
    code.or_else(|| status.terminating_signal().map(ExitStatus::Killed)).unwrap_or(ExitStatus::Unknown)
}

fn from_status(status: WaitStatus) -> ExitStatus {
    let code = status.exit_status().map(ExitStatus::Code);
    code.or_else(|| status.terminating_signal().map(ExitStatus::Killed)).unwrap_or(ExitStatus::Unknown)
}
