//! Stream durations: percentiles, the grace period that covers them, and an estimate for the open streams.

use std::time::Duration;

/// With eight buckets per doubling, neighbours differ by 9 %.
const BUCKETS_PER_DOUBLING: u32 = 8;
/// The upper bound of the first bucket, in milliseconds.
const MIN_DURATION: f64 = 10.0;
/// The number of buckets from there to a year.
const BUCKETS: usize = 256;
/// With fewer streams than this, percentiles mean little.
pub const MIN_SAMPLES: u64 = 20;
/// The minimum that a recommended grace period adds to the longest stream.
const MIN_HEADROOM: Duration = Duration::from_secs(15);

/// Common grace periods, in seconds.
const COMMON_GRACE_PERIODS: [u64; 24] = [
    30, 45, 60, 90, 120, 180, 240, 300, 600, 900, 1200, 1800, 2400, 2700, 3600, 4500, 5400, 7200, 9000, 10_800, 14_400,
    21_600, 28_800, 43_200,
];

/// The durations of the streams that were seen from beginning to end.
#[derive(Clone, Debug)]
pub struct DurationHistogram {
    counts: Box<[u64; BUCKETS]>,
    count: u64,
    longest: Duration,
    /// The greatest age at which a stream was still active, whether or not it has ended.
    active: Duration,
}

impl Default for DurationHistogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), count: 0, longest: Duration::ZERO, active: Duration::ZERO }
    }
}

impl DurationHistogram {
    /// Adds the duration of a stream that has ended.
    pub fn observe(&mut self, duration: Duration) {
        self.counts[bucket(duration)] += 1;
        self.count += 1;
        self.longest = self.longest.max(duration);
    }

    /// Records the age at which an open stream was still active.
    pub fn observe_active(&mut self, age: Duration) {
        self.active = self.active.max(age);
    }

    /// How many streams were seen from beginning to end.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The longest of them; `None` before the first.
    #[must_use]
    pub fn longest(&self) -> Option<Duration> {
        (self.count > 0).then_some(self.longest)
    }

    /// The duration that this share of the streams did not exceed, at most 9 % too long; `None` before the first.
    ///
    /// By the nearest rank: of ten, the ninth is the 90th percentile.
    #[must_use]
    pub fn quantile(&self, percent: u64) -> Option<Duration> {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let reaches = |count: &u64| {
            seen += count;
            seen >= rank
        };
        let at = self.counts.iter().position(reaches)?;
        Some(upper(at).min(self.longest))
    }

    /// The grace period that covers the longest stream with a headroom of a fifth (and at least 15 s), rounded up to a
    /// common one; `None` before anything was seen.
    ///
    /// The vendor's guide picks a period that covers the highest reasonable outlier: with streams of 5 minutes and
    /// outliers of 20, 35 and 50 it takes 60 minutes, as this rule does.
    #[must_use]
    pub fn grace_period(&self) -> Option<Duration> {
        let longest = self.longest.max(self.active);
        if longest.is_zero() {
            return None;
        }
        let covered = longest + (longest / 5).max(MIN_HEADROOM);
        let usual = COMMON_GRACE_PERIODS.into_iter().map(Duration::from_secs).find(|usual| *usual >= covered);
        Some(usual.unwrap_or_else(|| whole_hours(covered)))
    }

    /// The median estimate of the time until streams of these ages have all ended; `None` if too few streams were seen,
    /// or if one of these is older than all of those.
    #[must_use]
    pub fn estimated_time_to_zero(&self, ages: &[Duration]) -> Option<Duration> {
        if self.count < MIN_SAMPLES || ages.is_empty() {
            return None;
        }
        let likely = |left: &Duration| ages.iter().map(|age| self.ends_within(*age, *left)).product::<f64>() >= 0.5;
        if ages.iter().any(|age| self.longer_than(*age) == 0) {
            return None;
        }
        (0..BUCKETS).map(upper).find(likely)
    }

    /// The share of the streams of this age that ended within this time.
    #[expect(clippy::cast_precision_loss, reason = "a share of many needs no precision")]
    fn ends_within(&self, age: Duration, left: Duration) -> f64 {
        let here = self.longer_than(age) as f64;
        (here - self.longer_than(age + left) as f64) / here
    }

    fn longer_than(&self, age: Duration) -> u64 {
        self.counts[bucket(age)..].iter().skip(1).sum()
    }
}

