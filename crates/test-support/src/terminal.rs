//! A pseudo-terminal, and a program that runs on it.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{Read, Write};
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

use crate::http::TIMEOUT;
use crate::process::{KillOnDrop, stopwatch, wait_until};

/// A program on its own terminal, killed on drop.
pub struct Terminal {
    name: CString,
    keyboard: File,
    process: KillOnDrop,
    output: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Terminal {
    /// Starts it on a terminal of this size, in its own process group as a shell does.
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("there is a pty");
        grantpt(&master).expect("the pty is ours");
        unlockpt(&master).expect("the pty is ours");
        let name = ptsname(&master, Vec::new()).expect("a pty has a name");
        let slave = slave(&name);
        tcsetwinsize(&slave, winsize(columns, rows)).expect("a terminal has a size");
        let streams = [(); 2].map(|()| Stdio::from(slave.try_clone().expect("a descriptor can be copied")));
        let [input, errors] = streams;
        command.process_group(0).stdin(input).stderr(errors).stdout(slave);
        let process = KillOnDrop(command.spawn().expect("the program starts"));
        let keyboard = File::from(master.try_clone().expect("a descriptor can be copied"));
        Self { name, keyboard, process, output: read(File::from(master)), seen: Vec::new() }
    }

    /// Waits until this has been shown since the last wait.
    pub fn wait_for(&mut self, part: &str) {
        self.wait_until(|shown| shown.contains(part));
        self.seen.clear();
    }

    /// Waits until what has been shown since the last `wait_for` satisfies the condition.
    pub fn wait_until(&mut self, condition: impl Fn(&str) -> bool) {
        // Limits the whole wait: a program may show something else forever.
        let waited = stopwatch();
        while !condition(&String::from_utf8_lossy(&self.seen)) {
            let Ok(bytes) = self.output.recv_timeout(TIMEOUT.saturating_sub(waited())) else {
                panic!("the condition did not hold after {:?}", String::from_utf8_lossy(&self.seen))
            };
            self.seen.extend(bytes);
        }
    }

    /// Types these characters. The terminal makes a signal of Ctrl-C (`\x03`) and the like.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the pty is open");
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        tcsetwinsize(slave(&self.name), winsize(columns, rows)).expect("a terminal has a size");
        self.signal(Signal::SIGWINCH);
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the program exists");
    }

    /// Waits until the process is stopped.
    pub fn wait_for_stop(&self) {
        let stat = format!("/proc/{}/stat", self.pid());
        wait_until(|| fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T ")));
    }

    /// Waits until it exits; returns what it showed last, and its exit code.
    pub fn end(mut self) -> (String, Option<i32>) {
        let code = self.process.exit_code();
        // The terminal is closed with the last process that has it open.
        self.seen.extend(self.output.iter().flatten());
        (String::from_utf8_lossy(&self.seen).into_owned(), code)
    }

    /// Closes the terminal; returns the exit code of the program.
    pub fn close(self) -> Option<i32> {
        let Self { output, keyboard, mut process, .. } = self;
        drop((output, keyboard));
        process.exit_code()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.pid())
    }
}

/// Reads until the program closes the terminal, or the receiver is dropped, which closes the terminal.
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
