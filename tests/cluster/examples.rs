//! The unchanged manifests under `k8s-examples/`, validated by a real API server.

use std::fs;
use std::path::{Path, PathBuf};

use crate::parallel;
use crate::support::cluster::repository;
use crate::support::namespace::Namespace;
use crate::support::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] =
    &[parallel("examples: each passes strict validation at the Pod Security level that it states", strict_validation)];

/// Examples whose custom resource definitions are in no package registry. They are reviewed by hand.
const UNAVAILABLE: [&str; 1] = ["pod-monitor.yaml"];

fn strict_validation() -> String {
    let namespaces =
        ["baseline", "restricted"].map(|level| (level, Namespace::new(&format!("examples-{level}"), level)));
    let mut files: Vec<PathBuf> =
        fs::read_dir(repository("k8s-examples")).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| {
        file.extension().is_some_and(|end| end == "yaml") && !UNAVAILABLE.iter().any(|name| file.ends_with(name))
    });
    for file in &files {
        let stated = stated_level(file);
        let (_, namespace) = namespaces.iter().find(|(level, _)| *level == stated).expect("a level");
        namespace.validate("", &["--filename", file.to_str().unwrap()]);
    }
    format!("{} files; not validated: {}", files.len(), UNAVAILABLE.join(", "))
}

/// The level that the file's comments state; a file without pods complies with the strictest.
fn stated_level(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let stated = text.split_once("Pod Security level \"").and_then(|(_, rest)| rest.split_once('"'));
    stated.map_or("restricted", |(level, _)| level).to_owned()
}
