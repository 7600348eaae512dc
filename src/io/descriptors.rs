//! The limit of file descriptors, and how many connections it allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The maximum number of open connections. With this many, the sidecar stays below 16 MiB of memory.
const MAX_CONNECTIONS: u64 = 384;
/// The minimum number of open connections: without any, there are no probes and no hooks.
const MIN_CONNECTIONS: u64 = 4;
/// File descriptors for everything else: standard streams, the runtime, the socket table, connections to sources, `/proc`,
/// pidfds, the state file, the termination log, and an accepted connection that waits for its slot.
const RESERVED_FDS: u64 = 32;

/// How many connections may be open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdBudget {
    /// The number of connections.
    pub connections: u32,
    /// The limit of file descriptors, if it is too low for the maximum number of connections.
    pub low_limit: Option<u64>,
}

/// Raises the limit of file descriptors as far as needed and permitted, and returns how many connections it allows.
#[must_use]
pub fn raise_fd_limit() -> FdBudget {
    const NEEDED: u64 = MAX_CONNECTIONS + RESERVED_FDS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < NEEDED) {
        let current = limit.maximum.map_or(NEEDED, |maximum| maximum.min(NEEDED));
        // If this fails, the current limit has to suffice.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(current), ..limit });
    }
    budget(getrlimit(Resource::Nofile).current)
}

fn budget(limit: Option<u64>) -> FdBudget {
    let available = limit.unwrap_or(u64::MAX).saturating_sub(RESERVED_FDS);
    let connections = available.clamp(MIN_CONNECTIONS, MAX_CONNECTIONS);
    FdBudget {
        connections: u32::try_from(connections).unwrap_or(u32::MAX),
        low_limit: limit.filter(|_| available < MAX_CONNECTIONS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_is_limit_minus_reserve_within_bounds() {
        for (limit, connections, is_low) in [
            (None, 384, false),
            (Some(1_048_576), 384, false),
            (Some(416), 384, false),
            (Some(415), 383, true),
            (Some(64), 32, true),
            (Some(32), 4, true),
            (Some(0), 4, true),
        ] {
            assert_eq!(budget(limit), FdBudget { connections, low_limit: limit.filter(|_| is_low) }, "{limit:?}");
        }
    }
}
