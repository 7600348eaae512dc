//! The combinations of faults, and what a seed makes of each.

use std::fmt;
use std::time::Duration;

use crate::rng::Dice;

/// The times that every sidecar of this suite is started with.
pub(crate) const LAME_DUCK: Duration = Duration::from_millis(600);
pub(crate) const QUIET_PERIOD: Duration = Duration::from_millis(300);
pub(crate) const EXIT_WAIT: Duration = Duration::from_millis(500);
pub(crate) const EXIT_MARGIN: Duration = Duration::from_secs(1);
pub(crate) const BUDGET: Duration = Duration::from_secs(3);
/// A stream that nobody lives to see the end of.
const FOREVER: Duration = Duration::from_secs(3600);

/// What is wrong with the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageFault {
    Down,
    Hanging,
    Trickling,
    Garbage,
    Frozen,
    Long,
    Redirecting,
    Gzip,
}

/// When the fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Serving,
    LameDuck,
    Draining,
    Deadline,
}

/// What becomes of the engine at about the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It drains on the signal, and exits when its last stream has ended, or goes on.
    Alive,
    Exits,
    Killed,
    Replaced,
    /// The signal does nothing to it.
    Ignores,
    Stopped,
}

/// One of the 384.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Combination {
    pub(crate) page: PageFault,
    pub(crate) stage: Stage,
    pub(crate) fate: Fate,
    pub(crate) restarted: bool,
}

/// The bound of one reading.
pub(crate) const SCRAPE_TIMEOUT: Duration = Duration::from_millis(300);

/// One drain; times are after the first call, but for a fault that begins while serving.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Scenario {
    pub(crate) combination: Combination,
    pub(crate) seed: u64,
    /// When each stream ends by itself.
    pub(crate) streams: Vec<Duration>,
    /// How many callers stay to the end.
    pub(crate) stayers: usize,
    /// When the others leave.
    pub(crate) leavers: Vec<Duration>,
    pub(crate) fault_at: Duration,
    pub(crate) healed_at: Option<Duration>,
    pub(crate) fate_at: Duration,
    /// When a stopped engine goes on.
    pub(crate) resumed_at: Option<Duration>,
    pub(crate) restart_at: Option<Duration>,
    /// Whether those whom the restart cut off call again.
    pub(crate) calls_again: bool,
    /// What an engine exits with that does so with streams on it.
    pub(crate) code: u8,
    /// Whether an engine that drains stays when its last stream has ended.
    pub(crate) lingers: bool,
    /// Whether the kernel discards the signal: it must not be sent then.
    pub(crate) deaf: bool,
    /// Whether the new engine is there before the old one has ended.
    pub(crate) overlaps: bool,
}

impl PageFault {
    pub(crate) const ALL: [Self; 8] = [
        Self::Down,
        Self::Hanging,
        Self::Trickling,
        Self::Garbage,
        Self::Frozen,
        Self::Long,
        Self::Redirecting,
        Self::Gzip,
    ];

    pub(crate) fn word(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.word() == word)
    }
}

impl Stage {
    const ALL: [Self; 4] = [Self::Serving, Self::LameDuck, Self::Draining, Self::Deadline];

    /// A moment in this stage.
    fn moment(self, dice: &mut Dice) -> Duration {
        let within = |dice: &mut Dice, from: Duration, length: u64| from + dice.millis(0, length);
        match self {
            Self::Serving => Duration::ZERO,
            Self::LameDuck => within(dice, Duration::from_millis(50), 500),
            Self::Draining => within(dice, LAME_DUCK + Duration::from_millis(50), 1500),
            Self::Deadline => within(dice, BUDGET - Duration::from_millis(150), 200),
        }
    }
}

impl Fate {
    const ALL: [Self; 6] = [Self::Alive, Self::Exits, Self::Killed, Self::Replaced, Self::Ignores, Self::Stopped];
}

impl Combination {
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for page in PageFault::ALL {
            for stage in Stage::ALL {
                for fate in Fate::ALL {
                    all.extend([false, true].map(|restarted| Self { page, stage, fate, restarted }));
                }
            }
        }
        all
    }
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { page, stage, fate, restarted } = self;
        let name = format!("{page:?}/{stage:?}/{fate:?}").to_lowercase();
        write!(f, "{name}/{}", if *restarted { "restarted" } else { "whole" })
    }
}

impl Scenario {
    /// What this seed makes of the combination.
    pub(crate) fn new(combination: Combination, seed: u64) -> Self {
        let mut dice = Dice::new(&combination.to_string(), seed);
        let dice = &mut dice;
        let Combination { stage, fate, restarted, .. } = combination;
        let fault_at = stage.moment(dice);
        let together = stage == Stage::Serving || dice.one_in(2);
        let fate_at = if together { fault_at } else { stage.moment(dice) };
        Self {
            combination,
            seed,
            streams: streams(stage, dice),
            stayers: dice.below(3) + 1,
            leavers: (0..dice.below(3)).map(|_| dice.millis(200, 1500)).collect(),
            fault_at,
            healed_at: (!dice.one_in(3)).then(|| fault_at + dice.millis(300, 1500)),
            fate_at,
            resumed_at: dice.one_in(2).then(|| fate_at + dice.millis(300, 1200)),
            restart_at: restarted.then(|| dice.millis(50, 1600)),
            calls_again: !dice.one_in(4),
            code: [1, 3, 137][dice.below(3)],
            lingers: dice.one_in(2),
            deaf: fate == Fate::Ignores && dice.one_in(2),
            overlaps: dice.one_in(2),
        }
    }

    /// How often the page is read. A page of 60 MB is work, and there are others here.
    pub(crate) fn poll_interval(&self) -> Duration {
        Duration::from_millis(if self.combination.page == PageFault::Long { 700 } else { 200 })
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seed {}", self.combination, self.seed)
    }
}

/// One to five; where the fault waits for the deadline, or by chance, one of them outlives that.
fn streams(stage: Stage, dice: &mut Dice) -> Vec<Duration> {
    let mut streams: Vec<Duration> = (0..=dice.below(5)).map(|_| dice.millis(300, 2500)).collect();
    if stage == Stage::Deadline || dice.one_in(2) {
        streams[0] = FOREVER;
    }
    streams
}
