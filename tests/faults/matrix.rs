//! The combinations of faults, and the scenario that a seed derives from each.

use std::fmt;
use std::time::Duration;

use crate::rng::Rng;

/// The time settings of every sidecar in this suite.
pub(crate) const LAME_DUCK: Duration = Duration::from_millis(600);
pub(crate) const QUIET_PERIOD: Duration = Duration::from_millis(300);
pub(crate) const EXIT_WAIT: Duration = Duration::from_millis(500);
pub(crate) const EXIT_MARGIN: Duration = Duration::from_secs(1);
pub(crate) const BUDGET: Duration = Duration::from_secs(3);
pub(crate) const SCRAPE_TIMEOUT: Duration = Duration::from_millis(300);
/// Duration of a stream that outlives the test.
const FOREVER: Duration = Duration::from_secs(3600);

/// What is wrong with the metrics page.
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

/// What the engine does at about the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineBehavior {
    /// Drains on the signal; then exits after its last stream, or keeps running.
    Drains,
    Exits,
    Killed,
    Replaced,
    /// Does not react to the signal.
    Ignores,
    /// Is stopped by SIGSTOP.
    Stopped,
}

/// What runs the drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Supervision {
    /// A sidecar, on calls of the hook.
    Sidecar,
    /// The same, but it is killed and restarted during the drain.
    RestartedSidecar,
    /// `lameduck run`, whose command is the engine, on SIGTERM.
    Run,
}

/// One of the 528 combinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Combination {
    pub(crate) page: PageFault,
    pub(crate) stage: Stage,
    pub(crate) behavior: EngineBehavior,
    pub(crate) supervision: Supervision,
}

/// One drain. Times are relative to the first hook call; a fault in stage `Serving` begins before it.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent property of the scenario")]
pub(crate) struct Scenario {
    pub(crate) combination: Combination,
    pub(crate) seed: u64,
    /// When each stream ends by itself.
    pub(crate) streams: Vec<Duration>,
    /// Number of hook callers that wait for the outcome.
    pub(crate) callers: usize,
    /// When each of the other callers disconnects.
    pub(crate) disconnects: Vec<Duration>,
    pub(crate) fault_at: Duration,
    pub(crate) repaired_at: Option<Duration>,
    /// When the engine's behavior begins.
    pub(crate) behavior_at: Duration,
    /// When a stopped engine is resumed.
    pub(crate) resumed_at: Option<Duration>,
    pub(crate) restart_at: Option<Duration>,
    /// Whether the callers that lost their connection by the restart call again.
    pub(crate) calls_again: bool,
    /// Exit code of an engine that exits with streams open.
    pub(crate) code: u8,
    /// Whether a drained engine keeps running after its last stream.
    pub(crate) lingers: bool,
    /// Whether the engine's kernel disposition for SIGINT is "ignore": lameduck must not send it then.
    pub(crate) ignores_sigint: bool,
    /// Whether a new engine starts before the old one has ended.
    pub(crate) overlaps: bool,
    /// Whether `lameduck run` ends with the exit code of the drain instead of that of the engine.
    pub(crate) ends_with_outcome: bool,
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

    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

impl Stage {
    const ALL: [Self; 4] = [Self::Serving, Self::LameDuck, Self::Draining, Self::Deadline];

    /// A random time in this stage.
    fn random_time(self, rng: &mut Rng) -> Duration {
        match self {
            Self::Serving => Duration::ZERO,
            Self::LameDuck => Duration::from_millis(50) + rng.millis(0, 500),
            Self::Draining => LAME_DUCK + Duration::from_millis(50) + rng.millis(0, 1500),
            Self::Deadline => BUDGET - Duration::from_millis(150) + rng.millis(0, 200),
        }
    }
}

impl Supervision {
    const ALL: [Self; 3] = [Self::Sidecar, Self::RestartedSidecar, Self::Run];
}

impl EngineBehavior {
    const ALL: [Self; 6] = [Self::Drains, Self::Exits, Self::Killed, Self::Replaced, Self::Ignores, Self::Stopped];
}

impl Combination {
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for page in PageFault::ALL {
            for stage in Stage::ALL {
                for behavior in EngineBehavior::ALL {
                    let combination = |supervision| Self { page, stage, behavior, supervision };
                    all.extend(Supervision::ALL.map(combination).into_iter().filter(|it| it.is_possible()));
                }
            }
        }
        all
    }

    /// `lameduck run` ends with its command: it has no other engine, and no drain after the end of the engine.
    fn is_possible(self) -> bool {
        let ends = matches!(self.behavior, EngineBehavior::Exits | EngineBehavior::Killed);
        let has_drain = self.behavior != EngineBehavior::Replaced && !(ends && self.stage == Stage::Serving);
        self.supervision != Supervision::Run || has_drain
    }

    /// Whether the engine is the command of `lameduck run`.
    pub(crate) const fn is_run(self) -> bool {
        matches!(self.supervision, Supervision::Run)
    }
}

impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { page, stage, behavior, supervision } = self;
        let name = format!("{page:?}/{stage:?}/{behavior:?}").to_lowercase();
        let supervision = match supervision {
            Supervision::Sidecar => "no-restart",
            Supervision::RestartedSidecar => "restart",
            Supervision::Run => "run",
        };
        write!(f, "{name}/{supervision}")
    }
}

impl Scenario {
    /// Derives a scenario from a combination and a seed.
    pub(crate) fn new(combination: Combination, seed: u64) -> Self {
        let mut rng = Rng::new(&combination.to_string(), seed);
        let rng = &mut rng;
        let Combination { stage, behavior, supervision, .. } = combination;
        let (is_run, restarted) = (combination.is_run(), supervision == Supervision::RestartedSidecar);
        let fault_at = stage.random_time(rng);
        let simultaneous = stage == Stage::Serving || rng.one_in(2);
        let behavior_at = if simultaneous { fault_at } else { stage.random_time(rng) };
        Self {
            combination,
            seed,
            streams: random_streams(stage, rng),
            callers: if is_run { 0 } else { rng.below(3) + 1 },
            disconnects: (0..if is_run { 0 } else { rng.below(3) }).map(|_| rng.millis(200, 1500)).collect(),
            fault_at,
            repaired_at: (!rng.one_in(3)).then(|| fault_at + rng.millis(300, 1500)),
            behavior_at,
            resumed_at: rng.one_in(2).then(|| behavior_at + rng.millis(300, 1200)),
            restart_at: restarted.then(|| rng.millis(50, 1600)),
            calls_again: !rng.one_in(4),
            code: [1, 3, 137][rng.below(3)],
            lingers: rng.one_in(2),
            ignores_sigint: behavior == EngineBehavior::Ignores && rng.one_in(2),
            overlaps: rng.one_in(2),
            ends_with_outcome: is_run && rng.one_in(2),
        }
    }

    /// Polls less often when the page has 60 MB, because other drains share this machine.
    pub(crate) fn poll_interval(&self) -> Duration {
        Duration::from_millis(if self.combination.page == PageFault::Long { 700 } else { 200 })
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seed {}", self.combination, self.seed)
    }
}

/// One to five streams. One of them outlives the deadline: always in stage `Deadline`, otherwise half of the time.
fn random_streams(stage: Stage, rng: &mut Rng) -> Vec<Duration> {
    let mut streams: Vec<Duration> = (0..=rng.below(5)).map(|_| rng.millis(300, 2500)).collect();
    if stage == Stage::Deadline || rng.one_in(2) {
        streams[0] = FOREVER;
    }
    streams
}
