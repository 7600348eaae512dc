//! The target: whether it is in sight, whether the signal would reach it, and what it would do with it.

use std::cmp::Reverse;
use std::fmt::Display;

use nix::sys::signal::Signal;

use super::report::{Cause, Check};
use super::similarity::{is_likely, percent};
use crate::io::process::{self, Matcher, Process, TargetFinder};
use crate::settings::Settings;
use crate::settings::args::WaitFor;
use lameduck_machine::target::{Found, SearchResult};
use lameduck_parsers::procfs::{Disposition, Status};

/// How many names of processes a line may hold.
const SHOWN: usize = 12;
/// What holds the namespaces of a pod, and is its first process where they are shared.
const PAUSE: &str = "pause";

/// What was seen of the processes.
struct Seen {
    sighting: SearchResult,
    /// Every match, children too.
    matching: Vec<Process>,
    in_sight: Vec<Process>,
    own: Process,
    /// Of the one target.
    status: Option<Status>,
    permitted: bool,
    /// Whether anybody at all listens on the target's port, if it is known by one.
    has_listener: bool,
}

/// What is asked of the target.
struct PageSelectors<'a> {
    matcher: &'a Matcher,
    signal: Option<Signal>,
    /// Whether a drain needs it: for its signal, or for its exit.
    needed: bool,
}

/// Whether the target can be found and signalled.
pub(super) async fn check(settings: &Settings) -> Vec<Check> {
    let Some(matcher) = &settings.matcher else {
        return vec![Check::open("target", "none is set: lameduck only counts and waits")];
    };
    let seeker = TargetFinder { matcher: Some(matcher.clone()), signal: settings.signal, ignore_exec_sessions: false };
    let needed = settings.signal.is_some() || settings.wait_for == WaitFor::Exit;
    let bound = settings.plan.scrape_timeout;
    // The name of a process is read from its memory, which it may have locked.
    let look = tokio::task::spawn_blocking(move || look(&seeker));
    match tokio::time::timeout(bound, look).await {
        Ok(Ok(seen)) => judge(&PageSelectors { matcher, signal: settings.signal, needed }, &seen),
        Ok(Err(_)) | Err(_) => vec![Check::amiss(
            "target",
            Cause::Environment,
            format!("the processes in sight could not be looked at within {bound:?}"),
            "try again; if it stays, a process in sight hangs in the kernel (state D in ps)",
        )],
    }
}

fn look(seeker: &TargetFinder) -> Seen {
    let sighting = seeker.find(None);
    let pid = match &sighting {
        SearchResult::Found(found) => Some(found.incarnation.pid),
        SearchResult::NotFound | SearchResult::Ambiguous(_) => None,
    };
    let own = Process { pid: std::process::id(), name: process::own_name().unwrap_or_default() };
    Seen {
        matching: seeker.matcher.as_ref().map(Matcher::matching).unwrap_or_default(),
        in_sight: process::visible_processes(),
        own,
        status: pid.and_then(process::status_of),
        permitted: pid.is_none_or(process::can_signal),
        has_listener: matches!(seeker.matcher, Some(Matcher::Port(port)) if process::has_listener(port)),
        sighting,
    }
}

fn judge(wanted: &PageSelectors<'_>, seen: &Seen) -> Vec<Check> {
    let mut checks = vec![namespace(seen).where_needed(wanted.needed), target(wanted, seen)];
    let (Some(signal), SearchResult::Found(found)) = (wanted.signal, &seen.sighting) else {
        let why = if wanted.signal.is_none() { "no signal is sent" } else { "there is no one target" };
        checks.extend(["uid", "signal_permitted", "signal_caught"].map(|name| Check::open(name, why)));
        return checks;
    };
    let Some(status) = seen.status else {
        checks.push(Check::open("signal_caught", "the target has just ended"));
        return checks;
    };
    let ours = rustix::process::geteuid().as_raw();
    checks.push(uid(ours, status.uid, seen.permitted));
    checks.push(permitted(found, signal, ours == status.uid, seen.permitted));
    checks.push(caught(found, &status, signal));
    checks
}

/// Whether this process sees those of other containers.
fn namespace(seen: &Seen) -> Check {
    const NAME: &str = "pid_namespace";
    let first = seen.in_sight.iter().find(|process| process.pid == 1);
    match (&seen.sighting, first) {
        (SearchResult::Found(_) | SearchResult::Ambiguous(_), _) => Check::well(NAME, "shared: the target is in sight"),
        (SearchResult::NotFound, _) if seen.own.pid == 1 => not_shared(),
        (SearchResult::NotFound, Some(first)) if first.name == seen.own.name => not_shared(),
        (SearchResult::NotFound, Some(first)) if first.name == PAUSE => {
            Check::well(NAME, "shared: process 1 is the pod's pause")
        }
        (SearchResult::NotFound, Some(first)) => Check::open(
            NAME,
            format!("process 1 is {}: whether the target should be in sight cannot be told", first.name),
        ),
        (SearchResult::NotFound, None) => {
            Check::open(NAME, "process 1 is not in sight: /proc may hide the processes of others (hidepid)")
        }
    }
}

fn not_shared() -> Check {
    Check::amiss(
        "pid_namespace",
        Cause::Environment,
        "not shared: process 1 is lameduck itself, so that no process of another container is in sight",
        "set shareProcessNamespace: true in the pod's spec; or --signal none, and the kubelet's SIGTERM after the hook is the signal",
    )
}

