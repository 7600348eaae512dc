//! YAML as a tree whose nodes know their place in the text, so that an edit can change one place and keep every other
//! byte.
//!
//! It reads YAML 1.2, which includes JSON. Scalars keep their text: the meaning of `yes`, `0644` or `1_000` is left to
//! the next program that reads the manifest.
//!
//! Read `build` first (parser events to tree); `split`, `reindent` and `surrogates` prepare the parser's input, `scan`
//! finds what the parser does not report.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

mod build;
mod reindent;
mod scan;
mod split;
mod surrogates;
mod typed;

pub use build::read;
pub use split::{DocumentText, split_documents};
pub use typed::is_typed;

/// How many aliases of aliases are followed.
const MAX_ALIAS_DEPTH: usize = 16;

/// Space and line breaks. Other characters that Unicode calls white space are content.
pub const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// One document of a stream.
#[derive(Debug)]
pub struct Document {
    /// The root node.
    pub root: Node,
    /// The anchors that have an alias.
    aliased: HashSet<usize>,
}

/// A node and its place in the text.
#[derive(Debug)]
pub struct Node {
    /// Its content.
    pub kind: Kind,
    /// Its bytes, from its properties (anchor, tag) to the end of its content. Trailing comments are excluded; the
    /// blank lines that end a block scalar are included.
    pub span: Range<usize>,
    /// The column of its first character, from 0.
    pub column: usize,
    /// Its first line, from 1.
    pub line: usize,
    /// The parser's number for its anchor; 0 if it has none.
    pub anchor: usize,
    /// Whether it has a tag.
    pub tagged: bool,
}

/// The content of a node.
#[derive(Debug)]
pub enum Kind {
    /// A scalar. A missing value is plain and empty.
    Scalar {
        /// The text, without quotes and escapes.
        text: String,
        /// Its style.
        style: Style,
    },
    /// `- a` or `[a]`.
    List {
        /// Its items.
        items: Vec<Node>,
        /// Its layout.
        layout: Layout,
        /// The place of each item's dash; empty in flow style.
        dashes: Vec<usize>,
    },
    /// `a: b` or `{a: b}`.
    Map {
        /// Its entries, in order.
        entries: Vec<Entry>,
        /// Its layout.
        layout: Layout,
    },
    /// `*a`, with the anchor's number.
    Alias(usize),
}

/// The style of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In quotes.
    Quoted,
    /// `|` or `>`.
    Block,
}

/// The layout of a list or a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Block style: by indentation.
    Block,
    /// Flow style: in brackets. The offset is that of the byte after the opening bracket.
    Flow(usize),
}

/// A key and its value.
#[derive(Debug)]
pub struct Entry {
    /// The key.
    pub key: Node,
    /// The value.
    pub value: Node,
}

/// The result of looking up a key in a map.
#[derive(Clone, Copy, Debug)]
pub enum Lookup<'a> {
    /// The map has the entry itself, at this index.
    Own(usize, &'a Entry),
    /// The value comes from a map that is merged into it with `<<`.
    Merged(&'a Node),
    /// The map does not have the key.
    Absent,
}

/// A syntax error and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The cause.
    pub message: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl Node {
    /// The entries of a map; empty for any other node.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map { entries, .. } => entries,
            Kind::Scalar { .. } | Kind::List { .. } | Kind::Alias(_) => &[],
        }
    }

    /// The items of a list; empty for any other node.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::List { items, .. } => items,
            Kind::Scalar { .. } | Kind::Map { .. } | Kind::Alias(_) => &[],
        }
    }

    /// The text of a scalar.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            Kind::List { .. } | Kind::Map { .. } | Kind::Alias(_) => None,
        }
    }

    /// The text of a plain scalar without a tag.
    #[must_use]
    pub fn plain(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, style: Style::Plain } if !self.tagged => Some(text),
            Kind::Scalar { .. } | Kind::List { .. } | Kind::Map { .. } | Kind::Alias(_) => None,
        }
    }

    /// Whether it is null: missing, `~` or `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.plain().is_some_and(|text| matches!(text, "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether a YAML 1.1 or 1.2 parser reads it as true.
    #[must_use]
    pub fn is_true(&self) -> bool {
        let is_word = |text: &str| ["true", "yes", "on", "y"].contains(&text.to_ascii_lowercase().as_str());
        matches!(&self.kind, Kind::Scalar { text, style: Style::Plain } if is_word(text))
    }

    /// The layout of a list or a map.
    #[must_use]
    pub fn layout(&self) -> Option<Layout> {
        match self.kind {
            Kind::List { layout, .. } | Kind::Map { layout, .. } => Some(layout),
            Kind::Scalar { .. } | Kind::Alias(_) => None,
        }
    }

    /// The first of these keys that occurs more than once in the map.
    #[must_use]
    pub fn duplicate_key(&self, keys: &[&str]) -> Option<&Self> {
        let mut seen = HashSet::new();
        let wanted = self.entries().iter().map(|entry| &entry.key);
        let mut wanted = wanted.filter(|key| key.text().is_some_and(|text| keys.contains(&text)));
        wanted.find(|key| !seen.insert(key.text()))
    }

    /// The first key that occurs more than once in a map of this node.
    #[must_use]
    pub fn duplicate_key_within(&self) -> Option<&Self> {
        let keys: Vec<_> = self.entries().iter().filter_map(|entry| entry.key.text()).collect();
        let named: Vec<_> = keys.into_iter().filter(|key| *key != "<<").collect();
        self.duplicate_key(&named).or_else(|| self.children().find_map(Self::duplicate_key_within))
    }

    /// Its items, or its keys and values.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Self> {
        self.items().iter().chain(self.entries().iter().flat_map(|entry| [&entry.key, &entry.value]))
    }

    fn find_anchor(&self, anchor: usize) -> Option<&Self> {
        if self.anchor == anchor {
            return Some(self);
        }
        self.children().find_map(|child| child.find_anchor(anchor))
    }
}

