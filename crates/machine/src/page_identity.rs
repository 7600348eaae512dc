//! Whether one process answers on the port of the metrics page, over the readings of one incarnation.
//!
//! Several workers may answer in turn. Each shows its own streams, so the zero of one says nothing about the others.
//! Two facts on the page distinguish its process from another: the start time, and counters, which never decrease while
//! the same process answers.
//!
//! A *change* is a start time that differs from the previous one by more than a second, or a counter that has
//! decreased. After a change, the page is in doubt for ten readings: another process may have answered, or the same
//! worker after a restart, or the clock was set. *Several processes* are proven
//!
//! - by a start time that returns to an earlier value, unless the CPU time has only grown in the meantime: then one
//!   process has recomputed its start time, from a clock that was changed and changed back;
//! - by a CPU time that decreases while the start time does not become later: a restart would make it later;
//! - on a page without a start time, by a counter that falls, rises to its old value, and falls again within 20
//!   readings: the counters of a restarted process need longer to reach their old values.
//!
//! The proof holds for the rest of the incarnation, even if the same process answers several times in a row.

use std::time::Duration;

use crate::reading::{Counter, PageProcess, ReadError, ReadErrorKind};
use crate::time::Time;

/// How much the start time of one process may vary. Some libraries recompute it for each page from the clock and the
/// age of the process, and some round it to seconds.
const JITTER: Duration = Duration::from_secs(1);

/// How many readings a page is in doubt after a change. Of two workers that answer equally often, one answers ten times
/// in a row with a probability of 0.1 %.
const SETTLING_READINGS: u32 = 10;

/// How many readings a counter without a start time is watched after it has fallen.
const MAX_READINGS: u32 = 20;

/// How many earlier start times are remembered.
const MAX_EARLIER: usize = 8;

/// The processes that serve the page.
#[derive(Clone, Debug, Default)]
pub struct PageIdentity {
    /// The last known value of each fact.
    last: PageProcess,
    /// The readings since the start time last changed.
    seen: Option<Seen>,
    /// The processes that answered before, newest first.
    earlier: Vec<Earlier>,
    /// The number of readings in which a counter was lower than before.
    falls: u32,
    fallen: Option<Fallen>,
    doubt: Option<Doubt>,
}

/// A process as it was when it last answered.
#[derive(Clone, Debug)]
struct Earlier {
    started_at: Duration,
    counters: Vec<Counter>,
    /// [`PageIdentity::falls`] at that time.
    falls: u32,
}

/// The readings with one start time.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The start time in the first of them.
    started_at: Duration,
    first: Time,
    last: Time,
}

/// A counter that has fallen.
#[derive(Clone, Debug)]
struct Fallen {
    /// Its value before.
    from: Counter,
    /// Whether it has risen to that value again.
    has_returned: bool,
    /// The number of readings since then.
    readings: u32,
}

/// Why the counts of the page cannot be used.
#[derive(Clone, Debug)]
enum Doubt {
    /// Another process may have answered.
    Changed { error: ReadError, readings_left: u32 },
    /// Several processes answer.
    Several(ReadError),
}

impl PageIdentity {
    /// Records what a page that was requested at this time says about its process.
    pub fn observe(&mut self, process: &PageProcess, requested_at: Time) {
        if self.is_shared() {
            return;
        }
        self.pass_reading();
        let fall = self.fall(&process.counters);
        let moved_from = self.last.started_at.filter(|last| is_other(*last, process.started_at));
        match (moved_from, fall) {
            (Some(last), fall) => self.on_new_start(last, process, fall.is_some()),
            (None, Some((from, to))) => self.on_fall(from, &to, self.cannot_be_restart(process)),
            (None, None) => self.on_rise(&process.counters),
        }
        if let Some(started_at) = process.started_at {
            let new = Seen { started_at, first: requested_at, last: requested_at };
            self.seen = Some(
                self.seen.filter(|_| moved_from.is_none()).map_or(new, |seen| Seen { last: requested_at, ..seen }),
            );
        }
        self.last.started_at = process.started_at.or(self.last.started_at);
        if !process.counters.is_empty() {
            self.last.counters.clone_from(&process.counters);
        }
    }

    /// Why the counts of the page cannot be used now; `None` if they can.
    #[must_use]
    pub const fn doubt(&self) -> Option<&ReadError> {
        match &self.doubt {
            Some(Doubt::Changed { error, .. } | Doubt::Several(error)) => Some(error),
            None => None,
        }
    }

