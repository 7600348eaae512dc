//! Statistics of stream durations as JSON, and the grace period that covers them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::io::rounding::rounded_seconds;
use lameduck_machine::durations::{DurationHistogram, MIN_SAMPLES};

/// The durations of the streams that were observed from start to end since the sidecar started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DurationsReport {
    /// The number of these streams.
    pub count: u64,
    /// The median.
    pub p50_seconds: f64,
    /// The 90th percentile.
    pub p90_seconds: f64,
    /// The 99th percentile.
    pub p99_seconds: f64,
    /// The longest duration.
    pub longest_seconds: f64,
    /// Whether there are too few streams for a reliable recommendation.
    pub low_sample_count: bool,
    /// The grace period that covers the longest duration.
    pub recommended_grace_period_seconds: f64,
    /// The estimated time until all open streams have ended (median); null if unknown.
    pub estimated_time_to_zero_seconds: Option<f64>,
}

impl DurationsReport {
    /// The report; `None` before the first stream was observed from start to end.
    #[must_use]
    pub fn new(durations: &DurationHistogram, estimated_time_to_zero: Option<Duration>) -> Option<Self> {
        let quantile = |percent| durations.quantile(percent).map(rounded_seconds);
        Some(Self {
            count: durations.count(),
            p50_seconds: quantile(50)?,
            p90_seconds: quantile(90)?,
            p99_seconds: quantile(99)?,
            longest_seconds: rounded_seconds(durations.longest()?),
            low_sample_count: durations.count() < MIN_SAMPLES,
            recommended_grace_period_seconds: rounded_seconds(durations.grace_period()?),
            estimated_time_to_zero_seconds: estimated_time_to_zero.map(rounded_seconds),
        })
    }
}
