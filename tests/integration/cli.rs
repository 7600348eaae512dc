//! What users type: help, and every refusal with its message and its code.
use std::net::TcpListener;
use std::process::Command;

const USAGE: Option<i32> = Some(64);

struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs it in this environment; should a setting be taken that is to be refused, it stumbles over the taken port.
fn lameduck(args: &[&str], env: &[(&str, &str)]) -> Answer {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = Command::new(lameduck_test_support::process::binary());
    command.env_clear().env("LAMEDUCK_LISTEN", taken.local_addr().unwrap().to_string());
    let output = command.args(args).envs(env.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn assert_refused(args: &[&str], env: &[(&str, &str)], parts: &[&str]) {
    let Answer { code, stdout, stderr } = lameduck(args, env);
    assert_eq!((code, stdout.as_str()), (USAGE, ""), "{args:?} {env:?}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{args:?} {env:?}: no {part:?} in {stderr}");
    }
}

/// Each line: a flag, its value, other arguments, and what the message must say beside the flag.
const REFUSED: &[(&str, &str, &[&str], &[&str])] = &[
    ("--grace-period", "soon", &[], &["'soon'", "30m"]),
    ("--grace-period", "", &[], &["--grace-period"]),
    ("--grace-period", "-5", &[], &["-5"]),
    ("--grace-period", "0", &[], &["terminationGracePeriodSeconds"]),
    ("--grace-period", "9000h", &[], &["longer than a year", "seconds"]),
    ("--exit-margin", "30s", G, &["30s", "--grace-period"]),
    ("--exit-margin", "x", G, &["'x'", "30m"]),
    ("--lame-duck", "28s", G, &["28s", "--exit-margin", "shorten"]),
    ("--quiet-period", "1h", G, &["3600s", "shorten"]),
    ("--exit-wait", "1 parsec", G, &["'1 parsec'", "30m"]),
    ("--poll-interval", "0", G, &["at least 1ms"]),
    ("--scrape-timeout", "0s", G, &["at least 1ms"]),
    ("--preset", "nginx", G, &["'nginx'", "deepgram-engine", "generic"]),
    ("--preset", "generic", G, &["generic", "--metrics-url", "--streams"]),
    ("--metrics-url", "127.0.0.1:9991/metrics", G, &["'127.0.0.1:9991/metrics'", "http://"]),
    ("--metrics-url", "https://127.0.0.1/", G, &["https", "http://"]),
    ("--metrics-url", "http://127.0.0.1:99999/", G, &["99999", "65535"]),
    ("--metrics-url", "http://127.0.0.1/", GENERIC, &["--streams"]),
    ("--streams", "up", GENERIC, &["--metrics-url"]),
    ("--streams", "up{", G, &["'up{'"]),
    ("--streams", "up{a=~\"(\"}", G, &["--streams"]),
    ("--streams", "sum(up)", G, &["'sum(up)'"]),
    ("--lazy-streams", "{}", G, &["'{}'"]),
    (
        "--lazy-streams",
        "up",
        &["--grace-period=30", "--preset=generic", "--metrics-url=http://a/"],
        &["up", "--streams"],
    ),
    ("--streams-port", "0", G, &["'0'", "65535"]),
    ("--streams-port", "http", G, &["'http'", "65535"]),
    ("--streams-port", "", G, &["names no port"]),
    ("--activity-port", "65536", G, &["'65536'", "65535"]),
    ("--idle-after", "soon", G, &["'soon'", "30m"]),
    ("--idle-after", "1s", G, &["1s", "at least 2s"]),
    ("--idle-after", "1m", PAGE, &["60s", "--activity-port"]),
    ("--idle-after", "1m", TWO_PORTS, &["60s", "--streams-port 80", "--activity-port"]),
    ("--idle-after", "1m", PAGE_AND_PORT, &["60s", "--idle-streams"]),
    ("--idle-after", "1m", &["--grace-period=30", "--wait-for=exit"], &["60s", "--wait-for exit"]),
    ("--idle-after", "1m", &["--grace-period=30", "--preset=deepgram-api"], &["60s", "--wait-for exit"]),
    ("--idle-rate", "0", G, &["'0'", "bytes a second"]),
    ("--idle-rate", "1kB", G, &["'1kB'", "e.g. 256"]),
    ("--idle-streams", "a{", G, &["'a{'"]),
    ("--accept-below", "0", G, &["'0'", "capacity"]),
    ("--accept-below", "90%", G, &["'90%'", "capacity"]),
    ("--accept-below", "capacity", &["--grace-period=30", "--preset=deepgram-api"], &["--metrics-url", "number"]),
    ("--target", "", G, &["impeller"]),
    ("--target", "/bin/impeller", G, &["'/bin/impeller'", "last part"]),
    ("--target-port", "0", G, &["'0'", "65535"]),
    ("--target-port", "65536", G, &["'65536'", "65535"]),
    ("--target-port", "80", &["--grace-period=30", "--target=a"], &["80", "--target a", "one of them"]),
    ("--signal", "SIGFOO", G, &["'SIGFOO'", "SIGINT"]),
    ("--signal", "SIGKILL", G, &["'SIGKILL'", "SIGTERM"]),
    ("--signal", "0", G, &["'0'", "none"]),
    ("--signal", "SIGINT", PAGE, &["SIGINT", "--target"]),
    ("--wait-for", "ever", G, &["'ever'", "zero", "exit"]),
    ("--wait-for", "exit", PAGE, &["exit", "--target"]),
    ("--listen", "8089", G, &["'8089'", "[::]:8089"]),
    ("--listen", "localhost:8089", G, &["'localhost:8089'", "[::]:8089"]),
    ("--listen", "192.0.2.1:8089", G, &["192.0.2.1:8089", "an address of this pod"]),
    ("--token-file", "/no/such/file", G, &["/no/such/file", "No such file", "mount the Secret"]),
    ("--token-file", "/dev/null", G, &["/dev/null", "it is empty"]),
    ("--on-sigterm", "ignore", G, &["'ignore'", "auto"]),
    ("--state-dir", "/no/such/dir", G, &["'/no/such/dir'", "none"]),
    ("--state-dir", "/proc/self/status", G, &["none"]),
    ("--termination-log", "", G, &["--termination-log"]),
    ("--termination-log", "/tmp", G, &["'/tmp'", "/dev/termination-log"]),
    ("--termination-log", "/no/such/dir/file", G, &["'/no/such/dir/file'", "/dev/termination-log"]),
    ("--target", " impeller", G, &["' impeller'", "blank"]),
    ("--streams", "", G, &["--streams", "names no series"]),
    ("--log-format", "xml", G, &["'xml'", "json"]),
    ("--log-level", "loud", G, &["'loud'", "debug"]),
];
const G: &[&str] = &["--grace-period=30"];
const GENERIC: &[&str] = &["--grace-period=30", "--preset=generic"];
const PAGE: &[&str] = &["--grace-period=30", "--preset=generic", "--metrics-url=http://a/", "--streams=up"];

const TWO_PORTS: &[&str] = &["--grace-period=30", "--preset=generic", "--streams-port=80", "--activity-port=81"];
const PAGE_AND_PORT: &[&str] = &[
    "--grace-period=30",
    "--preset=generic",
    "--metrics-url=http://a/",
    "--streams=up",
    "--signal=none",
    "--activity-port=80",
];

#[test]
fn settings_that_cannot_work_are_refused_by_flag_value_and_mend() {
    for (flag, value, others, parts) in REFUSED {
        let typed = format!("{flag}={value}");
        assert_refused(&[&["sidecar", &typed], *others].concat(), &[], &[&[*flag], *parts].concat());
    }
}

#[test]
fn a_rehearsal_refuses_what_the_sidecar_refuses_and_says_the_same() {
    for (flag, value, others, parts) in REFUSED {
        let typed = format!("{flag}={value}");
        let Answer { code, stdout, stderr } = lameduck(&[&["check", &typed], *others].concat(), &[]);
        let said = stdout + &stderr;
        assert_eq!(code, USAGE, "{typed}: {said}");
        for part in [&[*flag], *parts].concat() {
            assert!(said.contains(part), "{typed}: no {part:?} in {said}");
        }
    }
}

#[test]
fn a_rehearsal_takes_every_setting_of_the_sidecar() {
    let settings = |command: &str| -> Vec<String> {
        let help = lameduck(&[command, "--help"], &[]).stdout;
        help.lines().filter_map(|line| line.trim_start().strip_prefix("--").map(str::to_owned)).collect()
    };
    let (sidecar, mut check) = (settings("sidecar"), settings("check"));
    check.retain(|setting| setting != "json");
    assert_eq!(sidecar, check);
}

#[test]
fn settings_from_the_environment_are_refused_as_well() {
    for (flag, value, others, parts) in REFUSED.iter().filter(|(_, value, ..)| !value.is_empty()) {
        let name = format!("LAMEDUCK{}", flag[1..].to_ascii_uppercase().replace('-', "_"));
        assert_refused(&[&["sidecar"], *others].concat(), &[(&name, value)], &[&[*flag], *parts].concat());
    }
}

#[test]
fn every_setting_has_a_line_among_the_refusals() {
    let help = lameduck(&["sidecar", "--help"], &[]).stdout;
    let flags = help.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split(' ').next());
    for flag in flags {
        assert!(REFUSED.iter().any(|(refused, ..)| refused[2..] == *flag), "--{flag}");
    }
}