    /// Whether several processes are proven to answer.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self.doubt, Some(Doubt::Several(_)))
    }

    /// Counts down what lasts for a number of readings.
    fn pass_reading(&mut self) {
        if let Some(Doubt::Changed { readings_left, .. }) = &mut self.doubt {
            *readings_left -= 1;
            if *readings_left == 0 {
                self.doubt = None;
            }
        }
        if let Some(fallen) = &mut self.fallen {
            fallen.readings += 1;
        }
        self.fallen.take_if(|fallen| fallen.readings > MAX_READINGS);
    }

    /// The first counter that is less than before, with its value before and now.
    fn fall(&self, counters: &[Counter]) -> Option<(Counter, Counter)> {
        let mut pairs = self.last.counters.iter().filter_map(|last| Some((last, same_series(counters, last)?)));
        let (from, to) = pairs.find(|(last, now)| now.thousandths < last.thousandths)?;
        Some((from.clone(), to.clone()))
    }

    fn on_new_start(&mut self, last: Duration, process: &PageProcess, has_fallen: bool) {
        let Some(now) = process.started_at else { return };
        let left = Earlier { started_at: last, counters: self.last.counters.clone(), falls: self.falls };
        self.falls = self.falls.saturating_add(u32::from(has_fallen));
        // The new start time explains lower counters.
        self.fallen = None;
        let (was, is) = (last.as_secs_f64(), now.as_secs_f64());
        let returned = self.earlier.iter().find(|earlier| !is_other(earlier.started_at, Some(now)));
        let has_returned = returned.is_some_and(|earlier| !self.has_only_grown(earlier, &process.counters));
        if has_returned || (has_fallen && now < last) {
            let (first, second) = (was.min(is), was.max(is));
            return self.prove(format_args!("process_start_time_seconds was {first} and {second}"));
        }
        self.earlier.insert(0, left);
        self.earlier.truncate(MAX_EARLIER);
        self.suspect(format_args!("process_start_time_seconds was {was} and is {is}"));
    }

    /// Whether the CPU time has grown since that process answered, and never fallen: then it is the same process. A page
    /// with a start time has no other counter.
    fn has_only_grown(&self, earlier: &Earlier, counters: &[Counter]) -> bool {
        let mut pairs = earlier.counters.iter().filter_map(|before| Some((before, same_series(counters, before)?)));
        self.falls == earlier.falls && pairs.any(|(before, now)| now.thousandths > before.thousandths)
    }

    /// Whether the process cannot have been restarted since the last reading. The first process had started by the first
    /// reading, so the start of its successor would be later than its own by the time between the readings or more.
    fn cannot_be_restart(&self, process: &PageProcess) -> bool {
        let restarted_at = self.seen.map(|seen| seen.started_at.saturating_add(seen.last.since(seen.first)));
        process
            .started_at
            .zip(restarted_at)
            .is_some_and(|(started_at, restarted_at)| started_at.saturating_add(JITTER) < restarted_at)
    }

    fn on_fall(&mut self, from: Counter, to: &Counter, cannot_be_restart: bool) {
        self.falls = self.falls.saturating_add(1);
        let (name, was, is) = (&from.name, decimal(&from), decimal(to));
        let back_and_forth = |fallen: &Fallen| fallen.has_returned && fallen.from.series == from.series;
        if cannot_be_restart {
            self.prove(format_args!("{name} fell from {was} to {is}, and process_start_time_seconds shows no restart"));
        } else if self.fallen.as_ref().is_some_and(back_and_forth) {
            self.prove(format_args!("{name} goes back and forth, for example from {was} to {is}"));
        } else {
            self.suspect(format_args!("{name} was {was} and is {is}"));
            self.fallen.get_or_insert(Fallen { from, has_returned: false, readings: 0 });
        }
    }

    fn on_rise(&mut self, counters: &[Counter]) {
        if let Some(fallen) = &mut self.fallen
            && let Some(now) = same_series(counters, &fallen.from)
        {
            fallen.has_returned |= now.thousandths >= fallen.from.thousandths;
        }
    }

    fn suspect(&mut self, fact: std::fmt::Arguments<'_>) {
        let message = format!(
            "another process may answer for the page: {fact}; its count is used again after {SETTLING_READINGS} \
             readings without such a change"
        );
        let error = ReadError::new(ReadErrorKind::Invalid, message);
        self.doubt = Some(Doubt::Changed { error, readings_left: SETTLING_READINGS });
    }

    fn prove(&mut self, fact: std::fmt::Arguments<'_>) {
        let message = format!(
            "the page is answered by several processes in turn: {fact}; the count of one is not the count of all: use \
             --streams-port, or a page that sums them"
        );
        self.doubt = Some(Doubt::Several(ReadError::new(ReadErrorKind::SeveralProcesses, message)));
    }
}

/// Whether a start time belongs to another process; false if it is unknown.
#[must_use]
pub fn is_other(started_at: Duration, other: Option<Duration>) -> bool {
    other.is_some_and(|other| started_at.abs_diff(other) > JITTER)
}

fn same_series<'a>(counters: &'a [Counter], counter: &Counter) -> Option<&'a Counter> {
    counters.iter().find(|other| other.series == counter.series)
}

/// The value of a counter as a decimal number.
fn decimal(counter: &Counter) -> String {
    let (whole, thousandths) = (counter.thousandths / 1000, counter.thousandths % 1000);
    let text = format!("{whole}.{thousandths:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
