//! Edits of a text at places of its tree. What no edit names stays as it is, to the byte.

use std::ops::Range;

use crate::yaml::{Kind, Layout, Node, Style};
use crate::yaml_value::{self, Manner, Part};

mod take_out;
mod update;

/// Edits of one text, to be applied together.
#[derive(Debug)]
pub struct Splice<'a> {
    text: &'a str,
    edits: Vec<(Range<usize>, String)>,
    /// What is to be said of values that change.
    changed: Vec<String>,
}

/// What is written in front of the first thing in brackets that stood there empty, and so are left when it goes.
const FILLED: &str = " ";

/// A place that cannot be edited without touching what is not sidecar_spec, and the mend.
pub type Stuck = String;

impl<'a> Splice<'a> {
    /// No edits yet.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, edits: Vec::new(), changed: Vec::new() }
    }

    /// How many edits there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.edits.len()
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The text with the edits done.
    #[must_use]
    pub fn apply(mut self) -> String {
        // Stable: what is inserted at one place stays in the order in which it was asked for.
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let mut done = String::with_capacity(self.text.len());
        let mut at = 0;
        for (range, new) in self.edits {
            // Two neighbours that are taken out may both claim the blanks between them.
            done.push_str(&self.text[at..range.start.max(at)]);
            done.push_str(&new);
            at = range.end.max(at);
        }
        done.push_str(&self.text[at..]);
        done
    }

    /// Replaces what stands at a place, if it differs.
    pub fn replace(&mut self, place: Range<usize>, new: String) {
        if self.text[place.clone()] != new {
            self.edits.push((place, new));
        }
    }

    /// Writes entries into a map: before the entry of this index in block style, at the front in flow style.
    ///
    /// # Errors
    /// Fails where the key of that entry has no plain place on its line.
    pub fn insert(
        &mut self,
        map: &Node,
        before: usize,
        new: &[(&'static str, Part)],
        manner: Manner,
    ) -> Result<(), Stuck> {
        if new.is_empty() {
            return Ok(());
        }
        let entries = map.entries();
        match map.layout() {
            Some(Layout::Flow(open)) => {
                let new = new.iter().map(|(key, value)| yaml_value::flow_entry(key, value, manner)).collect();
                self.insert_flow(open, entries.first().map(|entry| entry.key.span.start), new, manner);
                Ok(())
            }
            Some(Layout::Block) | None => {
                let lines: Vec<_> =
                    new.iter().flat_map(|(key, value)| yaml_value::block_entry(key, value, manner)).collect();
                let key = &entries[before].key;
                self.insert_lines(key.span.start, key.column, &lines)
                    .map_err(|()| format!("line {}: write `{}` on a line of its own", key.line, key_text(key)))
            }
        }
    }

    fn insert_flow(&mut self, open: usize, first: Option<usize>, new: Vec<String>, manner: Manner) {
        let Some(first) = first else {
            let comma = if manner.compact { "," } else { ", " };
            return self.edits.push((open..open, format!("{FILLED}{}", new.join(comma))));
        };
        let gap = &self.text[open..first];
        let gap = match gap {
            "" if manner.compact => "",
            "" => " ",
            // Something else than blanks is a comment, and is not to be repeated.
            _ if gap.trim().is_empty() => gap,
            _ => " ",
        };
        let text = new.into_iter().flat_map(|entry| [entry, format!(",{gap}")]).collect();
        self.edits.push((first..first, text));
    }

    /// Writes lines in front of what stands at a place, above the comments that belong to it.
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
            // The first key of an item stands on the line of its dash.
            let eol = self.eol(at);
            let text = lines.iter().flat_map(|line| [line.as_str(), eol, &indent]).collect();
            self.edits.push((at..at, text));
        } else {
            return Err(());
        }
        Ok(())
    }

    /// What stands in a value is indented deeper than its key, so it is not taken for a comment.
    fn above_comments(&self, start: usize, column: usize) -> usize {
        let mut place = start;
        while place > 0 {
            let above = self.line_start(place - 1);
            let line = &self.text[above..place];
            let blanks = line.len() - line.trim_start_matches(' ').len();
            if blanks != column || !line[blanks..].starts_with('#') {
                break;
            }
            place = above;
        }
        place
    }

    /// Writes an item into a list, as the first.
    ///
    /// # Errors
    /// Fails where the first dash has no plain place on its line.
    pub fn prepend(&mut self, list: &Node, item: &Part, manner: Manner) -> Result<(), Stuck> {
        let Kind::List { items, dashes, layout } = &list.kind else { return Ok(()) };
        match (layout, dashes.first()) {
            (Layout::Flow(open), _) => {
                let first = items.first().map(|item| item.span.start);
                self.insert_flow(*open, first, vec![item.flow(manner)], manner);
                Ok(())
            }
            (Layout::Block, Some(dash)) => {
                let lines = yaml_value::block_item(item, manner);
                let placed = self.insert_lines(*dash, self.column(*dash), &lines);
                placed.map_err(|()| format!("line {}: begin the list on a line of its own, under `key:`", list.line))
            }
            (Layout::Block, None) => Ok(()),
        }
    }

    /// Writes an item into a list, as the last, and below the comments that belong to the last one.
    ///
    /// # Errors
    /// Fails at the end of a text whose last line has no end, where that would change a block scalar.
    pub fn append(&mut self, list: &Node, item: &Part, manner: Manner) -> Result<(), Stuck> {
        let Kind::List { items, dashes, layout } = &list.kind else { return Ok(()) };
        let (Some(before), Some(dash)) = (items.last(), dashes.first().or(Some(&0))) else { return Ok(()) };
        if let Layout::Flow(open) = layout {
            let gap = &self.text[*open..items[0].span.start];
            let gap = if gap.is_empty() && !manner.compact { " " } else { gap };
            let gap = if gap.trim().is_empty() { gap } else { " " };
            self.edits.push((before.span.end..before.span.end, format!(",{gap}{}", item.flow(manner))));
            return Ok(());
        }
        let column = self.column(*dash);
        let place = self.below_comments(before.span.end, column);
        let eol = self.eol(place);
        let ended = self.text[..place].ends_with('\n');
        if !ended && ends_in_block_scalar(before) {
            return Err("the manifest ends in a block scalar whose last line has no end; end it by a newline".into());
        }
        let lines = yaml_value::block_item(item, manner).into_iter().map(|line| format!("{:column$}{line}", ""));
        let text = lines.collect::<Vec<_>>().join(eol);
        let text = if ended { format!("{text}{eol}") } else { format!("{eol}{text}") };
        self.edits.push((place..place, text));
        Ok(())
    }

    /// The start of the line after a place and after the comments below it that are indented deeper than a column.
    fn below_comments(&self, end: usize, column: usize) -> usize {
        let mut place = if self.text[..end].ends_with('\n') { end } else { self.line_end(end) };
        while place < self.text.len() {
            let line = &self.text[place..self.line_end(place)];
            let blanks = line.len() - line.trim_start_matches(' ').len();
            if blanks <= column || !line[blanks..].starts_with('#') {
                break;
            }
            place += line.len();
        }
        place
    }

    /// Writes a value where a key has none.
    ///
    /// # Errors
    /// Fails where the missing value has an anchor or a tag, or its key no colon.
    pub fn fill(&mut self, null: &Node, value: &Part, manner: Manner) -> Result<(), Stuck> {
        if null.anchor != 0 || null.tagged {
            return Err(format!("line {}: an anchor or a tag without a value; take it out", null.line));
        }
        let is_missing = null.span.is_empty();
        if is_missing && !self.text[..null.span.start].ends_with(':') {
            return Err(format!("line {}: a key without a colon; write `key:`", null.line));
        }
        let blank = if is_missing { " " } else { "" };
        // At the end of the text lines may have been put there already, and those come behind it.
        self.edits.insert(0, (null.span.clone(), format!("{blank}{}", value.flow(manner))));
        Ok(())
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

    /// How lines end around a place.
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
