//! What other readers take and the parser does not, put so that it does.
//!
//! Lines in brackets and in quotes may stand left of what surrounds them, and JSON writes letters beyond 16 bits as two
//! escapes. The parser gets such lines moved to the right and such escapes as others of the same length, and the places
//! that it tells are mapped back.

use saphyr_parser::{Marker, ScanError};

use super::build::quoted;

/// How far a line is moved: further than block style goes.
const WIDTH: usize = 128;

/// How many bytes may be read once more because of it.
const BUDGET: usize = 1 << 28;

/// A text for the parser.
pub(super) struct Patched {
    /// The text.
    pub(super) text: String,
    /// Where lines that were moved begin, in characters of this text, in order.
    pads: Vec<usize>,
    budget: usize,
}

impl Patched {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), pads: Vec::new(), budget: BUDGET }
    }

    /// Where a place stands in the text as it was: its characters from the start, and its column.
    pub(super) fn place(&self, marker: &Marker) -> (usize, usize) {
        let (at, column) = (marker.index(), marker.col());
        let before = &self.pads[..self.pads.partition_point(|pad| *pad < at)];
        let Some(last) = before.last() else { return (at, column) };
        let here = WIDTH.min(at - last);
        let moved = if at - last == column { here } else { 0 };
        (at - WIDTH * (before.len() - 1) - here, column - moved)
    }

    /// Mends what the parser stumbled over, if that is something that others take.
    pub(super) fn mend(&mut self, error: &ScanError) -> bool {
        let length = self.text.len();
        let Some(budget) = self.budget.checked_sub(length) else { return false };
        self.budget = budget;
        let at = self.text.char_indices().nth(error.marker().index()).map_or(length, |(at, _)| at);
        match error.info() {
            "invalid indentation" | "invalid indentation in flow construct" => self.move_line(at),
            "invalid indentation in quoted scalar" => self.move_quoted(at),
            "while parsing a quoted scalar, found invalid Unicode character escape code" => self.join_escapes(),
            _ => false,
        }
    }

    fn move_line(&mut self, at: usize) -> bool {
        let start = self.text[..at].rfind(['\n', '\r']).map_or(0, |newline| newline + 1);
        let index = self.text[..start].chars().count();
        // The parser goes on from line to line; where it does not, moving does not help.
        if self.pads.last().is_some_and(|last| *last >= index) {
            return false;
        }
        self.pads.push(index);
        self.text.insert_str(start, &" ".repeat(WIDTH));
        true
    }

    fn move_quoted(&mut self, start: usize) -> bool {
        let mut end = start + quoted(&self.text[start..]);
        let mut at = start;
        while let Some(newline) = self.text[at..end].find('\n') {
            at += newline + 1;
            if !self.move_line(at) {
                return false;
            }
            end += WIDTH;
        }
        at != start
    }

    /// Halves of a pair of escapes (D800 to DFFF) become letters for private use; only places and names matter here.
    fn join_escapes(&mut self) -> bool {
        let joined = self.text.replace("\\ud", "\\ue").replace("\\uD", "\\uE");
        let is_new = joined != self.text;
        self.text = joined;
        is_new
    }
}

/// The parser counts characters; text is sliced by bytes.
pub(super) struct Offsets(Option<Vec<usize>>);

impl Offsets {
    pub(super) fn new(text: &str) -> Self {
        let table = || text.char_indices().map(|(offset, _)| offset).chain([text.len()]).collect();
        Self((!text.is_ascii()).then(table))
    }

    pub(super) fn byte(&self, character: usize, length: usize) -> usize {
        match &self.0 {
            Some(table) => table.get(character).copied().unwrap_or(length),
            None => character.min(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::yaml::{Part, read};

    #[test]
    fn places_in_lines_that_were_moved_are_those_of_the_text() {
        let text = "ü: [\n\"b\",\n \"ü\", c\n]\nd: 'e\nf' # g\nh: i\n";
        let documents = read(text, &Part { range: 0..text.len(), line: 7 }).unwrap();
        let entries = documents[0].root.entries();
        let nodes = entries[0].value.items().iter().chain(entries[1..].iter().map(|entry| &entry.value));
        let places: Vec<_> = nodes.map(|node| (&text[node.span.clone()], node.line, node.column)).collect();
        assert_eq!(places, [("\"b\"", 8, 0), ("\"ü\"", 9, 1), ("c", 9, 6), ("'e\nf'", 11, 3), ("i", 13, 3)]);
    }

    #[test]
    fn what_cannot_be_mended_is_told_by_its_place_in_the_text() {
        let text = "---\na: [\n\"b\",\n\"c\"\n";
        let error = read(text, &Part { range: 0..text.len(), line: 3 }).unwrap_err();
        assert_eq!((error.line, error.column), (7, 1), "{error}");
    }
}
