//! What rolling-redeploy does when something fails. curl reads the files that stand for ready instances.

use std::fs;
use std::process::{Command, Output};

use crate::namespaces::{Directory, output, repository};

/// Runs the script for the instances a and b, which are ready, with this command; returns its output and the instances
/// whose command was run. In the command, DIR is the directory in which a file per instance makes it ready.
fn replace(command: &str) -> (Output, String) {
    let dir = Directory::new();
    for instance in ["a", "b"] {
        fs::write(dir.join(instance), "").expect("a file");
    }
    let path = dir.display().to_string();
    let command = format!("echo -n {{}} >>DIR/replaced; {command}").replace("DIR", &path);
    let mut script = Command::new(repository("run-examples/rolling-redeploy"));
    script.args(["--replace", &command, "--ready", &format!("file://{path}/{{}}"), "--timeout", "1", "a", "b"]);
    let result = output(&mut script);
    (result, fs::read_to_string(dir.join("replaced")).unwrap_or_default())
}

fn assert_stopped(command: &str, message: &str) {
    let (output, replaced) = replace(command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(message), "{command}: {stderr}");
    assert_eq!((output.status.code(), replaced.as_str()), (Some(1), "a"), "{command}: {stderr}");
}

/// After a failure, no further instance is replaced.
pub(crate) fn stops_at_the_first_failure() {
    let (output, replaced) = replace("true");
    assert_eq!((output.status.code(), replaced.as_str()), (Some(0), "ab"), "{output:?}");
    assert_stopped("exit 3", "the command for instance a failed with exit code 3");
    assert_stopped("rm DIR/a", "instance a is not in rotation after 1 s: file://");
    assert_stopped("rm DIR/b", "instance b is not in rotation after 1 s: file://");
    let script = repository("run-examples/rolling-redeploy").display().to_string();
    let nested = format!("{script} --replace true --ready file://DIR/{{}} a b");
    assert_stopped(&nested, "another run is in progress");
}
