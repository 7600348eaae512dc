//! Readiness: what must be seen first, and what does not take it back.

use crate::lifecycle::{Scene, engine};
use lameduck_test_support::page::{Answer, Page};
use lameduck_test_support::shell::Shell;
use lameduck_test_support::sidecar::{Pod, QUICK};

#[test]
fn readiness_names_what_is_missing_one_after_the_other() {
    let page = Page::new(Answer::Refuse);
    let pod = Pod::new(&page.url());
    let sidecar = pod.start(&QUICK);
    let reason = sidecar.wait_for_unready("target not found");
    assert!(reason.contains("shareProcessNamespace") && reason.lines().count() == 1, "{reason}");
    assert_eq!((sidecar.get("/livez").status, sidecar.get("/accepting").status), (200, 503));

    let _target = Shell::named(&pod.target);
    let reason = sidecar.wait_for_unready("connection refused");
    assert!(reason.starts_with("no reading yet") && reason.contains(&page.url()), "{reason}");
    for (answer, part) in [
        (Answer::Hang, "within 300ms"),
        (Answer::ok("text/html", "<html>"), "HTML"),
        (Answer::text("up 1\n"), "a selector matches nothing"),
        (Answer::text("engine_active_requests a\rb\n"), "line 1"),
    ] {
        page.set(answer);
        let reason = sidecar.wait_for_unready(part);
        assert!(reason.lines().count() == 1 && !reason.contains('\r'), "{reason:?}");
    }
    page.count(3);
    sidecar.wait_for_ready();
    assert_eq!((sidecar.get("/readyz").body.as_str(), sidecar.get("/accepting").status), ("ready\n", 200));
}

#[test]
fn page_that_fails_later_leaves_the_pod_ready() {
    let scene = Scene::with_streams(3);
    let sidecar = scene.serve_quick();
    for answer in [Answer::Refuse, Answer::text(""), Answer::Hang] {
        scene.page.set(answer);
        sidecar.wait_for_status("/streams", serde_json::Value::Null);
        sidecar.wait_for_readings(5);
        assert_eq!(sidecar.get("/readyz").status, 200);
    }
}

#[test]
fn many_streams_change_nothing_about_readiness() {
    let scene = Scene::with_streams(u64::from(u32::MAX));
    let sidecar = scene.serve_quick();
    assert_eq!(sidecar.status()["streams"], u32::MAX);
    assert_eq!((sidecar.get("/readyz").status, sidecar.get("/accepting").status), (200, 200));
}

#[test]
fn second_target_that_stays_takes_readiness_back() {
    let scene = Scene::with_streams(0);
    let sidecar = scene.serve_quick();
    let second = Shell::named(&scene.pod.target);
    sidecar.wait_for_unready("several targets");
    drop(second);
    sidecar.wait_for_ready();
    assert_eq!(scene.target.signals(), 0);
}

#[test]
fn engine_is_not_ready_before_it_has_loaded() {
    let (engine, pod) = engine(&["--page", "500"]);
    let sidecar = pod.start(&QUICK);
    sidecar.wait_for_unready("status 500");
    engine.put_page("ok");
    sidecar.wait_for_ready();
    let status = sidecar.status();
    assert_eq!(
        (&status["target"]["name"], &status["target"]["pid"]),
        (&pod.target.clone().into(), &engine.pid().into())
    );
}
