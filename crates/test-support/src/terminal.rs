//! A terminal, and a program that thinks that somebody sits at it.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::http::PATIENCE;
use crate::sidecar::stopwatch;
use crate::sim::{Running, wait_until};

/// A program at a terminal of its own, killed on drop.
pub struct Terminal {
    name: CString,
    running: Running,
    output: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Terminal {
    /// Starts it at a terminal of this size, in a process group of its own as a shell does.
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("there is a pty");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it is ours");
        let name = ptsname(&master, Vec::new()).expect("it has a name");
        let slave = slave(&name);
        tcsetwinsize(&slave, winsize(columns, rows)).expect("a terminal has a size");
        let streams = [(); 2].map(|()| Stdio::from(slave.try_clone().expect("a descriptor can be copied")));
        let [input, errors] = streams;
        command.process_group(0).stdin(input).stderr(errors).stdout(slave);
        let running = Running(command.spawn().expect("the program starts"));
        Self { name, running, output: read(File::from(master)), seen: Vec::new() }
    }

    /// Waits until this has been shown after all that was waited for before.
    pub fn wait_for(&mut self, part: &str) {
        self.wait_until(|shown| shown.contains(part));
        self.seen.clear();
    }

    /// Waits until what has been shown since is so.
    pub fn wait_until(&mut self, is_so: impl Fn(&str) -> bool) {
        // A program that goes on showing something else is waited for in vain, too.
        let waited = stopwatch();
        while !is_so(&String::from_utf8_lossy(&self.seen)) {
            let Ok(bytes) = self.output.recv_timeout(PATIENCE.saturating_sub(waited())) else {
                panic!("waited in vain after {:?}", String::from_utf8_lossy(&self.seen))
            };
            self.seen.extend(bytes);
        }
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        tcsetwinsize(slave(&self.name), winsize(columns, rows)).expect("a terminal has a size");
        self.signal(Signal::SIGWINCH);
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the program is there");
    }

    /// Waits until the kernel says that it is stopped.
    pub fn wait_for_stop(&self) {
        let stat = format!("/proc/{}/stat", self.pid());
        wait_until(|| fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    }

    /// Waits for its end; what it showed last, and its exit code.
    pub fn end(mut self) -> (String, Option<i32>) {
        let code = self.running.exit_code();
        // The terminal ends with its last user.
        self.seen.extend(self.output.iter().flatten());
        (String::from_utf8_lossy(&self.seen).into_owned(), code)
    }

    /// Closes the window; the exit code of the program.
    pub fn close(self) -> Option<i32> {
        let Self { output, mut running, .. } = self;
        drop(output);
        running.exit_code()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.running.0.id()).expect("a pid fits"))
    }
}

/// Reads until the program has closed the terminal, or nobody wants to know: then the terminal is closed.
fn read(mut master: File) -> Receiver<Vec<u8>> {
    let (sender, output) = channel();
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(length) = master.read(&mut bytes) {
            if sender.send(bytes[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    output
}

fn slave(name: &CString) -> OwnedFd {
    rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).expect("the pty is open")
}

const fn winsize(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}
