//! The files and the address that the sidecar needs: where it listens, saves its state, writes the outcome, and reads the
//! token.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;

use super::ports;
use super::report::{Cause, Check};
use crate::commands::{sidecar, status};
use crate::io::clock::Clock;
use crate::io::nonblocking::open_nonblocking;
use crate::io::private_file;
use crate::io::report::StatusReport;
use crate::settings::Settings;
use crate::settings::args::sidecar_url;
use crate::settings::error::{SettingError, SettingErrorKind};
use crate::settings::values::is_writable;
use lameduck_machine::reading::Count;

/// Checks that a sidecar answers at the address, or could listen there.
pub(super) async fn listen(settings: &Settings, listen: SocketAddr) -> Check {
    const NAME: &str = "listen";
    let address = sidecar_url(listen);
    let status = tokio::time::timeout(settings.times.scrape_timeout, status::fetch(&address)).await;
    if let Ok(Ok(status)) = status {
        return Check::pass(NAME, format!("a sidecar answers at {address}: {}", describe(&status)));
    }
    match sidecar::bind(listen) {
        Ok(_) => Check::pass(NAME, format!("{listen} is free: no sidecar is running yet")),
        Err(error) => {
            let detail = format!("{}, and no sidecar answers there", error.problem());
            Check::fail(NAME, refusal_cause(&error), detail, error.fix)
        }
    }
}

const fn refusal_cause(error: &SettingError) -> Cause {
    match error.kind {
        SettingErrorKind::Invalid => Cause::Settings,
        SettingErrorKind::NotPermitted => Cause::NotPermitted,
    }
}

fn describe(status: &StatusReport) -> String {
    let StatusReport { phase, streams, version, .. } = status;
    let streams = streams.map_or_else(|| "streams unknown".to_owned(), |streams| ports::streams(Count::of(streams)));
    format!("version {version}, phase {phase}, {streams}")
}

/// Checks that the state of a drain can be saved. `explicit` says that the user has set the directory.
pub(super) fn state_dir(settings: &Settings, explicit: bool) -> Check {
    const NAME: &str = "state_dir";
    const CONSEQUENCE: &str = "a sidecar that restarts during a drain will not resume it";
    const FIX: &str = "mount a volume there that this user can write to (an emptyDir of medium Memory is enough), and name it with --state-dir; or set --state-dir none";
    match &settings.state_dir {
        None if explicit => Check::skip(NAME, format!("turned off: {CONSEQUENCE}")),
        None => Check::fail(NAME, Cause::NotPermitted, format!("/dev/shm is not writable: {CONSEQUENCE}"), FIX),
        Some(dir) => match probe(dir) {
            Ok(()) => Check::pass(NAME, format!("{} is writable", dir.display())),
            Err(error) => {
                let detail = format!("{} is not writable: {error}: {CONSEQUENCE}", dir.display());
                Check::fail(NAME, write_cause(&error), detail, FIX)
            }
        },
    }
}

/// Creates a file and removes it again.
fn probe(dir: &Path) -> io::Result<()> {
    // The process id alone is not unique: ids are reused, and a killed probe leaves its file behind.
    let now = Clock::start().now().as_duration().as_nanos();
    let path = dir.join(format!(".lameduck-check-{}-{now}", std::process::id()));
    let written = private_file::create(&path).and_then(|mut file| {
        // On a full file system, a file can be created but not written to.
        io::Write::write_all(&mut file, b"probe\n")
    });
    if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::AlreadyExists) {
        return written;
    }
    match fs::remove_file(&path) {
        Err(error) if written.is_ok() => Err(error),
        Ok(()) | Err(_) => written,
    }
}

/// Checks that the outcome can be written for the kubelet. It opens the file but does not change it.
pub(super) fn termination_log(settings: &Settings) -> Check {
    const NAME: &str = "termination_log";
    let (path, create) = &settings.termination_log;
    let shown = path.display();
    match open_nonblocking(path, OpenOptions::new().write(true)) {
        Ok(_) => Check::pass(NAME, format!("{shown} is writable")),
        Err(error) if error.kind() == ErrorKind::NotFound && !create => {
            Check::skip(NAME, format!("{shown}, which the kubelet creates, does not exist: the outcome is only logged"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound && path.parent().is_some_and(can_create_in) => {
            Check::pass(NAME, format!("{shown} can be created"))
        }
        Err(error) => Check::fail(
            NAME,
            write_cause(&error),
            format!("{shown} is not writable: {error}: the outcome is only logged"),
            "let this user write to it, or name another file with --termination-log",
        ),
    }
}

/// Checks that the token file contains a token, if one is set.
pub(super) fn token_file(settings: &Settings) -> Option<Check> {
    const NAME: &str = "token_file";
    let path = settings.token_file.as_ref()?.display();
    Some(match sidecar::open_token_file(settings) {
        Ok(_) => Check::pass(NAME, format!("{path} contains a token")),
        Err(error) => Check::fail(NAME, refusal_cause(&error), error.problem(), error.fix),
    })
}

fn can_create_in(dir: &Path) -> bool {
    is_writable(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })
}

fn write_cause(error: &io::Error) -> Cause {
    // A file that does not exist is missing because it may not be created.
    const REFUSALS: [ErrorKind; 3] = [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem, ErrorKind::NotFound];
    if REFUSALS.contains(&error.kind()) { Cause::NotPermitted } else { Cause::Environment }
}
