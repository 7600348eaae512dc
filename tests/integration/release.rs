//! The scripts of a release find every place that names another version, and what a release lacks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lameduck_test_support::process::unique_number;

/// What the scripts read.
const FILES: [&str; 9] = [
    "CHANGELOG.md",
    "Cargo.toml",
    "Dockerfile",
    "README.md",
    "SECURITY.md",
    "crates",
    "docs",
    "k8s-examples",
    "tools/release",
];
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A copy of the files, removed on drop.
struct Copy(PathBuf);

impl Copy {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("lameduck-release-{}-{}", std::process::id(), unique_number()));
        fs::create_dir_all(&dir).unwrap();
        let mut command = Command::new("cp");
        command.arg("-r").arg("--parents").args(FILES).arg(&dir).current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(command.status().unwrap().success());
        Self(dir)
    }

    /// Replaces a text in a file.
    fn replace(&self, file: &str, text: &str, other: &str) {
        let path = self.0.join(file);
        let before = fs::read_to_string(&path).unwrap();
        assert!(before.contains(text), "{file} has no {text:?}");
        fs::write(path, before.replace(text, other)).unwrap();
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }

    /// Runs a script, and returns whether it succeeds, its output and its errors.
    fn run(&self, script: &str, args: &[&str]) -> (bool, String, String) {
        let output = Command::new(Path::new("tools/release").join(script)).args(args).current_dir(&self.0).output();
        let output = output.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_file_names_the_same_version() {
    let (succeeds, output, errors) = Copy::new().run("verify", &[]);
    assert_eq!((succeeds, output.as_str(), errors.as_str()), (true, format!("{VERSION}\n").as_str(), ""));
}

#[test]
fn every_place_with_another_version_is_named() {
    let image = format!("lameduck:{VERSION}");
    let assignment = format!("version = \"{VERSION}\"");
    for (file, text) in [
        ("crates/machine/Cargo.toml", assignment.as_str()),
        ("Cargo.toml", &format!("path = \"crates/machine\", {assignment}")),
        ("crates/parsers/Cargo.toml", &format!("path = \"../machine\", {assignment}")),
        ("Dockerfile", &format!("ARG VERSION={VERSION}")),
        ("k8s-examples/helm-plugin/plugin.yaml", &format!("version: {VERSION}")),
        ("k8s-examples/native-sidecar.yaml", &image),
        ("README.md", &image),
    ] {
        let copy = Copy::new();
        copy.replace(file, text, &text.replace(VERSION, "77.0.1"));
        let (succeeds, output, errors) = copy.run("verify", &[]);
        assert!(!succeeds && output.is_empty(), "{file}: {output}");
        assert!(errors.lines().all(|line| line.starts_with(file) && line.contains("77.0.1")), "{file}: {errors}");
    }
}

#[test]
fn release_needs_its_tag_a_changelog_and_a_home() {
    let copy = Copy::new();
    let tag = format!("v{VERSION}");
    copy.write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n- Something new.\n");
    copy.write("tools/release/home.env", "HOME_URL=\nIMAGE=\n");
    let (succeeds, _, errors) = copy.run("verify", &["v77.0.1"]);
    assert!(!succeeds);
    for part in [format!("the tag: v77.0.1, expected {tag}"), "CHANGELOG.md".into(), "HOME_URL".into(), "IMAGE".into()]
    {
        assert!(errors.contains(&part), "no {part:?} in {errors}");
    }
    assert!(!copy.run("notes", &[VERSION]).0, "the changelog has no section of this version");
    let changelog = format!("## Unreleased\n\n## {VERSION} (a date)\n\n- Something new.\n\n## {VERSION}1\n\n- Old.\n");
    copy.write("CHANGELOG.md", &changelog);
    let home = "HOME_URL=https://example.com/lameduck\nIMAGE=registry.example.com/lameduck\n";
    copy.write("tools/release/home.env", home);
    assert_eq!(copy.run("verify", &[&tag]), (true, format!("{VERSION}\n"), String::new()));
    assert_eq!(copy.run("notes", &[VERSION]), (true, "\n- Something new.\n\n".into(), String::new()));
}
