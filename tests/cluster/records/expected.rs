//! The table: what the records of each scenario must say.

/// What the records of a scenario say.
#[derive(Clone, Copy)]
pub(super) struct Expected {
    /// What happens.
    pub(super) scenario: &'static str,
    /// What the table shows.
    pub(super) usual: Cells,
    /// What else is true if the sidecar, or a call of the kubelet, is delayed by seconds.
    pub(super) delayed: Cells,
}

/// Texts of the table. Where several are listed, each of them is possible.
#[derive(Clone, Copy)]
pub(super) struct Cells {
    pub(super) clients: &'static [&'static str],
    pub(super) message: &'static [&'static str],
    pub(super) log: &'static [&'static str],
    pub(super) exit_code: &'static [&'static str],
    pub(super) metrics: &'static [&'static str],
}

/// The metrics before anything was cut. The last counters may not be scraped in time.
const UNSCRAPED: &str = "`stragglers_total` 0";

impl Expected {
    /// Panics unless these texts are possible. Returns whether they are what the table shows.
    pub(super) fn compare(&self, found: &[String; 5]) -> bool {
        let (usual, delayed) = (self.usual.columns(), self.delayed.columns());
        let allows = |column: usize, text: &str| {
            let (usual, delayed) = (usual[column], delayed[column]);
            text == UNSCRAPED || usual.contains(&text) || delayed.contains(&text)
        };
        for (column, text) in found.iter().enumerate() {
            let is_possible = allows(column, text) || allows(column, &with_recent_count(text));
            let expected = [usual[column], delayed[column]];
            assert!(is_possible, "expected {expected:?}, found {}", found.join(" | "));
        }
        let is_usual = |(text, usual): (&String, &[&str])| text == UNSCRAPED || usual.contains(&text.as_str());
        found.iter().zip(usual).all(is_usual)
    }
}

/// What a text would be if the count were known. If there was no reading for two poll intervals, it is not.
fn with_recent_count(text: &str) -> String {
    if text == "11" {
        return "10".to_owned();
    }
    let text = text.replace("null stragglers", "3 stragglers").replace("null streams", "3 streams");
    text.replace("`stragglers_total` 0, ", "`stragglers_total` 3, ")
}

impl Cells {
    /// The columns of the table, after the scenario.
    pub(super) const fn columns(&self) -> [&'static [&'static str]; 5] {
        [self.clients, self.message, self.log, self.exit_code, self.metrics]
    }
}

/// Nothing else.
const NONE: Cells = Cells { clients: &[], message: &[], log: &[], exit_code: &[], metrics: &[] };

/// All rows, in their order.
pub(super) const ALL: &[Expected] = &[
    CLEAN_DRAIN,
    DEADLINE,
    DROPPED_ON_SIGNAL,
    IDLE_STREAMS,
    SHORTENED,
    LONGER_THAN_THE_PODS,
    FORCED,
    CRASH_BY_EXIT_CODE,
    CRASH_AND_RESTART,
    HOOK_ON_NATIVE_SIDECAR,
    HOOK_ON_CLASSIC_SIDECAR,
    SECOND_SIGNAL,
    NO_HOOK_NATIVE,
    NO_HOOK_CLASSIC,
    NO_HOOK_AND_DROPPED,
    SIDECAR_KILLED,
    SIDECAR_RESUMES,
];

/// The position of a row in the table.
pub(super) fn position(expected: &Expected) -> usize {
    ALL.iter().position(|row| row.scenario == expected.scenario).expect("it is listed")
}

const CUT: Cells = Cells { clients: &["3 cut"], ..NONE };

/// The kubelet kills Engine and sidecar at the same time, so the sidecar sees the Engine's end, or is killed first.
const KILLED_WITH_THE_ENGINE: Cells = Cells {
    message: &["`interrupted`, 3 stragglers", "`exited`, 3 stragglers"],
    log: &["`interrupted`, 3 stragglers", "`exited`, 3 stragglers"],
    exit_code: &["137", "10"],
    metrics: &["`stragglers_total` 0", "`stragglers_total` 3, `drains_total{outcome=\"exited\"}` 1"],
    ..CUT
};

/// It is killed before it handles its SIGTERM.
const KILLED_WITHOUT_SIGTERM: Cells = Cells { log: &["no record; `draining`, 3 streams"], ..NONE };

const EXPIRED_TOLD_BY_OTHERS: Cells = Cells {
    message: &["`expired`, 3 stragglers, `told_by_others`"],
    log: &["`expired`, 3 stragglers, `told_by_others`"],
    exit_code: &["10"],
    metrics: &["`stragglers_total` 3, `drains_total{outcome=\"expired\"}` 1"],
    ..CUT
};

