//! One flushed line on stdout per event, so that tests can wait for it.

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

    /// Prints a line. A closed stdout is not an error.
    pub(crate) fn line(&self, line: Arguments<'_>) {
        let mut stdout = io::stdout().lock();
        let _ = writeln!(stdout, "{}: {line}", self.prefix).and_then(|()| stdout.flush());
    }
}
