//! The terminal: taken while there is something to show, and given back on every way out.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::{getpgid, getsid};
use rustix::process::getpgrp;
use rustix::termios::{tcgetpgrp, tcgetwinsize};

use crate::commands::status::lines::{Line, Size};

/// The alternate screen (xterm, "Control Sequences", DEC private mode 1049), blank.
const TAKE: &str = "\x1b[?1049h\x1b[2J";
/// Line wrap and cursor back on, and the screen as it was before.
const GIVE_BACK: &str = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
/// No cursor, no line wrap, and on from the first place: also after somebody else has written.
const BEGIN: &str = "\x1b[?25l\x1b[?7l\x1b[H";
/// Where the kernel does not know the size.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// Whether the terminal is ours now. One process has one standard output, and a panic must find it.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Standard output as a terminal; given back on drop and on a panic.
#[derive(Debug)]
pub struct Screen {
    colour: bool,
}

impl Screen {
    /// The terminal, or `None` where standard output is none that can be drawn on.
    #[must_use]
    pub fn open() -> Option<Self> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        if !io::stdout().is_terminal() || set("TERM").is_some_and(|term| term == "dumb") {
            return None;
        }
        give_back_on_panic();
        // https://no-color.org: set, and not empty.
        Some(Self { colour: set("NO_COLOR").is_none() })
    }

    /// How large the terminal is now.
    #[must_use]
    pub fn size(&self) -> Size {
        let Ok(size) = tcgetwinsize(io::stdout()) else { return USUAL };
        let or = |told: u16, usual| if told == 0 { usual } else { usize::from(told) };
        Size { columns: or(size.ws_col, USUAL.columns), rows: or(size.ws_row, USUAL.rows) }
    }

    /// Shows these lines and nothing else, unless another job has the terminal.
    ///
    /// # Errors
    /// Fails once the terminal is gone.
    pub fn show(&mut self, lines: &[Line]) -> io::Result<()> {
        if !is_in_foreground() {
            return Ok(());
        }
        let take = if TAKEN.swap(true, Ordering::SeqCst) { "" } else { TAKE };
        write_out(&(take.to_owned() + &frame(lines, self.size().rows, self.colour)))
    }

    /// Gives the terminal back until the next lines are shown.
    ///
    /// # Errors
    /// Fails once the terminal is gone.
    pub fn give_back(&mut self) -> io::Result<()> {
        give_back()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = give_back();
    }
}

/// Whether somebody could continue us if we stopped: the leader of our session, which is then a shell with jobs.
///
/// The kernel stops no process of an orphaned group by SIGTSTP (setpgid(2)), and neither must we: in a container that
/// was entered with `kubectl exec`, nobody is there to continue us.
#[must_use]
pub fn may_stop() -> bool {
    let group_of = |pid| getpgid(Some(pid)).ok().filter(|_| pid.as_raw() > 0);
    let leader = getsid(None).ok().and_then(group_of);
    leader.is_some_and(|leader| leader.as_raw() != getpgrp().as_raw_nonzero().get())
}

/// Where the kernel tells no foreground group, the terminal is not the one that controls us, and nobody else's either.
fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdout()).map_or(true, |group| group == getpgrp())
}

/// Each line is cleared before it is written: after a full one, clearing would take its last character.
fn frame(lines: &[Line], rows: usize, colour: bool) -> String {
    let lines: Vec<_> = lines.iter().map(|line| format!("\x1b[K{}", line.painted(colour))).collect();
    let rest = if lines.len() < rows { "\r\n\x1b[J" } else { "" };
    format!("{BEGIN}{}{rest}", lines.join("\r\n"))
}

/// On the alternate screen, what a panic says would be lost.
fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let _ = give_back();
            before(panic);
        }));
    });
}

fn give_back() -> io::Result<()> {
    if TAKEN.swap(false, Ordering::SeqCst) { write_out(GIVE_BACK) } else { Ok(()) }
}

fn write_out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
