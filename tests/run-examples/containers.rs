//! Scenarios with a real Docker engine.

use std::thread;

use lameduck_test_support::process::{Program, stopwatch, wait_until};
use lameduck_test_support::scenarios::panic_message;

use crate::docker::{Container, Docker, IMAGE};

/// The image of the examples without lameduck.
const PLAIN: [&str; 2] = ["--entrypoint", "impeller"];
/// Longer than the streams, and than the 10 s after which Docker kills a container by default.
const TIMES: [&str; 4] = ["--stop-timeout", "60", "--env", "LAMEDUCK_GRACE_PERIOD=60"];
/// The streams of a scenario, which last longer than 10 s.
const STREAMS: (&str, &str) = ("5", "16s");

/// The health check of compose.yaml.
const READY: &str = r#"["lameduck", "status", "--ready"]"#;

/// A way to stop a container, and its name.
type Way = (&'static str, fn(&Docker));

/// Stops containers in the ways that users stop them, all at the same time: with one engine, which takes seconds to
/// start.
pub(crate) fn containers_are_stopped() {
    let docker = Docker::start();
    let docker = &docker;
    let ways: [Way; 6] = [
        ("plain", plain_container_is_cut),
        ("stop", stop_drains),
        ("init", stop_with_init_drains),
        ("stop signal", stop_signal_drains),
        ("health", health_shows_the_drain),
        ("exec", drain_by_exec_ends_the_container),
    ];
    thread::scope(|scope| {
        let threads = ways.map(|(name, way)| {
            let builder = thread::Builder::new().name(name.to_owned());
            (name, builder.spawn_scoped(scope, move || way(docker)).expect("a thread"))
        });
        for (name, thread) in threads {
            thread.join().unwrap_or_else(|panic| panic!("{name}: {}", panic_message(panic.as_ref())));
        }
    });
}

fn open(container: &Container<'_>) -> Program {
    container.open_streams(STREAMS.0, STREAMS.1, true)
}

fn assert_clean(mut client: Program, container: &Container<'_>) {
    let summary = client.wait_for(" streams: ");
    assert!(summary.contains("5 clean, 0 cut, 0 refused"), "{}: {summary}\n{}", container.name, container.logs());
    assert_eq!(container.exit_code(), 0, "{}: {}", container.name, container.logs());
}

/// The arguments of the first process that `docker top` lists.
fn first_process(listed: &str) -> Option<&str> {
    Some(listed.lines().nth(1)?.trim_start().split_once(' ')?.1.trim_start())
}

/// Without lameduck, `docker stop` kills the container after 10 s, with its streams.
fn plain_container_is_cut(docker: &Docker) {
    let container = docker.container("plain", 1, IMAGE, &PLAIN);
    let mut client = container.open_streams(STREAMS.0, STREAMS.1, false);
    let elapsed = stopwatch();
    docker.run(&["stop", &container.name]);
    println!("docker stop without lameduck: {} after {} s", client.wait_for(" streams: "), elapsed().as_secs());
    assert!(client.seen.iter().any(|line| line.contains("0 clean, 5 cut, 0 refused")), "{:?}", client.seen);
    assert_eq!(container.exit_code(), 137);
}

fn stop_drains(docker: &Docker) {
    let container = docker.container("stopped", 2, IMAGE, &TIMES);
    let client = open(&container);
    let processes = docker.run(&["top", &container.name, "-eo", "pid,args"]);
    assert_eq!(first_process(&processes).map(|args| args.starts_with("lameduck run")), Some(true), "{processes}");
    let elapsed = stopwatch();
    docker.run(&["stop", &container.name]);
    let seconds = elapsed().as_secs();
    assert_clean(client, &container);
    assert!((11..60).contains(&seconds), "{seconds} s");
    let logs = container.logs();
    // The engine exits with its last stream.
    assert!(logs.contains("\"outcome\":\"exited\"") && logs.contains("\"stragglers\":0"), "{logs}");
    println!("docker stop with lameduck run: 5 clean after {seconds} s");
}

/// With `--init`, Docker's own init process is PID 1.
fn stop_with_init_drains(docker: &Docker) {
    let container = docker.container("init", 3, IMAGE, &[&TIMES[..], &["--init"]].concat());
    let client = open(&container);
    let processes = docker.run(&["top", &container.name, "-eo", "pid,args"]);
    assert_eq!(first_process(&processes).map(|args| args.contains("docker-init")), Some(true), "{processes}");
    docker.run(&["stop", &container.name]);
    assert_clean(client, &container);
}

/// An image may be stopped by another signal.
fn stop_signal_drains(docker: &Docker) {
    let options = ["--stop-signal", "SIGUSR1", "--env", "LAMEDUCK_DRAIN_ON=SIGUSR1"];
    let container = docker.container("stop-signal", 4, IMAGE, &[&TIMES[..], &options].concat());
    let client = open(&container);
    docker.run(&["stop", &container.name]);
    assert_clean(client, &container);
}

/// The health check fails from the beginning of the drain, while the streams are served.
fn health_shows_the_drain(docker: &Docker) {
    // `docker run --health-cmd` would need a shell in the image.
    let dockerfile = format!("FROM {IMAGE}\nHEALTHCHECK --interval=1s --retries=1 --start-period=60s CMD {READY}\n");
    docker.build("with-health-check:1", &dockerfile);
    let container = docker.container("health", 5, "with-health-check:1", &TIMES);
    let client = open(&container);
    wait_until(|| container.inspect("/State/Health/Status") == "healthy");
    let stop = docker.command().args(["stop", &container.name]).spawn();
    wait_until(|| container.inspect("/State/Health/Status") == "unhealthy");
    assert!(container.is_running(), "the container ended before its health check failed");
    assert!(stop.and_then(|mut stop| stop.wait()).expect("docker").success());
    assert_clean(client, &container);
}

fn drain_by_exec_ends_the_container(docker: &Docker) {
    let container = docker.container("exec", 6, IMAGE, &TIMES);
    let client = open(&container);
    let outcome = container.lameduck(&["drain"]);
    // The engine exits with its last stream.
    assert!(outcome.contains("\"stragglers\":0"), "{outcome}");
    wait_until(|| !container.is_running());
    assert_clean(client, &container);
}
