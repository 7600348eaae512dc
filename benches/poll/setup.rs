//! What is measured.

/// The circumstances of one measurement.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Setup {
    pub(crate) page_bytes: usize,
    pub(crate) reads: Reads,
    /// The number of idle processes besides those of the benchmark.
    pub(crate) processes: usize,
    pub(crate) connections: usize,
    pub(crate) draining: bool,
}

/// What the sidecar reads at every poll.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reads {
    Page,
    PageAndTarget,
    /// The page, the target and the socket table.
    All,
}

impl Reads {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::PageAndTarget => "page, target",
            Self::All => "page, target, sockets",
        }
    }
}

pub(crate) const PAGES: [usize; 2] = [10_000, 1_000_000];

const BASE: Setup = Setup { page_bytes: PAGES[0], reads: Reads::All, processes: 5, connections: 0, draining: false };

/// The rows that are measured without `--all`. The number of processes never decreases from one to the next.
const DEFAULT: [Setup; 13] = [
    Setup { reads: Reads::Page, ..BASE },
    Setup { reads: Reads::PageAndTarget, ..BASE },
    BASE,
    Setup { draining: true, ..BASE },
    Setup { connections: 1000, ..BASE },
    Setup { connections: 10_000, ..BASE },
    Setup { page_bytes: PAGES[1], reads: Reads::Page, ..BASE },
    Setup { page_bytes: PAGES[1], ..BASE },
    Setup { processes: 500, ..BASE },
    Setup { processes: 5000, reads: Reads::PageAndTarget, ..BASE },
    Setup { processes: 5000, ..BASE },
    Setup { processes: 5000, draining: true, ..BASE },
    Setup { page_bytes: PAGES[1], processes: 5000, connections: 10_000, ..BASE },
];

/// The rows to measure, in an order in which the number of processes never decreases.
pub(crate) fn setups(all: bool) -> Vec<Setup> {
    if !all {
        return DEFAULT.to_vec();
    }
    let mut setups = Vec::new();
    for processes in [5, 500, 5000] {
        for page_bytes in PAGES {
            for reads in [Reads::Page, Reads::PageAndTarget, Reads::All] {
                // Only the socket table depends on the connections.
                let connections: &[usize] = if reads == Reads::All { &[0, 1000, 10_000] } else { &[0] };
                for &connections in connections {
                    let drained = |draining| Setup { page_bytes, reads, processes, connections, draining };
                    setups.extend([false, true].map(drained));
                }
            }
        }
    }
    setups
}
