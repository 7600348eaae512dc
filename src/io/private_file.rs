//! Files of our own in a directory where anybody may put theirs, as in a pod's `/dev/shm`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::io::Errno;
use rustix::process::geteuid;

use crate::io::nonblocking::open_nonblocking_nofollow;

/// What we make is for us alone.
const MODE: u32 = 0o600;

/// Opens a file, if it is our own. What is no file is not waited for, and a link is not followed.
///
/// # Errors
/// Fails where there is none, where it cannot be opened, and where somebody else may have a hand in it.
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = open_any(path, options)?;
    // It is asked of what was opened: the path may lead to another file by now.
    check(&file).map(|()| file)
}

/// Makes a file that is not there.
///
/// # Errors
/// Fails where something is there, and where a file that is made does not become ours alone, as on some network disks.
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

/// Whether a file is as we make ours. One that was replaced since it was opened has no name any more, and is still ours.
fn check(file: &File) -> io::Result<()> {
    let found = file.metadata()?;
    let (theirs, ours) = (found.uid(), geteuid().as_raw());
    let why = if !found.is_file() {
        "it is no regular file".to_owned()
    } else if theirs != ours {
        format!("it belongs to user {theirs}, and we are user {ours}")
    } else if found.nlink() > 1 {
        "it has a second name (a hard link)".to_owned()
    } else if found.mode() & 0o077 != 0 {
        format!("others may open it: its mode is {:03o}", found.mode() & 0o777)
    } else {
        return Ok(());
    };
    Err(io::Error::other(why))
}
