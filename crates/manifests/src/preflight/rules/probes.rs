//! The probes of the sidecar, and those of the main container that shorten a drain.

use std::time::Duration;

use crate::preflight::container::{Container, List};
use crate::preflight::pod::PodView;
use crate::preflight::rule::{Evaluated, fail, pass, skip, warn};
use crate::preflight::view::View;

/// The paths to which Istio rewrites probes (<https://istio.io/latest/docs/ops/configuration/mesh/app-health-check/>).
const MESH_PATH: &str = "/app-health/";
/// The kubelet's defaults of a probe.
const DEFAULT_PERIOD: i64 = 10;
const DEFAULT_FAILURES: i64 = 3;

/// What a probe does.
enum Probe<'a> {
    /// It reads a path.
    Http { path: &'a str, port: Option<View<'a>> },
    /// It connects to a port.
    Tcp { port: Option<View<'a>> },
    /// It reads a path with TLS.
    Https,
    /// It runs `lameduck status --ready`.
    StatusReady,
    /// Anything else.
    Other,
}

impl<'a> Probe<'a> {
    fn new(view: View<'a>) -> Self {
        if let Some(get) = view.get("httpGet") {
            let path = get.text_of("path").unwrap_or("/");
            if path.starts_with(MESH_PATH) {
                return Self::Other;
            }
            if get.text_of("scheme") == Some("HTTPS") {
                return Self::Https;
            }
            return Self::Http { path: path.split('?').next().unwrap_or(path), port: get.get("port") };
        }
        if let Some(socket) = view.get("tcpSocket") {
            return Self::Tcp { port: socket.get("port") };
        }
        let words = view.at(&["exec", "command"]).map_or_else(Vec::new, View::items);
        let is_there = |expected| words.iter().any(|word| word.text() == Some(expected));
        if is_there("status") && is_there("--ready") { Self::StatusReady } else { Self::Other }
    }
}

/// The startup probe must succeed before the main container runs.
pub(super) fn startup(pod: &PodView) -> Vec<Evaluated> {
    const FIX: &str = "set its httpGet path to /livez";
    let Some(sidecar) = pod.sidecar() else { return Vec::new() };
    let is_native = sidecar.list == List::Init;
    let Some(view) = sidecar.view.get("startupProbe") else {
        return vec![if is_native {
            warn(
                "there is none, so the main container may start before the sidecar answers",
                "add httpGet /livez, with periodSeconds: 1",
            )
        } else {
            skip("an ordinary container needs none")
        }];
    };
    let waits = |what: &str| {
        let effect = if is_native {
            "which starts only after this probe: the pod stays in Init"
        } else {
            "so the sidecar is restarted while the main container loads"
        };
        fail(format!("line {}: {what} waits for the main container, {effect}", view.line()), FIX)
    };
    vec![match Probe::new(view) {
        Probe::Http { path: "/livez", port } => probe_port(pod, sidecar, "/livez", port),
        Probe::Http { path: path @ ("/readyz" | "/accepting"), .. } => waits(path),
        Probe::Http { path, .. } => fail(format!("line {}: the sidecar answers {path} with 404", view.line()), FIX),
        Probe::Tcp { port } => probe_port(pod, sidecar, "a TCP connection", port),
        Probe::StatusReady => waits("`lameduck status --ready`"),
        Probe::Https => {
            fail(format!("line {}: scheme: HTTPS, but the sidecar has no TLS", view.line()), "remove scheme")
        }
        Probe::Other => skip("a probe of another kind, which is not checked"),
    }]
}

/// The readiness probe takes the pod out of rotation while it drains.
pub(super) fn readiness(pod: &PodView) -> Vec<Evaluated> {
    const FIX: &str = "set its httpGet path to /readyz";
    let Some(sidecar) = pod.sidecar() else { return Vec::new() };
    let Some(view) = sidecar.view.get("readinessProbe") else {
        return vec![fail(
            format!(
                "line {}: {} has none, so the pod stays ready during a drain that is not a deletion, and when no drain would work",
                sidecar.view.line(),
                sidecar.name
            ),
            "add httpGet /readyz, with periodSeconds: 1 and failureThreshold: 1",
        )];
    };
    let line = view.line();
    vec![match Probe::new(view) {
        Probe::Http { path: "/readyz", port } => probe_port(pod, sidecar, "/readyz", port),
        Probe::Http { path: "/livez", .. } => {
            fail(format!("line {line}: /livez succeeds during a drain too, so the pod stays ready"), FIX)
        }
        Probe::Http { path: "/accepting", .. } => fail(
            format!("line {line}: /accepting fails on a full pod, and the cluster deletes unready pods first"),
            "set its httpGet path to /readyz, and give /accepting to the load balancer",
        ),
        Probe::Http { path, .. } => fail(format!("line {line}: the sidecar answers {path} with 404"), FIX),
        Probe::Tcp { .. } => {
            fail(format!("line {line}: a TCP connection succeeds during a drain too, so the pod stays ready"), FIX)
        }
        Probe::StatusReady => pass("`lameduck status --ready`"),
        Probe::Https => {
            fail(format!("line {}: scheme: HTTPS, but the sidecar has no TLS", view.line()), "remove scheme")
        }
        Probe::Other => skip("a probe of another kind, which is not checked"),
    }]
}

