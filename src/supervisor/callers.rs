//! Those who are held: callers of the drain, and waiters, who may not ask for one.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use lameduck_machine::io::{Input, UnauthorizedCaller};
use lameduck_machine::result::Trigger;

/// How many may wait who may not ask for a drain; strangers must not take every place.
const MOST_WAITERS: usize = 64;

/// Everybody who is held.
#[derive(Debug, Default)]
pub(super) struct Callers {
    askers: Vec<Caller>,
    waiters: BTreeMap<UnauthorizedCaller, oneshot::Sender<Option<String>>>,
    next: u64,
}

#[derive(Debug)]
struct Caller {
    trigger: Trigger,
    reply: oneshot::Sender<String>,
}

impl Callers {
    pub(super) fn call(&mut self, trigger: Trigger, reply: oneshot::Sender<String>) {
        self.askers.push(Caller { trigger, reply });
    }

    /// Takes one more waiter; with too many it is told so at once.
    pub(super) fn wait(&mut self, reply: oneshot::Sender<Option<String>>) -> Option<UnauthorizedCaller> {
        if self.waiters.len() >= MOST_WAITERS {
            // One that has just gone away needs no answer, here and below.
            let _ = reply.send(None);
            return None;
        }
        let waiter = UnauthorizedCaller(self.next);
        self.next += 1;
        self.waiters.insert(waiter, reply);
        Some(waiter)
    }

    /// Answers every caller.
    pub(super) fn release(&mut self, outcome: &str) {
        for caller in self.askers.drain(..) {
            let _ = caller.reply.send(outcome.to_owned());
        }
    }

    /// Answers one waiter.
    pub(super) fn dismiss(&mut self, waiter: UnauthorizedCaller, outcome: String) {
        if let Some(reply) = self.waiters.remove(&waiter) {
            let _ = reply.send(Some(outcome));
        }
    }

    /// Forgets those who have gone away, and says who they were.
    pub(super) fn take_gone(&mut self) -> Vec<Input> {
        let askers = self.askers.extract_if(.., |caller| caller.reply.is_closed());
        let mut gone: Vec<Input> = askers.map(|caller| Input::Hangup(caller.trigger)).collect();
        self.waiters.retain(|waiter, reply| {
            let here = !reply.is_closed();
            if !here {
                gone.push(Input::Forsake(*waiter));
            }
            here
        });
        gone
    }
}
