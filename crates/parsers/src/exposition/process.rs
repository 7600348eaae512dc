//! What a page says about the process that served it, to detect several processes behind one port.
//!
//! Client libraries describe their process by `process_start_time_seconds` and `process_cpu_seconds_total`
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>). A page without these may still have
//! counters, which never decrease while one process answers.

use super::sample::{Escapes, Sample};

/// Maximum number of counters that are kept of one page.
pub const MAX_COUNTERS: usize = 4;

/// Maximum number of families declared as counters that are considered, so that a long page costs no more than a short
/// one.
const MAX_FAMILIES: u8 = 16;

const START_TIME: &str = "process_start_time_seconds";
const CPU_TIME: &str = "process_cpu_seconds_total";

/// What a page says about the process that served it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Process {
    /// Its start, in seconds since 1970; `None` if the page does not have exactly one.
    pub start_time: Option<f64>,
    /// Its CPU time, if the page has exactly one. Otherwise, if the page says nothing about its process, the first
    /// counters of the page, at most [`MAX_COUNTERS`].
    pub counters: Vec<Counter>,
}

/// A counter.
#[derive(Debug, Clone, PartialEq)]
pub struct Counter {
    /// The name of the metric.
    pub name: String,
    /// A hash that is equal for equal series.
    pub series: u64,
    /// The value.
    pub value: f64,
}

/// Collects what the lines of a page say about its process. Lines that it cannot parse are ignored.
#[derive(Debug, Default)]
pub(super) struct ProcessReader {
    start_time: Single,
    cpu_time: Single,
    counters: Vec<Counter>,
    /// The last family that was declared as a counter.
    family: String,
    /// Whether the next sample may be the first one of that family.
    expects_sample: bool,
    families: u8,
}

/// A series that a page should have once. The series without labels describes the page's own process: an aggregated
/// page may list further processes by label.
#[derive(Debug, Default)]
struct Single {
    unlabelled: Option<Counter>,
    labelled: Option<Counter>,
    is_ambiguous: bool,
}

impl ProcessReader {
    /// Returns whether [`read`](Self::read) must see this line. Nearly all lines are ruled out here.
    #[inline]
    pub(super) fn wants(&self, line: &[u8]) -> bool {
        match line.first() {
            Some(b'#') => {
                self.families < MAX_FAMILIES && (line.ends_with(b" counter") || line.ends_with(b" counter\r"))
            }
            Some(b'p') => self.expects_sample || line.starts_with(b"process_"),
            Some(_) => self.expects_sample,
            None => false,
        }
    }

    /// Reads a line without leading whitespace.
    pub(super) fn read(&mut self, line: &[u8]) {
        if !self.wants(line) {
            return;
        }
        let Ok(line) = str::from_utf8(line) else { return };
        if line.starts_with('#') {
            return self.read_type(line);
        }
        let expects_sample = std::mem::take(&mut self.expects_sample);
        let Ok(sample) = Sample::parse(line, Escapes::Any) else { return };
        if !(sample.value().is_finite() && sample.value() >= 0.0) {
            return;
        }
        if sample.name == START_TIME {
            self.start_time.add(&sample);
        } else if sample.name == CPU_TIME {
            self.cpu_time.add(&sample);
        } else if expects_sample && self.is_of_family(&sample.name) && self.counters.len() < MAX_COUNTERS {
            self.counters.push(Counter::of(&sample));
        }
    }

    /// Reads `# TYPE family counter`.
    fn read_type(&mut self, line: &str) {
        let mut words = line[1..].split_ascii_whitespace();
        if words.next() == Some("TYPE")
            && let (Some(family), Some("counter"), None) = (words.next(), words.next(), words.next())
        {
            self.families += 1;
            self.expects_sample = true;
            family.clone_into(&mut self.family);
        }
    }

    /// Returns whether this is the name of the family's total. A counter with another name is often a gauge.
    fn is_of_family(&self, name: &str) -> bool {
        let total = name.strip_suffix("_total");
        total.is_some_and(|stem| self.family == stem || self.family == name)
    }

    pub(super) fn finish(self) -> Process {
        let is_described = self.start_time.exists() || self.cpu_time.exists();
        let start_time = self.start_time.into_counter().map(|counter| counter.value);
        let counters = if is_described { self.cpu_time.into_counter().into_iter().collect() } else { self.counters };
        Process { start_time, counters }
    }
}

