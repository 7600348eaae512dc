//! How long streams last, as JSON, and the grace period that covers them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::io::report::seconds;
use lameduck_machine::durations::{DurationHistogram, MIN_SAMPLES};

/// The durations of the streams that were seen whole since the sidecar started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DurationsReport {
    /// How many there were.
    pub count: u64,
    /// Half of them were not longer than this.
    pub p50_seconds: f64,
    /// Nine of ten.
    pub p90_seconds: f64,
    /// Ninety-nine of a hundred.
    pub p99_seconds: f64,
    /// The longest.
    pub longest_seconds: f64,
    /// Whether there are too few of them to build on.
    pub low_sample_count: bool,
    /// The grace period that covers the longest.
    pub recommended_grace_period_seconds: f64,
    /// How long it takes, as likely as not, until the open streams have ended; null where nobody can say.
    pub estimated_time_to_zero_seconds: Option<f64>,
}

impl DurationsReport {
    /// The report; `None` before the first stream was seen whole.
    #[must_use]
    pub fn new(durations: &DurationHistogram, estimated_time_to_zero: Option<Duration>) -> Option<Self> {
        let quantile = |percent| durations.quantile(percent).map(seconds);
        Some(Self {
            count: durations.count(),
            p50_seconds: quantile(50)?,
            p90_seconds: quantile(90)?,
            p99_seconds: quantile(99)?,
            longest_seconds: seconds(durations.longest()?),
            low_sample_count: durations.count() < MIN_SAMPLES,
            recommended_grace_period_seconds: seconds(durations.grace_period()?),
            estimated_time_to_zero_seconds: estimated_time_to_zero.map(seconds),
        })
    }
}
