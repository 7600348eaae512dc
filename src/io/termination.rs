//! The termination message: what `kubectl describe pod` shows of a container that has ended.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use crate::io::nonblocking::open_nonblocking;

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
        match open_nonblocking(&self.path, OpenOptions::new().write(true).truncate(false).create(self.create)) {
            Ok(file) => replace(file, &format!("{message}\n")).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.create => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// In this order, because this process may be killed in between: an old message is better than none.
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
    fn a_pipe_that_nobody_reads_is_an_error_and_not_waited_for() {
        let path = std::env::temp_dir().join(format!("lameduck-termination-{}", std::process::id()));
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let log = TerminationLog { path, create: true };
        assert!(log.write("outcome").is_err());
        std::fs::remove_file(&log.path).unwrap();
        assert!(log.write("outcome").unwrap());
        assert!(log.write("short").unwrap());
        assert_eq!(std::fs::read_to_string(&log.path).unwrap(), "short\n");
    }

    #[test]
    fn a_file_that_is_not_there_is_made_only_where_somebody_chose_it() {
        let path = std::env::temp_dir().join(format!("lameduck-no-termination-{}", std::process::id()));
        assert!(!TerminationLog { path: path.clone(), create: false }.write("outcome").unwrap());
        assert!(!path.exists());
    }
}
