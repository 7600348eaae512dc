//! Reads small files of `/proc`.

use std::fs::File;
use std::io::{self, ErrorKind, Read};

use nix::errno::Errno;

/// More than `stat` and `status` of most processes contain, in bytes.
const USUAL_SIZE: usize = 4096;

/// Reads a file of `/proc` that the kernel writes in one piece, such as `stat` and `status`: a read that does not fill
/// the buffer is the last one.
///
/// # Errors
/// Returns the error of opening or reading the file.
pub fn read(path: &str) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut text = vec![0; USUAL_SIZE];
    let mut length = 0;
    loop {
        match file.read(&mut text[length..]) {
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if length < text.len() {
            text.truncate(length);
            return Ok(text);
        }
        text.resize(2 * length, 0);
    }
}

/// Whether this error means that the process is gone.
#[must_use]
pub fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ESRCH as i32)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::{fs, thread};

    use super::*;

    #[test]
    fn file_longer_than_the_buffer_is_read_completely() {
        let argument = "x".repeat(3 * USUAL_SIZE);
        let mut child = Command::new("sleep").args(["600", "0"]).arg0(&argument).spawn().unwrap();
        let path = format!("/proc/{}/cmdline", child.id());
        // During the exec, it is empty for a moment.
        while fs::read(&path).unwrap().is_empty() {
            thread::yield_now();
        }
        assert_eq!(read(&path).unwrap(), format!("{argument}\0600\00\0").into_bytes());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(read("/proc/self/comm").unwrap(), fs::read("/proc/self/comm").unwrap());
    }

    #[test]
    fn missing_process_is_gone() {
        assert!(is_gone(&read("/proc/4294967295/stat").unwrap_err()));
    }
}
