//! The command line: help, and every refusal with its message and exit code.
use lameduck::commands::check::manifests::check_text;
use lameduck_manifests::preflight::{Evaluation, Finding, Options, Rule};
use std::net::TcpListener;
use std::process::Command;

use lameduck_test_support::terminal::Terminal;

use self::refused_settings::{G, REFUSED};

mod refused_settings;

const USAGE: Option<i32> = Some(64);

struct Output {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs lameduck with these arguments and variables. Its port is in use, so that it exits even if it accepts a setting
/// that it should refuse.
fn lameduck(args: &[&str], env: &[(&str, &str)]) -> Output {
    let in_use = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = Command::new(lameduck_test_support::process::binary());
    command.env_clear().env("LAMEDUCK_LISTEN", in_use.local_addr().unwrap().to_string());
    let output = command.args(args).envs(env.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The names of the settings in a help text. Wrapped lines of descriptions are indented further.
fn settings_in(help: &str) -> Vec<String> {
    let lines = help.lines().filter_map(|line| line.strip_prefix("      --"));
    lines.map(|line| line.split([' ', '[']).next().unwrap().to_owned()).collect()
}

fn assert_refused(args: &[&str], env: &[(&str, &str)], parts: &[&str]) {
    let Output { code, stdout, stderr } = lameduck(args, env);
    assert_eq!((code, stdout.as_str()), (USAGE, ""), "{args:?} {env:?}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{args:?} {env:?}: no {part:?} in {stderr}");
    }
}

#[test]
fn refusals_name_flag_value_and_fix() {
    for (flag, value, others, parts) in REFUSED {
        let typed = format!("{flag}={value}");
        assert_refused(&[&["sidecar", &typed], *others].concat(), &[], &[&[*flag], *parts].concat());
    }
}

#[test]
fn check_refuses_the_same_settings_as_sidecar() {
    for (flag, value, others, parts) in REFUSED {
        let typed = format!("{flag}={value}");
        let Output { code, stdout, stderr } = lameduck(&[&["check", &typed], *others].concat(), &[]);
        let text = stdout + &stderr;
        assert_eq!(code, USAGE, "{typed}: {text}");
        for part in [&[*flag], *parts].concat() {
            assert!(text.contains(part), "{typed}: no {part:?} in {text}");
        }
    }
}

/// Except for what only the pod has: its files and addresses.
#[test]
fn check_refuses_the_same_settings_in_manifests() {
    let is_of_pod = |flag, value: &str| {
        ["--state-dir", "--termination-log", "--token-file"].contains(&flag) || value.starts_with("192.0.2.1")
    };
    for (flag, value, others, parts) in REFUSED.iter().filter(|(flag, value, ..)| !is_of_pod(flag, value)) {
        let typed = format!("{flag}={value}");
        let args = [&["sidecar", &typed], *others].concat();
        let container = serde_json::json!({"name": "lameduck", "image": "lameduck:1", "args": args});
        let pod = serde_json::json!({"kind": "Pod", "spec": {"containers": [container]}});
        let preflight = check_text(&pod.to_string(), &Options::default()).unwrap();
        let findings = preflight.objects[0].findings.iter().filter(|finding| finding.rule == Rule::Settings);
        let refused: Vec<_> = findings.map(|Finding { evaluation, detail, .. }| (evaluation, detail)).collect();
        let [(Evaluation::Fail { fix }, detail)] = &refused[..] else { panic!("{typed}: {refused:?}") };
        for part in *parts {
            assert!(detail.contains(part) || fix.contains(part), "{typed}: no {part:?} in {detail}; {fix}");
        }
    }
}

#[test]
fn check_accepts_every_setting_of_sidecar() {
    let settings = |command: &str| settings_in(&lameduck(&[command, "--help"], &[]).stdout);
    let (sidecar, mut check) = (settings("sidecar"), settings("check"));
    check.retain(|setting| !["also-hook", "container", "json", "measure"].contains(&setting.as_str()));
    assert_eq!(sidecar, check);
}

#[test]
fn invalid_environment_variables_are_refused() {
    for (flag, value, others, parts) in REFUSED.iter().filter(|(_, value, ..)| !value.is_empty()) {
        let name = format!("LAMEDUCK{}", flag[1..].to_ascii_uppercase().replace('-', "_"));
        assert_refused(&[&["sidecar"], *others].concat(), &[(&name, value)], &[&[*flag], *parts].concat());
    }
}

#[test]
fn every_setting_has_a_refusal_case() {
    let help = lameduck(&["sidecar", "--help"], &[]).stdout;
    for flag in settings_in(&help) {
        assert!(REFUSED.iter().any(|(refused, ..)| refused[2..] == flag), "--{flag}");
    }
}

#[test]
fn missing_grace_period_is_explained() {
    assert_refused(&["sidecar"], &[], &["--grace-period is required", "terminationGracePeriodSeconds", "cuts calls"]);
}

#[test]
fn time_of_a_measurement_is_limited() {
    for (time, parts) in [("0", ["'0'", "5m"]), ("400d", ["longer than an hour", "unit"]), ("x", ["'x'", "30m"])] {
        assert_refused(&["check", "--grace-period=30", "--measure", time], &[], &[&["--measure"][..], &parts].concat());
    }
}

#[test]
fn port_in_use_is_refused() {
    assert_refused(
        &["sidecar", "--grace-period=30"],
        &[],
        &["--listen 127.0.0.1:", "another process", "choose another port"],
    );
}

#[test]
fn unknown_flags_and_commands_are_refused() {
    assert_refused(&["sidecar", "--grace-period=30", "--grace=30"], &[], &["--grace"]);
    for command in ["run", "help", "serve"] {
        assert_refused(&[command], &[], &[command]);
    }
}

#[test]
fn unused_flags_of_drain_are_refused() {
    let alone = |flag| [&["drain", "--standalone"], G, &[flag]].concat();
    assert_refused(&alone("--idle-after=60s"), &[], &["--idle-after", "idle streams", "use a sidecar"]);
    for flag in ["--listen=[::]:8089", "--token-file=/a", "--on-sigterm=drain", "--accept-below=3"] {
        assert_refused(&alone(flag), &[], &[flag.split('=').next().unwrap(), "no sidecar", "leave it out"]);
    }
    assert_refused(&alone("--address=127.0.0.1:1"), &[], &["--address", "keep one"]);
    assert_refused(&["drain", "--grace-period=30"], &[], &["--grace-period", "--standalone"]);
    assert_refused(&["drain", "--hook", "--signal=INT"], &[], &["--signal", "the sidecar has its own"]);
}

#[test]
fn standalone_drain_refuses_the_same_settings_as_sidecar() {
    assert_refused(&["drain", "--standalone"], &[], &["--grace-period is required"]);
    assert_refused(&["drain", "--standalone"], &[("LAMEDUCK_GRACE_PERIOD", "soon")], &["'soon'"]);
    for (flag, value, others, parts) in
        REFUSED.iter().filter(|(flag, ..)| !UNSUPPORTED.contains(flag) && *flag != NEVER_REFUSED)
    {
        let typed = format!("{flag}={value}");
        assert_refused(&[&["drain", "--standalone", &typed], *others].concat(), &[], &[&[*flag], *parts].concat());
    }
}

/// A hook that fails cuts every stream, so an invalid state directory is only logged.
const NEVER_REFUSED: &str = "--state-dir";
const UNSUPPORTED: [&str; 6] =
    ["--listen", "--token-file", "--on-sigterm", "--accept-below", "--idle-after", "--unready-after"];

#[test]
fn clients_ignore_invalid_variables_of_sidecar() {
    let settings = [("LAMEDUCK_GRACE_PERIOD", "soon"), ("LAMEDUCK_STATE_DIR", "/no/such/dir")];
    for command in [&["drain"][..], &["drain", "--hook"]] {
        let Output { code, stderr, .. } =
            lameduck(command, &[&settings[..], &[("LAMEDUCK_ADDRESS", "127.0.0.1:1")]].concat());
        assert_eq!(code, Some(69), "{stderr}");
    }
}

#[test]
fn installed_copy_runs() {
    let dir = std::env::temp_dir().join(format!("lameduck-install-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.to_str().unwrap();
    for _ in 0..2 {
        let Output { code, stdout, stderr } = lameduck(&["install", path], &[]);
        assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "", ""));
    }
    let version = Command::new(dir.join("lameduck")).arg("--version").output().unwrap();
    assert!(version.status.success());
    let names: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["lameduck"]);
    std::fs::remove_dir_all(&dir).unwrap();
    assert_refused(&["install", path], &[], &[path, "such as that of a volume"]);
    assert_refused(&["install"], &[], &["<DIR>"]);
}

#[test]
fn missing_command_shows_help() {
    assert_refused(&[], &[], &["Usage: lameduck <COMMAND>", "sidecar", "drain", "status", "check"]);
}

#[test]
fn repeated_flags_and_extra_arguments_are_refused() {
    assert_refused(&["sidecar", "--grace-period=30", "--grace-period=60"], &[], &["--grace-period"]);
    assert_refused(&["sidecar", "30"], &[], &["30"]);
    assert_refused(&["drain", "now"], &[], &["now"]);
}

#[test]
fn invalid_client_addresses_are_refused() {
    for command in ["drain", "status"] {
        for (address, part) in
            [("a b", "host:port"), ("127.0.0.1:99999", "65535"), ("https://a", "https"), ("", "--address")]
        {
            assert_refused(&[command, &format!("--address={address}")], &[], &["--address", part]);
        }
    }
    assert_refused(&["status"], &[("LAMEDUCK_ADDRESS", "127.0.0.1:99999")], &["99999"]);
}

#[test]
fn help_of_every_command_goes_to_stdout() {
    for command in [&[][..], &["sidecar"], &["drain"], &["status"], &["check"], &["inject"], &["install"]] {
        for flag in ["--help", "-h"] {
            let Output { code, stdout, stderr } = lameduck(&[command, &[flag]].concat(), &[]);
            assert_eq!((code, stderr.as_str()), (Some(0), ""), "{command:?} {flag}");
            assert!(stdout.contains(&format!("Usage: {}", [&["lameduck"], command].concat().join(" "))), "{stdout}");
            assert!(stdout.lines().all(|line| !line.contains('\t')), "{stdout}");
        }
    }
}

#[test]
fn version_matches_package() {
    let Output { code, stdout, .. } = lameduck(&["--version"], &[]);
    assert_eq!((code, stdout.as_str()), (Some(0), concat!("lameduck ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn help_names_variables_but_hides_their_values() {
    let help = lameduck(&["sidecar", "--help"], &[("LAMEDUCK_TARGET", "the-secret")]).stdout;
    assert!(!help.contains("the-secret"));
    let flags = settings_in(&help);
    assert!(flags.len() > 15, "{flags:?}");
    for flag in flags {
        let variable = format!("[env: LAMEDUCK_{}]", flag.to_ascii_uppercase().replace('-', "_"));
        assert!(help.contains(&variable), "{variable}");
    }
}

#[test]
fn clients_derive_address_from_listen_variable() {
    let Output { code, stderr, .. } = lameduck(&["status"], &[("LAMEDUCK_LISTEN", "[::]:1")]);
    assert_eq!(code, Some(69));
    assert!(stderr.contains("http://127.0.0.1:1/status"), "{stderr}");
    let Output { code, stderr, .. } = lameduck(&["status"], &[("LAMEDUCK_LISTEN", "127.0.0.9:1")]);
    assert_eq!(code, Some(69));
    assert!(stderr.contains("http://127.0.0.9:1/status"), "{stderr}");
}

#[test]
fn mistyped_flags_and_commands_get_a_suggestion() {
    assert_refused(&["sidecar", "--grace-perod=30"], &[], &["--grace-perod", "'--grace-period'"]);
    assert_refused(&["stauts"], &[], &["'stauts'", "'status'"]);
    for (flag, intended) in [
        ("--grace=30", "'--grace-period'"),
        ("--strems=up", "'--streams'"),
        ("--preset=depgram-api", "'deepgram-api'"),
        ("--on-sigterm=drian", "'drain'"),
        ("--signal=SIGTREM", "SIGTERM was probably intended"),
        ("--log-level=wran", "warn was probably intended"),
    ] {
        assert_refused(&["sidecar", "--grace-period=30", flag], &[], &[intended]);
    }
    for (command, flag, intended) in
        [("drain", "--hok", "'--hook'"), ("status", "--redy", "'--ready'"), ("inject", "--imag=x", "'--image'")]
    {
        assert_refused(&[command, flag], &[], &[intended]);
    }
}

#[test]
fn refusals_fit_into_a_termination_message() {
    for (flag, value, others, _) in REFUSED {
        let typed = format!("{flag}={value}");
        let Output { stdout, stderr, .. } = lameduck(&[&["sidecar", &typed], *others].concat(), &[]);
        // The kubelet takes the last 2048 bytes and 80 lines of a failed container's log (kubernetes,
        // pkg/kubelet/container/runtime.go).
        let fits = stderr.len() <= 2048 && stderr.lines().count() <= 80;
        assert!(fits && stdout.is_empty() && stderr.starts_with("error: "), "{typed}: {stdout} {stderr}");
    }
}

/// The longest line of a help text in characters, without words that are too long to wrap.
fn widest_line(help: &str) -> usize {
    let lines = help.lines().filter(|line| line.trim().contains(' '));
    lines.map(|line| line.trim_end().chars().count()).max().unwrap()
}

#[test]
fn help_wraps_at_width_of_terminal() {
    for command in ["sidecar", "drain", "status", "check", "inject", "install"] {
        for columns in [60, 90] {
            let help = lameduck(&[command, "--help"], &[("COLUMNS", &columns.to_string())]).stdout;
            assert!(widest_line(&help) <= columns, "{command} at {columns} columns: {help}");
        }
        let help = lameduck(&[command, "--help"], &[]).stdout;
        assert!(widest_line(&help) <= 100, "{command}: {help}");
    }
    let mut command = Command::new(lameduck_test_support::process::binary());
    command.args(["sidecar", "--help"]);
    let (help, code) = Terminal::start(command, 70, 24).end();
    assert_eq!(code, Some(0));
    assert!((60..=70).contains(&widest_line(&help.replace('\r', ""))), "{help}");
}

#[test]
fn help_is_grouped_by_theme() {
    let help = lameduck(&["sidecar", "--help"], &[]).stdout;
    let headings: Vec<_> = help.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
    assert_eq!(
        headings,
        [
            "Options:",
            "General:",
            "Counting streams:",
            "Target and signal:",
            "Times:",
            "Idle streams:",
            "Load balancers:",
            "Server:",
            "Lifecycle of the sidecar:",
            "Logging:",
        ]
    );
}
