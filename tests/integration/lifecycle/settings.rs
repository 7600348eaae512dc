//! Settings as they are taken: flags, the environment, presets.

use serde_json::{Value, json};

use lameduck_test_support::page::{Answer, Page};
use lameduck_test_support::shell::Shell;
use lameduck_test_support::sidecar::{Pod, QUICK};

/// What the first line of a sidecar's log says with these flags and variables.
fn started(flags: &[&str], variables: &[(&str, &str)]) -> Value {
    let pod = Pod::new("http://127.0.0.1:1/metrics");
    let mut command = pod.command();
    command.args(flags).env_remove("LAMEDUCK_TARGET").env_remove("LAMEDUCK_METRICS_URL");
    command.envs(variables.iter().copied()).stderr(std::process::Stdio::piped());
    pod.launch(command).wait_for("started")
}

#[test]
fn variables_work_and_the_flag_wins() {
    let variables = [("LAMEDUCK_GRACE_PERIOD", "1h30m"), ("LAMEDUCK_SIGNAL", "usr1"), ("LAMEDUCK_TARGET", "stem")];
    let line = started(&[], &variables);
    assert_eq!((&line["grace_period_seconds"], &line["signal"]), (&json!(5400.0), &json!("SIGUSR1")));
    assert_eq!(line["target"], "stem");
    let line = started(&["--grace-period", "60", "--signal", "TERM"], &variables);
    assert_eq!((&line["grace_period_seconds"], &line["signal"]), (&json!(60.0), &json!("SIGTERM")));
    // Nobody asks for what the flag overrules.
    let line = started(&["--grace-period", "60"], &[("LAMEDUCK_GRACE_PERIOD", "nonsense")]);
    assert_eq!(line["budget_seconds"], 55.0);
}

#[test]
fn variable_that_is_no_setting_is_named_in_the_log() {
    let pod = Pod::new("http://127.0.0.1:1/metrics");
    let mut command = pod.command();
    command.arg("--grace-period=60").stderr(std::process::Stdio::piped());
    command.env("LAMEDUCK_TOKENFILE", "/token");
    let line = pod.launch(command).wait_for("no such setting");
    assert_eq!((&line["level"], &line["variable"]), (&json!("WARN"), &json!("LAMEDUCK_TOKENFILE")));
}

#[test]
fn presets_fill_in_what_is_not_set() {
    let line = started(&["--grace-period", "1"], &[]);
    assert_eq!((&line["target"], &line["signal"]), (&json!("impeller"), &json!("SIGINT")));
    assert_eq!((&line["metrics_url"], &line["budget_seconds"]), (&json!("http://127.0.0.1:9991/metrics"), &json!(0.9)));
    let page = ["--metrics-url", "http://[::1]:9/m?x=1", "--streams", "up"];
    let line = started(&[&["--grace-period", "60", "--preset", "generic"], &page[..]].concat(), &[]);
    assert_eq!((&line["target"], &line["signal"]), (&Value::Null, &Value::Null));
    assert_eq!(line["metrics_url"], "http://[::1]:9/m?x=1");
    let line = started(&["--grace-period", "60", "--target-port", "8080"], &[]);
    assert_eq!(line["target"], "the listener on port 8080");
}

#[test]
fn generic_preset_only_counts_and_waits() {
    let page = Page::new(Answer::text("calls{queue=\"a\"} 2\ncalls{queue=\"b\"} 3\n"));
    let pod = Pod::new(&page.url());
    let bystander = Shell::named(&pod.target);
    let mut command = pod.command();
    command.env_remove("LAMEDUCK_TARGET").args(QUICK).args([
        "--preset",
        "generic",
        "--streams",
        "calls{queue=~\"a|b\"}",
    ]);
    let sidecar = pod.spawn(command);
    sidecar.wait_for_ready();
    assert_eq!(sidecar.status()["streams"], 5);
    let hook = sidecar.hook();
    page.set(Answer::text("calls{queue=\"a\"} 0\ncalls{queue=\"c\"} 7\n"));
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &Value::Null));
    assert_eq!(bystander.signals(), 0);
}

#[test]
fn repeated_selectors_are_summed_whether_typed_or_one_a_line() {
    let page = Page::new(Answer::text("calls 2\nrooms{kind=\"a,b\"} 3\nlate 4\nother 50\n"));
    let pod = Pod::new(&page.url());
    let _target = Shell::named(&pod.target);
    let selectors = ["calls", "rooms{kind=\"a,b\"}"];

    let typed = pod.start(&[&QUICK[..], &["--streams", selectors[0], "--streams", selectors[1]]].concat());
    typed.wait_for_status("/streams", 5);
    drop(typed);

    let mut command = pod.command();
    let lines = format!("{}\n\n  {}\n", selectors[0], selectors[1]);
    command.args(QUICK).env("LAMEDUCK_STREAMS", lines).env("LAMEDUCK_LAZY_STREAMS", "late\nlater");
    let from_lines = pod.spawn(command);
    from_lines.wait_for_status("/streams", 5);
    from_lines.wait_for_status("/sources/1/streams", 4);
}

#[test]
fn port_that_is_not_permitted_has_a_code_of_its_own() {
    let first_free = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let pod = Pod::new("http://127.0.0.1:1/metrics");
    let Some(mut command) = pod.command_of_nobody().filter(|_| first_free.trim() == "1024") else { return };
    let address = format!("{}:80", pod.address.ip());
    let output = command.args(["--grace-period", "30", "--listen", &address]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(77), "{stderr}");
    assert!(stderr.contains(&format!("--listen {address}")) && stderr.contains("1024"), "{stderr}");
}
