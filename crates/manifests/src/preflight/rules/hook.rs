//! The preStop hooks: on the right containers, with a program that exists.

use crate::preflight::container::Container;
use crate::preflight::hook::{Action, DEFAULT_PORT, Drain, Hook, HttpGet};
use crate::preflight::pod::PodView;
use crate::preflight::rule::{Evaluated, fail, pass, skip, warn};
use crate::preflight::view::View;
use crate::waiting_call::{PRESTOP_PATH, WaitingCall};

/// Every container that carries streams has the hook.
pub(super) fn presence(pod: &PodView) -> Vec<Evaluated> {
    let mut found = Vec::new();
    let hooked = pod.hooked();
    if hooked.is_empty() {
        let names = list(&pod.others());
        found.push(fail(
            format!("none of the containers ({names}) has a hook that calls lameduck"),
            hook_fix(pod, "the main container"),
        ));
    }
    found.extend(hooked.iter().map(|container| hook_of(pod, container)));
    let is_unhooked = |container: &&Container| !hooked.iter().any(|other| std::ptr::eq(*other, *container));
    let unhooked: Vec<_> = pod.others().into_iter().filter(is_unhooked).collect();
    if !unhooked.is_empty() && !hooked.is_empty() {
        found.push(skip(format!(
            "without a hook, and stopped at once: {}; if streams pass through one of these, name it with --also-hook",
            list(&unhooked)
        )));
    }
    found
}

fn hook_of(pod: &PodView, container: &Container) -> Evaluated {
    let name = container.name;
    let Some(hook) = container.hook else {
        let elsewhere = pod.sidecar().filter(|sidecar| pod.calls_lameduck(sidecar));
        let elsewhere = elsewhere.map_or_else(String::new, |sidecar| {
            format!("; the hook on {} delays only the SIGTERM of {}", sidecar.name, sidecar.name)
        });
        let line = container.view.line();
        return fail(
            format!("line {line}: container {name} has no preStop hook, so it gets SIGTERM at once{elsewhere}"),
            hook_fix(pod, name),
        );
    };
    let line = hook.view.line();
    match hook.action {
        Action::Http(get) if hook.is_for_lameduck(pod.port()) || is_in_own_ports(container, get) => {
            pass(format!("on {name}: a call of {}", get.path()))
        }
        Action::Http(get) => {
            fail(format!("line {line}: the hook of {name} calls {}, not lameduck", get.path()), hook_fix(pod, name))
        }
        Action::Drain(drain) => drain_hook(pod, name, drain, line),
        Action::Indirect { what, .. } => indirect_hook(pod, name, hook, what),
        Action::Other(what) => {
            fail(format!("line {line}: the hook of {name} {what}, and does not wait for lameduck"), hook_fix(pod, name))
        }
    }
}

/// Whether a hook names one of its container's own ports: such a call may be meant for the sidecar.
fn is_in_own_ports(container: &Container, get: HttpGet) -> bool {
    get.is_prestop() && get.port().and_then(View::text).is_some_and(|name| container.named_port(name).is_some())
}

fn drain_hook(pod: &PodView, name: &str, drain: Drain, line: usize) -> Evaluated {
    if drain.standalone && pod.sidecar().is_some() {
        return fail(
            format!(
                "line {line}: the hook of {name} drains by itself (--standalone), but there is a sidecar too, so the target would be signalled twice"
            ),
            "remove --standalone, or the sidecar",
        );
    }
    if !drain.has_flag("--hook") {
        return warn(
            format!(
                "line {line}: the hook of {name} runs `lameduck drain` without --hook: if the kubelet calls it again, the deadline does not move"
            ),
            "add --hook",
        );
    }
    let how = if drain.standalone { "drains without a sidecar" } else { "waits for the sidecar" };
    pass(format!("on {name}: `lameduck drain`, which {how}"))
}

