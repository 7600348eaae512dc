//! A container's log, read from the kubelet's file. The file stays open, so nothing is lost when the pod is deleted.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use crate::support::clock::{TIMEOUT, poll};

/// The log of one run of a container.
#[derive(Clone)]
pub(crate) struct Log {
    path: PathBuf,
    file: Arc<OnceLock<File>>,
}

impl Log {
    /// Opens the file as soon as it exists.
    pub(crate) fn open(path: PathBuf) -> Self {
        let log = Self { path, file: Arc::default() };
        let opener = log.clone();
        thread::spawn(move || {
            let file = poll(Duration::from_secs(600), || File::open(&opener.path).ok());
            file.map(|file| opener.file.set(file))
        });
        log
    }

    /// The lines so far, without the container runtime's prefix.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Some(file) = self.file.get() else { return Vec::new() };
        let mut text = String::new();
        ReadFromStart { file, offset: 0 }.read_to_string(&mut text).expect("a log is text");
        text.lines().filter_map(|line| Some(line.splitn(4, ' ').nth(3)?.to_owned())).collect()
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(part)).count()
    }

    /// Waits until a line contains this, and returns it.
    pub(crate) fn wait_for(&self, part: &str) -> String {
        let found = poll(TIMEOUT, || self.lines().into_iter().find(|line| line.contains(part)));
        found
            .unwrap_or_else(|| panic!("timed out waiting for {part:?} in {}: {:#?}", self.path.display(), self.lines()))
    }
}

/// Reads without moving the file's offset, which all clones share.
struct ReadFromStart<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for ReadFromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = std::os::unix::fs::FileExt::read_at(self.file, buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
