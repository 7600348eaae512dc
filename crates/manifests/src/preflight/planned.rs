//! How lameduck is started in a pod after an injection.

use super::container::{Command, Container, List, Role};
use super::invocation::{Environment, Invocation, Variable, Word};
use super::view::View;
use crate::yaml::{Document, Node};

impl Invocation {
    /// A sidecar with these variables. It keeps the arguments and the other variables of its existing container.
    pub(crate) fn of_sidecar(
        document: &Document,
        existing: Option<&Node>,
        variables: Vec<(&str, String)>,
        grace_period: u64,
    ) -> Self {
        let existing = existing.map(|node| Container::new(List::Init, View::new(document, node)));
        let args = match existing.as_ref().map(|container| &container.role) {
            None => Some(Vec::new()),
            Some(Role::Sidecar(Command::Sidecar(words))) => Some(words.clone()),
            Some(Role::Sidecar(Command::Unknown | Command::Invalid(_)) | Role::Installer | Role::Other) => None,
        };
        let mut environment = existing.as_ref().map_or_else(Vec::new, |it| it.environment.of_lameduck());
        for (name, value) in variables {
            environment.retain(|variable| variable.name != name);
            let line = existing.as_ref().map_or(0, |container| container.view.line());
            environment.push(Variable { name: name.to_owned(), value: Word::Known(value), line, is_string: true });
        }
        Self {
            standalone: false,
            args,
            environment,
            has_env_from: existing.is_some_and(|container| container.environment.has_env_from),
            pod_grace_period: Some(grace_period),
        }
    }

    /// A standalone hook with these flags, in a container whose variables it reads.
    pub(crate) fn of_standalone(document: &Document, container: &Node, flags: Vec<String>, grace_period: u64) -> Self {
        let environment = Environment::of(View::new(document, container));
        Self {
            standalone: true,
            args: Some(flags.into_iter().map(Word::Known).collect()),
            environment: environment.of_lameduck(),
            has_env_from: environment.has_env_from,
            pod_grace_period: Some(grace_period),
        }
    }
}
