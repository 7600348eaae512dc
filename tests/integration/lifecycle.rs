//! The real binary with real processes, sockets and signals.
//!
//! No test sleeps to show that something does not happen: it waits for a later event instead.

mod accounting;
mod check;
mod clients;
mod concurrent_standalone;
mod container;
mod crash_points;
mod deadline;
mod exit;
mod hook;
mod hostile;
mod idle;
mod load_balancers;
mod metrics;
mod namespace;
mod never_served;
mod overload;
mod page_processes;
mod pages;
mod readiness;
mod refused_signal;
mod restart;
mod routes;
mod schemas;
mod settings;
mod shortened_deadline;
mod sigterm;
mod sockets;
mod standalone;
mod state_dir;
mod target;
mod target_advice;
mod threads;
mod token;
mod unseen_signals;
mod watch;

use std::thread;

use lameduck_test_support::page::PageServer;
use lameduck_test_support::shell::ShellTarget;
use lameduck_test_support::sidecar::{QUICK_TIMES, Sidecar, SidecarEnv};
use lameduck_test_support::sim::EngineSim;

/// For pages that do not answer.
const SHORT_SCRAPES: [&str; 2] = ["--scrape-timeout", "300ms"];

/// A shell as the target, a metrics page that the test serves, and the environment of a sidecar for them.
struct Fixture {
    page: PageServer,
    env: SidecarEnv,
    target: ShellTarget,
}

impl Fixture {
    fn with_streams(streams: u64) -> Self {
        let page = PageServer::with_streams(streams);
        let env = SidecarEnv::new(&page.url());
        let target = ShellTarget::start(&env.target_name);
        Self { page, env, target }
    }

    /// Ends all streams, once a reading after the signal has seen the target still serving.
    fn end_streams(&self) {
        self.env.wait_until_served_on();
        self.page.set_streams(0);
    }

    /// Starts a sidecar with these arguments, and waits until it is ready.
    fn start_ready(&self, args: &[&str]) -> Sidecar {
        let sidecar = self.env.start(args);
        sidecar.wait_for_ready();
        sidecar
    }

    /// Starts a sidecar with short times, and waits until it is ready.
    fn start_quick(&self) -> Sidecar {
        self.start_ready(&QUICK_TIMES)
    }
}

/// Runs named cases in parallel, eight at a time: they mostly wait. The name is that of the thread, and so in panics.
fn run_in_parallel<'a>(cases: impl IntoIterator<Item = (&'a str, impl FnOnce() + Send)>) {
    let mut cases = cases.into_iter().peekable();
    while cases.peek().is_some() {
        thread::scope(|scope| {
            for (name, case) in cases.by_ref().take(8) {
                thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, case).unwrap();
            }
        });
    }
}

/// A simulated engine, and the environment of a sidecar for it.
fn start_engine(args: &[&str]) -> (EngineSim, SidecarEnv) {
    let mut env = SidecarEnv::new("");
    let engine = EngineSim::start_as(&env.target_name, args);
    env.metrics_url = format!("http://{}/metrics", engine.metrics);
    (engine, env)
}
