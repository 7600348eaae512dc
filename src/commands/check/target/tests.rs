use super::*;
use lameduck_machine::target::Incarnation;
use lameduck_parsers::procfs::Listener;

const PORT: Matcher = Matcher::Port(8080);

fn process(pid: u32, name: &str) -> Process {
    Process { pid, name: name.to_owned() }
}

/// No target was found by a process to which the first process and these others are visible.
fn not_found_among(first: Option<&str>, others: &[(u32, &str)]) -> Observed {
    let visible = Visible {
        processes: others.iter().map(|(pid, name)| process(*pid, name)).collect(),
        listeners: vec![Listener { port: 9991, uid: 0 }],
        uid: 1000,
        first: first.map(|name| process(1, name)),
        is_alone: first == Some("lameduck"),
        is_shared: first == Some("pause"),
    };
    Observed { result: SearchResult::NotFound, matching: Vec::new(), visible, status: None, permission: Ok(()) }
}

fn found() -> Found {
    Found { incarnation: Incarnation { pid: 17, started: 1 }, name: "impeller".to_owned(), blocker: None }
}

fn masks(caught: u64, ignored: u64, blocked: u64) -> SignalMasks {
    SignalMasks { caught, ignored, blocked }
}

/// The fields of a check in one string.
fn text(check: &Check) -> String {
    format!("{check:?}")
}

fn assert_failed(check: &Check, cause: Cause, parts: &[&str]) {
    let text = text(check);
    for part in [&[format!("Fail {{ cause: {cause:?}").as_str()], parts].concat() {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[test]
fn own_first_process_means_namespace_is_not_shared() {
    for observed in [not_found_among(Some("lameduck"), &[]), not_found_among(Some("lameduck"), &[(7, "sh")])] {
        assert_failed(&namespace(&observed), Cause::Environment, &["shareProcessNamespace: true"]);
    }
}

#[test]
fn pause_or_target_means_namespace_is_shared() {
    assert!(text(&namespace(&not_found_among(Some("pause"), &[]))).contains("Pass"));
    let result = SearchResult::Found(found());
    assert!(text(&namespace(&Observed { result, ..not_found_among(Some("lameduck"), &[]) })).contains("Pass"));
}

#[test]
fn unknown_first_process_skips_namespace_check() {
    for observed in [not_found_among(Some("systemd"), &[]), not_found_among(None, &[])] {
        assert!(text(&namespace(&observed)).contains("Skip"));
    }
}

#[test]
fn most_similar_candidate_is_listed_first() {
    let observed = not_found_among(Some("pause"), &[(7, "python3"), (8, "impeler")]);
    let check = target_missing(&Matcher::Name("impeller".to_owned()), &observed);
    assert_failed(&check, Cause::Environment, &["visible to uid 1000: impeler (8), python3 (7)", "--target impeler"]);
    assert!(!text(&check).contains("pause"), "{check:?}");
    let check = target_missing(&Matcher::Name("stem".to_owned()), &observed);
    assert_failed(&check, Cause::Environment, &["name one of these with --target"]);
    let alone = target_missing(&Matcher::Name("stem".to_owned()), &not_found_among(Some("pause"), &[]));
    assert_failed(&alone, Cause::Environment, &["no other candidate is visible"]);
}

#[test]
fn hidden_listener_is_a_missing_permission() {
    let observed = not_found_among(None, &[]);
    let hidden = target_missing(&Matcher::Port(9991), &observed);
    assert_failed(&hidden, Cause::NotPermitted, &["port 9991", "runAsUser"]);
    let closed = target_missing(&PORT, &observed);
    assert_failed(&closed, Cause::Environment, &["no process listens on port 8080; listening ports: 9991"]);
}

#[test]
fn children_of_target_are_listed_as_not_signalled() {
    let matching = [process(17, "impeller"), process(18, "impeller")];
    assert_eq!(describe(&found(), &matching), "impeller (17); not signalled, as its children: impeller (18)");
    assert_eq!(describe(&found(), &matching[..1]), "impeller (17)");
}

#[test]
fn different_uids_fail_only_if_kernel_refuses() {
    assert!(text(&uid(1000, 1000, Ok(()))).contains("Pass"));
    assert!(text(&uid(0, 1000, Ok(()))).contains("Pass"));
    assert_failed(&uid(65532, 1000, Err(Errno::EPERM)), Cause::NotPermitted, &["uid 65532", "runAsUser: 1000"]);
    assert!(text(&uid(65532, 1000, Err(Errno::EACCES))).contains("Skip"), "the users are not the cause");
    for (errno, part) in [(Errno::EPERM, "seccomp"), (Errno::EACCES, "AppArmor")] {
        let refusal = Refusal::new(errno as i32, 1000, 1000);
        let check = signal_permitted(&found(), TargetSignal::INT, Some(refusal));
        assert_failed(&check, Cause::NotPermitted, &[&format!("{errno:?}"), part]);
    }
}

#[test]
fn signal_dispositions_are_distinguished() {
    let int = 1 << (TargetSignal::INT.number() - 1);
    let term = 1 << (15 - 1);
    let evaluate = |masks: SignalMasks| signal_caught(&found(), &masks, TargetSignal::INT);
    let caught = text(&evaluate(masks(int, 0, int)));
    assert!(caught.contains("Pass") && caught.contains("does not show that it drains"), "{caught}");
    assert_failed(
        &evaluate(masks(term, int, 0)),
        Cause::Environment,
        &["ignores SIGINT", "background", "it catches SIGTERM"],
    );
    assert_failed(&evaluate(masks(term, 0, int)), Cause::Environment, &["blocks SIGINT", "it catches SIGTERM"]);
    assert_failed(&evaluate(masks(0, 0, 0)), Cause::Environment, &["would be killed", "or set --signal none"]);
}

#[test]
fn unknown_caught_signals_fail_or_are_skipped_if_assumed() {
    let parts = ["cannot see here which signals the target catches", "SigCgt in /proc/17/status"];
    let fixes = ["not sent", "--signal none", "--assume-signal-caught"];
    let check = caught_unknown(&found(), TargetSignal::INT, false);
    assert_failed(&check, Cause::Environment, &[&parts[..], &fixes].concat());
    let check = text(&caught_unknown(&found(), TargetSignal::INT, true));
    assert!(check.contains("Skip") && parts.iter().all(|part| check.contains(part)), "{check}");
    assert!(check.contains("because of --assume-signal-caught"), "{check}");
}
