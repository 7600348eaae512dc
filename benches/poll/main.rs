//! What one poll of the sidecar costs: CPU time, system calls and context switches, next to a loop in Go that parses the
//! same page with expfmt, and to a bare request.
//!
//! `cargo bench --bench poll` builds the binary with the image's flags and measures real processes. As root it measures
//! in a PID namespace of its own, where no other process is visible. System calls are counted with strace, and the loop
//! in Go is built with Go, where they are installed. `-- --all` measures every combination, and `LAMEDUCK_BINARY=PATH`
//! another binary.

mod page_server;
mod peers;
mod pod;
mod process;
mod setup;
mod sidecar;
mod table;

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lameduck_test_support::held_clients;
use lameduck_test_support::shipped::{Result, build};
use page_server::PageServer;
use pod::Pod;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use setup::{PAGES, setups};

/// The argument that makes this program measure; the binary follows.
const MEASURE: &str = "--measure";
/// The argument that selects every combination.
const ALL: &str = "--all";

fn main() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    let all = arguments.iter().any(|argument| argument == ALL);
    match &arguments[..] {
        [role, port, count] if role == held_clients::ROLE => held_clients::hold(port.parse()?, count.parse()?),
        [role, binary, ..] if role == MEASURE => measure_all(Path::new(binary), all),
        _ => measure_in_namespace(all),
    }
}

/// Measures in a new PID namespace where that is permitted.
fn measure_in_namespace(all: bool) -> Result<()> {
    let built = build(&["engine_sim"])?;
    let binary = env::var_os("LAMEDUCK_BINARY").map_or(built, PathBuf::from);
    let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let may_unshare = Command::new("unshare").args(unshare).arg("true").output().is_ok_and(|it| it.status.success());
    if !may_unshare {
        eprintln!("without a PID namespace of its own (needs root and unshare): every process here is visible as well");
        return measure_all(&binary, all);
    }
    let mut command = Command::new("unshare");
    command.args(unshare).arg(env::current_exe()?).arg(MEASURE).arg(binary).args(all.then_some(ALL));
    if command.status()?.success() { Ok(()) } else { Err("the measurement failed".into()) }
}

fn measure_all(binary: &Path, all: bool) -> Result<()> {
    table::print_head();
    let (mut servers, mut loops) = (BTreeMap::new(), BTreeMap::<usize, Option<Duration>>::new());
    for bytes in PAGES {
        let server = PageServer::start(bytes)?;
        let go = peers::go(&server.url)?;
        if let Some(go) = go {
            table::print_peer(bytes, "loop in Go with expfmt", go, Some(go));
        }
        table::print_peer(bytes, "bare request", peers::bare_request(&server.url)?, go);
        servers.insert(bytes, server);
        loops.insert(bytes, go);
    }
    let mut pod = Pod::start()?;
    for setup in setups(all) {
        let server = &servers[&setup.page_bytes];
        let (cost, table) = pod.measure(binary, server, &setup)?;
        table::print_row(&setup, &cost, table, loops[&setup.page_bytes]);
    }
    Ok(())
}
