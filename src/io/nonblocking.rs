//! Opening paths that other users control, which may be of any file type.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a file without blocking. Otherwise a FIFO blocks until its other end is open (open(2), `O_NONBLOCK`).
///
/// # Errors
/// Those of open(2); `ENXIO` for writing to a FIFO without readers.
pub fn open_nonblocking(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    open(path, options, OFlags::NONBLOCK)
}

/// Opens a file without blocking, and without following a symbolic link.
///
/// # Errors
/// Those of open(2); `ELOOP` if the path is a symbolic link.
pub fn open_nonblocking_nofollow(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    open(path, options, OFlags::NONBLOCK | OFlags::NOFOLLOW)
}

fn open(path: &Path, options: &mut OpenOptions, flags: OFlags) -> io::Result<File> {
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    options.custom_flags(flags).open(path)
}
