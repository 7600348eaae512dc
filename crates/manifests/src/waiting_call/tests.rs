use super::WaitingCall;

const URL: &str = "http://127.0.0.1:8089/prestop";

/// Whether a command waits: `Some(true)` if it does, `Some(false)` if it may not, `None` if it does not end in a call.
fn waits(command: &[&str]) -> Option<bool> {
    WaitingCall::find(command, 8089).map(|call| call.doubt.is_none())
}

fn script_waits(script: &str) -> Option<bool> {
    waits(&["sh", "-c", &script.replace("URL", URL)])
}

#[test]
fn call_at_the_end_waits() {
    for script in [
        "curl URL",
        "deregister; exec curl -sf URL",
        "deregister\ncurl -fsS --retry 3 --connect-timeout=2 -o /dev/null 'URL'\n",
        "deregister | tee /log; curl --silent --show-error URL || true",
        "warm-up & /usr/bin/curl -H 'Authorization: Bearer x' URL >/dev/null 2>&1",
        "curl localhost:8089/prestop;",
        "wget -qO- --timeout=0 http://localhost:8089/prestop",
        "leave-ring; exec lameduck drain --hook",
        "/tools/lameduck drain --hook --listen [::]:8089 --log-level=debug",
        "# curl URL\nlameduck drain --hook # waits",
    ] {
        assert_eq!(script_waits(script), Some(true), "{script}");
    }
    for command in
        [&["curl", URL][..], &["/bin/bash", "-ec", "curl http://[::1]:8089/prestop"], &["lameduck", "drain", "--hook"]]
    {
        assert_eq!(waits(command), Some(true), "{command:?}");
    }
}

#[test]
fn other_commands_do_not_end_in_a_call() {
    for script in [
        "curl URL; sleep 5",
        "curl URL &",
        "curl URL | jq .",
        "echo URL",
        "echo lameduck drain --hook",
        "timeout 5 lameduck drain --hook",
        "LAMEDUCK_LISTEN=[::]:9 lameduck drain --hook",
        "lameduck drain --hook --standalone",
        "lameduck drain",
        "lameduck drain --hook &",
        "curl http://127.0.0.1:8089/other",
        "curl http://127.0.0.1:9000/prestop",
        "curl http://gateway:8089/prestop",
        "curl http://127.0.0.1/prestop",
        "if a; then curl URL; fi",
        "curl 'URL",
        "",
    ] {
        assert_eq!(script_waits(script), None, "{script}");
    }
    for command in
        [&["sh", "curl http://127.0.0.1:8089/prestop"][..], &["bash", "-n", "-c", "curl URL"], &["sh", "-nc", URL], &[]]
    {
        assert_eq!(waits(command), None, "{command:?}");
    }
}

#[test]
fn limits_and_conditions_are_doubtful() {
    for script in [
        "curl -m 5 URL",
        "curl -sm5 URL",
        "curl --max-time=5 URL",
        "curl --speed-time 5 URL",
        "curl -X POST URL",
        "curl -d a URL",
        "curl -I URL",
        "curl -x proxy:80 URL",
        "curl -K file URL",
        "curl -V URL",
        "curl URL http://127.0.0.1:1/",
        "wget -qO- URL",
        "wget -T 5 URL",
        "wget --timeout=5 URL",
        "wget --spider --timeout=0 URL",
        "wget -b -T0 URL",
        "test -f /x && curl URL",
        "true || curl URL",
        "exit 0; curl URL",
        "exec sleep 5; curl URL",
        "kill -INT 1; curl URL",
        "set -e; deregister; curl URL",
        "cat <<E\ncurl URL",
        "a $(b); curl URL",
        "lameduck drain --hook --cancel",
        "lameduck drain --hook --help",
        "lameduck drain --hook --listen [::]:9",
    ] {
        assert_eq!(script_waits(script), Some(false), "{script}");
    }
    assert_eq!(waits(&["sh", "-ec", "deregister; curl http://127.0.0.1:8089/prestop"]), Some(false));
}

#[test]
fn doubt_names_what_it_is_about() {
    for (script, part) in [
        ("curl -m 5 URL", "-m"),
        ("exit; curl URL", "`exit`"),
        ("a && curl URL", "&&"),
        ("wget URL", "900 s"),
        ("lameduck drain --hook --listen=[::]:9", "[::]:9"),
        ("(a); curl URL", "not only a list of commands"),
    ] {
        let call = WaitingCall::find(&["sh", "-c", &script.replace("URL", URL)], 8089).unwrap();
        let doubt = call.doubt.unwrap();
        assert!(doubt.contains(part), "{script}: {doubt}");
    }
}
