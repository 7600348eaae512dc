//! The target: whether it is visible, whether it can be signalled, and what the signal would do.

use std::cmp::Reverse;
use std::fmt::Display;

use nix::sys::signal::Signal;

use super::report::{Cause, Check};
use super::similarity::{is_similar, percent};
use crate::io::process::{self, Matcher, Process, TargetFinder};
use crate::settings::Settings;
use crate::settings::values::WaitFor;
use lameduck_machine::target::{Found, SearchResult};
use lameduck_parsers::procfs::{Disposition, Status};

/// How many names of processes are listed in a line.
const MAX_LISTED: usize = 12;
/// The process that holds the namespaces of a pod. It is the first process if they are shared.
const PAUSE: &str = "pause";

/// What was found out about the processes.
struct Observed {
    result: SearchResult,
    /// Every matching process, including children of the target.
    matching: Vec<Process>,
    visible: Vec<Process>,
    own: Process,
    /// The status of the target, if there is exactly one.
    status: Option<Status>,
    can_signal: bool,
    /// Whether the target is found by a port, and a process listens on it.
    has_listener: bool,
}

/// What a drain needs from the target.
struct Requirements<'a> {
    matcher: &'a Matcher,
    signal: Option<Signal>,
    /// Whether a drain needs a target: for its signal, or for its exit.
    required: bool,
}

/// Checks that the target can be found and signalled.
pub(super) async fn check(settings: &Settings) -> Vec<Check> {
    let Some(matcher) = &settings.matcher else {
        return vec![Check::skip("target", "none is set: lameduck only counts and waits")];
    };
    let signal = settings.signal;
    let finder = TargetFinder { matcher: Some(matcher.clone()), signal, ignore_exec_sessions: false };
    let required = signal.is_some() || settings.wait_for == WaitFor::Exit;
    let timeout = settings.times.scrape_timeout;
    // This can block: the name of a process is read from its memory, which it may have locked.
    let observation = tokio::task::spawn_blocking(move || observe(&finder));
    match tokio::time::timeout(timeout, observation).await {
        Ok(Ok(observed)) => evaluate(&Requirements { matcher, signal, required }, &observed),
        Ok(Err(_)) | Err(_) => vec![Check::fail(
            "target",
            Cause::Environment,
            format!("the visible processes could not be read within {timeout:?}"),
            "try again; if it happens again, a visible process hangs in the kernel (state D in ps)",
        )],
    }
}

fn observe(finder: &TargetFinder) -> Observed {
    let result = finder.find(None);
    let pid = match &result {
        SearchResult::Found(found) => Some(found.incarnation.pid),
        SearchResult::NotFound | SearchResult::Ambiguous(_) => None,
    };
    let own = Process { pid: std::process::id(), name: process::own_name().unwrap_or_default() };
    Observed {
        matching: finder.matcher.as_ref().map(Matcher::matching).unwrap_or_default(),
        visible: process::visible_processes(),
        own,
        status: pid.and_then(process::status_of),
        can_signal: pid.is_none_or(process::can_signal),
        has_listener: matches!(finder.matcher, Some(Matcher::Port(port)) if process::has_listener(port)),
        result,
    }
}

fn evaluate(requirements: &Requirements<'_>, observed: &Observed) -> Vec<Check> {
    let namespace = namespace(observed).required_if(requirements.required);
    let mut checks = vec![namespace, target(requirements, observed)];
    let (Some(signal), SearchResult::Found(found)) = (requirements.signal, &observed.result) else {
        let reason = if requirements.signal.is_none() { "no signal is sent" } else { "there is no single target" };
        checks.extend(["uid", "signal_permitted", "signal_caught"].map(|name| Check::skip(name, reason)));
        return checks;
    };
    let Some(status) = observed.status else {
        checks.push(Check::skip("signal_caught", "the target has just exited"));
        return checks;
    };
    let own_uid = rustix::process::geteuid().as_raw();
    checks.push(uid(own_uid, status.uid, observed.can_signal));
    checks.push(signal_permitted(found, signal, own_uid == status.uid, observed.can_signal));
    checks.push(signal_caught(found, &status, signal));
    checks
}

