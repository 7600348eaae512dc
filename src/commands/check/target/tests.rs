use super::*;
use lameduck_machine::target::Incarnation;

const PORT: Matcher = Matcher::Port(8080);

fn process(pid: u32, name: &str) -> Process {
    Process { pid, name: name.to_owned() }
}

/// Nobody found, with these in sight, by the process of this id.
fn nobody_among(own: u32, in_sight: &[(u32, &str)]) -> Seen {
    Seen {
        sighting: SearchResult::NotFound,
        matching: Vec::new(),
        in_sight: in_sight.iter().map(|(pid, name)| process(*pid, name)).collect(),
        own: process(own, "lameduck"),
        status: None,
        permitted: true,
        has_listener: false,
    }
}

fn found() -> Found {
    Found { incarnation: Incarnation { pid: 17, started: 1 }, name: "impeller".to_owned(), obstacle: None }
}

fn status(caught: u64, ignored: u64, blocked: u64) -> Status {
    Status { uid: 1000, caught, ignored, blocked }
}

/// What is said of a check, in one string.
fn said(check: &Check) -> String {
    format!("{check:?}")
}

fn assert_amiss(check: &Check, cause: Cause, parts: &[&str]) {
    let said = said(check);
    for part in [&[format!("Amiss({cause:?})").as_str()], parts].concat() {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

#[test]
fn a_namespace_whose_first_process_is_ours_is_not_shared() {
    for seen in
        [nobody_among(1, &[]), nobody_among(9, &[(1, "lameduck")]), nobody_among(9, &[(1, "lameduck"), (7, "sh")])]
    {
        assert_amiss(&namespace(&seen), Cause::Environment, &["shareProcessNamespace: true"]);
    }
}

#[test]
fn a_namespace_with_pause_or_the_target_in_it_is_shared() {
    assert!(said(&namespace(&nobody_among(9, &[(1, "pause")]))).contains("Well"));
    let sighting = SearchResult::Found(found());
    assert!(said(&namespace(&Seen { sighting, ..nobody_among(9, &[(1, "lameduck")]) })).contains("Well"));
}

#[test]
fn a_namespace_of_others_is_left_open() {
    for seen in [nobody_among(9, &[(1, "systemd")]), nobody_among(9, &[])] {
        assert!(said(&namespace(&seen)).contains("Open"));
    }
}

#[test]
fn who_was_probably_meant_comes_first_and_what_cannot_be_meant_not_at_all() {
    let seen = nobody_among(9, &[(1, "pause"), (5, "lameduck"), (7, "python3"), (8, "impeler")]);
    let check = nobody(&Matcher::Name("impeller".to_owned()), &seen);
    assert_amiss(&check, Cause::Environment, &["in sight: impeler (8), python3 (7)", "--target impeler"]);
    assert!(!said(&check).contains("pause"), "{check:?}");
    let check = nobody(&Matcher::Name("stem".to_owned()), &seen);
    assert_amiss(&check, Cause::Environment, &["name one of these with --target"]);
    let alone = nobody(&Matcher::Name("stem".to_owned()), &nobody_among(9, &[(1, "pause")]));
    assert_amiss(&alone, Cause::Environment, &["none that could be it is in sight"]);
}

#[test]
fn a_listener_that_is_not_shown_is_a_missing_permission() {
    let seen = Seen { has_listener: true, ..nobody_among(9, &[]) };
    assert_amiss(&nobody(&PORT, &seen), Cause::NotPermitted, &["port 8080", "runAsUser"]);
    assert_amiss(&nobody(&PORT, &nobody_among(9, &[])), Cause::Environment, &["nobody listens on port 8080"]);
}

#[test]
fn children_of_the_target_are_named_as_left_alone() {
    let matching = [process(17, "impeller"), process(18, "impeller")];
    assert_eq!(describe(&found(), &matching), "impeller (17); below it and so left alone: impeller (18)");
    assert_eq!(describe(&found(), &matching[..1]), "impeller (17)");
}

#[test]
fn uids_that_differ_matter_only_where_the_kernel_refuses() {
    assert!(said(&uid(1000, 1000, true)).contains("Well"));
    assert!(said(&uid(0, 1000, true)).contains("Well"));
    assert_amiss(&uid(65532, 1000, false), Cause::NotPermitted, &["uid 65532", "runAsUser: 1000"]);
    let profile = permitted(&found(), Signal::SIGINT, true, false);
    assert_amiss(&profile, Cause::NotPermitted, &["EPERM", "seccomp or AppArmor"]);
}

#[test]
fn what_the_target_does_with_the_signal_is_told_apart() {
    let int = 1 << (Signal::SIGINT as i32 - 1);
    let term = 1 << (Signal::SIGTERM as i32 - 1);
    let judge = |status: Status| caught(&found(), &status, Signal::SIGINT);
    assert!(said(&judge(status(int, 0, int))).contains("Well"));
    assert_amiss(
        &judge(status(term, int, 0)),
        Cause::Environment,
        &["ignores SIGINT", "background", "it catches SIGTERM"],
    );
    assert_amiss(&judge(status(term, 0, int)), Cause::Environment, &["blocks SIGINT", "it catches SIGTERM"]);
    assert_amiss(&judge(status(0, 0, 0)), Cause::Environment, &["would be killed", "Otherwise --signal none"]);
}

#[test]
fn a_long_list_is_cut_and_counted() {
    let many: Vec<u32> = (0..20).collect();
    assert!(list(&many).ends_with("10, 11 and 8 more"));
}
