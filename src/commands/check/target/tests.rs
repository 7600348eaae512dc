use super::*;
use lameduck_machine::target::Incarnation;

const PORT: Matcher = Matcher::Port(8080);

fn process(pid: u32, name: &str) -> Process {
    Process { pid, name: name.to_owned() }
}

/// No target was found among these visible processes by the process of this id.
fn not_found_among(own: u32, visible: &[(u32, &str)]) -> Observed {
    Observed {
        result: SearchResult::NotFound,
        matching: Vec::new(),
        visible: visible.iter().map(|(pid, name)| process(*pid, name)).collect(),
        own: process(own, "lameduck"),
        status: None,
        can_signal: true,
        has_listener: false,
    }
}

fn found() -> Found {
    Found { incarnation: Incarnation { pid: 17, started: 1 }, name: "impeller".to_owned(), blocker: None }
}

fn status(caught: u64, ignored: u64, blocked: u64) -> Status {
    Status { uid: 1000, caught, ignored, blocked }
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
    for observed in [
        not_found_among(1, &[]),
        not_found_among(9, &[(1, "lameduck")]),
        not_found_among(9, &[(1, "lameduck"), (7, "sh")]),
    ] {
        assert_failed(&namespace(&observed), Cause::Environment, &["shareProcessNamespace: true"]);
    }
}

#[test]
fn pause_or_target_means_namespace_is_shared() {
    assert!(text(&namespace(&not_found_among(9, &[(1, "pause")]))).contains("Pass"));
    let result = SearchResult::Found(found());
    assert!(text(&namespace(&Observed { result, ..not_found_among(9, &[(1, "lameduck")]) })).contains("Pass"));
}

#[test]
fn unknown_first_process_skips_namespace_check() {
    for observed in [not_found_among(9, &[(1, "systemd")]), not_found_among(9, &[])] {
        assert!(text(&namespace(&observed)).contains("Skip"));
    }
}

#[test]
fn most_similar_candidate_is_listed_first() {
    let observed = not_found_among(9, &[(1, "pause"), (5, "lameduck"), (7, "python3"), (8, "impeler")]);
    let check = target_missing(&Matcher::Name("impeller".to_owned()), &observed);
    assert_failed(&check, Cause::Environment, &["visible: impeler (8), python3 (7)", "--target impeler"]);
    assert!(!text(&check).contains("pause"), "{check:?}");
    let check = target_missing(&Matcher::Name("stem".to_owned()), &observed);
    assert_failed(&check, Cause::Environment, &["name one of these with --target"]);
    let alone = target_missing(&Matcher::Name("stem".to_owned()), &not_found_among(9, &[(1, "pause")]));
    assert_failed(&alone, Cause::Environment, &["no other candidate is visible"]);
}

#[test]
fn hidden_listener_is_a_missing_permission() {
    let observed = Observed { has_listener: true, ..not_found_among(9, &[]) };
    assert_failed(&target_missing(&PORT, &observed), Cause::NotPermitted, &["port 8080", "runAsUser"]);
    assert_failed(
        &target_missing(&PORT, &not_found_among(9, &[])),
        Cause::Environment,
        &["no process listens on port 8080"],
    );
}

#[test]
fn children_of_target_are_listed_as_not_signalled() {
    let matching = [process(17, "impeller"), process(18, "impeller")];
    assert_eq!(describe(&found(), &matching), "impeller (17); not signalled, as its children: impeller (18)");
    assert_eq!(describe(&found(), &matching[..1]), "impeller (17)");
}

#[test]
fn different_uids_fail_only_if_kernel_refuses() {
    assert!(text(&uid(1000, 1000, true)).contains("Pass"));
    assert!(text(&uid(0, 1000, true)).contains("Pass"));
    assert_failed(&uid(65532, 1000, false), Cause::NotPermitted, &["uid 65532", "runAsUser: 1000"]);
    let profile = signal_permitted(&found(), Signal::SIGINT, true, false);
    assert_failed(&profile, Cause::NotPermitted, &["EPERM", "seccomp or AppArmor"]);
}

#[test]
fn signal_dispositions_are_distinguished() {
    let int = 1 << (Signal::SIGINT as i32 - 1);
    let term = 1 << (Signal::SIGTERM as i32 - 1);
    let evaluate = |status: Status| signal_caught(&found(), &status, Signal::SIGINT);
    assert!(text(&evaluate(status(int, 0, int))).contains("Pass"));
    assert_failed(
        &evaluate(status(term, int, 0)),
        Cause::Environment,
        &["ignores SIGINT", "background", "it catches SIGTERM"],
    );
    assert_failed(&evaluate(status(term, 0, int)), Cause::Environment, &["blocks SIGINT", "it catches SIGTERM"]);
    assert_failed(&evaluate(status(0, 0, 0)), Cause::Environment, &["would be killed", "or set --signal none"]);
}

#[test]
fn long_list_is_truncated_with_count() {
    let many: Vec<u32> = (0..20).collect();
    assert!(list(&many).ends_with("10, 11 and 8 more"));
}
