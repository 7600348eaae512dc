//! Readings of a metrics page: a single process is never reported as several, and several processes are detected.

use std::time::Duration;

use lameduck_machine::page_identity::PageIdentity;
use lameduck_machine::reading::{Counter, PageProcess};
use lameduck_machine::time::Time;
use proptest::prelude::*;

/// What happens between two readings.
#[derive(Clone, Debug)]
struct Step {
    /// How much time passes.
    millis: u64,
    /// How much CPU time the process uses, in thousandths of a second.
    cpu: u64,
    /// Whether the process is restarted, at the end of that time.
    restarts: bool,
    /// By how much the start time on the page is off.
    jitter: u64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (20..3000_u64, 0..300_u64, prop::bool::weighted(0.1), 0..500_u64);
    prop::collection::vec(
        step.prop_map(|(millis, cpu, restarts, jitter)| Step { millis, cpu, restarts, jitter }),
        1..80,
    )
}

fn page(started_at: Option<u64>, cpu: Option<u64>) -> PageProcess {
    let counter = |thousandths| Counter { name: "process_cpu_seconds_total".into(), series: 1, thousandths };
    let started_at = started_at.map(|millis| Duration::from_secs(1_700_000_000) + Duration::from_millis(millis));
    PageProcess { started_at, counters: cpu.map(counter).into_iter().collect() }
}

fn at(millis: u64) -> Time {
    Time::since_boot(Duration::from_millis(millis))
}

proptest! {
    #[test]
    fn one_process_with_jitter_is_never_doubted(steps in steps(), has_start: bool, has_cpu: bool) {
        let (mut identity, mut now, mut cpu) = (PageIdentity::default(), 0, 0);
        for step in steps {
            now += step.millis;
            cpu += step.cpu;
            identity.observe(&page(has_start.then_some(step.jitter), has_cpu.then_some(cpu)), at(now));
            prop_assert!(identity.doubt().is_none(), "{identity:?}");
        }
    }

    #[test]
    fn restarted_process_is_never_several(steps in steps(), has_cpu: bool) {
        let (mut identity, mut now, mut cpu, mut started_at) = (PageIdentity::default(), 0, 0, 0);
        for step in steps {
            now += step.millis;
            cpu += step.cpu;
            if step.restarts {
                (started_at, cpu) = (now, 0);
            }
            // A process computes its start time once.
            identity.observe(&page(Some(started_at), has_cpu.then_some(cpu)), at(now));
            prop_assert!(!identity.is_shared(), "{identity:?}");
        }
    }

    #[test]
    fn process_whose_clock_is_set_is_never_several(steps in steps(), clocks in prop::collection::vec(0..4_u64, 80)) {
        let (mut identity, mut now, mut cpu) = (PageIdentity::default(), 0, 0);
        for (step, clock) in steps.into_iter().zip(clocks) {
            now += step.millis;
            cpu += step.cpu + 1;
            identity.observe(&page(Some(clock * 3_600_000 + step.jitter), Some(cpu)), at(now));
            prop_assert!(!identity.is_shared(), "{identity:?}");
        }
    }

    #[test]
    fn two_processes_are_found_when_one_answers_again(
        first in 1..20_usize, second in 1..20_usize, apart in 1_001..1_000_000_u64, which: bool,
    ) {
        let (mut identity, starts) = (PageIdentity::default(), if which { [0, apart] } else { [apart, 0] });
        let answering = std::iter::repeat_n(starts[0], first).chain(std::iter::repeat_n(starts[1], second));
        for started_at in answering {
            identity.observe(&page(Some(started_at), None), at(0));
            prop_assert!(!identity.is_shared(), "{identity:?}");
        }
        identity.observe(&page(Some(starts[0]), None), at(0));
        prop_assert!(identity.is_shared(), "{identity:?}");
    }

    #[test]
    fn processes_of_one_second_are_found_when_cpu_time_falls(first in 1..1000_u64, less in 1..1000_u64) {
        let mut identity = PageIdentity::default();
        identity.observe(&page(Some(0), Some(first)), at(0));
        identity.observe(&page(Some(0), Some(first)), at(1011));
        identity.observe(&page(Some(10), Some(first.saturating_sub(less))), at(1012));
        prop_assert!(identity.is_shared(), "{identity:?}");
    }
}
