//! Budgets and their arithmetic: every time that a drain keeps to, checked once at start.

use std::fmt;
use std::time::Duration;

/// The longest grace period that is taken for meant: more is a slip of the unit.
pub const MAX_GRACE_PERIOD: Duration = Duration::from_secs(365 * 24 * 3600);

/// The shortest poll and timeout that are more than a busy loop.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(1);

/// The times as the operator set them; what is `None` takes its default.
#[derive(Clone, Debug)]
pub struct TimeArgs {
    /// The pod's `terminationGracePeriodSeconds`.
    pub grace_period: Duration,
    /// See [`DrainTimes::exit_margin`].
    pub exit_margin: Option<Duration>,
    /// See [`DrainTimes::lame_duck`].
    pub lame_duck: Option<Duration>,
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
    /// The end of the grace period, kept back so that the target can still exit after SIGTERM.
    pub exit_margin: Duration,
    /// How long the pod is unready and still accepting, before the signal.
    pub lame_duck: Duration,
    /// How long zero must hold before it is believed.
    pub quiet_period: Duration,
    /// How long a signalled target may take, after zero, to exit by itself.
    pub exit_wait: Duration,
    /// How often sources are read.
    pub poll_interval: Duration,
    /// The bound of one reading.
    pub scrape_timeout: Duration,
}

impl DrainTimes {
    /// Fills in the defaults and checks that the times add up.
    ///
    /// A default is at most a tenth of the grace period; what somebody set is kept as it is.
    ///
    /// # Errors
    /// Names the setting that cannot work, its value and the mend.
    pub fn new(times: &TimeArgs) -> Result<Self, DrainTimesError> {
        let tenth = times.grace_period / 10;
        let or = |set: Option<Duration>, secs| set.unwrap_or(Duration::from_secs(secs).min(tenth));
        let plan = Self {
            grace_period: times.grace_period,
            exit_margin: or(times.exit_margin, 5),
            lame_duck: or(times.lame_duck, 5),
            quiet_period: or(times.quiet_period, 2),
            exit_wait: or(times.exit_wait, 10),
            poll_interval: times.poll_interval,
            scrape_timeout: times.scrape_timeout,
        };
        plan.check()?;
        Ok(plan)
    }

    /// The grace period less the exit margin: how long a drain may take.
    #[must_use]
    pub fn budget(&self) -> Duration {
        self.grace_period.saturating_sub(self.exit_margin)
    }

    /// How long before the deadline the sources are read once more, so that stragglers are counted as they are.
    #[must_use]
    pub fn last_look(&self) -> Duration {
        (self.poll_interval / 4).min(self.budget() / 10)
    }

    /// The age from which a reading no longer says how things stand: two polls.
    #[must_use]
    pub fn stale_after(&self) -> Duration {
        self.poll_interval * 2
    }

    fn check(&self) -> Result<(), DrainTimesError> {
        let refuse = |flag, value, mend: String| Err(DrainTimesError { flag, value, mend });
        if self.grace_period.is_zero() {
            return refuse("--grace-period", self.grace_period, "a pod without a grace period cannot drain; set the pod's terminationGracePeriodSeconds and this to the same time".into());
        }
        if self.grace_period > MAX_GRACE_PERIOD {
            return refuse(
                "--grace-period",
                self.grace_period,
                "longer than a year; is the unit right? A bare number is seconds".into(),
            );
        }
        for (flag, value) in [("--poll-interval", self.poll_interval), ("--scrape-timeout", self.scrape_timeout)] {
            if value < MIN_POLL_INTERVAL || value > MAX_GRACE_PERIOD {
                return refuse(flag, value, "must be at least 1ms and less than a year, e.g. 1s".into());
            }
        }
        if self.exit_margin >= self.grace_period {
            let grace = self.grace_period;
            return refuse(
                "--exit-margin",
                self.exit_margin,
                format!("must be shorter than --grace-period ({grace:?}), or nothing is left to drain in"),
            );
        }
        self.check_sum()
    }

    fn check_sum(&self) -> Result<(), DrainTimesError> {
        let (lame_duck, quiet, margin, grace) =
            (self.lame_duck, self.quiet_period, self.exit_margin, self.grace_period);
        if lame_duck.saturating_add(quiet).saturating_add(margin) < grace {
            return Ok(());
        }
        let (flag, value) = if lame_duck >= quiet { ("--lame-duck", lame_duck) } else { ("--quiet-period", quiet) };
        let mend = format!(
            "--lame-duck {lame_duck:?} + --quiet-period {quiet:?} + --exit-margin {margin:?} leave nothing of --grace-period {grace:?}; shorten one of them or lengthen the pod's grace period"
        );
        Err(DrainTimesError { flag, value, mend })
    }
}

