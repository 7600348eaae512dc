//! Whether the sidecar sees the target and may signal it.

use crate::preflight::container::Container;
use crate::preflight::pod::PodView;
use crate::preflight::rule::{Evaluated, fail, pass, skip};
use crate::preflight::settings::Target;
use crate::preflight::view::View;

/// The processes of the pod's containers see each other.
pub(super) fn namespace(pod: &PodView) -> Vec<Evaluated> {
    const KEY: &str = "shareProcessNamespace";
    if pod.sidecar().is_none() {
        return Vec::new();
    }
    let needs_target = match (pod.settings.sends_signal, &pod.settings.target) {
        (Some(false), _) | (_, Some(Target::None)) => return vec![skip("no signal is sent")],
        (Some(true), _) => true,
        (None, _) => false,
    };
    let field = pod.spec.get(KEY);
    vec![if pod.is_set(KEY) {
        pass(format!("{KEY} is true"))
    } else if pod.is_set("hostPID") {
        pass("hostPID is true, so the sidecar sees every process of the node")
    } else if !needs_target {
        skip(format!("{KEY} is not true; whether a signal is sent is not known from the manifest"))
    } else {
        let place = field.map_or_else(|| "missing".to_owned(), |field| format!("not true (line {})", field.line()));
        fail(
            format!("{KEY} is {place}, so the sidecar does not see the target and cannot signal it"),
            format!(
                "set {KEY}: true in the pod's spec; or set --signal none: then the kubelet's SIGTERM after the hook is the signal"
            ),
        )
    }]
}

/// The kernel permits a signal between processes of one uid.
pub(super) fn uid(pod: &PodView) -> Vec<Evaluated> {
    const KEY: &str = "runAsUser";
    let Some((sidecar, main)) = signalling_pair(pod) else { return Vec::new() };
    match pod.settings.sends_signal {
        Some(true) => {}
        Some(false) => return vec![skip("no signal is sent")],
        None => return vec![skip("whether a signal is sent is not known from the manifest")],
    }
    let [own, target] = [sidecar, main].map(|container| container.user_id(pod.spec, KEY));
    vec![match (own.map(View::integer), target.map(View::integer)) {
        (Some(Some(own)), Some(Some(target))) if own == target => {
            pass(format!("{} and {} run as uid {own}", sidecar.name, main.name))
        }
        (Some(Some(0)), Some(Some(target))) if has_cap_kill(sidecar) => {
            pass(format!("{} runs as root with the capability KILL, and may signal uid {target}", sidecar.name))
        }
        (Some(Some(own)), Some(Some(target))) => fail(
            format!(
                "{} runs as uid {own}, but {} as uid {target}, so the kernel refuses the signal",
                sidecar.name, main.name
            ),
            format!("set securityContext.runAsUser: {target} for both"),
        ),
        (Some(None), _) | (_, Some(None)) => {
            fail(format!("{KEY} is not a whole number"), "write it like 1000, without quotes")
        }
        (own, target) => {
            skip(format!("the manifest does not give the uid of {}", missing(&[(sidecar, own), (main, target)])))
        }
    }]
}

/// Which process listens on a port can be read only with the same uid and gid (Linux, `kernel/ptrace.c`).
pub(super) fn gid(pod: &PodView) -> Vec<Evaluated> {
    let Some((sidecar, main)) = signalling_pair(pod) else { return Vec::new() };
    let Some(Target::Port(port)) = pod.settings.target else {
        return vec![skip("only --target-port needs equal gids")];
    };
    let [own, target] = [sidecar, main].map(|container| container.user_id(pod.spec, "runAsGroup").map(View::integer));
    vec![match (own, target) {
        (Some(Some(own)), Some(Some(target))) if own == target => {
            pass(format!("{} and {} run as gid {own}", sidecar.name, main.name))
        }
        (Some(Some(own)), Some(Some(target))) => fail(
            format!(
                "{} runs as gid {own}, but {} as gid {target}, so the kernel does not show which process listens on port {port}",
                sidecar.name, main.name
            ),
            format!("set securityContext.runAsGroup: {target} for both, or name the target with --target"),
        ),
        (Some(None), _) | (_, Some(None)) => {
            fail("runAsGroup is not a whole number", "write it like 1000, without quotes")
        }
        (own, target) => {
            skip(format!("the manifest does not give the gid of {}", missing(&[(sidecar, own), (main, target)])))
        }
    }]
}

/// The sidecar and the container that runs the target.
fn signalling_pair<'p, 'a>(pod: &'p PodView<'a>) -> Option<(&'p Container<'a>, &'p Container<'a>)> {
    Some((pod.sidecar()?, *pod.main_containers().first()?))
}

/// Whether a root container keeps the capability to signal other users, which runtimes grant by default.
fn has_cap_kill(container: &Container) -> bool {
    let capabilities = container.view.at(&["securityContext", "capabilities"]);
    let names = |key| {
        let list = capabilities.map_or_else(Vec::new, |capabilities| capabilities.list(key));
        list.into_iter().filter_map(View::text).map(str::to_ascii_uppercase).collect::<Vec<_>>()
    };
    let includes = |names: &[String]| names.iter().any(|name| ["ALL", "KILL", "CAP_KILL"].contains(&name.as_str()));
    includes(&names("add")) || !includes(&names("drop"))
}

fn missing(ids: &[(&Container, Option<Option<i64>>)]) -> String {
    let without: Vec<_> = ids.iter().filter(|(_, id)| id.is_none()).map(|(container, _)| container.name).collect();
    format!("{}: it is that of the image, or the namespace's", without.join(" and "))
}