fn target(wanted: &PageSelectors<'_>, seen: &Seen) -> Check {
    const NAME: &str = "target";
    let check = match &seen.sighting {
        SearchResult::Found(found) => Check::well(NAME, describe(found, &seen.matching)),
        SearchResult::Ambiguous(heads) => {
            let heads: Vec<&Process> = seen.matching.iter().filter(|process| heads.contains(&process.pid)).collect();
            Check::amiss(
                NAME,
                Cause::Environment,
                format!("several processes match {}: {}; none will be signalled", wanted.matcher, list(&heads)),
                "leave only one of them, or name a port that only one listens on with --target-port",
            )
        }
        SearchResult::NotFound => nobody(wanted.matcher, seen),
    };
    check.where_needed(wanted.needed)
}

fn describe(found: &Found, matching: &[Process]) -> String {
    let children: Vec<&Process> = matching.iter().filter(|process| process.pid != found.incarnation.pid).collect();
    let target = format!("{} ({})", found.name, found.incarnation.pid);
    if children.is_empty() { target } else { format!("{target}; below it and so left alone: {}", list(&children)) }
}

fn nobody(matcher: &Matcher, seen: &Seen) -> Check {
    let others = candidates(matcher, seen);
    let (detail, mend) = match (matcher, &others[..]) {
        (Matcher::Port(port), _) if seen.has_listener => {
            return Check::amiss(
                "target",
                Cause::NotPermitted,
                format!("somebody listens on port {port}, but the kernel does not show us who"),
                "run the sidecar as the target's user (securityContext.runAsUser), or name the target with --target",
            );
        }
        (Matcher::Port(port), _) => (
            format!("nobody listens on port {port}"),
            "wait until the target listens, or correct --target-port".to_owned(),
        ),
        (Matcher::Name(name), []) => (
            format!("no process is named {name}, and none that could be it is in sight"),
            "wait until the target's container has started; pid_namespace says whether it would be in sight".to_owned(),
        ),
        (Matcher::Name(name), [first, ..]) => {
            let detail = format!("no process is named {name}; in sight: {}", list(&others));
            let mend = if is_likely(name, &first.name) {
                format!("probably {} was meant: --target {}", first.name, first.name)
            } else {
                "wait until the target has started, or name one of these with --target".to_owned()
            };
            (detail, mend)
        }
    };
    Check::amiss("target", Cause::Environment, detail, mend)
}

/// Who may have been meant: the most alike first.
fn candidates<'a>(matcher: &Matcher, seen: &'a Seen) -> Vec<&'a Process> {
    let is_other = |process: &&Process| process.name != seen.own.name && process.name != PAUSE;
    let mut others: Vec<&Process> = seen.in_sight.iter().filter(is_other).collect();
    if let Matcher::Name(name) = matcher {
        others.sort_by_key(|process| Reverse(percent(name, &process.name)));
    }
    others
}

fn uid(ours: u32, theirs: u32, permitted: bool) -> Check {
    match (ours == theirs, permitted) {
        (true, _) => Check::well("uid", format!("both run as uid {ours}")),
        (false, true) => Check::well("uid", format!("the target runs as uid {theirs}, and uid {ours} may signal it")),
        (false, false) => Check::amiss(
            "uid",
            Cause::NotPermitted,
            format!("the target runs as uid {theirs}, and lameduck as uid {ours}"),
            format!("set securityContext.runAsUser: {theirs} for the sidecar (or the same for both containers)"),
        ),
    }
}

fn permitted(found: &Found, signal: Signal, same_uid: bool, permitted: bool) -> Check {
    const NAME: &str = "signal_permitted";
    let pid = found.incarnation.pid;
    if permitted {
        return Check::well(NAME, format!("the kernel would let {signal} pass to process {pid}"));
    }
    let mend = if same_uid {
        "the uids are equal, so look for a seccomp or AppArmor profile that forbids kill between the two containers; or --signal none"
    } else {
        "see uid; or --signal none, and the kubelet's SIGTERM after the hook is the signal"
    };
    Check::amiss(NAME, Cause::NotPermitted, format!("the kernel would refuse {signal} to process {pid} (EPERM)"), mend)
}

fn caught(found: &Found, status: &Status, signal: Signal) -> Check {
    let pid = found.incarnation.pid;
    let mask = |name: &str| format!("{name} in /proc/{pid}/status");
    let (why, mend) = match status.disposition(signal as i32) {
        Disposition::Caught => {
            return Check::well("signal_caught", format!("the target has a handler for {signal} ({})", mask("SigCgt")));
        }
        Disposition::Ignored => (
            format!(
                "the target ignores {signal} ({}), as does what a shell starts in the background: it would drain nothing",
                mask("SigIgn")
            ),
            "start the target without & or nohup (exec it in the entrypoint)",
        ),
        Disposition::Blocked => (
            format!(
                "the target blocks {signal} and has no handler for it ({}): whether it waits for it otherwise cannot be seen",
                mask("SigBlk")
            ),
            "have the target install a handler",
        ),
        Disposition::Default => (
            format!(
                "the target does not catch {signal} ({}): it would be killed by it, and its streams with it",
                mask("SigCgt")
            ),
            "is it the process meant, and no shell around it?",
        ),
    };
    Check::amiss(
        "signal_caught",
        Cause::Environment,
        format!("{why}; so it is not sent"),
        format!("{mend} {}", or_another(status)),
    )
}

/// Which signals of those that programs drain on the target does catch.
fn or_another(status: &Status) -> String {
    const USUAL: [Signal; 6] =
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];
    let caught: Vec<&str> = USUAL.into_iter().filter(|it| status.catches(*it as i32)).map(Signal::as_str).collect();
    if caught.is_empty() {
        "Otherwise --signal none".to_owned()
    } else {
        format!("Otherwise --signal with what drains it: it catches {}", caught.join(", "))
    }
}

fn list(processes: &[impl Display]) -> String {
    let shown: Vec<String> = processes.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = processes.len().saturating_sub(SHOWN);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &rest
}

#[cfg(test)]
mod tests;
