//! How often the counts on the metrics page change. A gauge that the target refreshes more rarely than the quiet period
//! lasts shows an old zero for long enough to confirm it.

use std::time::Duration;

use super::report::Check;
use crate::commands::eprint_line;
use crate::io::clock::Clock;
use crate::io::http::{self, Url};
use crate::io::page::{MetricsPage, PageSelectors};
use crate::settings::Settings;
use crate::settings::error::shown;
use crate::settings::values;
use lameduck_machine::reading::{Count, Reading};
use lameduck_machine::time::Time;

const NAME: &str = "gauge_changes";
/// The longest measurement: a longer time has a wrong unit.
const MAX_MEASURE: Duration = Duration::from_secs(3600);

/// The values of one selector, each with the time at which its reading was requested.
type Values = Vec<(Time, u64)>;

/// The times between the changes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gaps {
    changes: usize,
    shortest: Duration,
    longest: Duration,
}

/// What was read from the page.
#[derive(Clone, Debug)]
struct Measurement {
    /// The values of each counted selector.
    values: Vec<Values>,
    /// How many times every source was read.
    readings: usize,
    /// Why the last reading that failed did so.
    error: Option<String>,
}

/// Parses the time for which the page is read.
///
/// # Errors
/// Says how to write it.
pub fn measure_time(text: &str) -> Result<Duration, String> {
    match values::duration(text)? {
        Duration::ZERO => Err("nothing would be measured; write e.g. 5m".into()),
        time if time > MAX_MEASURE => {
            Err("it is longer than an hour; check the unit (a bare number is seconds), and write e.g. 5m".into())
        }
        time => Ok(time),
    }
}

/// Reads the page for this long, as often as the sidecar does, and evaluates each counted selector.
pub(super) async fn check(settings: &Settings, measure: Duration) -> Vec<Check> {
    let Some((url, selectors)) = &settings.sources.page else {
        return vec![Check::skip(NAME, "no metrics page is set")];
    };
    eprint_line(&format!("reading the metrics page for {measure:?}"));
    let Measurement { values, readings, error } = read(url, selectors, settings, measure).await;
    if readings == 0 {
        let error = error.unwrap_or_default();
        return vec![Check::skip(NAME, format!("no count was read from the page in {measure:?}: {error}"))];
    }
    let counted = selectors.eager.iter().chain(&selectors.lazy);
    let evaluate = |(selector, values): (_, &Values)| evaluate(&format!("{selector}"), values, measure, settings);
    counted.zip(&values).map(evaluate).collect()
}

/// Reads the page at least once.
async fn read(url: &Url, selectors: &PageSelectors, settings: &Settings, measure: Duration) -> Measurement {
    let counted = selectors.eager.len() + selectors.lazy.len();
    let mut measurement = Measurement { values: vec![Values::new(); counted], readings: 0, error: None };
    let (page, clock) = (MetricsPage::new(url.clone(), selectors.clone()), Clock::start());
    let (interval, timeout) = (settings.times.poll_interval, settings.times.scrape_timeout);
    let ends_at = clock.now() + measure;
    loop {
        let requested_at = clock.now();
        let connection = http::connect_timeout(url, timeout).await;
        let readings = page.read(connection, timeout).await.readings;
        measurement.add(requested_at, readings.into_iter().map(|(_, reading)| reading));
        tokio::time::sleep_until(clock.instant((requested_at + interval).min(ends_at))).await;
        if clock.now() >= ends_at {
            return measurement;
        }
    }
}

impl Measurement {
    /// Adds the counts of all sources, if every source was read.
    fn add(&mut self, requested_at: Time, readings: impl Iterator<Item = Reading>) {
        let mut all: Vec<Option<Count>> = Vec::new();
        for reading in readings {
            match reading {
                Reading::Counts(counts) => all.extend(counts),
                Reading::Unknown(error) => {
                    self.error = Some(error.message);
                    return;
                }
            }
        }
        self.readings += 1;
        let shown = self.values.iter_mut().zip(all);
        shown.for_each(|(values, count)| values.extend(count.map(|count| (requested_at, count.streams))));
    }
}

fn evaluate(selector: &str, values: &Values, measure: Duration, settings: &Settings) -> Check {
    let (quiet, interval) = (settings.times.quiet_period, settings.times.poll_interval);
    let Some(Gaps { changes, shortest, longest }) = gaps(values) else {
        let readings = values.len();
        if readings == 0 {
            return Check::skip(NAME, format!("{selector} was not on any page that was read"));
        }
        return Check::skip(
            NAME,
            format!(
                "{selector} did not change twice in {measure:?} ({readings} {}), so it is unknown how often it is \
                 refreshed: measure longer, while streams begin and end",
                if readings == 1 { "reading" } else { "readings" }
            ),
        );
    };
    let (shortest, longest) = (rounded(shortest), rounded(longest));
    let observed =
        format!("{selector} changed {changes}× in {measure:?}, {shortest:?} to {longest:?} after the change before");
    // A change is seen up to one interval late.
    let refresh = shortest + interval;
    if refresh <= quiet {
        return Check::pass(NAME, observed);
    }
    Check::warn(
        NAME,
        format!(
            "{observed}: if the target does not refresh it more often than that, --quiet-period {} confirms an old zero",
            shown(quiet)
        ),
        format!(
            "measure while many streams begin and end; if the result is the same, set --quiet-period to {refresh:?} or \
             more, or count the connections with --streams-port"
        ),
    )
}

/// The times between successive changes; `None` if there are fewer than two changes.
fn gaps(values: &Values) -> Option<Gaps> {
    let changed = values.windows(2).filter(|pair| pair[0].1 != pair[1].1);
    let times: Vec<Time> = changed.map(|pair| pair[1].0).collect();
    let gaps = || times.windows(2).map(|pair| pair[1].since(pair[0]));
    Some(Gaps { changes: times.len(), shortest: gaps().min()?, longest: gaps().max()? })
}

/// The duration in hundredths of a second.
fn rounded(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from((duration.as_millis() + 5) / 10 * 10).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[(u64, u64)]) -> Values {
        let at = |second| Time::since_boot(Duration::from_secs(second));
        values.iter().map(|(second, value)| (at(*second), *value)).collect()
    }

    #[test]
    fn gaps_are_between_changes_only() {
        // The first change has no change before it, and after the last nothing is known.
        let seen = values(&[(0, 1), (5, 1), (6, 2), (7, 2), (8, 0), (18, 1), (60, 1)]);
        let [shortest, longest] = [2, 10].map(Duration::from_secs);
        assert_eq!(gaps(&seen), Some(Gaps { changes: 3, shortest, longest }));
    }

    #[test]
    fn fewer_than_two_changes_show_no_gap() {
        for seen in [&[][..], &[(0, 1)], &[(0, 1), (1, 1), (2, 1)], &[(0, 1), (30, 2), (60, 2)]] {
            assert_eq!(gaps(&values(seen)), None, "{seen:?}");
        }
    }
}
