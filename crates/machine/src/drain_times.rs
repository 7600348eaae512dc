//! The times of a drain, checked once at start.

use std::fmt;
use std::time::Duration;

/// The longest time that is accepted: a longer one has a wrong unit.
pub const MAX_GRACE_PERIOD: Duration = Duration::from_secs(365 * 24 * 3600);

/// The shortest poll interval and timeout: shorter ones would be a busy loop.
pub const MIN_POLL_INTERVAL: Duration = Duration::from_millis(1);

/// How long before the end of the grace period a child is killed at the latest.
const KILL_LEAD: Duration = Duration::from_secs(1);

/// The times as set by the user; `None` means the default.
#[derive(Clone, Debug)]
pub struct TimeArgs {
    /// The pod's `terminationGracePeriodSeconds`.
    pub grace_period: Duration,
    /// See [`DrainTimes::exit_margin`].
    pub exit_margin: Option<Duration>,
    /// See [`DrainTimes::lame_duck`].
    pub lame_duck: Option<Duration>,
    /// See [`DrainTimes::unready_after`].
    pub unready_after: Duration,
    /// See [`DrainTimes::quiet_period`].
    pub quiet_period: Option<Duration>,
    /// See [`DrainTimes::exit_wait`].
    pub exit_wait: Option<Duration>,
    /// See [`DrainTimes::poll_interval`].
    pub poll_interval: Duration,
    /// See [`DrainTimes::scrape_timeout`].
    pub scrape_timeout: Duration,
}

/// The times of a drain, known to add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainTimes {
    /// The pod's `terminationGracePeriodSeconds`, and nothing else.
    pub grace_period: Duration,
    /// The end of the grace period, reserved so that the target can exit after SIGTERM.
    pub exit_margin: Duration,
    /// How long the pod is out of rotation but still accepting, before the signal.
    pub lame_duck: Duration,
    /// How long readiness does not show a drain that a hook has started: at most the lame duck.
    pub unready_after: Duration,
    /// How long the count must stay at zero before the drain is complete.
    pub quiet_period: Duration,
    /// How long a signalled target may take, after zero, to exit by itself.
    pub exit_wait: Duration,
    /// How often sources are polled.
    pub poll_interval: Duration,
    /// The longest time that one reading may take.
    pub scrape_timeout: Duration,
}

impl DrainTimes {
    /// Fills in the defaults and checks that the times add up.
    ///
    /// A default is at most a tenth of the grace period; an explicit value is kept.
    ///
    /// # Errors
    /// Names the time that cannot work.
    pub fn new(args: &TimeArgs) -> Result<Self, DrainTimesError> {
        let tenth = args.grace_period / 10;
        let or = |set: Option<Duration>, secs| set.unwrap_or(Duration::from_secs(secs).min(tenth));
        let times = Self {
            grace_period: args.grace_period,
            exit_margin: or(args.exit_margin, 5),
            lame_duck: or(args.lame_duck, 5),
            unready_after: args.unready_after,
            quiet_period: or(args.quiet_period, 2),
            exit_wait: or(args.exit_wait, 10),
            poll_interval: args.poll_interval,
            scrape_timeout: args.scrape_timeout,
        };
        times.check()?;
        Ok(times)
    }

    /// The grace period less the exit margin: how long a drain may take.
    #[must_use]
    pub fn budget(&self) -> Duration {
        self.grace_period.saturating_sub(self.exit_margin)
    }

    /// How long before the end of the grace period `lameduck run` kills its child: what runs lameduck would kill both.
    #[must_use]
    pub fn kill_lead(&self) -> Duration {
        KILL_LEAD.min(self.exit_margin / 2)
    }

    /// How long before the deadline the sources are polled once more, so that the count of stragglers is up to date.
    #[must_use]
    pub fn final_poll_lead(&self) -> Duration {
        (self.poll_interval / 4).min(self.budget() / 10)
    }

    /// The age at which a reading is out of date: two poll intervals.
    #[must_use]
    pub fn stale_after(&self) -> Duration {
        self.poll_interval * 2
    }

