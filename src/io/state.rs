//! The state file: a drain, saved before its signal is sent, so that a restarted process resumes it.
//!
//! A pod's `/dev/shm` is shared by its containers and outlives their restarts. Writes are atomic renames. Nothing is
//! synced: the page cache outlives this process, and a machine that crashed comes back with another boot id.
//!
//! Other users may write to the directory. A file is therefore accepted only if only this user can access it, if its
//! checksum is right, if it belongs to this boot and target, and if none of its times is in the future. The module
//! `record` documents the format.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::io::private_file;
use lameduck_machine::drain_times::MAX_GRACE_PERIOD;
use lameduck_machine::saved_drain::SavedDrain;
use lameduck_machine::time::Time;

use self::checksum::fnv1a_64;
use self::record::Identity;

mod checksum;
mod record;

/// The maximum size of a state file, in bytes.
const MAX_BYTES: u64 = 64 * 1024;
/// How far the clocks of two processes may differ: each may have been interrupted while it read its clock first.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(1);

/// The file that holds the saved drain.
#[derive(Clone, Debug)]
pub struct StateFile {
    path: PathBuf,
    identity: Identity,
}

impl StateFile {
    /// The file `lameduck-{key}.json` for drains of `target`. No other drain may use the same key.
    #[must_use]
    pub fn new(dir: &Path, key: &str, target: &str) -> Self {
        let time_namespace = fs::read_link("/proc/self/ns/time").unwrap_or_default();
        let identity = Identity {
            boot_id: fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned(),
            time_namespace: time_namespace.to_string_lossy().into_owned(),
            target: target.to_owned(),
        };
        Self { path: dir.join(format!("lameduck-{key}.json")), identity }
    }

    /// The file for the sidecar on this port. The network namespace is part of the name, because several pods may share
    /// one directory: with `hostIPC`, `/dev/shm` is the machine's.
    #[must_use]
    pub fn for_port(dir: &Path, port: u16, target: &str) -> Self {
        Self::new(dir, &format!("{port}-{}", namespace_id("net")), target)
    }

    /// The file for a standalone drain in this PID namespace: other containers of the pod use the same directory, and
    /// may have a target of the same name.
    #[must_use]
    pub fn for_pid_namespace(dir: &Path, target: &str) -> Self {
        Self::new(dir, &format!("standalone-{}-{:016x}", namespace_id("pid"), fnv1a_64(target.as_bytes())), target)
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The unfinished or finished drain of an earlier process, if there is one.
    ///
    /// # Errors
    /// Fails if the file is invalid. The caller should then [quarantine](Self::quarantine) it.
    pub fn load(&self, now: Time) -> io::Result<Option<SavedDrain>> {
        let file = match private_file::open(&self.path, OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut text)?;
        let drain = self.validate(&text, now)?;
        // Without a target, only the deadline shows that the drain is over.
        let expired = drain.incarnation.is_none() && now >= drain.deadline;
        Ok((!expired).then_some(drain))
    }

    fn validate(&self, text: &[u8], now: Time) -> io::Result<SavedDrain> {
        let drain = record::decode(text, &self.identity)?;
        if is_in_future(&drain, now) {
            return Err(io::Error::other("timestamps are in the future"));
        }
        Ok(drain)
    }

    /// Saves a drain.
    ///
    /// # Errors
    /// Fails if the file cannot be written. The old content is then usually kept.
    pub fn write(&self, drain: &SavedDrain) -> io::Result<()> {
        let text = record::encode(&self.identity, drain)?;
        // A full disk has no room for a second file. Keeping the old content would make the next process signal again.
        self.replace(&text).or_else(|error| self.overwrite(&text).map_err(|_| error))
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        self.with_temporary(|path, mut file| {
            file.write_all(text)?;
            fs::rename(path, &self.path)
        })
    }

    /// Writes in place. This is not atomic: a concurrent reader may find an invalid file. One page at most is written
    /// without interruption.
    fn overwrite(&self, text: &[u8]) -> io::Result<()> {
        let file = private_file::open(&self.path, OpenOptions::new().write(true))?;
        file.write_all_at(text, 0)?;
        file.set_len(u64::try_from(text.len()).map_err(io::Error::other)?)
    }

    /// Calls `use_file` with a new temporary file, and removes that file if the call fails.
    fn with_temporary(&self, use_file: impl FnOnce(&Path, File) -> io::Result<()>) -> io::Result<()> {
        let (path, file) = self.create_temporary()?;
        let result = use_file(&path, file);
        if result.is_err() {
            let _ = fs::remove_file(&path);
        }
        result
    }

    /// Creates a temporary file. The usual name replaces what a crashed process left behind. In a directory with the
    /// sticky bit another user's file may occupy that name, so a second, unpredictable name is tried.
    fn create_temporary(&self) -> io::Result<(PathBuf, File)> {
        let usual = self.path.with_extension("tmp");
        let _ = fs::remove_file(&usual);
        if let Ok(file) = private_file::create(&usual) {
            return Ok((usual, file));
        }
        let random = self.path.with_extension(format!("{:016x}.tmp", RandomState::new().hash_one(())));
        private_file::create(&random).map(|file| (random, file))
    }

    /// Checks that a state file could be written now, and would be accepted.
    ///
    /// # Errors
    /// Says what prevents it.
    pub fn probe(&self) -> io::Result<()> {
        self.with_temporary(|path, mut file| {
            file.write_all(b"probe")?;
            fs::remove_file(path)
        })
    }

    /// Moves an invalid state file away, of whatever file type: this makes room, and it is never loaded later.
    ///
    /// # Errors
    /// Fails if it cannot be moved, as another user's file in a directory with the sticky bit.
    pub fn quarantine(&self) -> io::Result<()> {
        fs::rename(&self.path, self.path.with_extension("invalid")).or_else(|_| self.erase())
    }

    /// Removes the state file, if it exists.
    ///
    /// # Errors
    /// Fails if the file exists and cannot be removed.
    pub fn erase(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// The inode number of one of this process's namespaces; zero if it cannot be read.
fn namespace_id(kind: &str) -> u64 {
    fs::metadata(format!("/proc/self/ns/{kind}")).map_or(0, |namespace| namespace.ino())
}

/// Whether a drain has times that cannot have passed yet. A deadline may be ahead, but by no more than the maximum
/// grace period.
fn is_in_future(drain: &SavedDrain, now: Time) -> bool {
    let latest = now + MAX_CLOCK_SKEW;
    drain.started_at > latest
        || drain.signal.is_some_and(|signal| signal.sent_at > latest)
        || drain.finished.is_some_and(|finished| finished.ended_at > latest)
        || drain.deadline > latest + MAX_GRACE_PERIOD
}

#[cfg(test)]
mod tests;
