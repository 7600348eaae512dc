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
    let ids = [sidecar, main].map(|container| Id::of(container, pod.spec, KEY));
    vec![match ids {
        [Id::Number(own), Id::Number(target)] if own == target => {
            pass(format!("{} and {} run as uid {own}", sidecar.name, main.name))
        }
        [Id::Number(0), Id::Number(target)] if has_cap_kill(sidecar) => {
            pass(format!("{} runs as root with the capability KILL, and may signal uid {target}", sidecar.name))
        }
        [Id::Number(own), Id::Number(target)] => fail(
            format!(
                "{} runs as uid {own}, but {} as uid {target}, so the kernel refuses the signal",
                sidecar.name, main.name
            ),
            format!("set securityContext.runAsUser: {target} for both"),
        ),
        _ => unknown_id(KEY, [(sidecar, ids[0]), (main, ids[1])]),
    }]
}

/// Which process listens on a port can be read only with the same uid and gid (Linux, `kernel/ptrace.c`).
pub(super) fn gid(pod: &PodView) -> Vec<Evaluated> {
    const KEY: &str = "runAsGroup";
    let Some((sidecar, main)) = signalling_pair(pod) else { return Vec::new() };
    let Some(Target::Port(port)) = pod.settings.target else {
        return vec![skip("only --target-port needs equal gids")];
    };
    let ids = [sidecar, main].map(|container| Id::of(container, pod.spec, KEY));
    vec![match ids {
        [Id::Number(own), Id::Number(target)] if own == target => {
            pass(format!("{} and {} run as gid {own}", sidecar.name, main.name))
        }
        [Id::Number(own), Id::Number(target)] => fail(
            format!(
                "{} runs as gid {own}, but {} as gid {target}, so the kernel does not show which process listens on port {port}",
                sidecar.name, main.name
            ),
            format!("set securityContext.runAsGroup: {target} for both, or name the target with --target"),
        ),
        _ => unknown_id(KEY, [(sidecar, ids[0]), (main, ids[1])]),
    }]
}

/// A uid or gid in a manifest.
#[derive(Clone, Copy)]
enum Id {
    Missing,
    Invalid,
    Number(i64),
}

impl Id {
    fn of<'a>(container: &Container<'a>, spec: View<'a>, key: &str) -> Self {
        match container.user_id(spec, key).map(View::integer) {
            None => Self::Missing,
            Some(None) => Self::Invalid,
            Some(Some(id)) => Self::Number(id),
        }
    }
}

/// The result for ids that cannot be compared.
fn unknown_id(key: &str, ids: [(&Container, Id); 2]) -> Evaluated {
    let names = |is_it: fn(Id) -> bool| {
        let names: Vec<_> = ids.iter().filter(|(_, id)| is_it(*id)).map(|(container, _)| container.name).collect();
        names.join(" and ")
    };
    let invalid = names(|id| matches!(id, Id::Invalid));
    if invalid.is_empty() {
        let missing = names(|id| matches!(id, Id::Missing));
        return skip(format!("the manifest sets no {key} for {missing}: it comes from the image or the namespace"));
    }
    fail(format!("{key} of {invalid} is not a whole number"), "write it like 1000, without quotes")
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
