//! The table: what the records of each scenario must say.

use super::run::Expected;

/// All rows, in their order.
pub(super) const ALL: &[Expected<'static>] = &[
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
pub(super) fn position(expected: &Expected<'_>) -> usize {
    ALL.iter().position(|row| row.scenario == expected.scenario).expect("it is listed")
}

/// The kubelet kills Engine and sidecar at the same time, so the sidecar sees the Engine's end, or is killed first.
const KILLED_WITH_THE_ENGINE: Expected<'static> = Expected {
    scenario: "",
    clients: "3 cut",
    message: &["`interrupted`, 3 stragglers", "`exited`, 3 stragglers"],
    log: &["`interrupted`, 3 stragglers", "`exited`, 3 stragglers"],
    exit_code: &["137", "10"],
    metrics: &["`stragglers_total` 0", "`stragglers_total` 3, `drains_total{outcome=\"exited\"}` 1"],
};

const EXPIRED_TOLD_BY_OTHERS: Expected<'static> = Expected {
    scenario: "",
    clients: "3 cut",
    message: &["`expired`, 3 stragglers, `told_by_others`"],
    log: &["`expired`, 3 stragglers, `told_by_others`"],
    exit_code: &["10"],
    metrics: &["`stragglers_total` 3, `drains_total{outcome=\"expired\"}` 1"],
};

const EXITED_NO_HOOK: Expected<'static> = Expected {
    scenario: "",
    clients: "3 cut",
    message: &["`exited`, 3 stragglers, `no_hook`"],
    log: &["`exited`, 3 stragglers, `no_hook`"],
    exit_code: &["10"],
    metrics: &["`stragglers_total` 3, `target_exits_total{during=\"serving\"}` 1"],
};

pub(super) const CLEAN_DRAIN: Expected<'static> = Expected {
    scenario: "a drain whose streams end by themselves",
    clients: "3 complete",
    message: &["`exited`, 0 stragglers"],
    log: &["`exited`, 0 stragglers"],
    exit_code: &["0"],
    metrics: &["`stragglers_total` 0, `drains_total{outcome=\"exited\"}` 1"],
};

pub(super) const DEADLINE: Expected<'static> = Expected {
    scenario: "streams that outlast the grace period",
    clients: "3 cut",
    message: &["`expired`, 3 stragglers"],
    log: &["`expired`, 3 stragglers"],
    exit_code: &["10"],
    metrics: &["`stragglers_total` 3, `drains_total{outcome=\"expired\"}` 1"],
};

pub(super) const DROPPED_ON_SIGNAL: Expected<'static> = Expected {
    scenario: "an Engine that closes its streams on the signal and exits with code 0",
    clients: "3 cut",
    message: &["`exited`, null stragglers, `ended_with_signal`"],
    log: &["`exited`, null stragglers, `ended_with_signal`"],
    exit_code: &["11"],
    metrics: &["`stragglers_total` 0, `drains_total{outcome=\"exited\"}` 1"],
};

pub(super) const IDLE_STREAMS: Expected<'static> = Expected {
    scenario: "`--idle-after`: one active stream, two idle ones",
    clients: "1 complete, 2 cut",
    message: &["`idle`, 0 stragglers, 2 idle"],
    log: &["`idle`, 0 stragglers, 2 idle"],
    exit_code: &["0"],
    metrics: &["`stragglers_total` 0, `drains_total{outcome=\"idle\"}` 1"],
};

pub(super) const SHORTENED: Expected<'static> = Expected {
    scenario: "`kubectl delete --grace-period=15`, with a grace period of 120 s in the pod and the setting",
    ..KILLED_WITH_THE_ENGINE
};

pub(super) const LONGER_THAN_THE_PODS: Expected<'static> = Expected {
    scenario: "`LAMEDUCK_GRACE_PERIOD` 3600, with a grace period of 20 s in the pod",
    ..KILLED_WITH_THE_ENGINE
};