impl Document {
    /// Whether this node is an alias or has one elsewhere, so that an edit here would also change the other place.
    #[must_use]
    pub fn is_aliased(&self, node: &Node) -> bool {
        matches!(node.kind, Kind::Alias(_)) || self.aliased.contains(&node.anchor)
    }

    /// The first part of a node that has an alias elsewhere. The node cannot be replaced without breaking the alias.
    #[must_use]
    pub fn shared_part<'a>(&self, node: &'a Node) -> Option<&'a Node> {
        if node.anchor != 0 && self.aliased.contains(&node.anchor) {
            return Some(node);
        }
        node.children().find_map(|child| self.shared_part(child))
    }

    /// The node that an alias refers to; any other node is returned as it is.
    #[must_use]
    pub fn resolve<'a>(&'a self, node: &'a Node) -> &'a Node {
        let mut node = node;
        for _ in 0..MAX_ALIAS_DEPTH {
            match node.kind {
                Kind::Alias(anchor) => node = self.root.find_anchor(anchor).unwrap_or(node),
                Kind::Scalar { .. } | Kind::List { .. } | Kind::Map { .. } => break,
            }
        }
        node
    }

    /// Looks up a key in a map, also in merged maps. Of duplicate keys, the last one counts, as for the API server.
    #[must_use]
    pub fn lookup<'a>(&'a self, map: &'a Node, key: &str) -> Lookup<'a> {
        let map = self.resolve(map);
        let is_it = |entry: &Entry| entry.key.text() == Some(key);
        if let Some((index, entry)) = map.entries().iter().enumerate().rev().find(|(_, entry)| is_it(entry)) {
            return Lookup::Own(index, entry);
        }
        self.merged(map, key, &mut HashSet::new()).map_or(Lookup::Absent, Lookup::Merged)
    }

    /// Searches merged maps, each map once, however often it is merged.
    fn merged<'a>(&'a self, map: &'a Node, key: &str, seen: &mut HashSet<usize>) -> Option<&'a Node> {
        if !seen.insert(std::ptr::from_ref(map).addr()) {
            return None;
        }
        let merges = map.entries().iter().filter(|entry| entry.key.text() == Some("<<"));
        let sources = merges.flat_map(|entry| {
            let source = self.resolve(&entry.value);
            if source.items().is_empty() { vec![source] } else { source.items().iter().collect() }
        });
        sources.map(|source| self.resolve(source)).find_map(|source| {
            let own = source.entries().iter().find(|entry| entry.key.text() == Some(key));
            own.map(|entry| &entry.value).or_else(|| self.merged(source, key, seen))
        })
    }

    /// The value of a key, own or merged, with aliases resolved.
    #[must_use]
    pub fn get<'a>(&'a self, map: &'a Node, key: &str) -> Option<&'a Node> {
        match self.lookup(map, key) {
            Lookup::Own(_, entry) => Some(self.resolve(&entry.value)),
            Lookup::Merged(value) => Some(self.resolve(value)),
            Lookup::Absent => None,
        }
    }

    /// The value at a path of keys.
    #[must_use]
    pub fn get_path<'a>(&'a self, map: &'a Node, path: &[&str]) -> Option<&'a Node> {
        path.iter().try_fold(map, |map, key| self.get(map, key))
    }
}
