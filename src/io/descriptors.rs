//! How many file descriptors this process may have, and how many of them are for callers.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many callers are let in where descriptors are no question: with them the sidecar stays below 16 MiB.
const CALLERS: u64 = 384;
/// Kept back for everything but callers: standard streams, the runtime's own, the socket table, the sources' pages,
/// `/proc`, pidfds, the note, the termination log, and a connection that waits for its place.
const OWN: u64 = 32;

/// How many callers may be let in at once, and the limit that says so where it is low.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdBudget {
    /// So many callers.
    pub connections: u32,
    /// The limit of descriptors that leaves no room for more.
    pub low_limit: Option<u64>,
}

/// Raises the limit as far as is needed and permitted, and says how many callers it leaves room for.
#[must_use]
pub fn raise_fd_limit() -> FdBudget {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < CALLERS + OWN) {
        let wanted = limit.maximum.map_or(CALLERS + OWN, |maximum| maximum.min(CALLERS + OWN));
        // Where that is refused, what there is must do.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    }
    room(getrlimit(Resource::Nofile).current)
}

fn room(limit: Option<u64>) -> FdBudget {
    let wanted = limit.unwrap_or(u64::MAX).saturating_sub(OWN);
    // Without callers there is no probe and no hook.
    let callers = wanted.clamp(4, CALLERS);
    FdBudget { connections: u32::try_from(callers).unwrap_or(u32::MAX), low_limit: limit.filter(|_| wanted < CALLERS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_what_the_limit_leaves_and_never_more_than_memory_allows() {
        for (limit, callers, low) in [
            (None, 384, false),
            (Some(1_048_576), 384, false),
            (Some(416), 384, false),
            (Some(415), 383, true),
            (Some(64), 32, true),
            (Some(32), 4, true),
            (Some(0), 4, true),
        ] {
            assert_eq!(room(limit), FdBudget { connections: callers, low_limit: limit.filter(|_| low) }, "{limit:?}");
        }
    }
}
