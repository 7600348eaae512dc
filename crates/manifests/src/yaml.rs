//! Manifests as a tree of places in their text, so that an edit can be spliced in and every other byte stays.
//!
//! YAML 1.2, of which JSON is a yaml_value. Scalars keep their text: what `yes`, `0644` or `1_000` mean is left to those who
//! read the manifest next.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

mod build;
mod parts;
mod patch;

pub use build::read;
pub use parts::{Part, parts};

/// How far aliases of aliases are followed.
const PATIENCE: usize = 16;

/// One document of a stream.
#[derive(Debug)]
pub struct Document {
    /// What the document holds.
    pub root: Node,
    /// The anchors that some alias repeats.
    repeated: HashSet<usize>,
}

/// A node, and where it stands.
#[derive(Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Its bytes, from its properties (anchor, tag) to the end of its content: trailing comments are not in it, the
    /// blank lines that end a block scalar are.
    pub span: Range<usize>,
    /// The column of its first character, from 0.
    pub column: usize,
    /// The line that it begins in, from 1.
    pub line: usize,
    /// The parser's number of its anchor; 0 if there is none.
    pub anchor: usize,
    /// Whether a tag is written in front of it.
    pub tagged: bool,
}

/// What a node is.
#[derive(Debug)]
pub enum Kind {
    /// Text. A value that is not there is plain and empty.
    Scalar {
        /// The text, without quotes and escapes.
        text: String,
        /// How it is written.
        style: Style,
    },
    /// `- a` or `[a]`.
    List {
        /// What is in it.
        items: Vec<Node>,
        /// How it is written.
        layout: Layout,
        /// Where the dash of each item stands; none in flow style.
        dashes: Vec<usize>,
    },
    /// `a: b` or `{a: b}`.
    Map {
        /// What is in it, in order.
        entries: Vec<Entry>,
        /// How it is written.
        layout: Layout,
    },
    /// `*a`, by the number of the anchor.
    Alias(usize),
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Bare.
    Plain,
    /// In quotes.
    Quoted,
    /// `|` or `>`.
    Block,
}

/// How a list or a map is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// By indentation.
    Block,
    /// In brackets; the offset is that of the byte after the opening one.
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

/// Where a key was found.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// In the map itself, at this place among its entries.
    Own(usize, &'a Entry),
    /// In a map that is merged into it by `<<`.
    Merged(&'a Node),
    /// Nowhere.
    Absent,
}

/// Text that is no YAML, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

impl Node {
    /// The entries of a map; none of anything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map { entries, .. } => entries,
            Kind::Scalar { .. } | Kind::List { .. } | Kind::Alias(_) => &[],
        }
    }

    /// The items of a list; none of anything else.
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

    /// Whether it is null: left out, `~` or `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.plain().is_some_and(|text| matches!(text, "" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether it is true, for those who read YAML 1.1 as well.
    #[must_use]
    pub fn is_true(&self) -> bool {
        let is_word = |text: &str| ["true", "yes", "on", "y"].contains(&text.to_ascii_lowercase().as_str());
        matches!(&self.kind, Kind::Scalar { text, style: Style::Plain } if is_word(text))
    }

    /// How a list or a map is written.
    #[must_use]
    pub fn layout(&self) -> Option<Layout> {
        match self.kind {
            Kind::List { layout, .. } | Kind::Map { layout, .. } => Some(layout),
            Kind::Scalar { .. } | Kind::Alias(_) => None,
        }
    }

    /// The first key that a map in it has twice. Kubernetes takes the last, or refuses it.
    #[must_use]
    pub fn twice(&self) -> Option<&Self> {
        let mut seen = HashSet::new();
        let keys = self.entries().iter().map(|entry| &entry.key);
        let mut named = keys.filter(|key| key.text().is_some_and(|text| text != "<<"));
        named.find(|key| !seen.insert(key.text())).or_else(|| self.children().find_map(Self::twice))
    }

    fn children(&self) -> impl Iterator<Item = &Self> {
        self.items().iter().chain(self.entries().iter().flat_map(|entry| [&entry.key, &entry.value]))
    }

    fn anchored(&self, anchor: usize) -> Option<&Self> {
        if self.anchor == anchor {
            return Some(self);
        }
        self.children().find_map(|child| child.anchored(anchor))
    }
}

impl Document {
    /// Whether an alias elsewhere repeats this node, so that an edit here were one there, too.
    #[must_use]
    pub fn is_repeated(&self, node: &Node) -> bool {
        matches!(node.kind, Kind::Alias(_)) || self.repeated.contains(&node.anchor)
    }

    /// What an alias stands for; anything else stands for itself.
    #[must_use]
    pub fn resolve<'a>(&'a self, node: &'a Node) -> &'a Node {
        let mut node = node;
        for _ in 0..PATIENCE {
            match node.kind {
                Kind::Alias(anchor) => node = self.root.anchored(anchor).unwrap_or(node),
                Kind::Scalar { .. } | Kind::List { .. } | Kind::Map { .. } => break,
            }
        }
        node
    }

    /// Where a map has a key.
    #[must_use]
    pub fn find<'a>(&'a self, map: &'a Node, key: &str) -> Found<'a> {
        let map = self.resolve(map);
        let is_it = |entry: &Entry| entry.key.text() == Some(key);
        if let Some((index, entry)) = map.entries().iter().enumerate().find(|(_, entry)| is_it(entry)) {
            return Found::Own(index, entry);
        }
        self.merged(map, key, &mut HashSet::new()).map_or(Found::Absent, Found::Merged)
    }

    /// No map is looked into twice, however often it is merged.
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

    /// The value of a key, wherever it was found, with aliases followed.
    #[must_use]
    pub fn get<'a>(&'a self, map: &'a Node, key: &str) -> Option<&'a Node> {
        match self.find(map, key) {
            Found::Own(_, entry) => Some(self.resolve(&entry.value)),
            Found::Merged(value) => Some(self.resolve(value)),
            Found::Absent => None,
        }
    }

    /// The value at a path of keys.
    #[must_use]
    pub fn at<'a>(&'a self, map: &'a Node, path: &[&str]) -> Option<&'a Node> {
        path.iter().try_fold(map, |map, key| self.get(map, key))
    }
}
