//! Edits that update what is already there: fields that lameduck writes change if they differ, and fields that others
//! wrote next to them stay.

use super::{EditError, TextEdits};
use crate::yaml::{self, Document, Entry, Kind, Layout, Node, Style};
use crate::yaml_value::{self, YamlValue};

/// The key that identifies an item of a list.
const NAME: &str = "name";

/// The spellings that are booleans in YAML 1.1 and 1.2.
const TRUE: [&str; 3] = ["true", "True", "TRUE"];
const FALSE: [&str; 3] = ["false", "False", "FALSE"];

impl TextEdits<'_> {
    /// Updates a map, and records a message for each value that changes.
    ///
    /// # Errors
    /// Fails if anchors or merges share a part that would change, or the place cannot be written to.
    pub fn update(
        &mut self,
        document: &Document,
        map: &Node,
        new: &[(&'static str, YamlValue)],
    ) -> Result<(), EditError> {
        let entries = map.entries();
        let find = |key: &str| entries.iter().rfind(|entry| entry.key.text() == Some(key));
        if document.is_aliased(map) || find("<<").is_some() {
            return Err(shared(map));
        }
        let mut missing = Vec::new();
        for (key, value) in new {
            match find(key) {
                Some(entry) => self.update_entry(document, map, entry, (key, value))?,
                None => missing.push((*key, value.clone())),
            }
        }
        self.insert(map, usize::from(entries.len() > 1), &missing)
    }

    fn update_entry(
        &mut self,
        document: &Document,
        map: &Node,
        entry: &Entry,
        (key, value): (&'static str, &YamlValue),
    ) -> Result<(), EditError> {
        if document.is_aliased(&entry.value) {
            return Err(shared(&entry.value));
        }
        match (&entry.value.kind, value) {
            (_, YamlValue::Map(new)) if new.is_empty() => Ok(()),
            _ if entry.value.is_null() => self.fill(&entry.value, value),
            (Kind::Map { .. }, YamlValue::Map(new)) => self.update(document, &entry.value, new),
            (Kind::List { items, .. }, YamlValue::List(new))
                if !items.is_empty() && new.iter().all(|item| item.name().is_some()) =>
            {
                for item in new {
                    match items.iter().find(|old| name(document, old) == item.name()) {
                        Some(old) => self.update(document, old, item.entries())?,
                        None => self.append(&entry.value, item)?,
                    }
                }
                Ok(())
            }
            _ => {
                self.rewrite_entry(map, entry, key, value);
                Ok(())
            }
        }
    }

    /// Rewrites an entry unless its value is already equal.
    pub fn rewrite_entry(&mut self, map: &Node, entry: &Entry, key: &'static str, value: &YamlValue) {
        if value.equals_node(&entry.value) {
            return;
        }
        let start = entry.key.span.start;
        let before_value = &self.text[start..self.value_start(entry)];
        let is_block = |node: &Node| node.layout() == Some(Layout::Block);
        let new = if is_block(map) && is_block(&entry.value) {
            self.joined(&yaml_value::block_entry(key, value, self.style), entry.key.column, start)
        } else if is_block(map) && matches!(value, YamlValue::Text(_) | YamlValue::Bare(_)) {
            format!("{before_value}{}", value.block(self.style).concat())
        } else {
            format!("{before_value}{}", value.flow(self.style))
        };
        let old = self.text[entry.value.span.clone()].split_whitespace().collect::<Vec<_>>().join(" ");
        let now = value.block(self.style).join(" ");
        self.changed.push(format!("line {}: {key} was {old} and is now {now}", entry.key.line));
        self.edits.push((self.entry_range(entry), new));
    }

    /// The start of a value. The span of a block scalar does not include its `|` or `>`.
    fn value_start(&self, entry: &Entry) -> usize {
        let (key, value) = (entry.key.span.end, entry.value.span.start);
        let is_block = matches!(entry.value.kind, Kind::Scalar { style: Style::Block, .. });
        self.text[key..value].find(['|', '>']).filter(|_| is_block).map_or(value, |at| key + at)
    }

    /// Takes the messages about changed values.
    pub fn take_changed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.changed)
    }
}

fn name<'a>(document: &'a Document, item: &'a Node) -> Option<&'a str> {
    document.get(item, NAME).and_then(Node::text)
}

impl YamlValue {
    fn name(&self) -> Option<&str> {
        let (_, name) = self.entries().iter().find(|(key, _)| *key == NAME)?;
        if let Self::Text(name) = name { Some(name) } else { None }
    }

    /// Whether a node has the same meaning, in whatever style.
    fn equals_node(&self, node: &Node) -> bool {
        match self {
            Self::Text(text) => node.text() == Some(text) && (node.plain().is_none() || !yaml::is_typed(text)),
            Self::Bare(text) if text == "true" => node.plain().is_some_and(|word| TRUE.contains(&word)),
            Self::Bare(text) if text == "false" => node.plain().is_some_and(|word| FALSE.contains(&word)),
            Self::Bare(text) => node.plain() == Some(text),
            Self::List(items) => {
                items.len() == node.items().len()
                    && items.iter().zip(node.items()).all(|(item, node)| item.equals_node(node))
            }
            Self::Map(_) => false,
        }
    }
}

fn shared(node: &Node) -> String {
    format!(
        "line {}: an anchor and its aliases, or a merge (<<), share a lameduck field; write it out in each place",
        node.line
    )
}
