//! The state dir: a drain, noted before its signal goes out, so that the next process goes on with it.
//!
//! A pod's `/dev/shm` is shared by its containers and outlives their restarts. Writes are atomic renames; nothing is
//! synced, because the page cache survives this process, and a machine that went down has another boot id.
//!
//! Anybody may put things there. So a note is believed only if it lies in a file that is ours alone, is whole, is about
//! what we drain, and could have been written by now.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::io::private_file;
use lameduck_machine::drain_times::MAX_GRACE_PERIOD;
use lameduck_machine::result::{DrainResult, Outcome, Trigger};
use lameduck_machine::saved_drain::{SavedDrain, SavedResult};
use lameduck_machine::target::Incarnation;
use lameduck_machine::time::Time;

/// No note is longer than this, in bytes.
const LARGEST: u64 = 64 * 1024;
/// How far two processes may differ in what time it is: each has been interrupted when it first looked.
const SKEW: Duration = Duration::from_secs(1);

/// Where drains are noted.
#[derive(Clone, Debug)]
pub struct StateFile {
    path: PathBuf,
    scope: Scope,
}

/// What a note must agree in with the process that reads it, or it is about something else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    /// One boot of the machine: times since boot mean nothing in another.
    boot: String,
    /// The time namespace: it may shift the clock within one boot (`time_namespaces(7)`).
    time_namespace: String,
    /// What is drained, by the settings.
    subject: String,
}

/// A note as it is written. A field that we do not know may mean that another does not mean what we think.
#[derive(Debug, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    scope: Scope,
    pid: Option<u32>,
    started: Option<u64>,
    trigger: String,
    started_at: Duration,
    deadline: Duration,
    streams_at_start: Option<u64>,
    signalled: bool,
    over: Option<Ended>,
    /// Of all the rest: one digit that is not as it was written may name another process.
    digest: u64,
}

#[derive(Debug, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ended {
    at: Duration,
    outcome: String,
    stragglers: Option<u64>,
    idle_streams: u64,
    took: Duration,
    signalled: bool,
    told: bool,
}

impl StateFile {
    /// The file for whoever has this key to itself, and drains `subject`.
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

    /// The file for the sidecar on this port. Its network is the pod's, while a directory may be that of several (the
    /// machine's `/dev/shm`, by `hostIPC`).
    #[must_use]
    pub fn for_port(dir: &Path, port: u16, subject: &str) -> Self {
        Self::new(dir, &format!("{port}-{}", namespace("net")), subject)
    }

