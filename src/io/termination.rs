//! The termination message, which `kubectl describe pod` shows for a container that has ended.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use crate::io::nonblocking::open_nonblocking;

/// The file that the kubelet reads after the container has exited.
#[derive(Clone, Debug)]
pub struct TerminationLog {
    /// Its path.
    pub path: PathBuf,
    /// Whether to create the file. The kubelet mounts the default path, so only a path that the user chose is created.
    pub create: bool,
}

impl TerminationLog {
    /// Replaces the message. Returns false if the file does not exist and must not be created.
    ///
    /// # Errors
    /// Fails if the file exists and cannot be written.
    pub fn write(&self, message: &str) -> io::Result<bool> {
        match open_nonblocking(&self.path, OpenOptions::new().write(true).truncate(false).create(self.create)) {
            Ok(file) => replace(file, &format!("{message}\n")).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.create => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl TerminationLog {
    /// Removes the message. A file that does not exist is not created.
    ///
    /// # Errors
    /// Fails if the file exists and cannot be written.
    pub fn clear(&self) -> io::Result<()> {
        match open_nonblocking(&self.path, OpenOptions::new().write(true)) {
            Ok(file) if file.metadata()?.is_file() => file.set_len(0),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Writes before it truncates: if this process is killed in between, an old message is better than none.
fn replace(mut file: File, message: &str) -> io::Result<()> {
    file.write_all(message.as_bytes())?;
    if file.metadata()?.is_file() {
        file.set_len(u64::try_from(message.len()).map_err(io::Error::other)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifo_without_reader_fails_without_blocking() {
        let path = std::env::temp_dir().join(format!("lameduck-termination-{}", std::process::id()));
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let log = TerminationLog { path, create: true };
        assert!(log.write("outcome").is_err());
        std::fs::remove_file(&log.path).unwrap();
        assert!(log.write("outcome").unwrap());
        assert!(log.write("short").unwrap());
        assert_eq!(std::fs::read_to_string(&log.path).unwrap(), "short\n");
        log.clear().unwrap();
        assert_eq!(std::fs::read_to_string(&log.path).unwrap(), "");
    }

    #[test]
    fn missing_file_is_not_created_without_create() {
        let path = std::env::temp_dir().join(format!("lameduck-no-termination-{}", std::process::id()));
        assert!(!TerminationLog { path: path.clone(), create: false }.write("outcome").unwrap());
        TerminationLog { path: path.clone(), create: true }.clear().unwrap();
        assert!(!path.exists());
    }
}