const EXITED_NO_HOOK: Cells = Cells {
    message: &["`exited`, 3 stragglers, `no_hook`"],
    log: &["`exited`, 3 stragglers, `no_hook`"],
    exit_code: &["10"],
    metrics: &["`stragglers_total` 3, `target_exits_total{during=\"serving\"}` 1"],
    ..CUT
};

pub(super) const CLEAN_DRAIN: Expected = Expected {
    scenario: "a drain whose streams end by themselves",
    usual: Cells {
        clients: &["3 complete"],
        message: &["`exited`, 0 stragglers"],
        log: &["`exited`, 0 stragglers"],
        exit_code: &["0"],
        metrics: &["`stragglers_total` 0, `drains_total{outcome=\"exited\"}` 1"],
    },
    delayed: NONE,
};

pub(super) const DEADLINE: Expected = Expected {
    scenario: "streams that outlast the grace period",
    usual: Cells {
        message: &["`expired`, 3 stragglers"],
        log: &["`expired`, 3 stragglers"],
        exit_code: &["10"],
        metrics: &["`stragglers_total` 3, `drains_total{outcome=\"expired\"}` 1"],
        ..CUT
    },
    delayed: NONE,
};

pub(super) const DROPPED_ON_SIGNAL: Expected = Expected {
    scenario: "an Engine that closes its streams on the signal and exits with code 0",
    usual: Cells {
        message: &["`exited`, null stragglers, `ended_with_signal`"],
        log: &["`exited`, null stragglers, `ended_with_signal`"],
        exit_code: &["11"],
        metrics: &["`stragglers_total` 0, `drains_total{outcome=\"exited\"}` 1"],
        ..CUT
    },
    delayed: NONE,
};

pub(super) const IDLE_STREAMS: Expected = Expected {
    scenario: "`--idle-after`: one active stream, two idle ones",
    usual: Cells {
        clients: &["1 complete, 2 cut"],
        message: &["`idle`, 0 stragglers, 2 idle"],
        log: &["`idle`, 0 stragglers, 2 idle"],
        exit_code: &["0"],
        metrics: &["`stragglers_total` 0, `drains_total{outcome=\"idle\"}` 1"],
    },
    delayed: NONE,
};

pub(super) const SHORTENED: Expected = Expected {
    scenario: "`kubectl delete --grace-period=15`, with a grace period of 120 s in the pod and the setting",
    usual: KILLED_WITH_THE_ENGINE,
    delayed: KILLED_WITHOUT_SIGTERM,
};

pub(super) const LONGER_THAN_THE_PODS: Expected = Expected {
    scenario: "`LAMEDUCK_GRACE_PERIOD` 3600, with a grace period of 20 s in the pod",
    usual: KILLED_WITH_THE_ENGINE,
    delayed: KILLED_WITHOUT_SIGTERM,
};

/// The kubelet waits for the hook for 1 s, in the lame duck. Then it sends SIGTERM to Engine and sidecar, and 2 s later
/// SIGKILL.
pub(super) const FORCED: Expected = Expected {
    scenario: "`kubectl delete --force --grace-period=0`",
    usual: Cells {
        message: &["none"],
        log: &["`interrupted`, 3 stragglers", "`exited`, 3 stragglers", "`exited`, 3 stragglers, `told_by_others`"],
        exit_code: &["none"],
        ..KILLED_WITH_THE_ENGINE
    },
    delayed: Cells {
        log: &[
            // SIGTERM comes to the Engine, then a poll, and then SIGTERM to the sidecar.
            "`interrupted`, 3 stragglers, `told_by_others`",
            // The sidecar is killed before it handles the hook call, or SIGTERM.
            "no record; `SIGTERM received`, 3 streams",
            "no record; `drain started: not ready, still accepting`, 3 streams",
            // The hook call comes after the end of the Engine, or never.
            "no record; `the target has ended while it was serving, and its streams with it`, 3 streams",
            "`exited`, 3 stragglers, `no_hook`",
        ],
        metrics: &[
            "`stragglers_total` 3, `target_exits_total{during=\"serving\"}` 1",
            "`stragglers_total` 3, `drains_total{outcome=\"exited\"}` 1, `target_exits_total{during=\"serving\"}` 1",
        ],
        ..NONE
    },
};