/// A time that cannot work: the setting, its value, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainTimesError {
    /// The setting's flag.
    pub flag: &'static str,
    /// Its value.
    pub value: Duration,
    /// Why it cannot work, and the mend.
    pub mend: String,
}

impl fmt::Display for DrainTimesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: {}", self.flag, self.value, self.mend)
    }
}

impl std::error::Error for DrainTimesError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(grace_period: u64) -> TimeArgs {
        TimeArgs {
            grace_period: Duration::from_secs(grace_period),
            exit_margin: None,
            lame_duck: None,
            quiet_period: None,
            exit_wait: None,
            poll_interval: Duration::from_secs(1),
            scrape_timeout: Duration::from_secs(2),
        }
    }

    #[test]
    fn defaults_are_full_under_a_long_grace_period() {
        let plan = DrainTimes::new(&times(1800)).unwrap();
        assert_eq!(plan.budget(), Duration::from_secs(1795));
        assert_eq!(plan.lame_duck, Duration::from_secs(5));
        assert_eq!(plan.quiet_period, Duration::from_secs(2));
        assert_eq!(plan.exit_wait, Duration::from_secs(10));
    }

    #[test]
    fn defaults_shrink_to_a_tenth_of_a_short_grace_period() {
        let plan = DrainTimes::new(&times(1)).unwrap();
        let tenth = Duration::from_millis(100);
        assert_eq!([plan.exit_margin, plan.lame_duck, plan.quiet_period, plan.exit_wait], [tenth; 4]);
        assert_eq!(plan.budget(), Duration::from_millis(900));
    }

    #[test]
    fn what_was_set_is_kept_even_if_it_is_more_than_a_tenth() {
        let set = Some(Duration::from_secs(8));
        let plan = DrainTimes::new(&TimeArgs { lame_duck: set, exit_wait: set, ..times(30) }).unwrap();
        assert_eq!([plan.lame_duck, plan.exit_wait], [Duration::from_secs(8); 2]);
    }

    #[test]
    fn times_that_leave_nothing_are_refused_by_name() {
        let lame_duck = Some(Duration::from_secs(25));
        let error = DrainTimes::new(&TimeArgs { lame_duck, ..times(30) }).unwrap_err();
        assert_eq!((error.flag, error.value), ("--lame-duck", Duration::from_secs(25)));
        assert!(error.to_string().contains("leave nothing of --grace-period 30s"), "{error}");
    }

    #[test]
    fn an_exit_margin_as_long_as_the_grace_period_is_refused() {
        let exit_margin = Some(Duration::from_secs(30));
        let error = DrainTimes::new(&TimeArgs { exit_margin, ..times(30) }).unwrap_err();
        assert_eq!(error.flag, "--exit-margin");
    }

    #[test]
    fn a_zero_grace_period_poll_or_timeout_is_refused() {
        assert_eq!(DrainTimes::new(&times(0)).unwrap_err().flag, "--grace-period");
        let zero = Duration::ZERO;
        assert_eq!(DrainTimes::new(&TimeArgs { poll_interval: zero, ..times(9) }).unwrap_err().flag, "--poll-interval");
        assert_eq!(
            DrainTimes::new(&TimeArgs { scrape_timeout: zero, ..times(9) }).unwrap_err().flag,
            "--scrape-timeout"
        );
    }

    #[test]
    fn a_slip_of_the_unit_is_refused_and_a_year_is_not() {
        const YEAR: Duration = Duration::from_secs(31_536_000);
        let [longer, shorter] = [YEAR + Duration::from_nanos(1), Duration::from_micros(999)];
        assert_eq!(DrainTimes::new(&TimeArgs { grace_period: longer, ..times(9) }).unwrap_err().flag, "--grace-period");
        for wrong in [longer, shorter] {
            assert_eq!(
                DrainTimes::new(&TimeArgs { poll_interval: wrong, ..times(9) }).unwrap_err().flag,
                "--poll-interval"
            );
            assert_eq!(
                DrainTimes::new(&TimeArgs { scrape_timeout: wrong, ..times(9) }).unwrap_err().flag,
                "--scrape-timeout"
            );
        }
        for right in [YEAR, Duration::from_millis(1)] {
            let times = TimeArgs { grace_period: YEAR, poll_interval: right, scrape_timeout: right, ..times(9) };
            assert!(DrainTimes::new(&times).is_ok(), "{right:?}");
        }
    }

    #[test]
    fn the_last_look_comes_a_quarter_of_a_poll_before_the_deadline_and_no_earlier_than_a_tenth_of_the_budget() {
        let last_look = |poll| {
            let times = TimeArgs { poll_interval: Duration::from_secs(poll), ..times(105) };
            DrainTimes::new(&times).unwrap().last_look()
        };
        assert_eq!([1, 40, 41].map(last_look).map(|look| look.as_millis()), [250, 10_000, 10_000]);
    }
}
