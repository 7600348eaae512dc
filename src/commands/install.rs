//! `lameduck install`: puts this binary where another container of the pod can run it.
//!
//! Our image has no shell and no `cp`, and an init container can bring nothing but what is in its image.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::commands::{CommandError, Exit};

/// Copies this binary into a directory, as `lameduck`, for everybody to run.
///
/// # Errors
/// Fails where nothing can be written there.
pub fn run(dir: &Path) -> Result<Exit, CommandError> {
    let refuse = |error: &io::Error| {
        let exit = if error.kind() == io::ErrorKind::PermissionDenied { Exit::NotPermitted } else { Exit::Usage };
        let dir = dir.display();
        CommandError::new(
            exit,
            format!("{dir}: {error}; name a directory that this user can write, such as a volume's"),
        )
    };
    copy(dir).map_err(|error| refuse(&error))?;
    Ok(Exit::Success)
}

/// By rename, so that nobody ever runs half of it and one that runs already is not written to (ETXTBSY).
fn copy(dir: &Path) -> io::Result<()> {
    let place = dir.join("lameduck");
    let temporary = place.with_extension("tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o755).open(&temporary)?;
    io::copy(&mut File::open("/proc/self/exe")?, &mut copy)?;
    // Whatever the umask leaves of the mode.
    copy.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs::rename(&temporary, &place)
}