/// Checks the port of a probe. A name is looked up among the sidecar's own ports.
fn probe_port(pod: &PodView, sidecar: &Container, what: &str, port: Option<View>) -> Evaluated {
    let Some(own) = pod.port() else { return skip(format!("{what}; --listen is not known from the manifest")) };
    let fix = format!("set its port to {own}");
    let Some(port) = port else { return fail("it has no port", fix) };
    let text = port.text().unwrap_or_default();
    match port.port().or_else(|| sidecar.named_port(text)) {
        Some(number) if number == own => pass(format!("{what} on port {own}")),
        Some(number) => {
            fail(format!("line {}: it calls port {number}, but the sidecar listens on {own}", port.line()), fix)
        }
        None => fail(format!("line {}: {} has no port named {text}", port.line(), sidecar.name), fix),
    }
}

/// The kubelet notices before the signal that the pod is unready.
pub(super) fn readiness_delay(pod: &PodView) -> Vec<Evaluated> {
    let Some(probe) = pod.sidecar().and_then(|sidecar| sidecar.view.get("readinessProbe")) else { return Vec::new() };
    let number = |key, default| match probe.integer_or(key, default) {
        Some(0) => Some(default),
        number => number.filter(|number| *number > 0),
    };
    let (Some(period), Some(failures)) =
        (number("periodSeconds", DEFAULT_PERIOD), number("failureThreshold", DEFAULT_FAILURES))
    else {
        return vec![fail(
            format!("line {}: periodSeconds or failureThreshold is not a whole number above zero", probe.line()),
            "set periodSeconds: 1 and failureThreshold: 1",
        )];
    };
    let seconds = u64::try_from(period.saturating_mul(failures)).unwrap_or(u64::MAX);
    let detail = format!("periodSeconds {period} × failureThreshold {failures} is {seconds} s");
    vec![match pod.settings.unready_lead {
        None => skip(format!("{detail}; the lame duck period is not known from the manifest")),
        Some(Duration::ZERO) => skip(format!("{detail}; the signal is sent as soon as the pod is unready")),
        Some(unready) if Duration::from_secs(seconds) < unready => {
            pass(format!("{detail}, less than the {unready:?} between unready and the signal"))
        }
        Some(unready) if seconds == 1 => {
            skip(format!("{detail}, the fastest possible; the signal is sent {unready:?} after the pod turns unready"))
        }
        Some(unready) => fail(
            format!(
                "{detail}, but the signal is sent {unready:?} after the pod turns unready: the kubelet may not know it by then"
            ),
            "set periodSeconds: 1 and failureThreshold: 1, or lengthen --lame-duck",
        ),
    }]
}

/// The sidecar must not be restarted during a drain.
pub(super) fn liveness(pod: &PodView) -> Vec<Evaluated> {
    let Some(sidecar) = pod.sidecar() else { return Vec::new() };
    vec![match sidecar.view.get("livenessProbe") {
        None => pass(format!("none on {}", sidecar.name)),
        Some(probe) => fail(
            format!(
                "line {}: {} has one: while it fails, the kubelet kills the sidecar, also during a drain",
                probe.line(),
                sidecar.name
            ),
            "remove it",
        ),
    }]
}

/// After a failed probe, the kubelet uses the probe's own grace period, and the hook runs within it.
pub(super) fn grace_period(pod: &PodView) -> Vec<Evaluated> {
    const KEY: &str = "terminationGracePeriodSeconds";
    let hooked = pod.hooked();
    let probes = hooked.iter().flat_map(|container| {
        let probe = move |key| Some((*container, key, container.view.at(&[key, KEY])?));
        ["livenessProbe", "startupProbe"].into_iter().filter_map(probe)
    });
    let differing =
        probes.filter(|(_, _, seconds)| seconds.integer().and_then(|it| it.try_into().ok()) != pod.grace_period());
    let mut found: Vec<_> = differing
        .map(|(container, key, seconds)| {
            let text = seconds.text().unwrap_or_default();
            warn(
                format!(
                    "line {}: the {key} of {} has its own grace period of {text} s: after it fails, the drain has only that, and lameduck does not know it",
                    seconds.line(),
                    container.name
                ),
                format!("remove it, or make it equal to the pod's {KEY}"),
            )
        })
        .collect();
    if found.is_empty() && !hooked.is_empty() {
        found.push(pass("no probe of the main container has its own grace period"));
    }
    found
}
