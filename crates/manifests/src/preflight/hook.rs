//! What a preStop hook does.

use super::view::View;
use crate::select::basename;
use crate::waiting_call::PRESTOP_PATH;

/// The paths to which Istio rewrites hooks (<https://github.com/istio/istio>, `pilot/cmd/pilot-agent/status`).
const MESH_PATH: &str = "/app-lifecycle/";
/// The sidecar's port if `--listen` is not set.
pub(super) const DEFAULT_PORT: u16 = 8089;

/// A preStop hook.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hook<'a> {
    pub(super) view: View<'a>,
    pub(super) action: Action<'a>,
}

/// The action of a hook.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action<'a> {
    /// An HTTP request.
    Http(HttpGet<'a>),
    /// `lameduck drain`, directly.
    Drain(Drain<'a>),
    /// A call of lameduck through something else.
    Indirect {
        /// Through what.
        what: &'static str,
        /// Whether it runs `lameduck drain`.
        runs_drain: bool,
        /// Whether it drains without a sidecar.
        standalone: bool,
    },
    /// Anything else, with a description.
    Other(&'static str),
}

/// An HTTP request of a hook.
#[derive(Clone, Copy, Debug)]
pub(super) struct HttpGet<'a>(pub(super) View<'a>);

/// The command `lameduck drain` of a hook.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain<'a> {
    /// The list of its words.
    command: View<'a>,
    /// The program.
    pub(super) program: &'a str,
    pub(super) standalone: bool,
}

impl<'a> Hook<'a> {
    pub(super) fn new(view: View<'a>) -> Self {
        let action = match (view.get("httpGet"), view.get("exec")) {
            (Some(get), _) if HttpGet(get).path().starts_with(MESH_PATH) => {
                Action::Indirect { what: "a service mesh has rewritten it", runs_drain: false, standalone: false }
            }
            (Some(get), _) => Action::Http(HttpGet(get)),
            (None, Some(exec)) => exec_action(exec),
            (None, None) if view.get("sleep").is_some() => Action::Other("only sleeps"),
            (None, None) if view.get("tcpSocket").is_some() => Action::Other("only opens a TCP connection"),
            (None, None) => Action::Other("has no action"),
        };
        Self { view, action }
    }

    /// Whether it is meant for lameduck: it drains, or it calls the sidecar's path or port.
    pub(super) fn is_for_lameduck(&self, port: Option<u16>) -> bool {
        match self.action {
            Action::Http(get) => {
                let number = get.port().and_then(|port| port.text()?.parse().ok());
                get.is_prestop() || number.is_some() && number == port
            }
            Action::Drain(_) | Action::Indirect { .. } => true,
            Action::Other(_) => false,
        }
    }

    /// Whether it can only be meant for lameduck, even if there is no sidecar.
    pub(super) fn requires_sidecar(&self) -> bool {
        match self.action {
            Action::Http(get) => get.is_prestop() && get.port().and_then(View::port) == Some(DEFAULT_PORT),
            Action::Drain(drain) => !drain.standalone,
            Action::Indirect { standalone, runs_drain, .. } => runs_drain && !standalone,
            Action::Other(_) => false,
        }
    }
}

impl<'a> HttpGet<'a> {
    /// The path, without a query. The kubelet adds a missing slash.
    pub(super) fn path(self) -> &'a str {
        let path = self.0.text_of("path").unwrap_or("/");
        path.split(['?', '#']).next().unwrap_or(path)
    }

    pub(super) fn is_prestop(self) -> bool {
        self.path() == PRESTOP_PATH || Some(self.path()) == PRESTOP_PATH.strip_prefix('/')
    }

    pub(super) fn port(self) -> Option<View<'a>> {
        self.0.get("port")
    }

    /// Whether it has a header of this name.
    pub(super) fn has_header(self, name: &str) -> bool {
        let headers = self.0.list("httpHeaders");
        headers.iter().any(|header| header.text_of("name").is_some_and(|it| it.eq_ignore_ascii_case(name)))
    }
}

impl<'a> Drain<'a> {
    /// The words after `drain`.
    pub(super) fn args(self) -> Vec<&'a str> {
        let words = self.command.items();
        let after = words.iter().skip_while(|word| word.text() != Some("drain")).skip(1);
        after.filter_map(|word| word.text()).collect()
    }

    pub(super) fn has_flag(self, flag: &str) -> bool {
        self.args().contains(&flag)
    }

    /// The value of a flag.
    pub(super) fn value_of(self, flag: &str) -> Option<&'a str> {
        let args = self.args();
        let joined = args.iter().find_map(|word| word.strip_prefix(flag)?.strip_prefix('='));
        joined.or_else(|| args.iter().position(|word| *word == flag).and_then(|at| args.get(at + 1).copied()))
    }
}

fn exec_action(exec: View) -> Action {
    let Some(command) = exec.get("command") else { return Action::Other("has no command") };
    let words: Vec<&str> = command.items().iter().filter_map(|word| word.text()).collect();
    if let [program, "drain", ..] = words[..]
        && basename(program) == "lameduck"
    {
        let standalone = words.contains(&"--standalone");
        return Action::Drain(Drain { command, program, standalone });
    }
    let script = words.join(" ");
    let runs_drain = script.contains("lameduck drain");
    if runs_drain || script.contains(PRESTOP_PATH) {
        let standalone = runs_drain && script.contains("--standalone");
        return Action::Indirect { what: "a script calls lameduck", runs_drain, standalone };
    }
    Action::Other("runs another command")
}
