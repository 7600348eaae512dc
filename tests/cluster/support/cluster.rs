//! The files of the cluster under test, and kubectl.

use std::env;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The directory with this cluster's logs, pids and keys.
pub(crate) fn cluster_dir() -> PathBuf {
    env::var_os("LAMEDUCK_CLUSTER").expect("tests/cluster/run sets LAMEDUCK_CLUSTER").into()
}

/// The path of one of the cluster's programs.
pub(crate) fn program(name: &str) -> PathBuf {
    let parts = env::var_os("LAMEDUCK_CLUSTER_PARTS").expect("tests/cluster/run sets LAMEDUCK_CLUSTER_PARTS");
    PathBuf::from(parts).join("bin").join(name)
}

/// A file of this repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs kubectl and returns its output; panics if it fails.
pub(crate) fn kubectl(args: &[&str]) -> String {
    kubectl_with("", args)
}

/// Like `kubectl`, with input on stdin.
pub(crate) fn kubectl_with(input: &str, args: &[&str]) -> String {
    let output = try_kubectl(input, args);
    assert!(output.status.success(), "kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn try_kubectl(input: &str, args: &[&str]) -> Output {
    let mut child = Command::new(program("kubectl"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl was built");
    child.stdin.take().expect("stdin is piped").write_all(input.as_bytes()).expect("kubectl reads its input");
    child.wait_with_output().expect("kubectl ends")
}
