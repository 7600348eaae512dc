use super::*;

const WINDOW: u64 = 10;

fn sample(seconds: f64) -> Sample {
    let at = Time::since_boot(Duration::from_secs_f64(100.0 + seconds));
    Sample { requested_at: at, read_at: at }
}

fn rule(direction: WorkDirection) -> IdleRule {
    IdleRule { window: Duration::from_secs(WINDOW), rate: 256, direction }
}

fn received(bytes: u64) -> Bytes {
    Bytes { received: bytes, sent: 0 }
}

fn tracker() -> ActivityTracker {
    ActivityTracker::new(rule(WorkDirection::Received))
}

/// Samples connections each second that receive this many bytes a second, and returns how many may be active.
fn after(seconds: u32, rates: &[u64]) -> Option<u64> {
    let mut activity = tracker();
    for second in 0..=seconds {
        let total = |rate| received(rate * u64::from(second));
        let table: Vec<_> = (1..).zip(rates).map(|(cookie, rate)| (cookie, total(*rate))).collect();
        activity.observe(sample(second.into()), &table);
    }
    activity.active().map(|active| active.connections)
}

#[test]
fn silence_and_keep_alives_are_idle_and_audio_is_active() {
    assert_eq!(after(10, &[0, 0, 0]), Some(0));
    assert_eq!(after(10, &[26]), Some(0));
    assert_eq!(after(10, &[2000]), Some(1));
    assert_eq!(after(60, &[0, 26, 2000, 8000]), Some(2));
}

#[test]
fn connection_is_active_until_watched_for_a_whole_window() {
    assert_eq!(after(9, &[0]), Some(1));
    assert_eq!(after(10, &[0]), Some(0));
}

#[test]
fn no_connection_means_wrong_port_not_idleness() {
    assert_eq!(after(20, &[]), None);
    assert_eq!(tracker().active(), None);
}

#[test]
fn unreadable_table_makes_activity_unknown() {
    let mut activity = tracker();
    activity.observe(sample(0.0), &[(1, received(0))]);
    activity.observe(sample(11.0), &[(1, received(0))]);
    activity.mark_unreadable();
    assert_eq!(activity.active(), None);
    activity.observe(sample(12.0), &[(1, received(0))]);
    assert_eq!(activity.active().map(|active| active.connections), Some(0));
}

#[test]
fn burst_is_active_for_a_window() {
    let mut activity = tracker();
    let mut active = Vec::new();
    for second in 0..30_u32 {
        let total = received(if second < 15 { 0 } else { 300 });
        activity.observe(sample(second.into()), &[(1, total)]);
        active.push(activity.active().map(|active| active.connections));
    }
    assert_eq!(active[14], Some(0));
    assert_eq!(active[15..25], [Some(1); 10]);
    assert_eq!(active[25], Some(0));
}

#[test]
fn work_across_samples_reaches_the_rate() {
    let mut activity = tracker();
    // Half a second apart, 200 bytes each: no gap has 256, and every second has 400.
    for half in 0..40_u32 {
        activity.observe(sample(f64::from(half) / 2.0), &[(1, received(200 * u64::from(half)))]);
    }
    assert_eq!(activity.active().map(|active| active.connections), Some(1));
}

#[test]
fn long_gap_between_samples_hides_no_burst() {
    let mut activity = tracker();
    activity.observe(sample(0.0), &[(1, received(0))]);
    activity.observe(sample(60.0), &[(1, received(255))]);
    assert_eq!(activity.active().map(|active| active.connections), Some(0));
    activity.observe(sample(120.0), &[(1, received(511))]);
    assert_eq!(activity.active().map(|active| active.connections), Some(1));
}

/// Takes a sample every second, each of which takes nearly a second, and returns when nothing is active any more.
fn idle_from_with_slow_samples(total: impl Fn(u32) -> u64) -> Option<u32> {
    let mut activity = tracker();
    (0..30).find(|second| {
        let requested_at = sample(f64::from(*second)).requested_at;
        let read_at = requested_at + Duration::from_millis(900);
        activity.observe(Sample { requested_at, read_at }, &[(1, received(total(*second)))]);
        activity.active().is_some_and(|active| active.connections == 0)
    })
}

#[test]
fn slow_samples_claim_no_more_than_they_saw() {
    // Three hundred bytes in what may have been little more than a second.
    assert_eq!(idle_from_with_slow_samples(|second| 100 * u64::from(second)), None);
    assert_eq!(idle_from_with_slow_samples(|second| 50 * u64::from(second)), Some(11));
    assert_eq!(idle_from_with_slow_samples(|second| if second < 5 { 0 } else { 300 }), Some(16));
}

#[test]
fn nearly_two_seconds_can_be_work() {
    let mut activity = tracker();
    let total = |at: f64| 127 * [10.0, 10.74, 11.48].iter().filter(|burst| at >= **burst).count();
    for quarter in 0..100_u32 {
        let at = f64::from(quarter) / 4.0;
        activity.observe(sample(at), &[(1, received(u64::try_from(total(at)).unwrap()))]);
        if quarter == 80 {
            assert_eq!(activity.active().map(|active| active.connections), Some(0));
        }
        if quarter == 79 {
            assert_eq!(activity.active().map(|active| active.connections), Some(1));
        }
    }
}

#[test]
fn first_bytes_of_a_new_connection_count() {
    let mut activity = tracker();
    activity.observe(sample(0.0), &[(1, received(0))]);
    activity.observe(sample(1.0), &[(1, received(0)), (2, received(300))]);
    for second in 2..=11_u32 {
        activity.observe(sample(second.into()), &[(1, received(0)), (2, received(300))]);
        let expected = u64::from(second < 11) + u64::from(second < 10);
        assert_eq!(activity.active().map(|active| active.connections), Some(expected), "{second}");
    }
}

#[test]
fn samples_under_a_quarter_second_apart_are_skipped() {
    let mut activity = tracker();
    for (at, counted) in [(0.0, 0.0), (0.2, 0.0), (0.25, 0.25), (0.4, 0.25), (0.5, 0.5)] {
        activity.observe(sample(at), &[(1, received(0))]);
        assert_eq!(activity.active().map(|active| active.as_of), Some(sample(counted).requested_at), "{at}");
    }
}

#[test]
fn closed_connections_and_old_samples_are_dropped() {
    let mut activity = tracker();
    for tenth in 0..1000_u32 {
        activity.observe(sample(f64::from(tenth) / 10.0), &[(u64::from(tenth / 10), received(0))]);
    }
    assert_eq!(activity.connections.len(), 1);
    assert!(activity.samples.len() < 12, "{}", activity.samples.len());
}

#[test]
fn direction_decides_which_bytes_are_work() {
    use WorkDirection::{Either, Received, Sent};
    let is_active = |direction, [received, sent]: [u64; 2]| {
        let mut activity = ActivityTracker::new(rule(direction));
        for second in 0..=20_u32 {
            let of = |rate| rate * u64::from(second);
            activity.observe(sample(second.into()), &[(1, Bytes { received: of(received), sent: of(sent) })]);
        }
        activity.active().map(|active| active.connections) == Some(1)
    };
    for (rates, active) in [
        ([2000, 0], [true, false, true]),
        ([0, 2000], [false, true, true]),
        ([80, 80], [false, false, false]),
        ([26, 26], [false, false, false]),
    ] {
        assert_eq!([Received, Sent, Either].map(|direction| is_active(direction, rates)), active, "{rates:?}");
    }
}
