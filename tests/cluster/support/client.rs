//! The simulated engine's client, which runs outside the pods.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::Signal;

use crate::support::clock::{TIMEOUT, poll};
use crate::support::cluster::program;
use crate::support::node::signal;

/// A running client, killed on drop.
pub(crate) struct Client {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

/// How a client's streams ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Endings {
    pub(crate) clean: u64,
    pub(crate) cut: u64,
    pub(crate) refused: u64,
    /// The client's line about each stream that was cut or refused.
    pub(crate) failures: Vec<String>,
}

impl Client {
    /// Opens streams to `HOST:PORT`.
    pub(crate) fn start(address: &str, args: &[&str]) -> Self {
        let mut child = Command::new(program("engine_client"))
            .args(["--url", &format!("ws://{address}/v1/listen")])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the client was built");
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let (stdout, collected) = (child.stdout.take().expect("stdout is piped"), Arc::clone(&lines));
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                collected.lock().expect("no thread panics here").push(line);
            }
        });
        Self { child, lines }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no thread panics here").clone()
    }

    /// Lets all streams end as their plan ends them: with a final result.
    pub(crate) fn end_streams(&self) {
        // A child that has ended is not reaped before it is dropped, so its pid is not reused.
        signal(i32::try_from(self.child.id()).expect("a pid fits"), Signal::SIGTERM);
    }

    /// Waits until all streams have ended.
    pub(crate) fn endings(&self) -> Endings {
        let last = poll(TIMEOUT * 2, || self.lines().pop().filter(|line| line.contains(" streams: ")));
        let last =
            last.unwrap_or_else(|| panic!("timed out waiting for the client's streams to end: {:#?}", self.lines()));
        let number = |word: &str| {
            let words: Vec<&str> = last.split([' ', ',']).filter(|word| !word.is_empty()).collect();
            let index = words.iter().position(|found| *found == word).expect("a total");
            words[index - 1].parse().expect("a number")
        };
        let failed = |line: &String| line.contains(" CUT ") || line.contains(" REFUSED");
        let failures = self.lines().into_iter().filter(failed).collect();
        Endings { clean: number("clean"), cut: number("cut"), refused: number("refused"), failures }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Endings {
    /// How the streams of several clients ended.
    pub(crate) fn of_all(clients: &[Client]) -> Self {
        let empty = Self { clean: 0, cut: 0, refused: 0, failures: Vec::new() };
        clients.iter().map(Client::endings).fold(empty, |all, one| Self {
            clean: all.clean + one.clean,
            cut: all.cut + one.cut,
            refused: all.refused + one.refused,
            failures: [all.failures, one.failures].concat(),
        })
    }

    /// Panics unless exactly this many streams ended, all of them cleanly.
    pub(crate) fn assert_clean(&self, streams: u64) {
        assert_eq!(*self, Self { clean: streams, cut: 0, refused: 0, failures: Vec::new() });
    }
}
