//! The state dir: a drain, noted before its signal goes out, so that the next process goes on with it.
//!
//! A pod's `/dev/shm` is shared by its containers and outlives their restarts. Writes are atomic renames; nothing is
//! synced, because the page cache survives this process, and a machine that went down has another boot id.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::machine::note::Note;
use crate::machine::outcome::{Outcome, Trigger, Verdict};
use crate::machine::target::Incarnation;
use crate::machine::time::Time;

/// No note is longer than this, in bytes.
const LARGEST: u64 = 64 * 1024;

/// Where drains are noted.
#[derive(Clone, Debug)]
pub struct StateFile {
    path: PathBuf,
    scope: Scope,
}

/// What a note must agree in with the process that reads it, or it is about something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Scope {
    /// One boot of the machine: times since boot mean nothing in another.
    boot: String,
    /// The time namespace: it may shift the clock within one boot (`time_namespaces(7)`).
    time_namespace: String,
    /// What is drained, by the settings.
    subject: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    scope: Scope,
    pid: Option<u32>,
    started: Option<u64>,
    trigger: String,
    begun: Duration,
    deadline: Duration,
    streams_at_start: Option<u64>,
    signalled: bool,
    over: Option<Over>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Over {
    at: Duration,
    outcome: String,
    stragglers: Option<u64>,
    idle_streams: u64,
    took: Duration,
    signalled: bool,
}

impl StateFile {
    /// The file for whoever has this key to itself, as a sidecar has its port, and drains `subject`.
    #[must_use]
    pub fn new(dir: &Path, key: &str, subject: &str) -> Self {
        let link = fs::read_link("/proc/self/ns/time").unwrap_or_default();
        let scope = Scope {
            boot: fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned(),
            time_namespace: link.to_string_lossy().into_owned(),
            subject: subject.to_owned(),
        };
        Self { path: dir.join(format!("lameduck-{key}.json")), scope }
    }

    /// The file for a process without a sidecar in this PID namespace: other containers of the pod write to the same
    /// directory, and may have a target of the same name.
    #[must_use]
    pub fn of_namespace(dir: &Path, subject: &str) -> Self {
        let namespace = fs::metadata("/proc/self/ns/pid").map_or(0, |namespace| namespace.ino());
        let mut digest = DefaultHasher::new();
        subject.hash(&mut digest);
        Self::new(dir, &format!("standalone-{namespace}-{:016x}", digest.finish()), subject)
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The drain that an earlier process left under way, if there is one.
    ///
    /// # Errors
    /// Fails where the file is there but cannot be used; it should then be ignored.
    pub fn load(&self, now: Time) -> io::Result<Option<Note>> {
        let text = match self.read() {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let record: Record = serde_json::from_slice(&text).map_err(io::Error::other)?;
        if record.scope != self.scope {
            return Err(io::Error::other("it is about another boot, time namespace or target"));
        }
        let note = record.note().ok_or_else(|| io::Error::other("it names an unknown trigger or outcome"))?;
        // Without a process to know it by, a drain is over with its deadline.
        let stale = note.incarnation.is_none() && now >= note.deadline;
        Ok((!stale).then_some(note))
    }

    /// Reads what is there, and neither waits (for the other end of a pipe) nor reads without end.
    fn read(&self) -> io::Result<Vec<u8>> {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
        let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(&self.path)?;
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text)?;
        Ok(text)
    }

    /// Notes a drain.
    ///
    /// # Errors
    /// Fails where the file cannot be written; what was there before is then still there, whole.
    pub fn write(&self, note: &Note) -> io::Result<()> {
        let text = serde_json::to_vec(&Record::new(self.scope.clone(), note)).map_err(io::Error::other)?;
        let temporary = self.path.with_extension("tmp");
        let _ = fs::remove_file(&temporary);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&text)?;
        fs::rename(&temporary, &self.path)
    }

