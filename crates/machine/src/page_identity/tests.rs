use super::*;
use crate::time::tests::at;

/// A page with this start time in seconds, and this CPU time in thousandths of a second.
fn page(started_at: impl Into<Option<f64>>, cpu: impl Into<Option<u64>>) -> PageProcess {
    let counter = |thousandths| Counter { name: "process_cpu_seconds_total".into(), series: 1, thousandths };
    PageProcess {
        started_at: started_at.into().map(Duration::from_secs_f64),
        counters: cpu.into().map(counter).into_iter().collect(),
    }
}

fn start(started_at: f64) -> PageProcess {
    page(started_at, None)
}

fn cpu(thousandths: u64) -> PageProcess {
    page(None, thousandths)
}

fn observed(pages: impl IntoIterator<Item = PageProcess>) -> PageIdentity {
    let mut identity = PageIdentity::default();
    // One reading every two seconds.
    pages.into_iter().zip(0..).for_each(|(page, n)| identity.observe(&page, at(2 * n)));
    identity
}

fn is_shared(pages: impl IntoIterator<Item = PageProcess>) -> bool {
    observed(pages).is_shared()
}

fn message(identity: &PageIdentity) -> &str {
    identity.doubt().map_or("", |error| &error.message)
}

#[test]
fn start_time_that_returns_proves_several_processes() {
    let identity = observed([1.7e9, 1_700_000_123.0, 1.7e9].map(start));
    assert!(identity.is_shared());
    assert!(message(&identity).contains("was 1700000000 and 1700000123; "), "{}", message(&identity));
    assert_eq!(identity.doubt().map(|error| error.kind), Some(ReadErrorKind::SeveralProcesses));
    assert!(is_shared([10.0, 20.0, 30.0, 40.0, 20.5].map(start)), "of four processes");
}

#[test]
fn one_start_time_after_another_is_a_restart() {
    assert!(!is_shared((1..100).map(|second| start(f64::from(10 * second)))));
}

#[test]
fn jitter_of_start_time_is_no_change() {
    let jitter = [0.0, 0.4, -0.4, 0.3, 1.0, 0.0, 1.0, 0.0];
    assert!(observed(jitter.map(|by| start(1.7e9 + by))).doubt().is_none());
    let drift = (0..100).map(|step| start(1.7e9 + f64::from(step) / 2.0));
    assert!(observed(drift).doubt().is_none(), "many small changes of the clock");
}

#[test]
fn clock_that_returns_is_no_second_process_if_cpu_time_grows() {
    assert!(!is_shared([page(10.0, 100), page(3610.0, 101), page(10.0, 102), page(3610.0, 103)]));
    for (second, third, is_second_process) in [(150, 102, true), (50, 102, true), (100, 100, true), (101, 102, false)] {
        let pages = [page(10.0, 100), page(3610.0, second), page(10.0, third)];
        assert_eq!(is_shared(pages), is_second_process, "{second} {third}");
    }
}

#[test]
fn counter_that_goes_back_and_forth_proves_several_processes() {
    let identity = observed([5200, 3100, 5210, 3111].map(cpu));
    assert!(identity.is_shared());
    assert!(
        message(&identity).contains("process_cpu_seconds_total goes back and forth, for example from 5.21 to 3.111")
    );
    assert!(is_shared([300, 200, 100, 200, 300, 100].map(cpu)), "of three processes");
}

#[test]
fn counter_that_falls_once_is_a_restart() {
    assert!(!is_shared([5200, 0, 1, 2, 5300, 5301].map(cpu)));
    assert!(!is_shared([5200, 0, 5, 1, 2].map(cpu)), "two restarts, without reaching the old value");
    let restarts = (1..10).flat_map(|n| [0, 100, 200].map(|cpu| page(f64::from(10 * n), cpu)));
    assert!(!is_shared(restarts), "with a new start time each");
}

#[test]
fn counter_without_start_time_may_fall_again_later() {
    let slow = |readings| [5200, 0].into_iter().chain((0..readings).map(|n| 5300 + n)).chain([0]);
    assert!(is_shared(slow(19).map(cpu)));
    assert!(!is_shared(slow(20).map(cpu)), "the worker was restarted twice");
}

#[test]
fn cpu_time_that_falls_without_restart_proves_several_processes() {
    let identity = observed([page(1.7e9, 150), page(1.7e9, 150), page(1.7e9 + 0.01, 140)]);
    assert!(identity.is_shared());
    let fact = "fell from 0.15 to 0.14, and process_start_time_seconds shows no restart";
    assert!(message(&identity).contains(fact), "{}", message(&identity));
    assert!(is_shared([page(20.0, 150), page(10.0, 140)]), "an older process");
    assert!(!is_shared([page(20.0, 150), page(10.0, 160)]), "the clock was set back");
}

#[test]
fn process_that_is_replaced_within_a_second_is_a_restart() {
    let mut identity = PageIdentity::default();
    for (second, started_at, cpu) in [(0, 0.0, 300), (1, 0.9, 200), (2, 1.8, 100), (3, 1.8, 110)] {
        identity.observe(&page(started_at, cpu), at(second));
        assert!(!identity.is_shared(), "{second}");
    }
    identity.observe(&page(1.8, 100), at(4));
    assert!(identity.is_shared(), "it would have started later");
}

#[test]
fn page_is_in_doubt_for_ten_readings_after_a_change() {
    let mut identity = observed([page(10.0, 100), page(20.0, 5)]);
    for reading in 1..=10 {
        assert!(identity.doubt().is_some(), "{reading}");
        assert!(message(&identity).contains("process_start_time_seconds was 10 and is 20"), "{}", message(&identity));
        identity.observe(&page(20.0, 5 + reading), at(10));
    }
    assert!(identity.doubt().is_none());
    let identity = observed([cpu(100), cpu(5)]);
    assert!(message(&identity).contains("process_cpu_seconds_total was 0.1 and is 0.005"), "{}", message(&identity));
}

#[test]
fn shared_page_stays_shared() {
    let mut identity = observed([10.0, 20.0, 10.0].map(start));
    (0..1000).for_each(|second| identity.observe(&start(10.0), at(second)));
    assert!(identity.is_shared());
}

#[test]
fn pages_without_facts_prove_nothing() {
    assert!(observed([PageProcess::default(), start(10.0), PageProcess::default(), start(10.0)]).doubt().is_none());
    assert!(is_shared([start(10.0), PageProcess::default(), start(20.0), PageProcess::default(), start(10.0)]));
    let other = |series| PageProcess {
        started_at: None,
        counters: vec![Counter { name: "a_total".into(), series, thousandths: 1000 / series }],
    };
    assert!(observed((1..100).map(other)).doubt().is_none(), "no two are the same series");
}

#[test]
fn greatest_numbers_are_harmless() {
    let greatest = PageProcess { started_at: Some(Duration::MAX), ..page(None, u64::MAX) };
    let less = PageProcess { started_at: Some(Duration::MAX), ..page(None, 0) };
    assert!(!is_shared([greatest.clone(), greatest, less]));
}

#[test]
fn memory_is_bounded() {
    let identity = observed((0..1000).map(|n| page(f64::from(n * 10), 5)));
    assert_eq!((identity.earlier.len(), identity.last.counters.len()), (MAX_EARLIER, 1));
}
