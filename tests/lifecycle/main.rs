//! The real sidecar beside real processes, over real sockets, with real signals.
//!
//! Nothing here sleeps to see that something does not happen: it waits for something that comes later.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/http.rs"]
mod http;
#[path = "../support/page.rs"]
mod page;
#[path = "../support/port.rs"]
mod port;
#[path = "../support/rehearsal.rs"]
mod rehearsal;
#[path = "../support/shell.rs"]
mod shell;
#[path = "../support/sidecar.rs"]
mod sidecar;
#[path = "../support/sim.rs"]
#[expect(dead_code, reason = "the rest is for the tests of the engine itself")]
mod sim;
#[path = "../support/terminal.rs"]
mod terminal;

mod balancers;
mod check;
mod clients;
mod deadline;
mod deaths;
mod exit;
mod hook;
mod hostile;
mod idle;
mod joined;
mod namespace;
mod pages;
mod readiness;
mod restart;
mod routes;
mod settings;
mod siege;
mod sigterm;
mod sockets;
mod standalone;
mod state_dir;
mod target;
mod token;
mod unserved;
mod watch;

use crate::page::Page;
use crate::shell::Shell;
use crate::sidecar::{Pod, QUICK, Sidecar};
use crate::sim::Sim;

/// A pod with a shell for its target, and a page that the test serves.
struct Scene {
    page: Page,
    pod: Pod,
    target: Shell,
}

impl Scene {
    fn with_streams(streams: u64) -> Self {
        let page = Page::counting(streams);
        let pod = Pod::new(&page.url());
        let target = Shell::named(&pod.target);
        Self { page, pod, target }
    }

    /// Starts a sidecar with these arguments, and waits until it is ready.
    fn serve(&self, args: &[&str]) -> Sidecar {
        let sidecar = self.pod.start(args);
        sidecar.wait_for_ready();
        sidecar
    }

    fn serve_quick(&self) -> Sidecar {
        self.serve(&QUICK)
    }
}

/// A simulated engine, and the pod around it.
fn engine(args: &[&str]) -> (Sim, Pod) {
    let mut pod = Pod::new("");
    let engine = Sim::named(&pod.target, args);
    pod.url = format!("http://{}/metrics", engine.metrics);
    (engine, pod)
}
