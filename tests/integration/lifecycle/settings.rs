//! Where settings come from: flags, environment variables, presets.

use serde_json::{Value, json};

use lameduck_test_support::page::{PageReply, PageServer};
use lameduck_test_support::shell::ShellTarget;
use lameduck_test_support::sidecar::{QUICK_TIMES, SidecarEnv};
use lameduck_test_support::skip::skip;

/// The first log line of a sidecar with these flags and variables.
fn started(flags: &[&str], variables: &[(&str, &str)]) -> Value {
    let env = SidecarEnv::new("http://127.0.0.1:1/metrics");
    let mut command = env.sidecar_command();
    command.args(flags).env_remove("LAMEDUCK_TARGET").env_remove("LAMEDUCK_METRICS_URL");
    command.envs(variables.iter().copied()).stderr(std::process::Stdio::piped());
    env.spawn_command(command).wait_for_log("started")
}

#[test]
fn flag_wins_over_variable() {
    let variables = [("LAMEDUCK_GRACE_PERIOD", "1h30m"), ("LAMEDUCK_SIGNAL", "usr1"), ("LAMEDUCK_TARGET", "stem")];
    let line = started(&[], &variables);
    assert_eq!((&line["grace_period_seconds"], &line["signal"]), (&json!(5400.0), &json!("SIGUSR1")));
    assert_eq!(line["target"], "stem");
    let line = started(&["--grace-period", "60", "--signal", "TERM"], &variables);
    assert_eq!((&line["grace_period_seconds"], &line["signal"]), (&json!(60.0), &json!("SIGTERM")));
    // A variable that a flag overrides is not parsed.
    let line = started(&["--grace-period", "60"], &[("LAMEDUCK_GRACE_PERIOD", "nonsense")]);
    assert_eq!(line["budget_seconds"], 55.0);
}

#[test]
fn unknown_variable_is_logged() {
    let env = SidecarEnv::new("http://127.0.0.1:1/metrics");
    let mut command = env.sidecar_command();
    command.arg("--grace-period=60").stderr(std::process::Stdio::piped());
    command.env("LAMEDUCK_TOKENFILE", "/token");
    let line = env.spawn_command(command).wait_for_log("no such setting");
    assert_eq!((&line["level"], &line["variable"]), (&json!("WARN"), &json!("LAMEDUCK_TOKENFILE")));
}

#[test]
fn presets_fill_in_unset_settings() {
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
fn generic_preset_counts_and_waits_without_signal() {
    let page = PageServer::new(PageReply::text("calls{queue=\"a\"} 2\ncalls{queue=\"b\"} 3\n"));
    let env = SidecarEnv::new(&page.url());
    let bystander = ShellTarget::start(&env.target_name);
    let mut command = env.sidecar_command();
    command.env_remove("LAMEDUCK_TARGET").args(QUICK_TIMES).args([
        "--preset",
        "generic",
        "--streams",
        "calls{queue=~\"a|b\"}",
    ]);
    let sidecar = env.start_command(command);
    sidecar.wait_for_ready();
    assert_eq!(sidecar.status()["streams"], 5);
    let hook = sidecar.call_hook();
    page.set_reply(PageReply::text("calls{queue=\"a\"} 0\ncalls{queue=\"c\"} 7\n"));
    let outcome = hook.outcome();
    assert_eq!((&outcome["outcome"], &outcome["signal"]), (&json!("drained"), &Value::Null));
    assert_eq!(bystander.into_signal_count(), 0);
}

#[test]
fn repeated_selectors_are_summed_from_flags_and_lines() {
    let page = PageServer::new(PageReply::text("calls 2\nrooms{kind=\"a,b\"} 3\nlate 4\nother 50\n"));
    let env = SidecarEnv::new(&page.url());
    let _target = ShellTarget::start(&env.target_name);
    let selectors = ["calls", "rooms{kind=\"a,b\"}"];

    let typed = env.start(&[&QUICK_TIMES[..], &["--streams", selectors[0], "--streams", selectors[1]]].concat());
    typed.wait_for_status("/streams", 5);
    drop(typed);

    let mut command = env.sidecar_command();
    let lines = format!("{}\n\n  {}\n", selectors[0], selectors[1]);
    command.args(QUICK_TIMES).env("LAMEDUCK_STREAMS", lines).env("LAMEDUCK_LAZY_STREAMS", "late\nlater");
    let from_lines = env.start_command(command);
    from_lines.wait_for_status("/streams", 5);
    from_lines.wait_for_status("/sources/1/streams", 4);
}

#[test]
fn forbidden_port_exits_with_no_permission_code() {
    let first_free = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let env = SidecarEnv::new("http://127.0.0.1:1/metrics");
    if first_free.trim() != "1024" {
        return skip("any user may listen on port 80");
    }
    let Some(mut command) = env.sidecar_command_as_nobody() else { return };
    let address = format!("{}:80", env.address.ip());
    let output = command.args(["--grace-period", "30", "--listen", &address]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(77), "{stderr}");
    assert!(stderr.contains(&format!("--listen {address}")) && stderr.contains("1024"), "{stderr}");
}
