//! The connections of held callers. Only the machine knows what each of them waits for.

use std::collections::BTreeMap;

use lameduck_machine::io::CallerId;
use tokio::sync::oneshot;

use crate::queue::HookReply;

/// The connections of held callers.
#[derive(Debug, Default)]
pub(super) struct Replies {
    senders: BTreeMap<CallerId, oneshot::Sender<HookReply>>,
    next: u64,
}

impl Replies {
    /// Stores the connection of a caller, and returns the number assigned to it.
    pub(super) fn insert(&mut self, reply: oneshot::Sender<HookReply>) -> CallerId {
        let caller = CallerId(self.next);
        self.next += 1;
        self.senders.insert(caller, reply);
        caller
    }

    /// Answers a caller.
    pub(super) fn send(&mut self, caller: CallerId, reply: HookReply) {
        if let Some(sender) = self.senders.remove(&caller) {
            // A caller that has just disconnected needs no answer.
            let _ = sender.send(reply);
        }
    }

    /// Removes the callers that have disconnected, and returns them.
    pub(super) fn take_disconnected(&mut self) -> Vec<CallerId> {
        let closed = self.senders.iter().filter(|(_, sender)| sender.is_closed());
        let disconnected: Vec<CallerId> = closed.map(|(caller, _)| *caller).collect();
        for caller in &disconnected {
            self.senders.remove(caller);
        }
        disconnected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_gets_its_own_answer() {
        let mut replies = Replies::default();
        let (senders, mut answers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
        let callers: Vec<CallerId> = senders.into_iter().map(|sender| replies.insert(sender)).collect();
        drop(answers.remove(1));
        assert_eq!(replies.take_disconnected(), [callers[1]]);
        replies.send(callers[2], HookReply::TooManyUnauthorized);
        assert!(answers[1].try_recv().is_ok());
        assert!(answers[0].try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty));
        replies.send(callers[0], HookReply::TooManyUnauthorized);
        assert!(answers[0].try_recv().is_ok());
    }
}