/// Checks that this process can see those of other containers.
fn namespace(observed: &Observed) -> Check {
    const NAME: &str = "pid_namespace";
    let first = observed.visible.iter().find(|process| process.pid == 1);
    match (&observed.result, first) {
        (SearchResult::Found(_) | SearchResult::Ambiguous(_), _) => Check::pass(NAME, "shared: the target is visible"),
        (SearchResult::NotFound, _) if observed.own.pid == 1 => not_shared(),
        (SearchResult::NotFound, Some(first)) if first.name == observed.own.name => not_shared(),
        (SearchResult::NotFound, Some(first)) if first.name == PAUSE => {
            Check::pass(NAME, "shared: process 1 is the pod's pause")
        }
        (SearchResult::NotFound, Some(first)) => Check::skip(
            NAME,
            format!("process 1 is {}: it is unknown whether processes of other containers are visible", first.name),
        ),
        (SearchResult::NotFound, None) => {
            Check::skip(NAME, "process 1 is not visible: /proc may hide the processes of other users (hidepid)")
        }
    }
}

fn not_shared() -> Check {
    Check::fail(
        "pid_namespace",
        Cause::Environment,
        "not shared: process 1 is lameduck itself, so no process of another container is visible",
        "set shareProcessNamespace: true in the pod's spec; or set --signal none: then the kubelet's SIGTERM after the hook is the signal",
    )
}

fn target(requirements: &Requirements<'_>, observed: &Observed) -> Check {
    const NAME: &str = "target";
    let check = match &observed.result {
        SearchResult::Found(found) => Check::pass(NAME, describe(found, &observed.matching)),
        SearchResult::Ambiguous(pids) => {
            let matches: Vec<_> = observed.matching.iter().filter(|process| pids.contains(&process.pid)).collect();
            Check::fail(
                NAME,
                Cause::Environment,
                format!("several processes match {}: {}; none is signalled", requirements.matcher, list(&matches)),
                "leave only one of them, or name a port on which only one listens with --target-port",
            )
        }
        SearchResult::NotFound => target_missing(requirements.matcher, observed),
    };
    check.required_if(requirements.required)
}

fn describe(found: &Found, matching: &[Process]) -> String {
    let children: Vec<&Process> = matching.iter().filter(|process| process.pid != found.incarnation.pid).collect();
    let target = format!("{} ({})", found.name, found.incarnation.pid);
    if children.is_empty() { target } else { format!("{target}; not signalled, as its children: {}", list(&children)) }
}

fn target_missing(matcher: &Matcher, observed: &Observed) -> Check {
    let others = candidates(matcher, observed);
    let (detail, fix) = match (matcher, &others[..]) {
        (Matcher::Port(port), _) if observed.has_listener => {
            return Check::fail(
                "target",
                Cause::NotPermitted,
                format!("a process listens on port {port}, but the kernel does not show which"),
                "run the sidecar as the target's user (securityContext.runAsUser), or name the target with --target",
            );
        }
        (Matcher::Port(port), _) => (
            format!("no process listens on port {port}"),
            "wait until the target listens, or correct --target-port".to_owned(),
        ),
        (Matcher::Name(name), []) => (
            format!("no process is named {name}, and no other candidate is visible"),
            "wait until the target's container has started; pid_namespace says whether it would be visible".to_owned(),
        ),
        (Matcher::Name(name), [first, ..]) => {
            let detail = format!("no process is named {name}; visible: {}", list(&others));
            let fix = if is_similar(name, &first.name) {
                format!("{} was probably intended: --target {}", first.name, first.name)
            } else {
                "wait until the target has started, or name one of these with --target".to_owned()
            };
            (detail, fix)
        }
    };
    Check::fail("target", Cause::Environment, detail, fix)
}

