//! The real sidecar beside real processes, over real sockets, with real signals.
//!
//! Nothing here sleeps to see that something does not happen: it waits for something that comes later.

mod check;
mod clients;
mod concurrent_standalone;
mod crash_points;
mod deadline;
mod exit;
mod hook;
mod hostile;
mod idle;
mod load_balancers;
mod namespace;
mod never_served;
mod overload;
mod pages;
mod readiness;
mod restart;
mod routes;
mod settings;
mod sigterm;
mod sockets;
mod standalone;
mod state_dir;
mod target;
mod token;
mod watch;

use lameduck_test_support::page::Page;
use lameduck_test_support::shell::Shell;
use lameduck_test_support::sidecar::{Pod, QUICK, Sidecar};
use lameduck_test_support::sim::Sim;

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