    /// Strikes the note out.
    ///
    /// # Errors
    /// Fails where the file is there and cannot be removed.
    pub fn erase(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Record {
    fn new(scope: Scope, note: &Note) -> Self {
        let &Note { incarnation, trigger, begun, deadline, streams_at_start, signalled, over } = note;
        Self {
            scope,
            pid: incarnation.map(|incarnation| incarnation.pid),
            started: incarnation.map(|incarnation| incarnation.started),
            trigger: trigger.name().to_owned(),
            begun: begun.as_duration(),
            deadline: deadline.as_duration(),
            streams_at_start,
            signalled,
            over: over.map(|(at, verdict)| Over::new(at, &verdict)),
        }
    }

    fn note(&self) -> Option<Note> {
        let incarnation = self.pid.zip(self.started).map(|(pid, started)| Incarnation { pid, started });
        let over = match &self.over {
            None => None,
            Some(over) => Some((Time::since_boot(over.at), over.verdict(self.streams_at_start)?)),
        };
        Some(Note {
            incarnation,
            trigger: Trigger::from_name(&self.trigger)?,
            begun: Time::since_boot(self.begun),
            deadline: Time::since_boot(self.deadline),
            streams_at_start: self.streams_at_start,
            signalled: self.signalled,
            over,
        })
    }
}

impl Over {
    fn new(at: Time, verdict: &Verdict) -> Self {
        let &Verdict { outcome, stragglers, idle_streams, took, signalled, .. } = verdict;
        Self { at: at.as_duration(), outcome: outcome.name().to_owned(), stragglers, idle_streams, took, signalled }
    }

    fn verdict(&self, streams_at_start: Option<u64>) -> Option<Verdict> {
        let &Self { stragglers, idle_streams, took, signalled, .. } = self;
        let outcome = Outcome::from_name(&self.outcome)?;
        Some(Verdict { outcome, streams_at_start, stragglers, idle_streams, took, signalled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::since_boot(Duration::from_secs(seconds))
    }

    fn note(pid: Option<u32>) -> Note {
        let verdict = Verdict {
            outcome: Outcome::Expired,
            streams_at_start: Some(3),
            stragglers: None,
            idle_streams: 0,
            took: Duration::from_millis(7),
            signalled: true,
        };
        Note {
            incarnation: pid.map(|pid| Incarnation { pid, started: 5 }),
            trigger: Trigger::Hook,
            begun: at(100),
            deadline: at(130),
            streams_at_start: Some(3),
            signalled: true,
            over: Some((at(130), verdict)),
        }
    }

    fn file(name: &str) -> StateFile {
        let dir = std::env::temp_dir().join(format!("lameduck-state-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        StateFile::new(&dir, "8089", "subject")
    }

    #[test]
    fn a_note_comes_back_as_it_was_written() {
        let file = file("back");
        assert_eq!(file.load(at(0)).unwrap(), None);
        file.write(&note(Some(17))).unwrap();
        file.write(&note(Some(18))).unwrap();
        assert_eq!(file.load(at(999)).unwrap(), Some(note(Some(18))));
        file.erase().unwrap();
        file.erase().unwrap();
        assert_eq!(file.load(at(0)).unwrap(), None);
    }

    #[test]
    fn a_note_about_another_subject_or_boot_is_not_believed() {
        let mut file = file("foreign");
        file.write(&note(Some(17))).unwrap();
        file.scope.subject = "another".into();
        assert!(file.load(at(0)).is_err());
        file.scope.subject = "subject".into();
        file.scope.boot = "another".into();
        assert!(file.load(at(0)).is_err());
    }

    #[test]
    fn a_torn_note_is_an_error_and_not_a_panic() {
        let file = file("torn");
        file.write(&note(Some(17))).unwrap();
        let whole = fs::read(file.path()).unwrap();
        for length in 0..whole.len() {
            fs::write(file.path(), &whole[..length]).unwrap();
            assert!(file.load(at(0)).is_err(), "{length} bytes were believed");
        }
    }

    #[test]
    fn a_pipe_in_the_place_of_a_note_is_an_error_and_not_waited_for() {
        let file = file("pipe");
        let _ = fs::remove_file(file.path());
        assert!(std::process::Command::new("mkfifo").arg(file.path()).status().unwrap().success());
        assert!(file.load(at(0)).is_err());
        file.write(&note(Some(17))).unwrap();
        assert_eq!(file.load(at(0)).unwrap(), Some(note(Some(17))));
    }

    #[test]
    fn a_drain_of_nobody_in_particular_is_over_with_its_deadline() {
        let file = file("nobody");
        file.write(&note(None)).unwrap();
        assert_eq!(file.load(at(129)).unwrap(), Some(note(None)));
        assert_eq!(file.load(at(130)).unwrap(), None);
    }
}