    /// The file for a process without a sidecar in this PID namespace: other containers of the pod write to the same
    /// directory, and may have a target of the same name.
    #[must_use]
    pub fn for_pid_namespace(dir: &Path, subject: &str) -> Self {
        let mut digest = DefaultHasher::new();
        subject.hash(&mut digest);
        Self::new(dir, &format!("standalone-{}-{:016x}", namespace("pid"), digest.finish()), subject)
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The drain that an earlier process left under way, if there is one.
    ///
    /// # Errors
    /// Fails where something is there that cannot be believed; it should then be set aside.
    pub fn load(&self, now: Time) -> io::Result<Option<SavedDrain>> {
        let file = match private_file::open(&self.path, OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text)?;
        let note = self.believe(&text, now)?;
        // Without a process to know it by, a drain is over with its deadline.
        let stale = note.incarnation.is_none() && now >= note.deadline;
        Ok((!stale).then_some(note))
    }

    fn believe(&self, text: &[u8], now: Time) -> io::Result<SavedDrain> {
        let record: Record = serde_json::from_slice(text).map_err(io::Error::other)?;
        if record.scope != self.scope {
            return Err(io::Error::other("it is about another boot, time namespace or target"));
        }
        let note = record.note().ok_or_else(|| io::Error::other("it names an unknown trigger or outcome"))?;
        if record.digest != record.seal().digest {
            return Err(io::Error::other("it is not as it was written"));
        }
        if is_of_the_future(&note, now) {
            return Err(io::Error::other("it tells of times that are still to come"));
        }
        Ok(note)
    }

    /// Notes a drain.
    ///
    /// # Errors
    /// Fails where the file cannot be written; what was there before is then mostly still there.
    pub fn write(&self, note: &SavedDrain) -> io::Result<()> {
        let record = Record::new(self.scope.clone(), note).seal();
        let text = serde_json::to_vec(&record).map_err(io::Error::other)?;
        // Where there is no room for another file there still is the old one, which would have the signal sent again.
        self.replace(&text).or_else(|error| self.overwrite(&text).map_err(|_| error))
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        self.with_new(|temporary, mut file| {
            file.write_all(text)?;
            fs::rename(temporary, &self.path)
        })
    }

    /// Not at one stroke, and who reads it in between has no note. One of at most a page is written without a break.
    fn overwrite(&self, text: &[u8]) -> io::Result<()> {
        let file = private_file::open(&self.path, OpenOptions::new().write(true))?;
        file.write_all_at(text, 0)?;
        file.set_len(u64::try_from(text.len()).map_err(io::Error::other)?)
    }

    /// Does something with a new file, of which nothing stays behind where that fails.
    fn with_new(&self, act: impl FnOnce(&Path, File) -> io::Result<()>) -> io::Result<()> {
        let (path, file) = self.new_file()?;
        let done = act(&path, file);
        if done.is_err() {
            let _ = fs::remove_file(&path);
        }
        done
    }

    /// A new file, under a name that takes the place of what a process left that died, or under one that nobody can
    /// foresee: where only its owner may remove a file (the sticky bit), the first may be taken for good.
    fn new_file(&self) -> io::Result<(PathBuf, File)> {
        let usual = self.path.with_extension("tmp");
        let _ = fs::remove_file(&usual);
        if let Ok(file) = private_file::create(&usual) {
            return Ok((usual, file));
        }
        let other = self.path.with_extension(format!("{:016x}.tmp", RandomState::new().hash_one(())));
        private_file::create(&other).map(|file| (other, file))
    }

    /// Finds out whether notes could be written now, and would be believed.
    ///
    /// # Errors
    /// Says what stands against it.
    pub fn probe(&self) -> io::Result<()> {
        self.with_new(|path, mut file| {
            file.write_all(b"probe")?;
            fs::remove_file(path)
        })
    }

    /// Puts what is in the place of the note aside, whatever it is: it makes room, and is not believed later either.
    ///
    /// # Errors
    /// Fails where it cannot be moved: in a directory with the sticky bit, what belongs to somebody else.
    pub fn quarantine(&self) -> io::Result<()> {
        fs::rename(&self.path, self.path.with_extension("aside")).or_else(|_| self.erase())
    }

    /// Strikes the note out.
    ///
    /// # Errors
    /// Fails where the file is there and cannot be removed.
    pub fn erase(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// The number of a namespace of this process; zero where it is not told.
fn namespace(kind: &str) -> u64 {
    fs::metadata(format!("/proc/self/ns/{kind}")).map_or(0, |namespace| namespace.ino())
}

/// Whether a note tells of what cannot have been by now. A deadline lies ahead, but not beyond every budget.
fn is_of_the_future(note: &SavedDrain, now: Time) -> bool {
    let latest = now + SKEW;
    note.started_at > latest
        || note.over.is_some_and(|over| over.at > latest)
        || note.deadline > latest + MAX_GRACE_PERIOD
}

impl Record {
    fn new(scope: Scope, note: &SavedDrain) -> Self {
        let &SavedDrain { incarnation, trigger, started_at, deadline, streams_at_start, signalled, over } = note;
        Self {
            scope,
            pid: incarnation.map(|incarnation| incarnation.pid),
            started: incarnation.map(|incarnation| incarnation.started),
            trigger: trigger.name().to_owned(),
            started_at: started_at.as_duration(),
            deadline: deadline.as_duration(),
            streams_at_start,
            signalled,
            over: over.map(|over| Ended::new(&over)),
            digest: 0,
        }
    }

    /// The same with the digest of what it says.
    fn seal(mut self) -> Self {
        let mut digest = DefaultHasher::new();
        self.digest = 0;
        self.hash(&mut digest);
        self.digest = digest.finish();
        self
    }

    fn note(&self) -> Option<SavedDrain> {
        let incarnation = self.pid.zip(self.started).map(|(pid, started)| Incarnation { pid, started });
        let over = match &self.over {
            None => None,
            Some(ended) => Some(ended.over(self.streams_at_start)?),
        };
        Some(SavedDrain {
            incarnation,
            trigger: Trigger::from_name(&self.trigger)?,
            started_at: Time::since_boot(self.started_at),
            deadline: Time::since_boot(self.deadline),
            streams_at_start: self.streams_at_start,
            signalled: self.signalled,
            over,
        })
    }
}

impl Ended {
    fn new(over: &SavedResult) -> Self {
        let &SavedResult { at, told, result: DrainResult { outcome, stragglers, idle_streams, took, signalled, .. } } =
            over;
        let outcome = outcome.name().to_owned();
        Self { at: at.as_duration(), outcome, stragglers, idle_streams, took, signalled, told }
    }

    fn over(&self, streams_at_start: Option<u64>) -> Option<SavedResult> {
        let &Self { stragglers, idle_streams, took, signalled, told, .. } = self;
        let outcome = Outcome::from_name(&self.outcome)?;
        let result = DrainResult { outcome, streams_at_start, stragglers, idle_streams, took, signalled };
        Some(SavedResult { at: Time::since_boot(self.at), result, told })
    }
}

#[cfg(test)]
mod tests;
