//! `lameduck install`: copies this binary to a directory where another container of the pod can run it.
//!
//! lameduck's image has no shell and no `cp`, so as an init container it has to copy itself.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::commands::{CommandError, Exit};

/// The mode of the copy: every user can run it.
const MODE: u32 = 0o755;

/// Copies this binary into a directory, as `lameduck`, executable by every user.
///
/// # Errors
/// Fails if nothing can be written there.
pub fn run(dir: &Path) -> Result<Exit, CommandError> {
    copy_to(dir).map_err(|error| {
        let exit = if error.kind() == io::ErrorKind::PermissionDenied { Exit::NotPermitted } else { Exit::Usage };
        let fix = "name a directory that this user can write to, such as that of a volume";
        CommandError::new(exit, format!("cannot install to {}: {error}; {fix}", dir.display()))
    })?;
    Ok(Exit::Success)
}

/// Writes a temporary file and renames it, so that an incomplete copy is never run, and so that a running copy is not
/// written to (ETXTBSY).
fn copy_to(dir: &Path) -> io::Result<()> {
    let path = dir.join("lameduck");
    let temporary = path.with_extension("tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&temporary)?;
    io::copy(&mut File::open("/proc/self/exe")?, &mut copy)?;
    // The umask may have removed bits from the mode.
    copy.set_permissions(Permissions::from_mode(MODE))?;
    fs::rename(&temporary, &path)
}