#[test]
fn missing_grace_period_is_explained() {
    assert_refused(&["sidecar"], &[], &["--grace-period is required", "terminationGracePeriodSeconds", "cuts calls"]);
}

#[test]
fn port_that_is_taken_is_named() {
    assert_refused(
        &["sidecar", "--grace-period=30"],
        &[],
        &["--listen 127.0.0.1:", "another process", "choose another port"],
    );
}

#[test]
fn what_another_version_may_know_is_refused() {
    assert_refused(&["sidecar", "--grace-period=30", "--grace=30"], &[], &["--grace"]);
    for command in ["run", "help", "serve"] {
        assert_refused(&[command], &[], &[command]);
    }
}

#[test]
fn what_is_typed_in_vain_is_refused() {
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
fn drain_without_a_sidecar_needs_what_a_sidecar_needs() {
    assert_refused(&["drain", "--standalone"], &[], &["--grace-period is required"]);
    assert_refused(&["drain", "--standalone"], &[("LAMEDUCK_GRACE_PERIOD", "soon")], &["'soon'"]);
    for (flag, value, others, parts) in
        REFUSED.iter().filter(|(flag, ..)| !IN_VAIN.contains(flag) && *flag != NO_REASON_TO_CUT)
    {
        let typed = format!("{flag}={value}");
        assert_refused(&[&["drain", "--standalone", &typed], *others].concat(), &[], &[&[*flag], *parts].concat());
    }
}

/// A hook that fails cuts every stream: it rather does without a note.
const NO_REASON_TO_CUT: &str = "--state-dir";
const IN_VAIN: [&str; 5] = ["--listen", "--token-file", "--on-sigterm", "--accept-below", "--idle-after"];

#[test]
fn a_client_does_not_stumble_over_settings_that_it_has_no_use_for() {
    let settings = [("LAMEDUCK_GRACE_PERIOD", "soon"), ("LAMEDUCK_STATE_DIR", "/no/such/dir")];
    for command in [&["drain"][..], &["drain", "--hook"]] {
        let Answer { code, stderr, .. } =
            lameduck(command, &[&settings[..], &[("LAMEDUCK_ADDRESS", "127.0.0.1:1")]].concat());
        assert_eq!(code, Some(69), "{stderr}");
    }
}

#[test]
fn install_makes_a_copy_that_runs() {
    let dir = std::env::temp_dir().join(format!("lameduck-install-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let place = dir.to_str().unwrap();
    for _ in 0..2 {
        let Answer { code, stdout, stderr } = lameduck(&["install", place], &[]);
        assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "", ""));
    }
    let version = Command::new(dir.join("lameduck")).arg("--version").output().unwrap();
    assert!(version.status.success());
    let names: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["lameduck"]);
    std::fs::remove_dir_all(&dir).unwrap();
    assert_refused(&["install", place], &[], &[place, "such as a volume's"]);
    assert_refused(&["install"], &[], &["<DIR>"]);
}