/// A script is understood if its last command is a call of lameduck.
fn indirect_hook(pod: &PodView, name: &str, hook: Hook, what: &str) -> Evaluated {
    let line = hook.view.line();
    let command = hook.view.get("exec").and_then(|exec| exec.get("command"));
    let words: Vec<&str> = command.map(View::items).unwrap_or_default().iter().filter_map(|word| word.text()).collect();
    match WaitingCall::find(&words, pod.port().unwrap_or(DEFAULT_PORT)) {
        Some(WaitingCall { doubt: None, .. }) => pass(format!("on {name}: its last command waits for lameduck")),
        Some(WaitingCall { doubt: Some(doubt), .. }) => {
            warn(format!("line {line}: the hook of {name} may end before the drain: {doubt}"), hook_fix(pod, name))
        }
        None => skip(format!("on {name}: {what}; whether it waits for lameduck is not checked")),
    }
}

fn hook_fix(pod: &PodView, name: &str) -> String {
    if pod.sidecar().is_none() {
        return format!(
            "set lifecycle.preStop.exec.command [/lameduck/lameduck, drain, --standalone, --hook, --grace-period=…] on {name}"
        );
    }
    let port = pod.port().unwrap_or(DEFAULT_PORT);
    format!("set lifecycle.preStop.httpGet {{path: {PRESTOP_PATH}, port: {port}}} on {name}")
}

fn list(containers: &[&Container]) -> String {
    containers.iter().map(|container| container.name).collect::<Vec<_>>().join(", ")
}

/// The hooks that are meant for lameduck, on the containers that must have one.
pub(super) fn lameduck_hooks<'p, 'a>(pod: &'p PodView<'a>) -> Vec<(&'p Container<'a>, Hook<'a>)> {
    let hooked = pod.hooked().into_iter().filter(|container| pod.calls_lameduck(container));
    hooked.filter_map(|container| Some((container, container.hook?))).collect()
}

/// A hook on the sidecar delays only the sidecar's own SIGTERM.
pub(super) fn on_sidecar(pod: &PodView) -> Vec<Evaluated> {
    let Some(sidecar) = pod.sidecar() else { return Vec::new() };
    let name = sidecar.name;
    vec![match sidecar.hook {
        None => pass(format!("none on {name}")),
        Some(hook) if !hook.is_for_lameduck(pod.port()) => {
            skip(format!("{name} has a hook that does not call lameduck"))
        }
        Some(hook) if lameduck_hooks(pod).is_empty() => fail(
            format!(
                "line {}: the hook is on {name}, where it does not delay the SIGTERM of the main container",
                hook.view.line()
            ),
            "move it to the main container",
        ),
        Some(hook) => warn(
            format!("line {}: {name} has a hook too; it delays only the sidecar's own SIGTERM", hook.view.line()),
            "remove it from the sidecar",
        ),
    }]
}

/// The hook's program is in a volume that an init container fills, or else in the image.
pub(super) fn binary(pod: &PodView) -> Vec<Evaluated> {
    let evaluate = |(container, hook): (&Container, Hook)| match hook.action {
        Action::Drain(drain) => Some(binary_of(pod, container, drain)),
        Action::Http(_) | Action::Indirect { .. } | Action::Other(_) => None,
    };
    lameduck_hooks(pod).into_iter().filter_map(evaluate).collect()
}

fn binary_of(pod: &PodView, container: &Container, drain: Drain) -> Evaluated {
    let (name, program) = (container.name, drain.program);
    let filled: Vec<_> = pod.installers().flat_map(|installer| volumes(installer, None)).collect();
    if filled.is_empty() || !program.starts_with('/') {
        return skip(format!("whether {name} has the program {program} depends on its image"));
    }
    match volumes(container, Some(program)).into_iter().find(|volume| filled.contains(volume)) {
        Some(volume) => pass(format!("{program} of {name} is in the volume {volume}")),
        None => fail(
            format!(
                "the hook of {name} runs {program}, but {name} does not mount the volume that the init container fills ({})",
                filled.join(", ")
            ),
            "mount that volume in it, at the directory of the hook's program",
        ),
    }
}

/// The volumes that a container mounts; with a file, only those that may contain it.
fn volumes<'a>(container: &Container<'a>, file: Option<&str>) -> Vec<&'a str> {
    let contains = |mount: &View| {
        let path = mount.text_of("mountPath").map(|path| path.trim_end_matches('/'));
        file.is_none_or(|file| {
            path.is_some_and(|path| file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
        })
    };
    let mounts = container.view.list("volumeMounts").into_iter().filter(contains);
    mounts.filter_map(|mount| mount.text_of("name")).collect()
}
