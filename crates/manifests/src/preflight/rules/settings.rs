//! Lameduck's settings: whether it accepts them, and whether they fit the pod.

use crate::preflight::container::{Command, Container, List, Role};
use crate::preflight::pod::PodView;
use crate::preflight::rule::{Evaluated, fail, pass, skip};
use crate::preflight::settings::Problem;

/// The sidecar, or the standalone hook, accepts its settings.
pub(super) fn accepted(pod: &PodView) -> Vec<Evaluated> {
    let who = if pod.is_standalone() { "the hook" } else { "the sidecar" };
    if let Some(Role::Sidecar(Command::Invalid(word))) = pod.sidecar().map(|sidecar| &sidecar.role) {
        return vec![invalid_command(word.as_deref())];
    }
    if pod.invocation.is_none() {
        return Vec::new();
    }
    if !pod.settings.refused.is_empty() {
        return pod.settings.refused.iter().map(failed).collect();
    }
    let unknown = &pod.settings.unknown;
    vec![if unknown.is_empty() {
        pass(format!("{who} accepts them"))
    } else {
        skip(format!("{who} accepts those that the manifest gives; known only in the cluster: {}", unknown.join(", ")))
    }]
}

fn invalid_command(word: Option<&str>) -> Evaluated {
    let detail = match word {
        Some(word) => format!("lameduck has no command {word}"),
        None => "lameduck is started without a command".to_owned(),
    };
    fail(detail, "set args: [sidecar]")
}

fn failed(problem: &Problem) -> Evaluated {
    fail(&problem.cause, &problem.fix)
}

/// Every variable is a setting, and a string.
pub(super) fn variables(pod: &PodView) -> Vec<Evaluated> {
    let Some(invocation) = &pod.invocation else { return Vec::new() };
    let variables = &invocation.environment;
    let typed = variables.iter().filter(|variable| !variable.is_string).map(|variable| {
        let detail = format!(
            "line {}: the value of {} is a number or a boolean, and the API server accepts only a string",
            variable.line, variable.name
        );
        fail(detail, "put it in quotes")
    });
    let mut found: Vec<_> = pod.settings.unknown_variables.iter().map(failed).chain(typed).collect();
    if found.is_empty() {
        let count = variables.len();
        found.push(match count {
            0 => skip("no LAMEDUCK_ variable is set"),
            1 => pass(format!("{} is a setting", variables[0].name)),
            _ => pass(format!("each of the {count} LAMEDUCK_ variables is a setting")),
        });
    }
    found
}

/// An ordinary sidecar gets SIGTERM at the same time as the hook call.
pub(super) fn on_sigterm(pod: &PodView) -> Vec<Evaluated> {
    let Some(sidecar) = pod.sidecar().filter(|sidecar| sidecar.list == List::Ordinary) else { return Vec::new() };
    vec![match pod.settings.exits_on_sigterm {
        None => skip("--on-sigterm is not known from the manifest"),
        Some(false) => pass("the sidecar stays after SIGTERM while there may be streams"),
        Some(true) => exits(sidecar),
    }]
}

fn exits(sidecar: &Container) -> Evaluated {
    fail(
        format!(
            "--on-sigterm exit: {} is an ordinary container, which gets SIGTERM when the hook is called, and would exit and end the hook",
            sidecar.name
        ),
        "remove --on-sigterm, or make it a native sidecar",
    )
}
