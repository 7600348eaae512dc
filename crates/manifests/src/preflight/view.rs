//! Values of a manifest as the API server reads them: aliases, merges and nulls are resolved, and types are known.

use crate::yaml::{Document, Kind, Lookup, Node, Style, is_typed};

/// A node of a document.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) document: &'a Document,
    node: &'a Node,
}

impl<'a> View<'a> {
    pub(super) fn new(document: &'a Document, node: &'a Node) -> Self {
        Self { document, node: document.resolve(node) }
    }

    /// The first line, from 1.
    pub(super) fn line(self) -> usize {
        self.node.line
    }

    /// The value of a key. Null counts as absent; of duplicate keys the last one counts, as for the API server.
    pub(super) fn get(self, key: &str) -> Option<Self> {
        let has_key = |entry: &&crate::yaml::Entry| entry.key.text() == Some(key);
        let value = match self.node.entries().iter().rev().find(has_key) {
            Some(entry) => &entry.value,
            None => match self.document.lookup(self.node, key) {
                Lookup::Own(_, entry) => &entry.value,
                Lookup::Merged(value) => value,
                Lookup::Absent => return None,
            },
        };
        Some(Self::new(self.document, value)).filter(|view| !view.node.is_null())
    }

    /// The value at a path of keys.
    pub(super) fn at(self, path: &[&str]) -> Option<Self> {
        path.iter().try_fold(self, |view, key| view.get(key))
    }

    /// The items of a list; empty for any other node.
    pub(super) fn items(self) -> Vec<Self> {
        self.node.items().iter().map(|item| Self::new(self.document, item)).collect()
    }

    /// The items of the list under a key.
    pub(super) fn list(self, key: &str) -> Vec<Self> {
        self.get(key).map_or_else(Vec::new, Self::items)
    }

    pub(super) fn is_list(self) -> bool {
        matches!(self.node.kind, Kind::List { .. })
    }

    pub(super) fn is_map(self) -> bool {
        matches!(self.node.kind, Kind::Map { .. })
    }

    /// Whether an alias shares this node with another place.
    pub(super) fn is_shared(self) -> bool {
        self.document.is_aliased(self.node)
    }

    /// The text of a scalar, whatever its type.
    pub(super) fn text(self) -> Option<&'a str> {
        self.node.text()
    }

    /// The text of the scalar under a key.
    pub(super) fn text_of(self, key: &str) -> Option<&'a str> {
        self.get(key)?.text()
    }

    /// Whether the API server reads a string here, and not a number or a boolean.
    pub(super) fn is_string(self) -> bool {
        match &self.node.kind {
            Kind::Scalar { text, style: Style::Plain } => self.node.tagged || !is_typed(text),
            Kind::Scalar { .. } => true,
            Kind::List { .. } | Kind::Map { .. } | Kind::Alias(_) => false,
        }
    }

    /// A boolean.
    pub(super) fn boolean(self) -> Option<bool> {
        let word = self.node.plain()?.to_ascii_lowercase();
        match word.as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    /// A whole number, in decimal digits. A leading zero means octal to some readers.
    pub(super) fn integer(self) -> Option<i64> {
        let text = self.node.plain()?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_decimal = digits == "0" || !digits.is_empty() && !digits.starts_with('0');
        (is_decimal && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
    }

    /// A port number.
    pub(super) fn port(self) -> Option<u16> {
        self.integer().and_then(|number| u16::try_from(number).ok()).filter(|port| *port != 0)
    }

    /// The integer under a key, or a default if there is none; `None` if there is something else.
    pub(super) fn integer_or(self, key: &str, default: i64) -> Option<i64> {
        self.get(key).map_or(Some(default), Self::integer)
    }
}
