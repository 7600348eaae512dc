//! The values of a patch, and their text.

use crate::patch::entry;
use crate::yaml::{Kind, Node};
use crate::yaml_value::{YamlStyle, YamlValue};

/// A value of a patch.
#[derive(Clone, Debug)]
pub(super) enum PatchValue {
    /// A scalar.
    Scalar(YamlValue),
    /// A list.
    List(Vec<PatchValue>),
    /// A map, in this order.
    Map(Vec<(String, PatchValue)>),
}

impl PatchValue {
    pub(super) fn text(text: &str) -> Self {
        Self::Scalar(YamlValue::text(text))
    }

    /// In a patch, the value of an entry to remove.
    pub(super) fn null() -> Self {
        Self::Scalar(YamlValue::bare("null"))
    }

    /// The whole value of a node.
    ///
    /// # Errors
    /// Fails if the node contains an alias, whose anchor is not in the patch.
    pub(super) fn whole(node: &Node) -> Result<Self, String> {
        match &node.kind {
            Kind::Alias(_) => Err(format!("line {}: an alias (*); write its value out", node.line)),
            Kind::List { items, .. } => items.iter().map(Self::whole).collect::<Result<_, _>>().map(Self::List),
            Kind::Map { entries, .. } => {
                let entry = |key: &Node, value| Some((key.text()?.to_owned(), Self::whole(value)));
                let entries = entries.iter().filter_map(|one| entry(&one.key, &one.value));
                entries.map(|(key, value)| Ok((key, value?))).collect::<Result<_, _>>().map(Self::Map)
            }
            Kind::Scalar { text, .. } => Ok(match node.plain() {
                Some("") => Self::null(),
                Some(plain) => Self::Scalar(YamlValue::bare(plain)),
                None => Self::text(text),
            }),
        }
    }

    /// The whole value of a map's entry.
    pub(super) fn whole_entry(map: &Node, key: &str) -> Result<Self, String> {
        entry(map, key).map_or_else(|| Ok(Self::null()), Self::whole)
    }

    /// The value as a YAML document.
    pub(super) fn to_yaml(&self) -> String {
        self.lines().into_iter().flat_map(|line| [line, "\n".into()]).collect()
    }

    fn lines(&self) -> Vec<String> {
        match self {
            Self::Scalar(scalar) => scalar.block(YamlStyle::default()),
            Self::List(items) if items.is_empty() => vec!["[]".into()],
            Self::Map(entries) if entries.is_empty() => vec!["{}".into()],
            Self::List(items) => items.iter().flat_map(|item| indented("- ", &item.lines())).collect(),
            Self::Map(entries) => entries.iter().flat_map(|(key, value)| value.entry_lines(key)).collect(),
        }
    }

    fn entry_lines(&self, key: &str) -> Vec<String> {
        let key = YamlValue::text(key).block(YamlStyle::default()).concat();
        let lines = self.lines();
        let is_nested = match self {
            Self::Scalar(_) => false,
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
        };
        if is_nested {
            std::iter::once(format!("{key}:")).chain(indented("  ", &lines)).collect()
        } else {
            lines.iter().map(|line| format!("{key}: {line}")).collect()
        }
    }
}

/// Puts a prefix before the first line, and as many spaces before the others.
fn indented(first: &str, lines: &[String]) -> Vec<String> {
    let others = " ".repeat(first.len());
    lines
        .iter()
        .enumerate()
        .map(|(index, line)| format!("{}{line}", if index == 0 { first } else { &others }))
        .collect()
}
