//! One scenario: a server with streams is drained, and its clients and the records of the drain are compared.

use std::fmt::{self, Display, Formatter};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use lameduck_test_support::process::wait_until;
use lameduck_test_support::sidecar::{Sidecar, SidecarEnv};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::clients::{Clients, Endings, Protocol};
use crate::records::{Counters, Records};
use crate::server::{End, Program, Server};

/// How long clients stay after the signal: several streams that end sooner are taken for cut (`machine::sent_signal`).
const LIFE_AFTER_SIGNAL: Duration = Duration::from_secs(2);

/// One server, how it is stopped, and what it does with its streams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// The server, as its users call it.
    pub(crate) server: &'static str,
    /// What it does on the signal.
    pub(crate) on_signal: &'static str,
    pub(crate) program: Program,
    /// The program's last arguments.
    pub(crate) way: &'static str,
    pub(crate) protocol: Protocol,
    /// Number of streams at the signal.
    pub(crate) streams: usize,
    pub(crate) counted_by: CountedBy,
    pub(crate) signal: Signal,
    pub(crate) behavior: Behavior,
}

/// The source of the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountedBy {
    /// The connections to the server's port.
    Connections,
    /// The metrics page, on a port of its own.
    Page,
    /// The metrics page, on the port of the streams.
    PageOnSamePort,
    /// The same, and the connections to that port.
    PageAndConnections,
}

impl Display for CountedBy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connections => "port",
            Self::Page => "page",
            Self::PageOnSamePort => "page on the same port",
            Self::PageAndConnections => "page on the same port, and port",
        })
    }
}

/// What the server does with its streams on the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// It ends them.
    Drops,
    /// It serves them, if it has any, until their clients end them.
    Drains,
    /// The same, but nothing can be counted after the signal.
    DrainsUncounted,
    /// The same, but it then dies of the signal, or with an exit code that says so.
    DrainsAndDies,
    /// It serves them for a while, then ends them and exits with code 0.
    GivesUp,
    /// It keeps them open, but serves them no longer.
    Stalls,
}

/// What a scenario showed.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) endings: Endings,
    pub(crate) end: End,
    pub(crate) records: Records,
}

impl Scenario {
    /// By what it is selected on the command line.
    pub(crate) fn name(&self) -> String {
        let Self { server, signal, on_signal, counted_by, .. } = self;
        format!("{server}, {signal}: {on_signal} ({counted_by})")
    }

    /// Runs it.
    ///
    /// # Panics
    /// Panics if the server or a record is not as expected.
    pub(crate) fn run(&self) -> Report {
        let server = Server::start(&self.program, self.way, self.counted_by == CountedBy::Page);
        let clients = Clients::open(server.port, self.protocol, self.streams);
        let page_port = if self.counted_by == CountedBy::Page { server.metrics_port } else { server.port };
        let env = SidecarEnv::new(&format!("http://127.0.0.1:{page_port}/metrics"));
        let sidecar = self.start_sidecar(&env, &server);
        sidecar.wait_for_ready();
        sidecar.wait_for_status("/streams", u64::try_from(self.streams).expect("few streams"));
        let hook = sidecar.call_hook();
        match self.behavior {
            Behavior::Drops | Behavior::GivesUp => clients.wait_until_cut(),
            Behavior::Drains if self.streams == 0 => {}
            Behavior::Drains | Behavior::DrainsAndDies | Behavior::DrainsUncounted | Behavior::Stalls => {
                self.wait_after_signal(&sidecar);
            }
        }
        let endings = clients.leave();
        let answer = hook.outcome();
        let counters = Counters::read(&sidecar, &answer);
        let end = server.terminate();
        let report = Report { endings, end, records: Records::collect(answer, counters, sidecar, &env) };
        self.assert_report(&report);
        report
    }

    fn start_sidecar(&self, env: &SidecarEnv, server: &Server) -> Sidecar {
        let port = server.port.to_string();
        let mut command = env.sidecar_command();
        // Only times that no figure of the records depends on are shorter than by default.
        command
            .env_remove("LAMEDUCK_TARGET")
            .env_remove("LAMEDUCK_POLL_INTERVAL")
            .env_remove("LAMEDUCK_SCRAPE_TIMEOUT");
        command.args(["--preset", "generic", "--target-port", &port, "--signal", self.signal.as_str()]);
        command.args(["--grace-period", "10m", "--lame-duck", "100ms", "--exit-wait", "1s"]);
        match self.counted_by {
            CountedBy::Connections => command.env_remove("LAMEDUCK_METRICS_URL").args(["--streams-port", &port]),
            CountedBy::Page | CountedBy::PageOnSamePort => command.args(["--streams", "open_streams"]),
            CountedBy::PageAndConnections => command.args(["--streams", "open_streams", "--streams-port", &port]),
        };
        command.stderr(Stdio::piped());
        env.start_command(command)
    }

    /// Waits until the streams have outlived the signal by [`LIFE_AFTER_SIGNAL`], and a reading has counted them since.
    fn wait_after_signal(&self, sidecar: &Sidecar) {
        wait_until(|| sidecar.status()["drain"]["signalled"] == true);
        thread::sleep(LIFE_AFTER_SIGNAL);
        let (source, result) = match self.counted_by {
            CountedBy::Connections | CountedBy::PageAndConnections => ("sockets", "ok"),
            CountedBy::Page => ("metrics", "ok"),
            CountedBy::PageOnSamePort => ("metrics", "unknown"),
        };
        let series = format!("lameduck_source_readings_total{{source=\"{source}\",result=\"{result}\"}}");
        let readings = || sidecar.metric(&series).expect("a reading counter");
        // The first of these may have been requested before.
        let two_more = readings() + 2.0;
        wait_until(|| readings() >= two_more);
    }

    fn assert_report(&self, Report { endings, records, .. }: &Report) {
        let cuts = matches!(self.behavior, Behavior::Drops | Behavior::GivesUp | Behavior::Stalls);
        let cut = if cuts { self.streams } else { 0 };
        assert_eq!(endings.cut(), cut, "{endings}");
        assert_eq!(records.answer["signal"], self.signal.as_str(), "{records:?}");
        records.assert_equal();
        if matches!(self.behavior, Behavior::GivesUp | Behavior::Stalls) {
            return;
        }
        records.assert_not_less_than(cut);
        let (stragglers, warnings, exit_code) = match self.behavior {
            Behavior::Drains | Behavior::GivesUp | Behavior::Stalls => (Value::from(0), vec![], 0),
            Behavior::DrainsAndDies => (Value::Null, vec![], 11),
            Behavior::Drops | Behavior::DrainsUncounted => (Value::Null, vec!["ended_with_signal"], 11),
        };
        assert_eq!(records.answer["stragglers"], stragglers, "{records:?}");
        assert_eq!(records.warnings(), warnings, "{records:?}");
        assert_eq!(records.exit_code, Some(exit_code), "{records:?}");
    }
}
