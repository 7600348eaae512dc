//! The termination message: what `kubectl describe pod` shows of a container that has ended.

use std::io::{self, Write};
use std::path::PathBuf;

/// The file that the kubelet reads when the container has exited.
#[derive(Clone, Debug)]
pub struct TerminationLog {
    /// Its path.
    pub path: PathBuf,
    /// Whether to make it where it is not there: the kubelet mounts its own, so that only a path somebody chose is made.
    pub create: bool,
}

impl TerminationLog {
    /// Replaces the message; false if there is no such file and none is to be made.
    ///
    /// # Errors
    /// Fails where the file is there and cannot be written.
    pub fn write(&self, message: &str) -> io::Result<bool> {
        let opened = std::fs::OpenOptions::new().write(true).truncate(true).create(self.create).open(&self.path);
        match opened {
            Ok(mut file) => file.write_all(format!("{message}\n").as_bytes()).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.create => Ok(false),
            Err(error) => Err(error),
        }
    }
}
