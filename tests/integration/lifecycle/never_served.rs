//! A target that never served is not waited for.

use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lifecycle::Scene;
use lameduck_test_support::http::Call;
use lameduck_test_support::page::{Answer, Page};
use lameduck_test_support::shell::Shell;
use lameduck_test_support::sidecar::{Pod, QUICK, Sidecar};
use lameduck_test_support::sim::{Program, example};

const PATIENT: [&str; 4] = ["--grace-period", "10m", "--lame-duck", "1m"];

#[test]
fn engine_that_is_still_loading_is_signalled_and_not_waited_for() {
    let page = Page::new(Answer::Refuse);
    let pod = Pod::new(&page.url());
    let mut sidecar = pod.start(&PATIENT);
    sidecar.wait_for_unready("target not found");
    let mut command = Command::new(example("engine_sim"));
    command.arg0(&pod.target).args(["--loading", "1h"]);
    let mut engine = Program::start(command);
    engine.wait_for("loading for 1h");
    sidecar.wait_for_unready("connection refused");

    let outcome = sidecar.hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("never_served"), &json!("SIGINT")));
    assert_eq!(outcome["stragglers"], 0);
    engine.wait_for("SIGINT received (1), still loading");
    assert_eq!(engine.exit_code(), Some(0));
    sidecar.signal(Signal::SIGTERM);
    assert_eq!(sidecar.exit_code(), Some(0));
}

#[test]
fn nobody_to_signal_and_nobody_who_listens_is_not_waited_for() {
    let page = Page::new(Answer::Refuse);
    let pod = Pod::new(&page.url());
    let sidecar = pod.start(&PATIENT);
    sidecar.wait_for_unready("target not found");
    let outcome = sidecar.hook().outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("never_served"), &Value::Null));
}

#[test]
fn nobody_to_signal_is_waited_for_while_somebody_answers() {
    let page = Page::counting(1);
    let pod = Pod::new(&page.url());
    let sidecar = pod.start(&QUICK);
    sidecar.wait_for_unready("target not found");
    page.set(Answer::Hang);
    let hook = sidecar.hook();
    sidecar.wait_for_readings(5);
    assert!(hook.is_silent());
    page.count(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
}

#[test]
fn two_to_choose_from_are_not_nobody() {
    let scene = Scene::with_streams(0);
    scene.page.set(Answer::Refuse);
    let _second = Shell::named(&scene.pod.target);
    let sidecar = scene.pod.start(&QUICK);
    sidecar.wait_for_unready("several targets");
    holds_the_hook_until_the_page_is_back(&scene, &sidecar);
}

#[test]
fn target_older_than_the_sidecar_may_have_served_and_is_waited_for() {
    let scene = Scene::with_streams(0);
    scene.page.set(Answer::Refuse);
    // What starts in the same tick of the clock is not known to be younger.
    let sidecar = scene.pod.start(&QUICK);
    sidecar.wait_for_unready("no reading yet");
    holds_the_hook_until_the_page_is_back(&scene, &sidecar);
    assert_eq!(scene.target.signals(), 1);
}

#[test]
fn target_that_is_there_is_not_taken_for_none_where_the_hook_is_the_first_thing_to_happen() {
    let scene = Scene::with_streams(0);
    scene.page.set(Answer::Refuse);
    let mut command = scene.pod.command();
    command.args(PATIENT).stderr(Stdio::null());
    let sidecar = scene.pod.launch(command);
    while TcpStream::connect(scene.pod.address).is_err() {}
    let hook = Call::get(scene.pod.address, "/prestop");
    sidecar.wait_for_status("/target/pid", scene.target.pid);
    sidecar.wait_for_readings(3);
    assert!(hook.is_silent(), "an old target was taken for none");
}

fn holds_the_hook_until_the_page_is_back(scene: &Scene, sidecar: &Sidecar) {
    let hook = sidecar.hook();
    sidecar.wait_for_status("/phase", "draining");
    sidecar.wait_for_readings(5);
    assert!(hook.is_silent());
    scene.page.count(0);
    assert_eq!(hook.outcome()["outcome"], "drained");
}
