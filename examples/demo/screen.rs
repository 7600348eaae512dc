//! The output: lines and, on a terminal, a status line below them.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

const DIM: &str = "2";
const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "31";

/// The process that a line is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Speaker {
    Kubelet,
    Lameduck,
    Engine,
    Client,
}

/// Standard output, as a terminal or not.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: bool,
    colour: bool,
    /// The bar's symbols for open and for ended streams.
    symbols: (&'static str, &'static str),
    /// Whether the last line is the status line.
    live: bool,
    zero: Option<Instant>,
}

impl Speaker {
    const fn name(self) -> &'static str {
        match self {
            Self::Kubelet => "kubelet",
            Self::Lameduck => "lameduck",
            Self::Engine => "engine",
            Self::Client => "client",
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Kubelet => "34",
            Self::Lameduck => "33",
            Self::Engine => "35",
            Self::Client => "36",
        }
    }
}

impl Screen {
    pub(crate) fn new() -> Self {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let terminal = io::stdout().is_terminal() && set("TERM").is_none_or(|term| term != "dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_lowercase();
        let symbols = if locale.contains("utf-8") || locale.contains("utf8") { ("■", "·") } else { ("#", ".") };
        Self { terminal, colour: terminal && set("NO_COLOR").is_none(), symbols, live: false, zero: None }
    }

    /// Sets the zero of the times that are printed.
    pub(crate) fn start_clock(&mut self, zero: Instant) {
        self.zero = Some(zero);
    }

    pub(crate) fn line(&mut self, text: &str) {
        self.put(text);
    }

    pub(crate) fn heading(&mut self, text: &str) {
        let text = self.painted(BOLD, text);
        self.put(&format!("\n{text}"));
    }

    /// The output of a command.
    pub(crate) fn output(&mut self, text: &str) {
        self.put(&format!("    {text}"));
    }

    pub(crate) fn command(&mut self, text: &str) {
        let text = self.painted(DIM, &wrapped(text));
        self.put(&format!("  $ {text}"));
    }

    /// An event: when, which process, what, and a remark.
    pub(crate) fn event(&mut self, at: Instant, speaker: Speaker, text: &str, remark: &str) {
        let seconds = self.zero.map_or(0.0, |zero| at.saturating_duration_since(zero).as_secs_f64());
        let name = self.painted(speaker.colour(), &format!("{:<8}", speaker.name()));
        let mut line = format!("{seconds:>6.1}s  {name}  {text}");
        if !remark.is_empty() {
            let _ = write!(line, "  {}", self.painted(DIM, &format!("({remark})")));
        }
        self.put(&line);
    }

    pub(crate) fn check(&mut self, passed: bool, text: &str) {
        let result = if passed { self.painted(GREEN, "    ok") } else { self.painted(RED, "FAILED") };
        self.put(&format!("  {result}  {text}"));
    }

    /// Shows a status line that the next output overwrites; only on a terminal.
    pub(crate) fn status(&mut self, text: &str) {
        if self.terminal {
            // Without automatic wrapping, so that it stays one line on a narrow terminal.
            let start = if self.live { "\r" } else { "\x1b[?25l\x1b[?7l\r" };
            write_out(&format!("{start}\x1b[K{text}"));
            self.live = true;
        }
    }

    /// A bar for `open` of `total` streams.
    pub(crate) fn bar(&self, open: u64, total: u64) -> String {
        let (full, empty) = self.symbols;
        let repeat = |symbol: &str, times: u64| symbol.repeat(usize::try_from(times).unwrap_or_default());
        format!("{}{}", self.painted(GREEN, &repeat(full, open)), repeat(empty, total.saturating_sub(open)))
    }

    fn put(&mut self, text: &str) {
        self.clear();
        write_out(&format!("{text}\n"));
    }

    /// Removes the status line and shows the cursor again.
    fn clear(&mut self) {
        if self.live {
            self.live = false;
            write_out("\r\x1b[K\x1b[?7h\x1b[?25h");
        }
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Ignores errors: there is nowhere left to report them.
fn write_out(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Breaks a long command before flags into several lines that can still be pasted.
fn wrapped(command: &str) -> String {
    const WIDTH: usize = 100;
    let mut lines = String::new();
    let mut width = 0;
    for (index, part) in command.split(" --").enumerate() {
        let part = if index == 0 { part.to_owned() } else { format!(" --{part}") };
        if width + part.len() > WIDTH {
            lines.push_str(" \\\n     ");
            width = 6;
        }
        width += part.len();
        lines.push_str(&part);
    }
    lines
}