    fn check(&self) -> Result<(), DrainTimesError> {
        use DrainTimesError::{GracePeriodZero, NothingLeft, OutOfRange, TooLong, UnreadyTooLate};
        if self.grace_period.is_zero() {
            return Err(GracePeriodZero);
        }
        if self.grace_period > MAX_GRACE_PERIOD {
            return Err(TooLong(self.grace_period));
        }
        let polls =
            [(TimeSetting::PollInterval, self.poll_interval), (TimeSetting::ScrapeTimeout, self.scrape_timeout)];
        let allowed = MIN_POLL_INTERVAL..=MAX_GRACE_PERIOD;
        if let Some((setting, value)) = polls.into_iter().find(|(_, value)| !allowed.contains(value)) {
            return Err(OutOfRange { setting, value });
        }
        if self.exit_margin >= self.grace_period {
            return Err(NothingLeft { setting: TimeSetting::ExitMargin, times: Box::new(self.clone()) });
        }
        let needed = self.lame_duck.saturating_add(self.quiet_period).saturating_add(self.exit_margin);
        if needed >= self.grace_period {
            let longer = self.lame_duck >= self.quiet_period;
            let setting = if longer { TimeSetting::LameDuck } else { TimeSetting::QuietPeriod };
            return Err(NothingLeft { setting, times: Box::new(self.clone()) });
        }
        if self.unready_after > self.lame_duck {
            return Err(UnreadyTooLate { unready_after: self.unready_after, lame_duck: self.lame_duck });
        }
        Ok(())
    }
}

/// The times that can be invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeSetting {
    /// See [`DrainTimes::exit_margin`].
    ExitMargin,
    /// See [`DrainTimes::lame_duck`].
    LameDuck,
    /// See [`DrainTimes::quiet_period`].
    QuietPeriod,
    /// See [`DrainTimes::poll_interval`].
    PollInterval,
    /// See [`DrainTimes::scrape_timeout`].
    ScrapeTimeout,
}

/// Why the times cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainTimesError {
    /// Without a grace period there is no time to drain.
    GracePeriodZero,
    /// The grace period is longer than [`MAX_GRACE_PERIOD`].
    TooLong(Duration),
    /// The time is not between [`MIN_POLL_INTERVAL`] and [`MAX_GRACE_PERIOD`].
    OutOfRange {
        /// Which time.
        setting: TimeSetting,
        /// Its value.
        value: Duration,
    },
    /// The parts leave nothing of the grace period.
    NothingLeft {
        /// The longest part that can be shortened.
        setting: TimeSetting,
        /// All times.
        times: Box<DrainTimes>,
    },
    /// The pod would still be ready when the signal is sent.
    UnreadyTooLate {
        /// See [`DrainTimes::unready_after`].
        unready_after: Duration,
        /// See [`DrainTimes::lame_duck`].
        lame_duck: Duration,
    },
}

impl fmt::Display for DrainTimesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GracePeriodZero => write!(f, "the grace period is zero"),
            Self::TooLong(value) => write!(f, "the grace period of {value:?} is longer than a year"),
            Self::OutOfRange { setting, value } => write!(f, "{setting:?} of {value:?} is out of range"),
            Self::NothingLeft { setting, .. } => write!(f, "{setting:?} leaves nothing of the grace period"),
            Self::UnreadyTooLate { unready_after, lame_duck } => {
                write!(f, "{unready_after:?} is longer than the lame duck of {lame_duck:?}")
            }
        }
    }
}

