//! How long the count has been zero in a drain.

use std::time::Duration;

use crate::drain_times::DrainTimes;
use crate::time::Time;

/// A period in which every poll has counted zero, or only connections that no poll shows twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZeroStreak {
    /// When the first of these polls was requested. It counted zero.
    pub since: Time,
    /// Whether a poll that was requested at the end of the quiet period or later was zero.
    confirmed: bool,
    /// Whether the last poll was not zero: it showed connections for the first time, which may be streams.
    interrupted: bool,
}

impl ZeroStreak {
    /// Adds a zero to this streak, or starts one.
    #[must_use]
    pub fn extend(before: Option<Self>, times: &DrainTimes, as_of: Time) -> Self {
        let since = before.map_or(as_of, |zero| zero.since);
        let confirmed = before.is_some_and(|zero| zero.confirmed) || as_of >= since + times.quiet_period;
        Self { since, confirmed, interrupted: false }
    }

    /// Keeps this streak until the next poll shows whether the new connections stay.
    #[must_use]
    pub const fn interrupt(self) -> Self {
        Self { interrupted: true, ..self }
    }

    /// Whether zero was confirmed, and is the last count.
    #[must_use]
    pub const fn is_confirmed(self) -> bool {
        self.confirmed && !self.interrupted
    }

    /// The time from which a poll that counts zero ends the drain.
    #[must_use]
    pub fn completes_at(self, times: &DrainTimes, awaiting_exit: bool) -> Time {
        let exit_wait = if awaiting_exit { times.exit_wait } else { Duration::ZERO };
        self.since + times.quiet_period + exit_wait
    }
}