pub(super) const FORCED: Expected<'static> = Expected {
    scenario: "`kubectl delete --force --grace-period=0`",
    message: &["none"],
    // The kubelet ends the hook after 2 s, in the lame duck, and sends SIGTERM to the Engine itself.
    log: &["`interrupted`, 3 stragglers", "`exited`, 3 stragglers", "`exited`, 3 stragglers, `told_by_others`"],
    exit_code: &["none"],
    ..KILLED_WITH_THE_ENGINE
};

pub(super) const CRASH_BY_EXIT_CODE: Expected<'static> = Expected {
    scenario: "an Engine that exits with code 1 while it serves; the pod has `restartPolicy: Never`",
    ..EXITED_NO_HOOK
};

pub(super) const CRASH_AND_RESTART: Expected<'static> = Expected {
    scenario: "an Engine that is killed while it serves, and restarts; the pod is not deleted",
    clients: "3 cut",
    message: &["none"],
    log: &["no record; `the target has ended while it was serving, and its streams with it`, 3 streams"],
    exit_code: &["none"],
    metrics: &["`stragglers_total` 3, `target_exits_total{during=\"serving\"}` 1"],
};

pub(super) const HOOK_ON_NATIVE_SIDECAR: Expected<'static> =
    Expected { scenario: "the hook on the sidecar's container, native sidecar", ..EXPIRED_TOLD_BY_OTHERS };

pub(super) const HOOK_ON_CLASSIC_SIDECAR: Expected<'static> = Expected {
    scenario: "the hook on the sidecar's container, classic sidecar", // The sidecar waits for the end of the Engine, and the kubelet kills both at the same time.
    exit_code: &["10", "137"],
    ..EXPIRED_TOLD_BY_OTHERS
};

pub(super) const SECOND_SIGNAL: Expected<'static> = Expected {
    scenario: "the same, and an Engine that drains on its first signal and exits on its second",
    clients: "3 cut",
    message: &["`exited`, null stragglers, `ended_with_signal`, `told_by_others`"],
    log: &["`exited`, null stragglers, `ended_with_signal`, `told_by_others`"],
    exit_code: &["11"],
    metrics: &["`stragglers_total` 0, `drains_total{outcome=\"exited\"}` 1"],
};

pub(super) const NO_HOOK_NATIVE: Expected<'static> = Expected { scenario: "no hook, native sidecar", ..EXITED_NO_HOOK };

pub(super) const NO_HOOK_CLASSIC: Expected<'static> = Expected {
    scenario: "no hook, classic sidecar",
    message: &["`interrupted`, 3 stragglers", "`exited`, 3 stragglers, `no_hook`"],
    log: &["no record; `SIGTERM received`, 3 streams", "`exited`, 3 stragglers, `no_hook`"],
    metrics: &["`stragglers_total` 0", "`stragglers_total` 3, `target_exits_total{during=\"serving\"}` 1"],
    ..KILLED_WITH_THE_ENGINE
};

pub(super) const NO_HOOK_AND_DROPPED: Expected<'static> = Expected {
    scenario: "no hook, native sidecar, and an Engine that closes its streams on the signal",
    ..EXITED_NO_HOOK
};

pub(super) const SIDECAR_KILLED: Expected<'static> = Expected {
    scenario: "a sidecar that is killed (SIGKILL) while its pod is deleted; it is not restarted",
    clients: "3 cut",
    message: &["`interrupted`, 3 stragglers"],
    log: &["no record; `draining`, 3 streams"],
    exit_code: &["137"],
    metrics: &["`stragglers_total` 0"],
};

pub(super) const SIDECAR_RESUMES: Expected<'static> = Expected {
    scenario: "`lameduck drain`, and a sidecar that is killed (SIGKILL) meanwhile; it restarts and resumes the drain",
    clients: "3 complete",
    message: &["`interrupted`, 3 stragglers; then `exited`, 0 stragglers"],
    log: &["`exited`, 0 stragglers"],
    exit_code: &["137; then 0"],
    metrics: &["`stragglers_total` 0, `drains_total{outcome=\"exited\"}` 1"],
};