impl std::error::Error for DrainTimesError {}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn args(grace_period: u64) -> TimeArgs {
        TimeArgs {
            grace_period: Duration::from_secs(grace_period),
            exit_margin: None,
            lame_duck: None,
            unready_after: Duration::ZERO,
            quiet_period: None,
            exit_wait: None,
            poll_interval: Duration::from_secs(1),
            scrape_timeout: Duration::from_secs(2),
        }
    }

    /// The default times for a grace period of this many seconds, but always 10 s of exit wait. At 60 s, the exit margin
    /// and lame duck are 5 s each and the quiet period is 2 s.
    pub(crate) fn times(grace_period: u64) -> DrainTimes {
        let exit_wait = Some(Duration::from_secs(10));
        DrainTimes::new(&TimeArgs { exit_wait, ..args(grace_period) }).unwrap()
    }

    fn refused(args: &TimeArgs) -> TimeSetting {
        match DrainTimes::new(args).unwrap_err() {
            DrainTimesError::OutOfRange { setting, .. } | DrainTimesError::NothingLeft { setting, .. } => setting,
            other @ (DrainTimesError::GracePeriodZero
            | DrainTimesError::TooLong(_)
            | DrainTimesError::UnreadyTooLate { .. }) => panic!("{other}"),
        }
    }

    #[test]
    fn errors_name_the_setting_and_the_value() {
        let value = Duration::from_secs(9);
        let setting = TimeSetting::PollInterval;
        let texts = [
            DrainTimesError::GracePeriodZero.to_string(),
            DrainTimesError::TooLong(value).to_string(),
            DrainTimesError::OutOfRange { setting, value }.to_string(),
            DrainTimesError::NothingLeft { setting, times: Box::new(times(60)) }.to_string(),
            DrainTimesError::UnreadyTooLate { unready_after: value, lame_duck: times(60).lame_duck }.to_string(),
        ];
        let words = [
            "zero",
            "9s",
            "PollInterval of 9s",
            "PollInterval leaves nothing",
            "9s is longer than the lame duck of 5s",
        ];
        for (text, word) in texts.iter().zip(words) {
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn defaults_are_full_under_a_long_grace_period() {
        let times = DrainTimes::new(&args(1800)).unwrap();
        assert_eq!(times.budget(), Duration::from_secs(1795));
        assert_eq!(times.lame_duck, Duration::from_secs(5));
        assert_eq!(times.quiet_period, Duration::from_secs(2));
        assert_eq!(times.exit_wait, Duration::from_secs(10));
    }

    #[test]
    fn defaults_shrink_to_a_tenth_of_a_short_grace_period() {
        let times = DrainTimes::new(&args(1)).unwrap();
        let tenth = Duration::from_millis(100);
        assert_eq!([times.exit_margin, times.lame_duck, times.quiet_period, times.exit_wait], [tenth; 4]);
        assert_eq!(times.budget(), Duration::from_millis(900));
    }

    #[test]
    fn explicit_value_is_kept_even_above_a_tenth() {
        let set = Some(Duration::from_secs(8));
        let times = DrainTimes::new(&TimeArgs { lame_duck: set, exit_wait: set, ..args(30) }).unwrap();
        assert_eq!([times.lame_duck, times.exit_wait], [Duration::from_secs(8); 2]);
    }

    #[test]
    fn times_that_leave_nothing_are_refused() {
        let set = |secs| Some(Duration::from_secs(secs));
        assert_eq!(refused(&TimeArgs { lame_duck: set(25), ..args(30) }), TimeSetting::LameDuck);
        assert_eq!(refused(&TimeArgs { quiet_period: set(25), ..args(30) }), TimeSetting::QuietPeriod);
        assert_eq!(refused(&TimeArgs { exit_margin: set(30), ..args(30) }), TimeSetting::ExitMargin);
        let tight = TimeArgs { lame_duck: set(24), quiet_period: set(2), exit_margin: set(3), ..args(30) };
        assert!(DrainTimes::new(&tight).is_ok());
    }

    #[test]
    fn unready_after_is_refused_above_lame_duck() {
        let after = |secs| TimeArgs { unready_after: Duration::from_secs(secs), ..args(30) };
        assert_eq!(DrainTimes::new(&after(3)).unwrap().unready_after, Duration::from_secs(3));
        assert!(matches!(DrainTimes::new(&after(4)), Err(DrainTimesError::UnreadyTooLate { .. })));
        let lame_duck = Some(Duration::from_secs(4));
        assert!(DrainTimes::new(&TimeArgs { lame_duck, ..after(4) }).is_ok());
    }

    #[test]
    fn zero_grace_period_poll_and_timeout_are_refused() {
        assert_eq!(DrainTimes::new(&args(0)), Err(DrainTimesError::GracePeriodZero));
        let zero = Duration::ZERO;
        assert_eq!(refused(&TimeArgs { poll_interval: zero, ..args(9) }), TimeSetting::PollInterval);
        assert_eq!(refused(&TimeArgs { scrape_timeout: zero, ..args(9) }), TimeSetting::ScrapeTimeout);
    }

    #[test]
    fn more_than_a_year_is_refused() {
        const YEAR: Duration = Duration::from_secs(31_536_000);
        let [longer, shorter] = [YEAR + Duration::from_nanos(1), Duration::from_micros(999)];
        let too_long = TimeArgs { grace_period: longer, ..args(9) };
        assert_eq!(DrainTimes::new(&too_long), Err(DrainTimesError::TooLong(longer)));
        for wrong in [longer, shorter] {
            assert_eq!(refused(&TimeArgs { poll_interval: wrong, ..args(9) }), TimeSetting::PollInterval);
            assert_eq!(refused(&TimeArgs { scrape_timeout: wrong, ..args(9) }), TimeSetting::ScrapeTimeout);
        }
        for right in [YEAR, Duration::from_millis(1)] {
            let args = TimeArgs { grace_period: YEAR, poll_interval: right, scrape_timeout: right, ..args(9) };
            assert!(DrainTimes::new(&args).is_ok(), "{right:?}");
        }
    }

    #[test]
    fn final_poll_lead_is_quarter_interval_up_to_tenth_of_budget() {
        let lead = |poll| {
            let args = TimeArgs { poll_interval: Duration::from_secs(poll), ..args(105) };
            DrainTimes::new(&args).unwrap().final_poll_lead()
        };
        assert_eq!([1, 40, 41].map(lead).map(|lead| lead.as_millis()), [250, 10_000, 10_000]);
    }
}
