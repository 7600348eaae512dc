//! How a manifest starts lameduck: the words of its command line and its environment, as far as the manifest says.

use std::collections::HashMap;

use super::view::View;

/// The maximum length of a word, in bytes. Otherwise each variable could double the value through references.
const MAX_WORD_LENGTH: usize = 1 << 16;

/// A word of a command line, or the value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The manifest says it.
    Known(String),
    /// It is known only in the cluster: it comes from `valueFrom`, or refers to a variable that is not set in the
    /// manifest.
    Unknown {
        /// What precedes the unknown part, such as `--grace-period=`.
        prefix: String,
    },
}

/// An environment variable of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Word,
    /// Its line in the manifest, from 1.
    pub line: usize,
    /// Whether the value is a string in the manifest. The API server refuses any other type.
    pub is_string: bool,
}

/// How a manifest starts lameduck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Whether it is a standalone hook, which drains without a sidecar.
    pub standalone: bool,
    /// The words after the subcommand; `None` if a script starts lameduck.
    pub args: Option<Vec<Word>>,
    /// The `LAMEDUCK_` variables, each name once.
    pub environment: Vec<Variable>,
    /// Whether the environment has more variables, from a `ConfigMap` or a `Secret`.
    pub has_env_from: bool,
    /// The pod's grace period, in seconds, if the manifest gives a valid one.
    pub pod_grace_period: Option<u64>,
}

impl Word {
    /// The word, if it is known.
    #[must_use]
    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(text) => Some(text),
            Self::Unknown { .. } => None,
        }
    }

    /// A word that is entirely unknown.
    const fn unknown() -> Self {
        Self::Unknown { prefix: String::new() }
    }
}

/// The environment of a container.
#[derive(Debug, Default)]
pub(super) struct Environment {
    variables: HashMap<String, Variable>,
    pub(super) has_env_from: bool,
}

impl Environment {
    pub(super) fn of(container: View) -> Self {
        let mut variables: HashMap<String, Variable> = HashMap::new();
        for entry in container.list("env") {
            let Some(name) = entry.text_of("name") else { continue };
            let value = match (entry.get("value"), entry.get("valueFrom")) {
                (Some(value), _) => value.text().map_or(Word::unknown(), |text| expand(text, &variables)),
                (None, Some(_)) => Word::unknown(),
                (None, None) => Word::Known(String::new()),
            };
            let is_string = entry.get("value").is_none_or(View::is_string);
            // Of two variables of one name, the last one counts.
            let variable = Variable { name: name.to_owned(), value, line: entry.line(), is_string };
            variables.insert(name.to_owned(), variable);
        }
        Self { variables, has_env_from: !container.list("envFrom").is_empty() }
    }

    /// The value of a variable; `None` if it is certainly not set.
    pub(super) fn get(&self, name: &str) -> Option<Word> {
        let variable = self.variables.get(name).map(|variable| &variable.value);
        variable.cloned().or(self.has_env_from.then_some(Word::unknown()))
    }

    /// Lameduck's variables, in their order in the manifest.
    pub(super) fn of_lameduck(&self) -> Vec<Variable> {
        let mut own: Vec<_> =
            self.variables.values().filter(|variable| variable.name.starts_with("LAMEDUCK_")).cloned().collect();
        own.sort_by(|one, other| (one.line, &one.name).cmp(&(other.line, &other.name)));
        own
    }
}

/// The words of a container's command line: its command and its arguments.
pub(super) fn words(container: View, key: &str, environment: &Environment) -> Vec<Word> {
    let text = |item: View| item.text().map_or(Word::unknown(), |text| expand(text, &environment.variables));
    container.list(key).into_iter().map(text).collect()
}

/// Replaces references as the kubelet does: `$(NAME)` is the variable's value, and `$$` is a dollar sign.
fn expand(text: &str, variables: &HashMap<String, Variable>) -> Word {
    if !text.contains('$') {
        return Word::Known(text.to_owned());
    }
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            let Some(value) = variables.get(name).and_then(|variable| variable.value.known()) else {
                return Word::Unknown { prefix: expanded };
            };
            if expanded.len() + value.len() > MAX_WORD_LENGTH {
                return Word::Unknown { prefix: expanded };
            }
            expanded.push_str(value);
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    Word::Known(expanded + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_as_by_the_kubelet() {
        let variable = |(name, value): (&str, _)| {
            (name.to_owned(), Variable { name: name.to_owned(), value, line: 1, is_string: true })
        };
        let variables =
            [("A", Word::Known("60".to_owned())), ("SECRET", Word::unknown())].map(variable).into_iter().collect();
        for (text, expected) in [
            ("--grace-period=$(A)m", Some("--grace-period=60m")),
            ("$$(A) $A $", Some("$(A) $A $")),
            ("$(A)$(A)", Some("6060")),
            ("$(SECRET)", None),
            ("$(MISSING)", None),
            ("$(A", Some("$(A")),
        ] {
            assert_eq!(expand(text, &variables).known(), expected, "{text}");
        }
        assert_eq!(expand("--signal=$(SECRET)", &variables), Word::Unknown { prefix: "--signal=".to_owned() });
    }
}
