//! Readiness: what it requires, and what does not revoke it.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::{Fixture, SHORT_SCRAPES, start_engine};
use lameduck_test_support::page::{PageReply, PageServer};
use lameduck_test_support::shell::ShellTarget;
use lameduck_test_support::sidecar::{QUICK_TIMES, SidecarEnv};

#[test]
fn not_ready_reasons_are_given_in_order() {
    let page = PageServer::new(PageReply::Refuse);
    let env = SidecarEnv::new(&page.url());
    let sidecar = env.start(&[&QUICK_TIMES[..], &SHORT_SCRAPES].concat());
    let reason = sidecar.wait_for_not_ready("target not found");
    let wanted = format!("no process is named {}; visible to uid ", env.target_name);
    assert!(reason.contains(&wanted) && reason.lines().count() == 1, "{reason}");
    assert_eq!((sidecar.get("/livez").status, sidecar.get("/accepting").status), (200, 503));

    let _target = ShellTarget::start(&env.target_name);
    let reason = sidecar.wait_for_not_ready("connection refused");
    assert!(reason.starts_with("no reading yet") && reason.contains(&page.url()), "{reason}");
    for (answer, part) in [
        (PageReply::Hang, "within 300ms"),
        (PageReply::ok("text/html", "<html>"), "HTML"),
        (PageReply::text("up 1\n"), "engine_active_requests matches nothing on"),
        (PageReply::text("engine_active_requests a\rb\n"), "line 1"),
    ] {
        page.set_reply(answer);
        let reason = sidecar.wait_for_not_ready(part);
        assert!(reason.lines().count() == 1 && !reason.contains('\r'), "{reason:?}");
    }
    page.set_streams(3);
    sidecar.wait_for_ready();
    assert_eq!((sidecar.get("/readyz").body.as_str(), sidecar.get("/accepting").status), ("ready\n", 200));
}

#[test]
fn unmatched_selector_is_explained_with_the_gauges_of_the_page() {
    let page = PageServer::new(PageReply::text("engine_active_request 1\nup 1\n"));
    let env = SidecarEnv::new(&page.url());
    let _target = ShellTarget::start(&env.target_name);
    let mut sidecar = env.start(&QUICK_TIMES);
    let expected = format!(
        "engine_active_requests matches nothing on {}; the page's gauges are engine_active_request, up; \
         engine_active_request was probably intended: --streams 'engine_active_request'",
        page.url()
    );
    assert_eq!(sidecar.wait_for_not_ready("matches nothing"), format!("no reading yet: {expected}\n"));
    let absent = sidecar.status()["sources"][0].clone();
    assert_eq!((absent["state"].as_str(), absent["error"].as_str()), (Some("absent"), Some(expected.as_str())));
    let logged = sidecar.wait_for_log("not ready yet");
    assert!(logged["reason"].as_str().unwrap().contains("target not found") || logged.to_string().contains(&expected));

    page.set_reply(PageReply::text("calls 0\n"));
    let reason = sidecar.wait_for_not_ready("gauges are calls");
    assert!(reason.ends_with("; name the series that count streams with --streams\n"), "{reason}");
    page.set_streams(1);
    sidecar.wait_for_ready();
}

#[test]
fn process_that_appears_instead_of_the_target_is_logged() {
    let page = PageServer::with_streams(0);
    let env = SidecarEnv::new(&page.url());
    let mut sidecar = env.start(&QUICK_TIMES);
    sidecar.wait_for_not_ready("target not found");
    // The most similar name comes first, so this one is always listed.
    let name = format!("{}x", env.target_name);
    let mut other = ShellTarget::start(&name);
    let reason = sidecar.wait_for_not_ready(&name);
    assert!(reason.contains(&format!("{name} was probably intended: --target {name}")), "{reason}");
    sidecar.wait_for_readings(5);
    other.signal(Signal::SIGTERM);
    other.wait_for("bye");
    sidecar.signal(Signal::SIGTERM);
    let log = sidecar.log();
    let names_it = |line: &&Value| line["reason"].as_str().is_some_and(|text| text.contains(&name));
    let line = log.iter().find(names_it).unwrap_or_else(|| panic!("{log:#?}"));
    assert_eq!((&line["message"], &line["level"]), (&json!("not ready yet"), &json!("INFO")));
}

#[test]
fn later_page_failure_keeps_pod_ready() {
    let fixture = Fixture::with_streams(3);
    let sidecar = fixture.start_ready(&[&QUICK_TIMES[..], &SHORT_SCRAPES].concat());
    for answer in [PageReply::Refuse, PageReply::text(""), PageReply::Hang] {
        fixture.page.set_reply(answer);
        sidecar.wait_for_status("/streams", serde_json::Value::Null);
        sidecar.wait_for_readings(5);
        assert_eq!(sidecar.get("/readyz").status, 200);
    }
}

#[test]
fn many_streams_do_not_change_readiness() {
    let fixture = Fixture::with_streams(u64::from(u32::MAX));
    let sidecar = fixture.start_quick();
    assert_eq!(sidecar.status()["streams"], u32::MAX);
    assert_eq!((sidecar.get("/readyz").status, sidecar.get("/accepting").status), (200, 200));
}

#[test]
fn lasting_second_target_makes_pod_not_ready() {
    let fixture = Fixture::with_streams(0);
    let sidecar = fixture.start_quick();
    let second = ShellTarget::start(&fixture.env.target_name);
    sidecar.wait_for_not_ready("several targets");
    drop(second);
    sidecar.wait_for_ready();
    assert_eq!(fixture.target.into_signal_count(), 0);
}

#[test]
fn pod_is_not_ready_before_engine_has_loaded() {
    let (engine, env) = start_engine(&["--page", "500"]);
    let sidecar = env.start(&QUICK_TIMES);
    sidecar.wait_for_not_ready("status 500");
    engine.put_page("ok");
    sidecar.wait_for_ready();
    let status = sidecar.status();
    assert_eq!(
        (&status["target"]["name"], &status["target"]["pid"]),
        (&env.target_name.clone().into(), &engine.pid().into())
    );
}
