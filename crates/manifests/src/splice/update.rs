//! Bringing what is there up to date: what we write changes where it differs, and what others wrote beside it stays.

use super::Splice;
use crate::yaml::{Document, Entry, Kind, Layout, Node, Style};
use crate::yaml_value::{self, Manner, Part};

/// The key by which items of lists are told apart.
const NAME: &str = "name";

impl Splice<'_> {
    /// Brings a map up to date, and notes each value that changes.
    ///
    /// # Errors
    /// Fails where anchors or merges share what is to be changed, or nothing can be written there.
    pub fn update(
        &mut self,
        document: &Document,
        map: &Node,
        new: &[(&'static str, Part)],
        manner: Manner,
    ) -> Result<(), String> {
        let entries = map.entries();
        let find = |key: &str| entries.iter().find(|entry| entry.key.text() == Some(key));
        if document.is_repeated(map) || find("<<").is_some() {
            return Err(shared(map));
        }
        let mut missing = Vec::new();
        for (key, value) in new {
            match find(key) {
                Some(entry) => self.update_entry(document, map, entry, (key, value), manner)?,
                None => missing.push((*key, value.clone())),
            }
        }
        self.insert(map, usize::from(entries.len() > 1), &missing, manner)
    }

    fn update_entry(
        &mut self,
        document: &Document,
        map: &Node,
        entry: &Entry,
        (key, value): (&'static str, &Part),
        manner: Manner,
    ) -> Result<(), String> {
        if document.is_repeated(&entry.value) {
            return Err(shared(&entry.value));
        }
        match (&entry.value.kind, value) {
            (_, Part::Map(new)) if new.is_empty() => Ok(()),
            _ if entry.value.is_null() => self.fill(&entry.value, value, manner),
            (Kind::Map { .. }, Part::Map(new)) => self.update(document, &entry.value, new, manner),
            (Kind::List { items, .. }, Part::List(new))
                if !items.is_empty() && new.iter().all(|item| item.name().is_some()) =>
            {
                for item in new {
                    match items.iter().find(|old| name(document, old) == item.name()) {
                        Some(old) => self.update(document, old, item.entries(), manner)?,
                        None => self.append(&entry.value, item, manner)?,
                    }
                }
                Ok(())
            }
            _ => {
                self.rewrite_entry(map, entry, key, value, manner);
                Ok(())
            }
        }
    }

    /// Writes an entry anew, unless it says the same already.
    pub fn rewrite_entry(&mut self, map: &Node, entry: &Entry, key: &'static str, value: &Part, manner: Manner) {
        if value.is_said_by(&entry.value) {
            return;
        }
        let start = entry.key.span.start;
        let before_value = &self.text[start..self.begin(entry)];
        let is_block = |node: &Node| node.layout() == Some(Layout::Block);
        let new = if is_block(map) && is_block(&entry.value) {
            self.joined(&yaml_value::block_entry(key, value, manner), entry.key.column, start)
        } else if is_block(map) && matches!(value, Part::Text(_) | Part::Bare(_)) {
            format!("{before_value}{}", value.block(manner).concat())
        } else {
            format!("{before_value}{}", value.flow(manner))
        };
        // A block scalar ends behind the end of its last line, which stays.
        let place = start..start + self.text[start..entry.value.span.end].trim_end().len();
        let old = self.text[entry.value.span.clone()].split_whitespace().collect::<Vec<_>>().join(" ");
        let now = value.block(manner).join(" ");
        self.changed.push(format!("line {}: {key} was {old}, and is {now} now", entry.key.line));
        self.edits.push((place, new));
    }

    /// Where a value begins: a block scalar with its `|` or `>`, which is not in its place.
    fn begin(&self, entry: &Entry) -> usize {
        let (key, value) = (entry.key.span.end, entry.value.span.start);
        let is_block = matches!(entry.value.kind, Kind::Scalar { style: Style::Block, .. });
        self.text[key..value].find(['|', '>']).filter(|_| is_block).map_or(value, |at| key + at)
    }

    /// What was noted of values that change.
    pub fn take_changed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.changed)
    }
}

fn name<'a>(document: &'a Document, item: &'a Node) -> Option<&'a str> {
    document.get(item, NAME).and_then(Node::text)
}

impl Part {
    fn name(&self) -> Option<&str> {
        let (_, name) = self.entries().iter().find(|(key, _)| *key == NAME)?;
        if let Self::Text(name) = name { Some(name) } else { None }
    }

    /// The entries of a map; none of anything else.
    #[must_use]
    pub fn entries(&self) -> &[(&'static str, Self)] {
        if let Self::Map(entries) = self { entries } else { &[] }
    }

    /// Whether a node means the same, however it is written.
    fn is_said_by(&self, node: &Node) -> bool {
        match self {
            Self::Text(text) => node.text() == Some(text) && (node.plain().is_none() || yaml_value::is_plain(text)),
            Self::Bare(text) => node.plain() == Some(text),
            Self::List(items) => {
                items.len() == node.items().len()
                    && items.iter().zip(node.items()).all(|(item, node)| item.is_said_by(node))
            }
            Self::Map(_) => false,
        }
    }
}

fn shared(node: &Node) -> String {
    format!(
        "line {}: an anchor and its aliases, or a merge (<<), share a yaml_value of lameduck; write it out where it is used",
        node.line
    )
}
