//! `lameduck run` with real commands, signals and terminals.

mod drain;
mod exit;
mod faults;
mod init;
mod processes;
mod service_manager;
mod signals;
mod terminal;

use lameduck_test_support::page::PageServer;
use lameduck_test_support::run::Run;
use lameduck_test_support::sidecar::{QUICK_TIMES, SidecarEnv};

/// A command that prints a line for SIGINT and SIGTERM, and exits with 7 on SIGTERM. A shell waits for a program that it
/// has started before it handles a signal, so it starts short ones.
const SCRIPT: &str = "trap 'echo INT' INT; trap 'echo TERM; exit 7' TERM; echo ready; while :; do sleep 0.05; done";

/// A page that counts streams, and the environment of `lameduck run` for it.
struct Fixture {
    page: PageServer,
    env: SidecarEnv,
}

impl Fixture {
    fn with_streams(streams: u64) -> Self {
        let page = PageServer::with_streams(streams);
        let env = SidecarEnv::new(&page.url());
        Self { page, env }
    }

    /// Starts a script with short times and these flags, and waits until it is ready to be drained.
    fn start(&self, args: &[&str], script: &str) -> Run {
        let run = self.env.start_script(&[&QUICK_TIMES[..], args].concat(), script);
        run.wait_for_ready();
        run
    }
}
