//! The programs under test, their files, and the comparison of manifests.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lameduck_test_support::manifests::libyaml;
use lameduck_test_support::process;
use serde_norway::Value;

/// The flags of inject that the examples have.
pub(crate) const FLAGS: [&str; 2] = ["--image=registry.example.com/lameduck:0.1.0", "--run-as-user=1000"];
/// The vendor's chart as Helm renders it.
pub(crate) const CHART: &str = include_str!("../fixtures/manifests/engine-chart.yaml");

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) is_success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A directory for the files of one scenario, removed on drop.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        let path = built().join(format!("work-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the directory can be created");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("the directory can be created");
        fs::write(path, text).expect("the file can be written");
    }

    /// Copies the files of an example in `k8s-examples/`.
    pub(crate) fn copy_example(&self, example: &str, to: &str) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s-examples").join(example);
        for file in fs::read_dir(source).expect("the example is there") {
            let file = file.expect("the directory can be read");
            let text = fs::read_to_string(file.path()).expect("the example can be read");
            self.write(&format!("{to}/{}", file.file_name().display()), &text);
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Where `tests/gitops/run` puts what it builds.
fn built() -> PathBuf {
    env::var_os("LAMEDUCK_GITOPS").expect("run by tests/gitops/run").into()
}

/// The path of a built program.
pub(crate) fn program(path: &str) -> PathBuf {
    built().join(path)
}

/// A command with lameduck in its PATH.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let binaries = Path::new(process::binary()).parent().expect("the binary is in a directory");
    let path = format!("{}:{}", binaries.display(), env::var("PATH").expect("PATH is set"));
    let mut command = Command::new(program);
    command.env("PATH", path);
    command
}

/// Runs a command with this text on stdin.
pub(crate) fn run(command: &mut Command, stdin: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    let mut pipe = child.stdin.take().expect("stdin is a pipe");
    let text = stdin.to_owned();
    let writer = std::thread::spawn(move || {
        // The write fails if the program rejects its arguments before it reads.
        let _ = pipe.write_all(text.as_bytes());
    });
    let output = child.wait_with_output().expect("the program ends");
    writer.join().expect("the writer does not panic");
    let text = |bytes| String::from_utf8(bytes).expect("the output is UTF-8");
    Output { is_success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs a command that must succeed.
pub(crate) fn succeed(command: &mut Command, stdin: &str) -> Output {
    let output = run(command, stdin);
    assert!(output.is_success, "{command:?}: {}", output.stderr);
    output
}

/// Runs `lameduck inject`.
pub(crate) fn try_inject(manifests: &str, flags: &[&str]) -> Output {
    run(command(process::binary()).arg("inject").args(flags), manifests)
}

/// Runs `lameduck inject`, which must succeed.
pub(crate) fn inject(manifests: &str, flags: &[&str]) -> Output {
    let output = try_inject(manifests, flags);
    assert!(output.is_success, "inject {flags:?}: {}", output.stderr);
    output
}

/// Runs `kustomize build` of a directory.
pub(crate) fn build(directory: &Path, flags: &[&str]) -> Output {
    run(command(program("kustomize/kustomize")).arg("build").args(flags).arg(directory), "")
}

/// The manifests as values, sorted; without what Helm and kustomize change: they drop null entries and empty documents,
/// and write octal numbers in decimal.
pub(crate) fn values(text: &str) -> Vec<Value> {
    let mut documents = libyaml::parse(text).unwrap_or_else(|| panic!("not YAML: {text}"));
    documents.retain(|document| !document.is_null());
    documents.iter_mut().for_each(normalize);
    documents.sort_by_key(|document| format!("{:?} {:?}", document["kind"], document["metadata"]["name"]));
    documents
}

fn normalize(value: &mut Value) {
    match value {
        Value::Mapping(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(normalize);
        }
        Value::Sequence(items) => items.iter_mut().for_each(normalize),
        Value::String(text) => {
            let octal = text.strip_prefix('0').and_then(|digits| u64::from_str_radix(digits, 8).ok());
            if let Some(number) = octal {
                *value = Value::from(number);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Tagged(_) => {}
    }
}

/// Checks that two streams describe the same objects.
pub(crate) fn assert_same(actual: &str, expected: &str) {
    let (actual, expected) = (values(actual).into(), values(expected).into());
    if let Some(difference) = difference(&actual, &expected) {
        panic!("{difference}");
    }
}

/// The first place where two values differ.
fn difference(actual: &Value, expected: &Value) -> Option<String> {
    let inside = |place: String, actual: Option<&Value>, expected: Option<&Value>| match (actual, expected) {
        (Some(actual), Some(expected)) => difference(actual, expected).map(|rest| format!("{place}.{rest}")),
        _ => Some(format!("{place}: {actual:?} instead of {expected:?}")),
    };
    match (actual, expected) {
        (Value::Mapping(actual), Value::Mapping(expected)) => {
            let keys = actual.keys().chain(expected.keys());
            keys.into_iter()
                .find_map(|key| inside(key.as_str().unwrap_or("?").to_owned(), actual.get(key), expected.get(key)))
        }
        (Value::Sequence(actual), Value::Sequence(expected)) => {
            let mut places = 0..actual.len().max(expected.len());
            places.find_map(|index| inside(format!("[{index}]"), actual.get(index), expected.get(index)))
        }
        _ => (actual != expected).then(|| format!(": {actual:?} instead of {expected:?}")),
    }
}
