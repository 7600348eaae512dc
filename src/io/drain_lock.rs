//! Turns: of several processes that are to drain the same target, one does it at a time.
//!
//! The lock is the kernel's and goes with its holder, however that ends (flock(2)). The file stays where it is: one
//! that is removed and made again would be two locks.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::io::private_file;
use lameduck_machine::result::Trigger;

/// No signature is longer than this, in bytes.
const LONGEST: usize = 64;

/// The turn of this process, once it is taken, until it is dropped.
#[derive(Debug)]
pub struct DrainLock(File);

/// Who has the turn, or had it last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// Why it drains.
    pub trigger: Trigger,
    /// Its process id.
    pub pid: u32,
}

impl DrainLock {
    /// Opens the file of the lock, and makes it where it is not there.
    ///
    /// # Errors
    /// Fails where it can be neither, and where others may open it: whoever can may keep the turn from everybody.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        private_file::open(path, &mut options).map(Self)
    }

    /// Takes the turn, unless another process has it.
    ///
    /// # Errors
    /// Fails where the file cannot be locked at all.
    pub fn try_acquire(&self) -> io::Result<bool> {
        match flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Signs for the turn that was taken.
    ///
    /// # Errors
    /// Fails where the file cannot be written.
    pub fn write_holder(&self, holder: LockHolder) -> io::Result<()> {
        self.0.set_len(0)?;
        let mut signature = Vec::new();
        writeln!(signature, "{} {}", holder.trigger.name(), holder.pid)?;
        self.0.write_all_at(&signature, 0)
    }

    /// Who signed last; `None` if nobody did, or not legibly.
    #[must_use]
    pub fn holder(&self) -> Option<LockHolder> {
        let mut signature = [0; LONGEST];
        let length = self.0.read_at(&mut signature, 0).ok()?;
        let (trigger, pid) = std::str::from_utf8(&signature[..length]).ok()?.trim_end().split_once(' ')?;
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
    fn one_has_the_turn_at_a_time_and_the_others_see_who() {
        let path = std::env::temp_dir().join(format!("lameduck-turn-{}", std::process::id()));
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
        assert_eq!(second.holder(), Some(HOOK), "it is remembered who was before");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_others_may_have_a_hand_in_is_no_lock_and_is_left_as_it_was() {
        let path = std::env::temp_dir().join(format!("lameduck-turn-others-{}", std::process::id()));
        let victim = path.with_extension("victim");
        std::fs::write(&victim, "precious").unwrap();
        let lays: [&dyn Fn(); 4] = [
            &|| symlink(&victim, &path).unwrap(),
            &|| std::fs::hard_link(&victim, &path).unwrap(),
            // Whoever may open it may keep it locked.
            &|| std::fs::write(&path, "").and_then(|()| set_permissions(&path, Permissions::from_mode(0o644))).unwrap(),
            &|| assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success()),
        ];
        for lay in lays {
            lay();
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