/// Returns the processes that may have been intended, the most similar name first.
fn candidates<'a>(matcher: &Matcher, observed: &'a Observed) -> Vec<&'a Process> {
    let is_other = |process: &&Process| process.name != observed.own.name && process.name != PAUSE;
    let mut others: Vec<&Process> = observed.visible.iter().filter(is_other).collect();
    if let Matcher::Name(name) = matcher {
        others.sort_by_key(|process| Reverse(percent(name, &process.name)));
    }
    others
}

fn uid(own: u32, target: u32, can_signal: bool) -> Check {
    match (own == target, can_signal) {
        (true, _) => Check::pass("uid", format!("both run as uid {own}")),
        (false, true) => Check::pass("uid", format!("the target runs as uid {target}, and uid {own} may signal it")),
        (false, false) => Check::fail(
            "uid",
            Cause::NotPermitted,
            format!("the target runs as uid {target}, and lameduck as uid {own}"),
            format!("set securityContext.runAsUser: {target} for the sidecar (or the same for both containers)"),
        ),
    }
}

fn signal_permitted(found: &Found, signal: Signal, same_uid: bool, can_signal: bool) -> Check {
    const NAME: &str = "signal_permitted";
    let pid = found.incarnation.pid;
    if can_signal {
        return Check::pass(NAME, format!("the kernel permits {signal} to process {pid}"));
    }
    let fix = if same_uid {
        "the uids are equal, so look for a seccomp or AppArmor profile that forbids kill between the two containers; or set --signal none"
    } else {
        "see uid; or set --signal none: then the kubelet's SIGTERM after the hook is the signal"
    };
    Check::fail(NAME, Cause::NotPermitted, format!("the kernel refuses {signal} to process {pid} (EPERM)"), fix)
}

fn signal_caught(found: &Found, status: &Status, signal: Signal) -> Check {
    let mask = |name: &str| format!("{name} in /proc/{}/status", found.incarnation.pid);
    let (reason, fix) = match status.disposition(signal as i32) {
        Disposition::Caught => {
            return Check::pass("signal_caught", format!("the target has a handler for {signal} ({})", mask("SigCgt")));
        }
        Disposition::Ignored => (
            format!(
                "the target ignores {signal} ({}), like every process that a shell starts in the background: it would not drain",
                mask("SigIgn")
            ),
            "start the target without & or nohup (exec it in the entrypoint)",
        ),
        Disposition::Blocked => (
            format!(
                "the target blocks {signal} and has no handler for it ({}): whether it waits for it in another way is unknown",
                mask("SigBlk")
            ),
            "install a handler in the target",
        ),
        Disposition::Default => (
            format!("the target does not catch {signal} ({}): it would be killed, and its streams cut", mask("SigCgt")),
            "check that it is the intended process, not a shell around it",
        ),
    };
    let detail = format!("{reason}; so the signal is not sent");
    Check::fail("signal_caught", Cause::Environment, detail, format!("{fix}; {}", caught_signals_hint(status)))
}

/// Suggests the signals that the target does catch, among those on which programs usually drain.
fn caught_signals_hint(status: &Status) -> String {
    const COMMON: [Signal; 6] =
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];
    let caught: Vec<&str> = COMMON.into_iter().filter(|it| status.catches(*it as i32)).map(Signal::as_str).collect();
    if caught.is_empty() {
        "or set --signal none".to_owned()
    } else {
        format!("or set --signal to the one on which it drains: it catches {}", caught.join(", "))
    }
}

fn list(processes: &[impl Display]) -> String {
    let shown: Vec<String> = processes.iter().take(MAX_LISTED).map(ToString::to_string).collect();
    let more = processes.len().saturating_sub(MAX_LISTED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &rest
}

#[cfg(test)]
mod tests;
