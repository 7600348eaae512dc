//! One flushed line per event, for those who wait on them.

use std::fmt::Arguments;
use std::io::{self, Write};

#[derive(Clone, Debug)]
pub(crate) struct Log {
    prefix: String,
}

impl Log {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Prints a line, and does not mind when nobody reads it any more.
    pub(crate) fn say(&self, line: Arguments<'_>) {
        let mut stdout = io::stdout().lock();
        let _ = writeln!(stdout, "{}: {line}", self.prefix).and_then(|()| stdout.flush());
    }
}
