//! The results as a table in Markdown.

use std::time::Duration;

use crate::setup::Setup;
use crate::sidecar::Cost;

/// Prints the head of the table.
pub(crate) fn print_head() {
    println!(
        "| page | what is read | processes | connections | phase | CPU per poll | of it, socket table alone | the rest, \
         of the loop in Go | system calls | context switches |"
    );
    println!("|---|---|--:|--:|---|--:|--:|--:|--:|--:|");
}

/// Prints what a poll of the sidecar costs. `table` is the cost of reading the socket table alone.
pub(crate) fn print_row(setup: &Setup, cost: &Cost, table: Option<Duration>, go: Option<Duration>) {
    let rest = cost.cpu.saturating_sub(table.unwrap_or_default());
    println!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        page_name(setup.page_bytes),
        setup.reads.name(),
        setup.processes,
        setup.connections,
        if setup.draining { "draining" } else { "serving" },
        time(cost.cpu),
        table.map_or(String::new(), time),
        ratio(rest, go),
        cost.system_calls.map_or("not counted: no strace".to_owned(), |calls| calls.to_string()),
        cost.context_switches
    );
}

/// Prints what one reading costs elsewhere.
pub(crate) fn print_peer(page_bytes: usize, name: &str, cpu: Duration, go: Option<Duration>) {
    println!("| {} | {name} | | | | {} | | {} | | |", page_name(page_bytes), time(cpu), ratio(cpu, go));
}

fn time(time: Duration) -> String {
    format!("{:.0} µs", time.as_secs_f64() * 1e6)
}

fn page_name(bytes: usize) -> String {
    if bytes < 1_000_000 { format!("{} kB", bytes / 1000) } else { format!("{} MB", bytes / 1_000_000) }
}

fn ratio(cpu: Duration, go: Option<Duration>) -> String {
    go.map_or(String::new(), |go| format!("{:.3}×", cpu.as_secs_f64() / go.as_secs_f64()))
}
