//! Throughput of the metrics page parser, compared with a bare line scan and with `prometheus-parse`; with three
//! selectors by name, with one, and with one by a pattern of the name: `cargo bench --bench exposition`.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fmt::Write;
use std::hint::black_box;
use std::slice;
use std::time::{Duration, Instant};

use lameduck_parsers::exposition::{Format, Page};
use lameduck_parsers::selector::Selector;

/// How long each parser runs on each page.
const BUDGET: Duration = Duration::from_secs(1);

fn main() {
    let selector = |text: &str| text.parse::<Selector>().expect("the selectors are valid");
    let selectors = ["engine_active_requests", "engine_flux_used_streams", "flux_used_streams"].map(selector);
    let [name, pattern] = ["engine_active_requests", "{__name__=~\"engine_active.+\"}"].map(selector);
    println!("{:<8} {:<18} {:>12} {:>10} {:>10}", "page", "parser", "median", "MB/s", "of a scan");
    for (label, size) in [("10 kB", 10_000), ("1 MB", 1_000_000)] {
        let page = page(size);
        let scan = median(|| scan(black_box(page.as_bytes())));
        let ours = median(|| parse_with_page(black_box(&page), &selectors));
        let one_name = median(|| parse_with_page(black_box(&page), slice::from_ref(&name)));
        let one_pattern = median(|| parse_with_page(black_box(&page), slice::from_ref(&pattern)));
        let theirs = median(|| parse_with_prometheus(black_box(&page)));
        let rows = [
            ("memchr line scan", scan),
            ("exposition::Page", ours),
            ("with one name", one_name),
            ("with one pattern", one_pattern),
            ("prometheus-parse", theirs),
        ];
        for (parser, time) in rows {
            report(label, parser, page.len(), time, scan);
        }
    }
}

fn report(label: &str, parser: &str, size: usize, time: Duration, scan: Duration) {
    let rate = f64::from(u32::try_from(size).expect("the pages are small")) / time.as_secs_f64() / 1e6;
    let ratio = scan.as_secs_f64() / time.as_secs_f64() * 100.0;
    println!("{label:<8} {parser:<18} {:>12} {rate:>10.0} {ratio:>9.1}%", format!("{time:.1?}"));
}

/// Finds the end of each line, which every parser must do.
fn scan(mut page: &[u8]) {
    while let Some(end) = memchr::memchr(b'\n', page) {
        black_box(&page[..end]);
        page = &page[end + 1..];
    }
}

fn parse_with_page(page: &str, selectors: &[Selector]) {
    let mut parser = Page::new(selectors, Format::Text);
    parser.feed(page.as_bytes()).expect("the page is valid");
    assert!(parser.finish(true).expect("the page is valid")[0].is_some());
}

fn parse_with_prometheus(page: &str) {
    let scrape = prometheus_parse::Scrape::parse(page.lines().map(|line| Ok(line.to_owned())));
    black_box(scrape.expect("lines in memory do not fail"));
}

fn median(run: impl Fn()) -> Duration {
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || start.elapsed() < BUDGET {
        let begin = Instant::now();
        run();
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// Builds a page of histograms with the gauges after the first of them.
fn page(size: usize) -> String {
    let mut page = String::new();
    for family in 0.. {
        histogram(&mut page, &format!("engine_stream_latency_{family}_seconds"));
        if family == 0 {
            page.push_str("# TYPE engine_active_requests gauge\n");
            for (kind, count) in [("batch", 0), ("stream", 17), ("tts", 3)] {
                writeln!(page, "engine_active_requests{{kind=\"{kind}\"}} {count}").expect("strings do not fail");
            }
        }
        if page.len() >= size {
            break;
        }
    }
    page
}

fn histogram(page: &mut String, name: &str) {
    let mut write = |line: String| writeln!(page, "{line}").expect("strings do not fail");
    write(format!("# HELP {name} Time from the arrival of audio to the matching transcript."));
    write(format!("# TYPE {name} histogram"));
    for tier in ["aura", "aura-2", "flux"] {
        for (count, bound) in ["0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"].into_iter().enumerate() {
            write(format!("{name}_bucket{{tier=\"{tier}\",le=\"{bound}\"}} {}", count * 131));
        }
        write(format!("{name}_sum{{tier=\"{tier}\"}} 812.330125"));
        write(format!("{name}_count{{tier=\"{tier}\"}} 917"));
    }
}
