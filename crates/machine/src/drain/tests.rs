use super::*;
use crate::drain_id::DrainId;
use crate::drain_times::tests::times;
use crate::time::tests::at;
use crate::warnings::Warnings;

fn drain() -> Drain {
    Drain::begin(at(100), &times(60), Trigger::Hook, DrainRecord::new(DrainId(1), Some(3)))
}

/// The input after a poll requested at this second; the target was signalled.
fn counted(second: u64, streams: u64) -> DrainInput {
    let count = Some(StreamCount { streams, as_of: at(second) });
    DrainInput { count, only_new: false, only_idle: None, awaiting_exit: true, wait_for_exit: false }
}

fn draining() -> Drain {
    let mut drain = drain();
    assert!(drain.end_lame_duck(at(105)));
    drain
}

#[test]
fn lame_duck_ends_once_when_due() {
    let mut drain = drain();
    assert!(!drain.end_lame_duck(at(104)) && drain.is_lame_duck());
    assert!(drain.end_lame_duck(at(105)) && !drain.end_lame_duck(at(106)));
    assert_eq!(drain.draining_since(), Some(at(105)));
}

#[test]
fn zero_in_the_lame_duck_does_not_count() {
    let mut drain = drain();
    assert_eq!(drain.evaluate(&times(60), counted(104, 0)), None);
    assert!(drain.end_lame_duck(at(105)));
    assert_eq!(drain.at_exit(false), Outcome::Exited);
}

#[test]
fn poll_ends_before_the_deadline() {
    let drain = drain();
    let max_poll_time = |millis| drain.max_poll_time(drain.deadline - Duration::from_millis(millis)).as_millis();
    assert_eq!([1000, 200, 20, 0].map(max_poll_time), [950, 150, 15, 0]);
}

#[test]
fn zero_must_hold_for_quiet_period_and_exit_wait() {
    let mut drain = draining();
    let outcomes = [105, 107, 116].map(|second| drain.evaluate(&times(60), counted(second, 0)));
    assert_eq!(outcomes, [None; 3]);
    assert_eq!(drain.evaluate(&times(60), counted(117, 0)), Some(Outcome::Drained));
}

#[test]
fn reading_requested_before_signal_is_not_a_zero() {
    let mut drain = draining();
    assert_eq!(drain.evaluate(&times(60), counted(104, 0)), None);
    assert_eq!(drain.evaluate(&times(60), counted(117, 0)), None, "the streak starts here");
}

#[test]
fn exit_after_confirmed_zero_is_drained() {
    let mut drain = draining();
    for second in [105, 106] {
        assert_eq!(drain.evaluate(&times(60), counted(second, 0)), None);
        assert_eq!(drain.at_exit(false), Outcome::Exited);
    }
    assert_eq!(drain.evaluate(&times(60), counted(107, 0)), None);
    assert_eq!((drain.at_exit(false), drain.at_exit(true)), (Outcome::Drained, Outcome::Exited));
    drain.invalidate_zero();
    assert_eq!(drain.at_exit(false), Outcome::Exited);
}

#[test]
fn deadline_ends_drain_by_confirmed_zero_only() {
    let mut drain = draining();
    assert_eq!(drain.at_deadline(at(154), false), None);
    assert_eq!(drain.at_deadline(at(155), false), Some(Outcome::Expired));
    for second in [153, 155] {
        assert_eq!(drain.evaluate(&times(60), counted(second, 0)), None);
    }
    assert_eq!(drain.at_deadline(at(155), false), Some(Outcome::Drained));
    assert_eq!(drain.at_deadline(at(155), true), Some(Outcome::Expired));
}

#[test]
fn streams_reset_the_zero_streak() {
    let mut drain = draining();
    for (second, streams) in [(105, 0), (108, 0), (109, 1), (110, 0), (121, 0)] {
        assert_eq!(drain.evaluate(&times(60), counted(second, streams)), None);
    }
    assert_eq!(drain.evaluate(&times(60), counted(122, 0)), Some(Outcome::Drained));
}

#[test]
fn connections_of_one_poll_do_not_interrupt_the_quiet_period() {
    let new = |second| DrainInput { only_new: true, ..counted(second, 1) };
    let mut drain = draining();
    for input in [counted(105, 0), new(106), counted(107, 0), new(117), new(118)] {
        assert_eq!(drain.evaluate(&times(60), input), None);
    }
    assert_eq!(drain.evaluate(&times(60), counted(119, 0)), Some(Outcome::Drained));
}

#[test]
fn new_connection_may_be_a_stream() {
    let mut drain = draining();
    let new = |second| DrainInput { only_new: true, ..counted(second, 1) };
    for input in [new(105), counted(106, 0), counted(118, 1), counted(119, 0), counted(130, 0), new(131)] {
        assert_eq!(drain.evaluate(&times(60), input), None);
    }
    assert_eq!((drain.at_exit(false), drain.at_deadline(at(155), false)), (Outcome::Exited, Some(Outcome::Expired)));
}

#[test]
fn only_idle_streams_end_drain_unless_exit_is_awaited() {
    let idle = DrainInput { only_idle: Some(at(105)), ..counted(106, 2) };
    assert_eq!(draining().evaluate(&times(60), idle), Some(Outcome::Idle));
    assert_eq!(draining().evaluate(&times(60), DrainInput { wait_for_exit: true, ..idle }), None);
    assert_eq!(draining().evaluate(&times(60), DrainInput { only_idle: Some(at(104)), ..idle }), None);
}

#[test]
fn restart_and_reopen_grant_the_whole_budget() {
    let mut drain = drain();
    drain.restart_budget(at(120), &times(60));
    assert_eq!(drain.deadline, at(175));
    drain.reopen(at(181), at(180), &times(60));
    assert_eq!((drain.deadline, drain.draining_since()), (at(235), Some(at(181))));
}

#[test]
fn shortened_deadline_is_never_extended_again() {
    let mut drain = draining();
    assert!(!drain.shorten(at(110), Duration::from_secs(60)));
    assert_eq!((drain.deadline, drain.record.warnings), (at(155), Warnings::default()));
    assert!(drain.shorten(at(110), Duration::from_secs(20)));
    assert!(!drain.shorten(at(110), Duration::from_secs(30)));
    drain.restart_budget(at(111), &times(60));
    assert_eq!(drain.deadline, at(130));
    assert!(drain.record.warnings.contains(Warning::DeadlineShortened));
    drain.reopen(at(132), at(132), &times(60));
    assert_eq!(drain.at_deadline(at(132), false), Some(Outcome::Expired));
}

#[test]
fn half_of_a_shortened_lame_duck_drain_is_left_after_the_signal() {
    for (remaining, signal_at) in [(60, 105), (9, 105), (8, 105), (4, 103), (0, 101)] {
        let mut drain = drain();
        drain.shorten(at(101), Duration::from_secs(remaining));
        assert!(!drain.end_lame_duck(at(signal_at) - Duration::from_millis(1)) || remaining == 0, "{remaining}");
        assert!(drain.end_lame_duck(at(signal_at)) || remaining == 0, "{remaining}");
    }
}
