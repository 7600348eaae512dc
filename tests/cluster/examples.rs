//! The manifests under `k8s-examples/` as they are, before a real API server.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::cluster::repository;
use crate::support::namespace::Place;
use crate::support::runner::Scenario;
use crate::together;

pub(crate) const SCENARIOS: &[Scenario] = &[together(
    "examples: each passes strict validation under the Pod Security level that it claims",
    strict_validation,
)];

/// What needs definitions that no package registry has; these were checked by reading.
const UNAVAILABLE: [&str; 1] = ["pod-monitor.yaml"];

fn strict_validation() -> String {
    let places = ["baseline", "restricted"].map(|level| (level, Place::new(&format!("examples-{level}"), level)));
    let mut files: Vec<PathBuf> =
        fs::read_dir(repository("k8s-examples")).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| {
        file.extension().is_some_and(|end| end == "yaml") && !UNAVAILABLE.iter().any(|name| file.ends_with(name))
    });
    for file in &files {
        let claimed = claim(file);
        let (_, place) = places.iter().find(|(level, _)| *level == claimed).expect("a level");
        place.validate("", &["--filename", file.to_str().unwrap()]);
    }
    format!("{} files; not to be had here: {}", files.len(), UNAVAILABLE.join(", "))
}

/// The level that a file's comments name; one without pods fits the strictest.
fn claim(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let claimed = text.split_once("Pod Security level \"").and_then(|(_, rest)| rest.split_once('"'));
    claimed.map_or("restricted", |(level, _)| level).to_owned()
}
