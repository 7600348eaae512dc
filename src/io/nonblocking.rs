//! Opening what may be no file at all, at a path that others chose.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a file, and waits for nobody: a pipe with nobody at its other end would be waited for (open(2), `O_NONBLOCK`).
///
/// # Errors
/// Those of open(2); `ENXIO` where such a pipe is to be written.
pub fn open_nonblocking(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    open(path, options, OFlags::NONBLOCK)
}

/// The same, but a symbolic link is not followed.
///
/// # Errors
/// Those of open(2); `ELOOP` where the path is a symbolic link.
pub fn open_nonblocking_nofollow(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    open(path, options, OFlags::NONBLOCK | OFlags::NOFOLLOW)
}

fn open(path: &Path, options: &mut OpenOptions, flags: OFlags) -> io::Result<File> {
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    options.custom_flags(flags).open(path)
}
