//! Private files in a directory that other users may write to, such as a pod's `/dev/shm`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::io::Errno;
use rustix::process::geteuid;

use crate::io::nonblocking::open_nonblocking_nofollow;

/// Only the owner may read and write.
const MODE: u32 = 0o600;

/// Opens a file that only this user can access. It never blocks on a FIFO and never follows a symbolic link.
///
/// # Errors
/// Fails if the file does not exist, cannot be opened, or is accessible to other users.
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = open_any(path, options)?;
    // Checks the open file, because the path may lead to another one by now.
    check(&file).map(|()| file)
}

/// Creates a new file that only this user can access.
///
/// # Errors
/// Fails if the path exists, or if the new file is accessible to other users, as on some network file systems.
pub fn create(path: &Path) -> io::Result<File> {
    let file = open_any(path, OpenOptions::new().write(true).create_new(true))?;
    check(&file).inspect_err(|_| drop(fs::remove_file(path))).map(|()| file)
}

fn open_any(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    open_nonblocking_nofollow(path, options.mode(MODE)).map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => io::Error::other("it is a symbolic link"),
        Some(_) | None => error,
    })
}

/// Checks that only this user can access the file. A link count of zero is fine: the file was replaced while it was open.
fn check(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    let (owner, user) = (metadata.uid(), geteuid().as_raw());
    let reason = if !metadata.is_file() {
        "it is not a regular file".to_owned()
    } else if owner != user {
        format!("it belongs to user {owner}, but this process runs as user {user}")
    } else if metadata.nlink() > 1 {
        "it has another hard link".to_owned()
    } else if metadata.mode() & 0o077 != 0 {
        format!("its mode {:03o} gives other users access", metadata.mode() & 0o777)
    } else {
        return Ok(());
    };
    Err(io::Error::other(reason))
}
