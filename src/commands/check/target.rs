//! The target: whether it is visible, whether it can be signalled, and what the signal would do.

use nix::errno::Errno;

use super::report::{Cause, Check};
use crate::commands::startup::target_finder;
use crate::io::process::signalling::{caught_signals, may_signal, status_of};
use crate::io::process::visible::Visible;
use crate::io::process::{self, Earlier, Matcher, Process, SearchScope, TargetFinder};
use crate::io::target_signal::TargetSignal;
use crate::reasons::CAUGHT_UNKNOWN_FIX;
use crate::reasons::missing_target::MissingTarget;
use crate::reasons::refusal::Refusal;
use crate::reasons::several_targets;
use crate::settings::Settings;
use crate::settings::values::WaitFor;
use crate::suggest::list;
use lameduck_machine::target::{Found, SearchResult};
use lameduck_parsers::procfs::{Disposition, SignalMasks, Status};

/// What was found out about the processes.
struct Observed {
    result: SearchResult,
    /// Every matching process, including children of the target.
    matching: Vec<Process>,
    visible: Visible,
    /// The status of the target, if there is exactly one.
    status: Option<Status>,
    /// Whether the kernel would permit the signal.
    permission: Result<(), Errno>,
}

/// What a drain needs from the target.
struct Requirements<'a> {
    matcher: &'a Matcher,
    signal: Option<TargetSignal>,
    /// Whether the signal is sent even if the kernel does not show whether the target catches it.
    assume_signal_caught: bool,
    /// Whether a drain needs a target: for its signal, or for its exit.
    required: bool,
}

/// Checks that the target can be found and signalled.
pub(super) async fn check(settings: &Settings) -> Vec<Check> {
    let Some(matcher) = &settings.matcher else {
        return vec![Check::skip("target", "none is set: lameduck only counts and waits")];
    };
    let signal = settings.signal;
    let finder = target_finder(settings, SearchScope::All);
    let required = signal.is_some() || settings.wait_for == WaitFor::Exit;
    let timeout = settings.times.scrape_timeout;
    // This can block: the name of a process is read from its memory, which it may have locked.
    let observation = tokio::task::spawn_blocking(move || observe(&finder));
    match tokio::time::timeout(timeout, observation).await {
        Ok(Ok(observed)) => {
            let assume_signal_caught = settings.assume_signal_caught;
            evaluate(&Requirements { matcher, signal, assume_signal_caught, required }, &observed)
        }
        Ok(Err(_)) | Err(_) => vec![Check::fail(
            "target",
            Cause::Environment,
            format!("the visible processes could not be read within {timeout:?}"),
            "try again; if it happens again, a visible process hangs in the kernel (state D in ps)",
        )],
    }
}

fn observe(finder: &TargetFinder) -> Observed {
    let result = finder.find(None, &mut Earlier::default());
    let pid = match &result {
        SearchResult::Found(found) => Some(found.incarnation.pid),
        SearchResult::NotFound | SearchResult::Ambiguous(_) => None,
    };
    Observed {
        matching: finder.matcher.as_ref().map(Matcher::matching).unwrap_or_default(),
        visible: Visible::read(),
        status: pid.and_then(status_of),
        permission: pid.map_or(Ok(()), may_signal),
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
    let refusal = observed.permission.err().map(|errno| Refusal::new(errno as i32, status.uid, own_uid));
    checks.push(uid(own_uid, status.uid, observed.permission));
    checks.push(signal_permitted(found, signal, refusal));
    checks.push(match status.signals {
        Some(masks) => signal_caught(found, &masks, signal),
        None => caught_unknown(found, signal, requirements.assume_signal_caught),
    });
    checks
}

/// Checks that this process can see those of other containers.
fn namespace(observed: &Observed) -> Check {
    const NAME: &str = "pid_namespace";
    match (&observed.result, &observed.visible.first) {
        (SearchResult::Found(_) | SearchResult::Ambiguous(_), _) => Check::pass(NAME, "shared: the target is visible"),
        (SearchResult::NotFound, _) if observed.visible.is_alone => not_shared(),
        (SearchResult::NotFound, Some(first)) if observed.visible.is_shared => {
            Check::pass(NAME, format!("shared: process 1, {}, belongs to another container", first.name))
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
                several_targets::fix(requirements.matcher, process::common_parent(pids).as_ref()),
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
    let missing = MissingTarget::new(matcher, &observed.visible);
    let cause = if missing.is_hidden() { Cause::NotPermitted } else { Cause::Environment };
    Check::fail("target", cause, missing.detail(), missing.fix())
}

fn uid(own: u32, target: u32, permission: Result<(), Errno>) -> Check {
    const NAME: &str = "uid";
    match (own == target, permission) {
        (true, _) => Check::pass(NAME, format!("both run as uid {own}")),
        (false, Ok(())) => Check::pass(NAME, format!("the target runs as uid {target}, and uid {own} may signal it")),
        (false, Err(Errno::EPERM)) => Check::fail(
            NAME,
            Cause::NotPermitted,
            format!("the target runs as uid {target}, and lameduck as uid {own}"),
            format!("set securityContext.runAsUser: {target} for the sidecar (or the same for both containers)"),
        ),
        (false, Err(_)) => Check::skip(
            NAME,
            format!("the target runs as uid {target}, and lameduck as uid {own}: the kernel refuses the signal first"),
        ),
    }
}

fn signal_permitted(found: &Found, signal: TargetSignal, refusal: Option<Refusal>) -> Check {
    const NAME: &str = "signal_permitted";
    let pid = found.incarnation.pid;
    match refusal {
        None => Check::pass(NAME, format!("the kernel permits {signal} to process {pid}")),
        Some(Refusal { error, cause, fix }) => {
            let detail = format!("the kernel refuses {signal} to process {pid} ({error}): {cause}");
            Check::fail(NAME, Cause::NotPermitted, detail, fix)
        }
    }
}

/// The kernel does not show which signals the target catches.
fn caught_unknown(found: &Found, signal: TargetSignal, assume_caught: bool) -> Check {
    const NAME: &str = "signal_caught";
    let pid = found.incarnation.pid;
    let detail = format!(
        "cannot see here which signals the target catches (no SigCgt in /proc/{pid}/status, as in gVisor), and {signal} \
         kills a process that does not catch it"
    );
    if assume_caught {
        Check::skip(NAME, format!("{detail}; it is sent anyway, because of --assume-signal-caught"))
    } else {
        Check::fail(NAME, Cause::Environment, format!("{detail}; so the signal is not sent"), CAUGHT_UNKNOWN_FIX)
    }
}

fn signal_caught(found: &Found, masks: &SignalMasks, signal: TargetSignal) -> Check {
    let mask = |name: &str| format!("{name} in /proc/{}/status", found.incarnation.pid);
    let (reason, fix) = match masks.disposition(signal.number()) {
        Disposition::Caught => {
            let detail = format!("the target has a handler for {signal} ({})", mask("SigCgt"));
            return Check::pass("signal_caught", format!("{detail}, which does not show that it drains on it"));
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
    Check::fail("signal_caught", Cause::Environment, detail, format!("{fix}; {}", caught_signals_hint(masks)))
}

/// Suggests the signals that the target does catch, among those on which programs usually drain.
fn caught_signals_hint(masks: &SignalMasks) -> String {
    let caught = caught_signals(masks);
    if caught.is_empty() {
        "or set --signal none".to_owned()
    } else {
        format!("or set --signal to the signal on which it drains: it catches {}", caught.join(", "))
    }
}

#[cfg(test)]
mod tests;