pub(super) const CRASH_BY_EXIT_CODE: Expected = Expected {
    scenario: "an Engine that exits with code 1 while it serves; the pod has `restartPolicy: Never`",
    usual: EXITED_NO_HOOK,
    delayed: NONE,
};

pub(super) const CRASH_AND_RESTART: Expected = Expected {
    scenario: "an Engine that is killed while it serves, and restarts; the pod is not deleted",
    usual: Cells {
        message: &["none"],
        log: &["no record; `the target has ended while it was serving, and its streams with it`, 3 streams"],
        exit_code: &["none"],
        metrics: &["`stragglers_total` 3, `target_exits_total{during=\"serving\"}` 1"],
        ..CUT
    },
    delayed: NONE,
};

pub(super) const HOOK_ON_NATIVE_SIDECAR: Expected = Expected {
    scenario: "the hook on the sidecar's container, native sidecar",
    usual: EXPIRED_TOLD_BY_OTHERS,
    // The Engine uses the whole grace period, so the sidecar has 2 s from SIGTERM to SIGKILL.
    delayed: Cells { exit_code: &["137"], ..NONE },
};

pub(super) const HOOK_ON_CLASSIC_SIDECAR: Expected = Expected {
    scenario: "the hook on the sidecar's container, classic sidecar",
    // The sidecar waits for the end of the Engine, and the kubelet kills both at the same time.
    usual: Cells { exit_code: &["10", "137"], ..EXPIRED_TOLD_BY_OTHERS },
    delayed: NONE,
};

pub(super) const SECOND_SIGNAL: Expected = Expected {
    scenario: "the same, and an Engine that drains on its first signal and exits on its second",
    usual: Cells {
        message: &["`exited`, null stragglers, `ended_with_signal`, `told_by_others`"],
        log: &["`exited`, null stragglers, `ended_with_signal`, `told_by_others`"],
        exit_code: &["11"],
        metrics: &["`stragglers_total` 0, `drains_total{outcome=\"exited\"}` 1"],
        ..CUT
    },
    delayed: NONE,
};

pub(super) const NO_HOOK_NATIVE: Expected = Expected {
    scenario: "no hook, native sidecar",
    usual: EXITED_NO_HOOK,
    // The Engine uses the whole grace period, so the sidecar has 2 s from SIGTERM to SIGKILL.
    delayed: Cells {
        message: &["`interrupted`, 3 stragglers", "none"],
        log: &[
            "no record; `SIGTERM received`, 3 streams",
            "no record; `the target has ended while it was serving, and its streams with it`, 3 streams",
        ],
        exit_code: &["137"],
        ..NONE
    },
};

pub(super) const NO_HOOK_CLASSIC: Expected = Expected {
    scenario: "no hook, classic sidecar",
    usual: Cells {
        message: &["`interrupted`, 3 stragglers", "`exited`, 3 stragglers, `no_hook`"],
        log: &["no record; `SIGTERM received`, 3 streams", "`exited`, 3 stragglers, `no_hook`"],
        metrics: &["`stragglers_total` 0", "`stragglers_total` 3, `target_exits_total{during=\"serving\"}` 1"],
        ..KILLED_WITH_THE_ENGINE
    },
    // It sees the end of the Engine, and is killed before it exits.
    delayed: Cells {
        log: &["no record; `the target has ended while it was serving, and its streams with it`, 3 streams"],
        ..NONE
    },
};

pub(super) const NO_HOOK_AND_DROPPED: Expected = Expected {
    scenario: "no hook, native sidecar, and an Engine that closes its streams on the signal",
    usual: EXITED_NO_HOOK,
    delayed: NONE,
};

pub(super) const SIDECAR_KILLED: Expected = Expected {
    scenario: "a sidecar that is killed (SIGKILL) while its pod is deleted; it is not restarted",
    usual: Cells {
        message: &["`interrupted`, 3 stragglers"],
        log: &["no record; `draining`, 3 streams"],
        exit_code: &["137"],
        metrics: &["`stragglers_total` 0"],
        ..CUT
    },
    delayed: NONE,
};

pub(super) const SIDECAR_RESUMES: Expected = Expected {
    scenario: "`lameduck drain`, and a sidecar that is killed (SIGKILL) meanwhile; it restarts and resumes the drain",
    usual: Cells {
        clients: &["3 complete"],
        message: &["`interrupted`, 3 stragglers; then `exited`, 0 stragglers"],
        log: &["`exited`, 0 stragglers"],
        exit_code: &["137; then 0"],
        metrics: &["`stragglers_total` 0, `drains_total{outcome=\"exited\"}` 1"],
    },
    delayed: NONE,
};
