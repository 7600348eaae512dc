//! The rules behind `lameduck check -f`: finds mistakes in manifests and live objects, without a cluster. Pure: text in,
//! findings out.
//!
//! How [`check()`] works:
//! 1. `objects` reads the stream and finds every object with a pod spec. `view` reads values as the API server does.
//! 2. `container` recognizes lameduck's containers, and `hook` what each preStop hook does.
//! 3. `invocation` collects lameduck's command line and variables. The caller reads [`Settings`] from them, with the
//!    parser that the sidecar itself uses.
//! 4. `pod` selects the containers that must have the hook. Each [`Rule`] looks at the pod; the functions are in `rules`.
//!
//! `planned` describes how lameduck is started after an injection, so that `inject` checks the settings in the same way.

mod container;
mod hook;
mod invocation;
mod objects;
mod planned;
mod pod;
mod rule;
mod rules;
mod settings;
mod view;

pub use invocation::{Invocation, Variable, Word};
pub use rule::{Evaluation, Finding, Rule};
pub use settings::{GracePeriod, Listen, Problem, Settings, Target};

use crate::yaml::YamlError;
use objects::{Documents, PodSpec};
use pod::PodView;

/// Reads lameduck's settings from its command line and variables only.
pub type ReadSettings<'a> = &'a dyn Fn(&Invocation) -> Settings;

/// Checks that lameduck accepts the settings with which it is started after an injection; the error names the setting
/// that does not fit.
pub type SettingsCheck<'a> = &'a dyn Fn(&Invocation) -> Result<(), String>;

/// What the caller knows and the manifests do not say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The main container's name, in pods that have it.
    pub container: Option<String>,
    /// Further containers whose streams must not be cut, in pods that have them.
    pub also_hook: Vec<String>,
}

/// The findings of a stream of manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preflight {
    /// The objects in whose pods lameduck occurs.
    pub objects: Vec<Object>,
    /// The other objects with pods, as KIND/NAME.
    pub without_lameduck: Vec<String>,
    /// The objects without a pod, as KIND/NAME.
    pub without_pod: Vec<String>,
}

/// An object in whose pods lameduck occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// The number of its document, from 1.
    pub document: usize,
    /// Its first line, from 1.
    pub line: usize,
    /// Its kind.
    pub kind: String,
    /// Its namespace, if the manifest gives one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The names of its containers.
    pub containers: Vec<String>,
    /// What the rules found, in the order of [`Rule::ALL`].
    pub findings: Vec<Finding>,
}

impl Object {
    /// KIND/NAMESPACE/NAME, or KIND/NAME without a namespace.
    #[must_use]
    pub fn title(&self) -> String {
        let Self { kind, name, .. } = self;
        match &self.namespace {
            Some(namespace) => format!("{kind}/{namespace}/{name}"),
            None => format!("{kind}/{name}"),
        }
    }
}

/// Applies all rules to every pod in which lameduck occurs.
///
/// # Errors
/// Returns the place and the cause if a document cannot be read.
pub fn check(text: &str, options: &Options, read_settings: ReadSettings) -> Result<Preflight, YamlError> {
    let documents = Documents::read(text)?;
    let objects = documents.objects();
    let mut preflight = Preflight { without_pod: objects.others, ..Preflight::default() };
    for pod in &objects.pods {
        match PodView::new(pod, options, read_settings) {
            Some(view) => preflight.objects.push(object(pod, &view)),
            None => preflight.without_lameduck.push(format!("{}/{}", pod.kind, pod.name)),
        }
    }
    Ok(preflight)
}

fn object(pod: &PodSpec, view: &PodView) -> Object {
    Object {
        document: pod.document,
        line: pod.line,
        kind: pod.kind.to_owned(),
        namespace: pod.namespace.map(str::to_owned),
        name: pod.name.to_owned(),
        containers: view.containers.iter().map(|container| container.name.to_owned()).collect(),
        findings: Rule::ALL.iter().flat_map(|rule| rules::apply(*rule, view)).collect(),
    }
}