#[test]
fn nothing_typed_shows_what_there_is() {
    assert_refused(&[], &[], &["Usage: lameduck <COMMAND>", "sidecar", "drain", "status", "check"]);
}

#[test]
fn settings_twice_and_stray_words_are_refused() {
    assert_refused(&["sidecar", "--grace-period=30", "--grace-period=60"], &[], &["--grace-period"]);
    assert_refused(&["sidecar", "30"], &[], &["30"]);
    assert_refused(&["drain", "now"], &[], &["now"]);
}

#[test]
fn addresses_of_clients_are_refused_with_the_mend() {
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
            let Answer { code, stdout, stderr } = lameduck(&[command, &[flag]].concat(), &[]);
            assert_eq!((code, stderr.as_str()), (Some(0), ""), "{command:?} {flag}");
            assert!(stdout.contains(&format!("Usage: {}", [&["lameduck"], command].concat().join(" "))), "{stdout}");
            assert!(stdout.lines().all(|line| !line.contains('\t')), "{stdout}");
        }
    }
}

#[test]
fn version_is_that_of_the_package() {
    let Answer { code, stdout, .. } = lameduck(&["--version"], &[]);
    assert_eq!((code, stdout.as_str()), (Some(0), concat!("lameduck ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn every_setting_has_its_variable_and_help_keeps_its_value_to_itself() {
    let help = lameduck(&["sidecar", "--help"], &[("LAMEDUCK_TARGET", "the-secret")]).stdout;
    assert!(!help.contains("the-secret"));
    let flags: Vec<_> =
        help.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split(' ').next()).collect();
    assert!(flags.len() > 15, "{flags:?}");
    for flag in flags {
        let variable = format!("[env: LAMEDUCK_{}]", flag.to_ascii_uppercase().replace('-', "_"));
        assert!(help.contains(&variable), "{variable}");
    }
}

#[test]
fn listener_that_is_not_on_loopback_is_where_clients_look() {
    let Answer { code, stderr, .. } = lameduck(&["status"], &[("LAMEDUCK_LISTEN", "[::]:1")]);
    assert_eq!(code, Some(69));
    assert!(stderr.contains("http://127.0.0.1:1/status"), "{stderr}");
    let Answer { code, stderr, .. } = lameduck(&["status"], &[("LAMEDUCK_LISTEN", "127.0.0.9:1")]);
    assert_eq!(code, Some(69));
    assert!(stderr.contains("http://127.0.0.9:1/status"), "{stderr}");
}
