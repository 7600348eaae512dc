//! The calls of the hooks: path, port, address and token.

use super::hook::lameduck_hooks;
use crate::preflight::container::Container;
use crate::preflight::hook::{Action, DEFAULT_PORT, Drain, Hook, HttpGet};
use crate::preflight::invocation::Word;
use crate::preflight::pod::PodView;
use crate::preflight::rule::{Evaluated, fail, pass, skip, warn};
use crate::waiting_call::PRESTOP_PATH;

/// The HTTP calls among them, if there is a sidecar to call.
fn http_calls<'p, 'a>(pod: &'p PodView<'a>) -> Vec<(&'p Container<'a>, HttpGet<'a>)> {
    let hooks = if pod.sidecar().is_some() { lameduck_hooks(pod) } else { Vec::new() };
    let calls = hooks.into_iter().filter_map(|(container, hook)| match hook.action {
        Action::Http(get) => Some((container, get)),
        Action::Drain(_) | Action::Indirect { .. } | Action::Other(_) => None,
    });
    calls.collect()
}

/// Only this path waits for the drain. The kubelet takes any answer, also 404, for the end of the hook.
pub(super) fn path(pod: &PodView) -> Vec<Evaluated> {
    let evaluate = |(container, get): (&Container, HttpGet)| {
        if get.is_prestop() {
            return pass(format!("{PRESTOP_PATH}, on {}", container.name));
        }
        fail(
            format!(
                "line {}: the hook of {} calls {}, which the sidecar answers with 404 at once",
                get.0.line(),
                container.name,
                get.path()
            ),
            format!("set path: {PRESTOP_PATH}"),
        )
    };
    http_calls(pod).into_iter().map(evaluate).collect()
}

/// The port is the sidecar's.
pub(super) fn port(pod: &PodView) -> Vec<Evaluated> {
    if pod.sidecar().is_none() {
        return Vec::new();
    }
    let evaluate = |(container, hook): (&Container, Hook)| match hook.action {
        Action::Http(get) => Some(http_port(pod, container, get)),
        Action::Drain(drain) if !drain.standalone => Some(drain_port(pod, container, drain)),
        Action::Drain(_) | Action::Indirect { .. } | Action::Other(_) => None,
    };
    lameduck_hooks(pod).into_iter().filter_map(evaluate).collect()
}

fn http_port(pod: &PodView, container: &Container, get: HttpGet) -> Evaluated {
    let name = container.name;
    let fix = format!("set port: {} (a number)", pod.port().unwrap_or(DEFAULT_PORT));
    let Some(port) = get.port() else {
        return fail(format!("line {}: the hook of {name} has no port", get.0.line()), fix);
    };
    let (line, text) = (port.line(), port.text().unwrap_or_default());
    let number = match port.port().or_else(|| container.named_port(text)) {
        Some(number) => number,
        None if text.parse::<u16>().is_ok() => {
            return fail(
                format!(
                    "line {line}: the hook of {name} has the port \"{text}\" as a string, which the API server refuses as a name"
                ),
                fix,
            );
        }
        None => {
            return fail(
                format!(
                    "line {line}: the hook of {name} has the port {text}: a name is looked up only among the ports of {name} itself, which has none of this name"
                ),
                fix,
            );
        }
    };
    match_port(pod, name, number, fix)
}

fn match_port(pod: &PodView, name: &str, number: u16, fix: String) -> Evaluated {
    match pod.port() {
        None => skip(format!("the hook of {name} calls port {number}; --listen is not known from the manifest")),
        Some(own) if own == number => pass(format!("{number}, on {name}")),
        Some(own) => fail(format!("the hook of {name} calls port {number}, but the sidecar listens on {own}"), fix),
    }
}

/// An exec hook calls the address of its flag or of its container's variables.
fn drain_port(pod: &PodView, container: &Container, drain: Drain) -> Evaluated {
    let name = container.name;
    let of_flag = drain.value_of("--address").map(|value| Word::Known(value.to_owned()));
    let variable = |key| container.environment.get(key);
    let address = of_flag.or_else(|| variable("LAMEDUCK_ADDRESS")).or_else(|| variable("LAMEDUCK_LISTEN"));
    let number = match &address {
        None => Some(DEFAULT_PORT),
        Some(address) => address.known().and_then(port_of_address),
    };
    match number {
        None => skip(format!("the hook of {name} calls an address that is not known from the manifest")),
        Some(number) => {
            let own = pod.port().unwrap_or(DEFAULT_PORT);
            match_port(pod, name, number, format!("add --address 127.0.0.1:{own} to the hook's command"))
        }
    }
}

fn port_of_address(address: &str) -> Option<u16> {
    let authority = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or(authority);
    authority.rsplit_once(':')?.1.parse().ok()
}

/// The kubelet calls the pod's own address, unless the hook sets another.
pub(super) fn address(pod: &PodView) -> Vec<Evaluated> {
    http_calls(pod).into_iter().map(|(container, get)| address_of(pod, container.name, get)).collect()
}

fn address_of(pod: &PodView, name: &str, get: HttpGet) -> Evaluated {
    let host =
        get.0.get("host").and_then(|host| Some((host.line(), host.text()?))).filter(|(_, host)| !host.is_empty());
    match (host, pod.is_set("hostNetwork")) {
        (None, true) => fail(
            format!("hostNetwork: the kubelet finds no pod address to call the hook of {name} at"),
            "set host: 127.0.0.1 in the hook (Pod Security's baseline forbids it from Kubernetes 1.34 on); or run `lameduck drain --hook` as an exec hook",
        ),
        (Some((_, "127.0.0.1" | "localhost" | "::1")), true) => pass(format!("the node's loopback, on {name}")),
        (Some((line, host)), _) => fail(
            format!(
                "line {line}: the hook of {name} sets host: {host}, and the kubelet calls that from the node, not in the pod"
            ),
            "remove host: the kubelet then calls the pod's address",
        ),
        (None, false) if get.0.text_of("scheme") == Some("HTTPS") => warn(
            format!(
                "the hook of {name} sets scheme: HTTPS, and the sidecar has no TLS: it depends on the kubelet's retry without TLS"
            ),
            "remove scheme",
        ),
        (None, false) => pass(format!("the pod's own, on {name}")),
    }
}

/// A call from the node needs the token if one is set.
pub(super) fn token(pod: &PodView) -> Vec<Evaluated> {
    let evaluate = |(container, get): (&Container, HttpGet)| {
        let name = container.name;
        match pod.settings.needs_token {
            Some(false) => None,
            _ if get.has_header("Authorization") => {
                Some(pass(format!("the hook of {name} has an Authorization header")))
            }
            None => Some(skip("whether --token-file is set is not known from the manifest")),
            Some(true) => Some(fail(
                format!(
                    "--token-file is set, but the hook of {name} has no Authorization header, so its call would start no drain"
                ),
                "add httpHeaders: [{name: Authorization, value: Bearer TOKEN}] to the hook; or use an exec hook (`lameduck drain --hook`)",
            )),
        }
    };
    http_calls(pod).into_iter().filter_map(evaluate).collect()
}
