//! Edits of a text at nodes of its tree. Every byte outside an edit stays as it is.

use std::ops::Range;

use crate::yaml::{self, Entry, Kind, Layout, Node, Style};
use crate::yaml_value::{self, YamlStyle, YamlValue};

mod remove;
mod update;

/// Edits of one text, applied together.
#[derive(Debug)]
pub struct TextEdits<'a> {
    text: &'a str,
    style: YamlStyle,
    edits: Vec<(Range<usize>, String)>,
    /// One message for each value that changes.
    changed: Vec<String>,
}

/// Written before the first entry of brackets that were empty. [`TextEdits::remove_entries`] then keeps the
/// brackets when it removes that entry.
const WAS_EMPTY_MARK: &str = " ";

/// The spellings of null. Brackets that take the place of a null begin with as many spaces as the mark for empty brackets
/// has, and one more for each spelling up to the right one. [`TextEdits::restore_null`] then restores it.
const NULL_SPELLINGS: [&str; 5] = ["", "~", "null", "Null", "NULL"];

/// Why a place cannot be edited without touching something else, and the fix.
pub type EditError = String;

impl<'a> TextEdits<'a> {
    /// Starts with no edits.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, style: YamlStyle::default(), edits: Vec::new(), changed: Vec::new() }
    }

    /// Sets the style of everything written from now on.
    pub fn set_style(&mut self, style: YamlStyle) {
        self.style = style;
    }

    /// The text before all edits.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The number of edits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.edits.len()
    }

    /// Whether there are no edits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The text after all edits.
    #[must_use]
    pub fn apply(mut self) -> String {
        // A stable sort: insertions at one place keep their order.
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut result = String::with_capacity(self.text.len());
        let mut at = 0;
        for (range, new) in self.edits {
            // The ranges of two removed neighbors may overlap in the space between them.
            result.push_str(&self.text[at..range.start.max(at)]);
            result.push_str(&new);
            at = range.end.max(at);
        }
        result.push_str(&self.text[at..]);
        result
    }

    /// Inserts entries into a map: before the entry at an index in block style, at the front in flow style.
    ///
    /// # Errors
    /// Fails if the key of that entry does not start its line.
    pub fn insert(&mut self, map: &Node, before: usize, new: &[(&'static str, YamlValue)]) -> Result<(), EditError> {
        if new.is_empty() {
            return Ok(());
        }
        let (entries, style) = (map.entries(), self.style);
        match map.layout() {
            Some(Layout::Flow(open)) => {
                let new = new.iter().map(|(key, value)| yaml_value::flow_entry(key, value, style)).collect();
                self.insert_flow(open, entries.first().map(|entry| entry.key.span.start), new);
                Ok(())
            }
            Some(Layout::Block) | None => {
                let lines: Vec<_> =
                    new.iter().flat_map(|(key, value)| yaml_value::block_entry(key, value, style)).collect();
                let key = &entries[before].key;
                self.insert_lines(key.span.start, key.column, &lines)
                    .map_err(|()| format!("line {}: write `{}` on a line of its own", key.line, key_text(key)))
            }
        }
    }

    fn insert_flow(&mut self, open: usize, first: Option<usize>, new: Vec<String>) {
        let Some(first) = first else {
            let comma = if self.style.compact { "," } else { ", " };
            return self.edits.push((open..open, format!("{WAS_EMPTY_MARK}{}", new.join(comma))));
        };
        let gap = match &self.text[open..first] {
            "" if self.style.compact => "",
            "" => " ",
            // Anything but whitespace is a comment, which must not be repeated.
            gap if gap.trim().is_empty() => gap,
            _ => " ",
        };
        let text = new.into_iter().flat_map(|entry| [entry, format!(",{gap}")]).collect();
        self.edits.push((first..first, text));
    }

    /// Inserts lines before the node at a place, above the comments that belong to the node.
    fn insert_lines(&mut self, at: usize, column: usize, lines: &[String]) -> Result<(), ()> {
        let start = self.line_start(at);
        let prefix = &self.text[start..at];
        let indent = " ".repeat(column);
        if prefix.bytes().all(|byte| byte == b' ') {
            let place = self.above_comments(start, column);
            let eol = self.eol(place);
            let text = lines.iter().flat_map(|line| [&indent, line.as_str(), eol]).collect();
            self.edits.push((place..place, text));
        } else if prefix.bytes().all(|byte| matches!(byte, b' ' | b'-')) {
            // The first key of a list item is on the line of its dash.
            let eol = self.eol(at);
            let text = lines.iter().flat_map(|line| [line.as_str(), eol, &indent]).collect();
            self.edits.push((at..at, text));
        } else {
            return Err(());
        }
        Ok(())
    }

    /// The start of the comment lines directly above a line. Only comments of the same column belong to it; text inside a
    /// multi-line value is indented deeper, so it is never taken for a comment.
    fn above_comments(&self, start: usize, column: usize) -> usize {
        let mut place = start;
        while place > 0 {
            let above = self.line_start(place - 1);
            let line = &self.text[above..place];
            let indent = line.len() - line.trim_start_matches(' ').len();
            if indent != column || !line[indent..].starts_with('#') {
                break;
            }
            place = above;
        }
        place
    }

    /// Inserts an item at the front of a list.
    ///
    /// # Errors
    /// Fails if the first dash does not start its line.
    pub fn prepend(&mut self, list: &Node, item: &YamlValue) -> Result<(), EditError> {
        let Kind::List { items, dashes, layout } = &list.kind else { return Ok(()) };
        match (layout, dashes.first()) {
            (Layout::Flow(open), _) => {
                let first = items.first().map(|item| item.span.start);
                self.insert_flow(*open, first, vec![item.flow(self.style)]);
                Ok(())
            }
            (Layout::Block, Some(dash)) => {
                let lines = yaml_value::block_item(item, self.style);
                let inserted = self.insert_lines(*dash, self.column(*dash), &lines);
                inserted.map_err(|()| format!("line {}: begin the list on a line of its own, under `key:`", list.line))
            }
            (Layout::Block, None) => Ok(()),
        }
    }

    /// Appends an item to a list, below the comments that belong to the last item.
    ///
    /// # Errors
    /// Fails at the end of a text without a final newline if the text ends in a block scalar, which would change.
    pub fn append(&mut self, list: &Node, item: &YamlValue) -> Result<(), EditError> {
        let Kind::List { items, dashes, layout } = &list.kind else { return Ok(()) };
        let (Some(final_item), Some(dash)) = (items.last(), dashes.first().or(Some(&0))) else { return Ok(()) };
        if let Layout::Flow(open) = layout {
            let gap = &self.text[*open..items[0].span.start];
            let gap = if gap.is_empty() && !self.style.compact { " " } else { gap };
            let gap = if gap.trim().is_empty() { gap } else { " " };
            self.edits.push((final_item.span.end..final_item.span.end, format!(",{gap}{}", item.flow(self.style))));
            return Ok(());
        }
        let column = self.column(*dash);
        let place = self.below_comments(final_item.span.end, column);
        let eol = self.eol(place);
        let has_newline = self.text[..place].ends_with('\n');
        if !has_newline && ends_in_block_scalar(final_item) {
            return Err("the manifest ends in a block scalar without a final newline; end it with a newline".into());
        }
        let lines = yaml_value::block_item(item, self.style).into_iter().map(|line| format!("{:column$}{line}", ""));
        let text = lines.collect::<Vec<_>>().join(eol);
        let text = if has_newline { format!("{text}{eol}") } else { format!("{eol}{text}") };
        self.edits.push((place..place, text));
        Ok(())
    }

    /// The start of the line after a place and after the comments below it that are indented deeper than a column.
    fn below_comments(&self, end: usize, column: usize) -> usize {
        let mut place = if self.text[..end].ends_with('\n') { end } else { self.line_end(end) };
        while place < self.text.len() {
            let line = &self.text[place..self.line_end(place)];
            let indent = line.len() - line.trim_start_matches(' ').len();
            if indent <= column || !line[indent..].starts_with('#') {
                break;
            }
            place += line.len();
        }
        place
    }

    /// Writes the value of a key that has none.
    ///
    /// # Errors
    /// Fails if the missing value has an anchor or a tag, or its key has no colon.
    pub fn fill(&mut self, null: &Node, value: &YamlValue) -> Result<(), EditError> {
        if null.anchor != 0 || null.tagged {
            return Err(format!("line {}: an anchor or a tag without a value; remove it", null.line));
        }
        let is_missing = null.span.is_empty();
        if is_missing && !self.text[..null.span.start].ends_with(':') {
            return Err(format!("line {}: a key without a colon; write `key:`", null.line));
        }
        let space = if is_missing { " " } else { "" };
        let spelling = NULL_SPELLINGS.iter().position(|spelling| null.text() == Some(spelling)).unwrap_or_default();
        let mut flow = value.flow(self.style);
        if matches!(value, YamlValue::List(_) | YamlValue::Map(_)) {
            flow.insert_str(1, &WAS_EMPTY_MARK.repeat(spelling + 2));
        }
        // First: at the end of the text, lines may already have been inserted at the same place, and they follow it.
        self.edits.insert(0, (null.span.clone(), format!("{space}{flow}")));
        Ok(())
    }

    /// Restores the null that brackets have replaced. Returns whether they have.
    pub fn restore_null(&mut self, entry: &Entry) -> bool {
        let Some(Layout::Flow(open)) = entry.value.layout() else { return false };
        let text = &self.text[open..];
        let spaces = text.len() - text.trim_start_matches(WAS_EMPTY_MARK).len();
        let Some(spelling) = spaces.checked_sub(2).and_then(|index| NULL_SPELLINGS.get(index)) else { return false };
        self.write_null(entry, spelling);
        true
    }

    /// Replaces a value by a null in this spelling. Returns whether it is one.
    pub fn write_null(&mut self, entry: &Entry, spelling: &str) -> bool {
        if !NULL_SPELLINGS.contains(&spelling) {
            return false;
        }
        let (key, value) = (entry.key.span.end, &entry.value.span);
        let colon = self.text[key..value.start].find(':').map_or(value.start, |colon| key + colon + 1);
        let start = if spelling.is_empty() { colon } else { value.start };
        self.edits.push((start..value.end, spelling.to_owned()));
        true
    }

    /// The text of an entry: its key and its value. If it has several lines in block style, its own indentation is in front.
    /// If it ends in a block scalar, the newlines are at its end, because they belong to the value.
    #[must_use]
    pub fn entry_text(&self, map: &Node, entry: &Entry) -> String {
        let text = &self.text[entry.key.span.start..entry.value.span.end];
        let is_indented = map.layout() == Some(Layout::Block) && text.contains('\n');
        format!("{:1$}{text}", "", if is_indented { entry.key.column } else { 0 })
    }

    /// Replaces an entry by a text.
    pub fn replace_entry(&mut self, entry: &Entry, text: &str) {
        self.edits.push((self.entry_range(entry), text.to_owned()));
    }

    /// The text after the place of an entry that is replaced.
    #[must_use]
    pub fn text_after(&self, entry: &Entry) -> &'a str {
        &self.text[self.entry_range(entry).end..]
    }

    /// The place of an entry, without the newlines and the space at the end of a block scalar, which stay.
    fn entry_range(&self, entry: &Entry) -> Range<usize> {
        let start = entry.key.span.start;
        start..start + self.text[start..entry.value.span.end].trim_end_matches(yaml::SPACE).len()
    }

    fn joined(&self, lines: &[String], column: usize, at: usize) -> String {
        lines.join(&format!("{}{:column$}", self.eol(at), ""))
    }

    fn line_start(&self, at: usize) -> usize {
        let start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        if start == 0 && self.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8().min(at) } else { start }
    }

    /// The start of the next line.
    fn line_end(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline + 1)
    }

    /// The line ending in use around a place.
    fn eol(&self, at: usize) -> &'static str {
        let newline = self.text[..at].rfind('\n').or_else(|| self.text.find('\n')).unwrap_or(0);
        if self.text[..newline].ends_with('\r') { "\r\n" } else { "\n" }
    }

    fn column(&self, at: usize) -> usize {
        self.text[self.line_start(at)..at].chars().count()
    }
}

fn ends_in_block_scalar(node: &Node) -> bool {
    let last = node.items().last().or_else(|| node.entries().last().map(|entry| &entry.value));
    match last {
        Some(last) => ends_in_block_scalar(last),
        None => matches!(node.kind, Kind::Scalar { style: Style::Block, .. }),
    }
}

fn key_text(key: &Node) -> &str {
    key.text().unwrap_or("?")
}