/// The first bucket whose upper bound is at least this duration.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped to the buckets there are")]
fn bucket(duration: Duration) -> usize {
    let doublings = (duration.as_secs_f64() * 1000.0 / MIN_DURATION).max(1.0).log2();
    // Half a millionth of a bucket is the logarithm's error.
    let at = (doublings * f64::from(BUCKETS_PER_DOUBLING) - 5e-7).ceil();
    (at.max(0.0) as usize).min(BUCKETS - 1)
}

fn upper(bucket: usize) -> Duration {
    let doublings = f64::from(u32::try_from(bucket).unwrap_or(0)) / f64::from(BUCKETS_PER_DOUBLING);
    Duration::from_secs_f64(MIN_DURATION * doublings.exp2() / 1000.0)
}

fn whole_hours(duration: Duration) -> Duration {
    const HOUR: u64 = 3600;
    Duration::from_secs(duration.as_secs().div_ceil(HOUR) * HOUR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    fn of(streams: impl IntoIterator<Item = Duration>) -> DurationHistogram {
        let mut durations = DurationHistogram::default();
        streams.into_iter().for_each(|stream| durations.observe(stream));
        durations
    }

    #[test]
    fn vendor_example_gives_sixty_minutes() {
        let streams = std::iter::repeat_n(minutes(5), 97).chain([20, 35, 50].map(minutes));
        assert_eq!(of(streams).grace_period(), Some(minutes(60)));
    }

    #[test]
    fn grace_period_covers_what_was_seen() {
        for seconds in [1, 20, 29, 31, 100, 599, 3000, 3601, 40_000, 90_000, 700_000] {
            let stream = Duration::from_secs(seconds);
            let grace = of([stream]).grace_period().unwrap();
            assert!(grace >= stream + MIN_HEADROOM && grace >= stream * 6 / 5, "{seconds}: {grace:?}");
        }
        let mut open = of([minutes(1)]);
        open.observe_active(minutes(50));
        assert_eq!(open.grace_period(), Some(minutes(60)));
        assert_eq!(of([]).grace_period(), None);
    }

    #[test]
    fn count_and_longest_include_only_ended_streams() {
        assert_eq!((of([]).count(), of([]).longest()), (0, None));
        let seen = of([minutes(1), minutes(3), minutes(2)]);
        assert_eq!((seen.count(), seen.longest()), (3, Some(minutes(3))));
    }

    #[test]
    fn percentiles_are_within_one_bucket_of_the_truth() {
        let streams: Vec<Duration> = (1..=1000).map(|n| Duration::from_millis(n * n)).collect();
        let durations = of(streams.clone());
        for percent in [1, 50, 90, 99, 100] {
            let truth = streams[usize::try_from(percent).unwrap() * 10 - 1].as_secs_f64();
            let estimate = durations.quantile(percent).unwrap().as_secs_f64();
            assert!(
                estimate >= truth * 0.999 && estimate <= truth.max(0.01) * 1.0906,
                "{percent}: {estimate} for {truth}"
            );
        }
        assert_eq!(of([]).quantile(50), None);
        // By the nearest rank, 99 of a hundred are ten of ten.
        assert_eq!(of((1..=10).map(Duration::from_secs)).quantile(99), Some(Duration::from_secs(10)));
    }

    #[test]
    fn bucket_holds_its_upper_bound_and_the_last_everything_longer() {
        for at in 0..BUCKETS {
            assert_eq!(bucket(upper(at)), at);
        }
        assert_eq!(of([Duration::MAX]).quantile(50), Some(upper(BUCKETS - 1)));
    }

    #[test]
    fn estimate_needs_enough_streams_of_that_age() {
        let second = Duration::from_secs;
        let many = of((1..=100).map(second));
        let one = many.estimated_time_to_zero(&[second(50)]).unwrap();
        assert!(one > second(20) && one < second(30), "{one:?}");
        let two = many.estimated_time_to_zero(&[second(50), second(50)]).unwrap();
        assert!(two > one, "{two:?}");
        assert_eq!(many.estimated_time_to_zero(&[second(500)]), None);
        assert_eq!(many.estimated_time_to_zero(&[second(100)]), None);
        assert_eq!(many.estimated_time_to_zero(&[]), None);
        assert_eq!(of((1..20).map(second)).estimated_time_to_zero(&[second(1)]), None);
        assert!(of((1..=20).map(second)).estimated_time_to_zero(&[second(1)]).is_some());
    }
}
