//! The places that the sidecar needs: an address to listen on, a directory for its notes, a file for the outcome, and
//! one for the token.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

use super::ports;
use super::report::{Cause, Check};
use crate::commands::{CommandError, Exit, sidecar, status};
use crate::io::clock::Clock;
use crate::io::nonblocking::open_nonblocking;
use crate::io::private_file;
use crate::io::report::StatusReport;
use crate::settings::args::sidecar_url;
use crate::settings::{Settings, is_writable};
use lameduck_machine::reading::Count;

/// Whether a sidecar answers at the address, or else could.
pub(super) async fn listen(settings: &Settings) -> Check {
    let address = sidecar_url(settings.listen);
    let requested_at = tokio::time::timeout(settings.plan.scrape_timeout, status::fetch(&address)).await;
    if let Ok(Ok(status)) = requested_at {
        return Check::well("listen", format!("a sidecar answers at {address}: {}", describe(&status)));
    }
    match sidecar::bind(settings) {
        Ok(_) => Check::well("listen", format!("{} is free: no sidecar runs there yet", settings.listen)),
        Err(failure) => {
            let cause = if failure.exit == Exit::NotPermitted { Cause::NotPermitted } else { Cause::Settings };
            let (detail, mend) = cause_and_mend(&failure);
            Check::amiss("listen", cause, format!("{detail}, and no sidecar answers there"), mend)
        }
    }
}

/// What the sidecar would say of what keeps it from its work, in its two parts.
fn cause_and_mend(failure: &CommandError) -> (&str, &str) {
    failure.message.split_once("; ").unwrap_or((&failure.message, "choose another"))
}

fn describe(status: &StatusReport) -> String {
    let StatusReport { phase, streams, version, .. } = status;
    let streams = streams.map_or_else(|| "streams unknown".to_owned(), |streams| ports::streams(Count::of(streams)));
    format!("version {version}, phase {phase}, {streams}")
}

/// Whether a drain can be noted; `chosen` says that somebody chose where.
pub(super) fn state_dir(settings: &Settings, chosen: bool) -> Check {
    const NAME: &str = "state_dir";
    const COST: &str = "a sidecar that restarts in a drain will not know of it";
    const MEND: &str = "mount a volume there (an emptyDir of medium Memory will do) that this user can write, and name it with --state-dir; or write --state-dir none";
    match &settings.state_dir {
        None if chosen => Check::open(NAME, format!("switched off: {COST}")),
        None => Check::amiss(NAME, Cause::NotPermitted, format!("/dev/shm cannot be written: {COST}"), MEND),
        Some(dir) => match probe(dir) {
            Ok(()) => Check::well(NAME, format!("{} can be written", dir.display())),
            Err(error) => {
                let detail = format!("{} cannot be written: {error}: {COST}", dir.display());
                Check::amiss(NAME, cause(&error), detail, MEND)
            }
        },
    }
}

/// Writes a file that was not there, and removes it.
fn probe(dir: &Path) -> io::Result<()> {
    // A process id may be used again, and a probe that was killed has left its file.
    let now = Clock::start().now().as_duration().as_nanos();
    let path = dir.join(format!(".lameduck-check-{}-{now}", std::process::id()));
    let written = private_file::create(&path).and_then(|mut file| {
        // A full file system makes a file, and takes nothing.
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

/// Whether the outcome can be left for the kubelet: the file is opened, and left as it is.
pub(super) fn termination_log(settings: &Settings) -> Check {
    const NAME: &str = "termination_log";
    let (path, create) = &settings.termination_log;
    let shown = path.display();
    match open_nonblocking(path, OpenOptions::new().write(true)) {
        Ok(_) => Check::well(NAME, format!("{shown} can be written")),
        Err(error) if error.kind() == ErrorKind::NotFound && !create => {
            Check::open(NAME, format!("{shown} is not there, as the kubelet would make it: the outcome is only logged"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound && path.parent().is_some_and(may_hold) => {
            Check::well(NAME, format!("{shown} can be made"))
        }
        Err(error) => Check::amiss(
            NAME,
            cause(&error),
            format!("{shown} cannot be written: {error}: the outcome is only logged"),
            "let this user write it, or name another file with --termination-log",
        ),
    }
}

/// Whether there is a token, where one is wanted.
pub(super) fn token_file(settings: &Settings) -> Option<Check> {
    const NAME: &str = "token_file";
    let path = settings.token_file.as_ref()?.display();
    Some(match sidecar::token(settings) {
        Ok(_) => Check::well(NAME, format!("{path} holds a token")),
        Err(failure) => {
            let (detail, mend) = cause_and_mend(&failure);
            Check::amiss(NAME, Cause::Settings, detail.to_owned(), mend)
        }
    })
}

fn may_hold(dir: &Path) -> bool {
    is_writable(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })
}

fn cause(error: &io::Error) -> Cause {
    // A file that may not be made is missing for want of a permission.
    const REFUSALS: [ErrorKind; 3] = [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem, ErrorKind::NotFound];
    if REFUSALS.contains(&error.kind()) { Cause::NotPermitted } else { Cause::Environment }
}
