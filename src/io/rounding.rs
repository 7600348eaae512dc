//! Rounding of durations for output.

use std::time::Duration;

/// A duration in seconds, rounded to milliseconds.
#[must_use]
pub fn rounded_seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_three_decimals() {
        assert_eq!(rounded_seconds(Duration::from_micros(1_234_567)).to_string(), "1.235");
        assert_eq!(rounded_seconds(Duration::from_secs(60)).to_string(), "60");
        assert_eq!(rounded_seconds(Duration::from_micros(499)).to_string(), "0");
    }
}
