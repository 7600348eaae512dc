//! Readiness: what it requires, and what does not revoke it.

use crate::lifecycle::{Fixture, start_engine};
use lameduck_test_support::page::{PageReply, PageServer};
use lameduck_test_support::shell::ShellTarget;
use lameduck_test_support::sidecar::{QUICK_TIMES, SidecarEnv};

#[test]
fn not_ready_reasons_are_given_in_order() {
    let page = PageServer::new(PageReply::Refuse);
    let env = SidecarEnv::new(&page.url());
    let sidecar = env.start(&QUICK_TIMES);
    let reason = sidecar.wait_for_not_ready("target not found");
    assert!(reason.contains("shareProcessNamespace") && reason.lines().count() == 1, "{reason}");
    assert_eq!((sidecar.get("/livez").status, sidecar.get("/accepting").status), (200, 503));

    let _target = ShellTarget::start(&env.target_name);
    let reason = sidecar.wait_for_not_ready("connection refused");
    assert!(reason.starts_with("no reading yet") && reason.contains(&page.url()), "{reason}");
    for (answer, part) in [
        (PageReply::Hang, "within 300ms"),
        (PageReply::ok("text/html", "<html>"), "HTML"),
        (PageReply::text("up 1\n"), "a selector matches nothing"),
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
fn later_page_failure_keeps_pod_ready() {
    let fixture = Fixture::with_streams(3);
    let sidecar = fixture.start_quick();
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
