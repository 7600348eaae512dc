//! The drain lock: of several processes that want to drain the same target, one does it at a time.
//!
//! The kernel releases the lock when its holder ends, however it ends (flock(2)). The file is never removed: a removed
//! and recreated file would be a second lock.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::io::private_file;
use lameduck_machine::result::Trigger;

/// The maximum size of the holder's record, in bytes.
const MAX_HOLDER_BYTES: usize = 64;

/// The lock file. Dropping it releases the lock.
#[derive(Debug)]
pub struct DrainLock(File);

/// The process that holds the lock, or held it last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// What triggered its drain.
    pub trigger: Trigger,
    /// Its process id.
    pub pid: u32,
}

impl DrainLock {
    /// Opens the lock file, and creates it if it does not exist.
    ///
    /// # Errors
    /// Fails if the file can be neither opened nor created, or if other users can open it: they could keep it locked.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        private_file::open(path, &mut options).map(Self)
    }

    /// Acquires the lock unless another process holds it, and returns whether it did.
    ///
    /// # Errors
    /// Fails if the file cannot be locked at all.
    pub fn try_acquire(&self) -> io::Result<bool> {
        match flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Records who holds the lock.
    ///
    /// # Errors
    /// Fails if the file cannot be written.
    pub fn write_holder(&self, holder: LockHolder) -> io::Result<()> {
        self.0.set_len(0)?;
        let mut record = Vec::new();
        writeln!(record, "{} {}", holder.trigger.name(), holder.pid)?;
        self.0.write_all_at(&record, 0)
    }

    /// The last recorded holder; `None` if there is no readable record.
    #[must_use]
    pub fn holder(&self) -> Option<LockHolder> {
        let mut record = [0; MAX_HOLDER_BYTES];
        let length = self.0.read_at(&mut record, 0).ok()?;
        let (trigger, pid) = std::str::from_utf8(&record[..length]).ok()?.trim_end().split_once(' ')?;
        Some(LockHolder { trigger: Trigger::from_name(trigger)?, pid: pid.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    const HOOK: LockHolder = LockHolder { trigger: Trigger::Hook, pid: 17 };

    #[test]
    fn lock_is_exclusive_and_shows_its_holder() {
        let path = std::env::temp_dir().join(format!("lameduck-lock-{}", std::process::id()));
        let open = || DrainLock::open(&path).unwrap();
        let first = open();
        assert!(first.try_acquire().unwrap());
        assert_eq!(open().holder(), None);
        first.write_holder(LockHolder { trigger: Trigger::Cli, pid: 4_000_000 }).unwrap();
        first.write_holder(HOOK).unwrap();
        let second = open();
        assert!(!second.try_acquire().unwrap());
        assert_eq!(second.holder(), Some(HOOK));
        drop(first);
        assert!(second.try_acquire().unwrap());
        assert_eq!(second.holder(), Some(HOOK), "the last holder stays recorded");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn file_accessible_to_others_is_rejected_and_unchanged() {
        let path = std::env::temp_dir().join(format!("lameduck-lock-others-{}", std::process::id()));
        let victim = path.with_extension("victim");
        std::fs::write(&victim, "precious").unwrap();
        let obstacles: [&dyn Fn(); 4] = [
            &|| symlink(&victim, &path).unwrap(),
            &|| std::fs::hard_link(&victim, &path).unwrap(),
            // Another user who can open it can keep it locked.
            &|| std::fs::write(&path, "").and_then(|()| set_permissions(&path, Permissions::from_mode(0o644))).unwrap(),
            &|| assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success()),
        ];
        for place in obstacles {
            place();
            assert!(DrainLock::open(&path).is_err());
            assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
            std::fs::remove_file(&path).unwrap();
        }
        std::fs::remove_file(&victim).unwrap();
        if DrainLock::open(&path).is_ok() && chown(&path, Some(65534), None).is_ok() {
            assert!(DrainLock::open(&path).is_err());
        }
        std::fs::remove_file(&path).unwrap();
    }
}