impl Single {
    fn add(&mut self, sample: &Sample<'_>) {
        let is_labelled = !sample.labels().is_empty();
        let kept = if is_labelled { &mut self.labelled } else { &mut self.unlabelled };
        self.is_ambiguous |= is_labelled && kept.is_some();
        *kept = Some(Counter::of(sample));
    }

    fn exists(&self) -> bool {
        self.unlabelled.is_some() || self.labelled.is_some()
    }

    fn into_counter(self) -> Option<Counter> {
        self.unlabelled.or_else(|| self.labelled.filter(|_| !self.is_ambiguous))
    }
}

impl Counter {
    fn of(sample: &Sample<'_>) -> Self {
        Self { name: sample.name.clone().into_owned(), series: sample.identity(), value: sample.value() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, Page};
    use super::*;

    fn process(page: &str) -> Process {
        let mut reader = Page::new(&[], Format::Text);
        reader.feed(page.as_bytes()).unwrap();
        reader.finish_with_process(true).unwrap().1
    }

    fn counters(page: &str) -> Vec<(String, f64)> {
        process(page).counters.into_iter().map(|counter| (counter.name, counter.value)).collect()
    }

    #[test]
    fn start_time_and_cpu_time_are_read() {
        let page = "# TYPE a_total counter\na_total 5\nprocess_cpu_seconds_total 0.25\n\
            process_start_time_seconds 1.70000000012e+09 1700000001000\nprocess_start_time_seconds_x 1\n";
        assert_eq!(process(page).start_time, Some(1_700_000_000.12));
        assert_eq!(counters(page), [("process_cpu_seconds_total".to_owned(), 0.25)], "better than other counters");
    }

    #[test]
    fn labelled_start_time_counts_only_if_single() {
        let one = "process_start_time_seconds{app=\"x\"} 1\n";
        let other = "process_start_time_seconds{app=\"y\"} 2\n";
        let own = "process_start_time_seconds 3\n";
        assert_eq!(process(one).start_time, Some(1.0));
        assert_eq!(process(&[one, other].concat()).start_time, None);
        assert_eq!(process(&[one, own, other].concat()).start_time, Some(3.0));
    }

    #[test]
    fn page_of_several_processes_has_no_counters() {
        let page = "# TYPE a_total counter\na_total 5\nprocess_cpu_seconds_total{pid=\"1\"} 1\n\
            process_cpu_seconds_total{pid=\"2\"} 2\n";
        assert_eq!(process(page), Process::default());
    }

    #[test]
    fn first_totals_of_counter_families_are_read() {
        let page = "# HELP a x\r\n# TYPE a counter\r\n# UNIT a s\na_total{b=\"c\"} 1\na_total{b=\"d\"} 9\n\
            # TYPE e_total counter\ne_total 2\n# TYPE f counter\nf 9\n# TYPE g gauge\ng_total 9\n\
            # TYPE h counter\n# TYPE i gauge\ni_total 9\n# HELP j_total counter\nj_total 9\n";
        assert_eq!(counters(page), [("a_total".to_owned(), 1.0), ("e_total".to_owned(), 2.0)]);
    }

    #[test]
    fn number_of_counters_and_families_is_limited() {
        let family = |n| format!("# TYPE a{n} counter\na{n}_total {n}\n");
        let page: String = (0..100).map(family).collect();
        assert_eq!(counters(&page).len(), MAX_COUNTERS);
        let page = "# TYPE a counter\n".repeat(100) + "a_total 1\n# TYPE b counter\nb_total 1\n";
        assert_eq!(counters(&page).len(), 1, "the family that was declared last within the limit");
    }

    #[test]
    fn malformed_lines_say_nothing_and_are_no_error() {
        let page =
            "process_start_time_seconds x\nprocess_cpu_seconds_total{ 1\n# TYPE a counter\na_total{ 1\na_total 2\n";
        assert_eq!(process(page), Process::default());
    }

    #[test]
    fn chunk_boundaries_do_not_matter() {
        let page = "# TYPE a counter\r\na_total 3\r\n# TYPE process_cpu_seconds_total counter\nb 1\n  # TYPE c counter\n c_total 1\n";
        for at in 0..=page.len() {
            let mut reader = Page::new(&[], Format::Text);
            reader.feed(&page.as_bytes()[..at]).unwrap();
            reader.feed(&page.as_bytes()[at..]).unwrap();
            assert_eq!(reader.finish_with_process(true).unwrap().1, process(page), "{at}");
        }
    }
}
