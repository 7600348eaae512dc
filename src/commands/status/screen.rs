//! The terminal: the alternate screen is entered to show the live view, and left however the process ends.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::{getpgid, getsid};
use rustix::process::getpgrp;
use rustix::termios::{tcgetpgrp, tcgetwinsize};

use crate::commands::status::lines::{Line, Size};

/// The alternate screen (xterm, "Control Sequences", DEC private mode 1049), cleared.
const ENTER_SCREEN: &str = "\x1b[?1049h\x1b[2J";
/// Turns line wrap and cursor on again, and shows the screen as it was before.
const LEAVE_SCREEN: &str = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Turns cursor and line wrap off and moves to the first cell, also if another process has written since.
const BEGIN_FRAME: &str = "\x1b[?25l\x1b[?7l\x1b[H";
/// The size if the kernel does not know it.
const DEFAULT_SIZE: Size = Size { columns: 80, rows: 24 };

/// Whether the alternate screen is shown. It is global because a process has one standard output, and because the
/// panic hook needs it.
static ACTIVE: AtomicBool = AtomicBool::new(false);

/// Standard output as a terminal. It is restored on drop and on a panic.
#[derive(Debug)]
pub struct Screen {
    colour: bool,
}

impl Screen {
    /// Opens the terminal; `None` if standard output is not a terminal that can be drawn on.
    #[must_use]
    pub fn open() -> Option<Self> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        if !io::stdout().is_terminal() || set("TERM").is_some_and(|term| term == "dumb") {
            return None;
        }
        restore_on_panic();
        // https://no-color.org: set, and not empty.
        Some(Self { colour: set("NO_COLOR").is_none() })
    }

    /// Returns the current size of the terminal.
    #[must_use]
    pub fn size(&self) -> Size {
        let Ok(size) = tcgetwinsize(io::stdout()) else { return DEFAULT_SIZE };
        let or = |known: u16, default| if known == 0 { default } else { usize::from(known) };
        Size { columns: or(size.ws_col, DEFAULT_SIZE.columns), rows: or(size.ws_row, DEFAULT_SIZE.rows) }
    }

    /// Shows these lines and nothing else, unless another job uses the terminal.
    ///
    /// # Errors
    /// Fails once the terminal is gone.
    pub fn show(&mut self, lines: &[Line]) -> io::Result<()> {
        if !is_in_foreground() {
            return Ok(());
        }
        let enter = if ACTIVE.swap(true, Ordering::SeqCst) { "" } else { ENTER_SCREEN };
        write_out(&(enter.to_owned() + &frame(lines, self.size().rows, self.colour)))
    }

    /// Restores the terminal until the next lines are shown.
    ///
    /// # Errors
    /// Fails once the terminal is gone.
    pub fn restore(&mut self) -> io::Result<()> {
        restore()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = restore();
    }
}

/// Whether this process may suspend itself: only if the session has a leader in another process group, a shell with job
/// control that can continue it.
///
/// The kernel does not stop a process of an orphaned group on SIGTSTP (setpgid(2)). Neither may this process: in a
/// session of `kubectl exec`, nothing would continue it.
#[must_use]
pub fn can_suspend() -> bool {
    let group_of = |pid| getpgid(Some(pid)).ok().filter(|_| pid.as_raw() > 0);
    let leader = getsid(None).ok().and_then(group_of);
    leader.is_some_and(|leader| leader.as_raw() != getpgrp().as_raw_nonzero().get())
}

/// Whether this process may draw. If the kernel knows no foreground group, this is not the controlling terminal, and no
/// other job uses it.
fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdout()).map_or(true, |group| group == getpgrp())
}

/// Clears each line before it is written: afterwards, clearing would erase the last character of a full line.
fn frame(lines: &[Line], rows: usize, colour: bool) -> String {
    let lines: Vec<_> = lines.iter().map(|line| format!("\x1b[K{}", line.render(colour))).collect();
    let rest = if lines.len() < rows { "\r\n\x1b[J" } else { "" };
    format!("{BEGIN_FRAME}{}{rest}", lines.join("\r\n"))
}

/// Leaves the alternate screen before the message of a panic is printed: there, it would be lost.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let _ = restore();
            before(panic);
        }));
    });
}

fn restore() -> io::Result<()> {
    if ACTIVE.swap(false, Ordering::SeqCst) { write_out(LEAVE_SCREEN) } else { Ok(()) }
}

fn write_out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
