//! From the parser's events to the tree.

use std::collections::HashSet;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::parts::Part;
use super::patch::{Offsets, Patched};
use super::{Document, Entry, Kind, Layout, Malformed, Node, Style};

/// How deep nodes may nest; those of Kubernetes stay below 50.
const DEEPEST: usize = 500;

/// How an anchor and a tag begin.
const PROPERTIES: &[u8] = b"&!";

/// Reads the documents of a yaml_value of a stream.
///
/// # Errors
/// Says where it is no YAML.
pub fn read(text: &str, yaml_value: &Part) -> Result<Vec<Document>, Malformed> {
    refuse_lone_returns(&text[yaml_value.range.clone()], yaml_value.line)?;
    let mut patched = Patched::new(&text[yaml_value.range.clone()]);
    let offsets = Offsets::new(&text[yaml_value.range.clone()]);
    loop {
        match parse(text, yaml_value, &offsets, &patched)? {
            Ok(documents) => return Ok(documents),
            Err(error) if patched.mend(&error) => {}
            Err(error) => return Err(malformed(&error, yaml_value, &patched)),
        }
    }
}

/// The parser takes a carriage return alone for a line end, too; places are found by newlines here.
fn refuse_lone_returns(text: &str, first: usize) -> Result<(), Malformed> {
    let mut returns = text.match_indices('\r').map(|(at, _)| at);
    let Some(at) = returns.find(|at| !text[at + 1..].starts_with('\n')) else { return Ok(()) };
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let (line, column) = (text[..start].matches('\n').count() + first, text[start..at].chars().count() + 1);
    Err(Malformed { line, column, what: "a carriage return without a newline".to_owned() })
}

/// What the parser refuses may yet be mended; what is malformed by our own rules may not.
fn parse(
    text: &str,
    yaml_value: &Part,
    offsets: &Offsets,
    patched: &Patched,
) -> Result<Result<Vec<Document>, ScanError>, Malformed> {
    let (open, documents, repeated) = (Vec::new(), Vec::new(), HashSet::new());
    let mut builder = Builder { text, yaml_value, offsets, patched, open, root: None, repeated, documents };
    for event in Parser::new_from_str(&patched.text) {
        match event {
            Ok((event, span)) => builder.take(event, span)?,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(builder.documents))
}

fn malformed(error: &ScanError, yaml_value: &Part, patched: &Patched) -> Malformed {
    let marker = error.marker();
    let (_, column) = patched.place(marker);
    Malformed { line: marker.line() + yaml_value.line - 1, column: column + 1, what: error.info().to_owned() }
}

struct Builder<'a> {
    text: &'a str,
    yaml_value: &'a Part,
    offsets: &'a Offsets,
    patched: &'a Patched,
    /// The lists and maps that have begun, the outermost first; in a map keys and values take turns.
    open: Vec<(Node, Vec<Node>)>,
    root: Option<Node>,
    /// The anchors that some alias repeats.
    repeated: HashSet<usize>,
    documents: Vec<Document>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Malformed> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let kind = Kind::Scalar { text: text.into_owned(), style: style_of(style) };
                let mut node = self.node(kind, span, anchor, tag.is_some());
                node.span.end = self.end_of_scalar(&node.span, style);
                self.close(node);
            }
            Event::Alias(anchor) => {
                self.repeated.insert(anchor);
                let mut node = self.node(Kind::Alias(anchor), span, 0, false);
                let name = &self.text[node.span.clone()];
                let ends = |letter: char| letter.is_whitespace() || ",[]{}".contains(letter);
                node.span.end = node.span.start + name.find(ends).unwrap_or(name.len());
                self.close(node);
            }
            Event::SequenceStart(anchor, tag) => {
                let kind = Kind::List { items: Vec::new(), layout: Layout::Block, dashes: Vec::new() };
                self.begin(self.node(kind, span, anchor, tag.is_some()))?;
            }
            Event::MappingStart(anchor, tag) => {
                let kind = Kind::Map { entries: Vec::new(), layout: Layout::Block };
                self.begin(self.node(kind, span, anchor, tag.is_some()))?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::DocumentEnd => {
                let repeated = std::mem::take(&mut self.repeated);
                self.documents.extend(self.root.take().map(|root| Document { root, repeated }));
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
        }
        Ok(())
    }

    fn node(&self, kind: Kind, span: Span, anchor: usize, tagged: bool) -> Node {
        let (_, column) = self.patched.place(&span.start);
        let line = span.start.line() + self.yaml_value.line - 1;
        Node { kind, span: self.bytes(span), column, line, anchor, tagged }
    }

    fn bytes(&self, span: Span) -> Range<usize> {
        let Range { start, end } = self.yaml_value.range;
        let byte = |marker| start + self.offsets.byte(self.patched.place(marker).0, end - start);
        byte(&span.start)..byte(&span.end)
    }

    /// The parser takes blanks and a comment behind what is in quotes for parts of it, and behind a block scalar what
    /// indents the next line.
    fn end_of_scalar(&self, span: &Range<usize>, style: ScalarStyle) -> usize {
        match style {
            ScalarStyle::Plain => span.end,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                let quote = self.skip(span.start, PROPERTIES);
                quote + quoted(&self.text[quote..])
            }
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let trimmed = self.text[span.clone()].trim_end_matches(' ');
                if trimmed.ends_with('\n') { span.start + trimmed.len() } else { span.end }
            }
        }
    }

    fn begin(&mut self, node: Node) -> Result<(), Malformed> {
        if self.open.len() == DEEPEST {
            let what = format!("nested more than {DEEPEST} levels deep");
            return Err(Malformed { line: node.line, column: node.column + 1, what });
        }
        self.open.push((node, Vec::new()));
        Ok(())
    }

    fn end(&mut self, span: Span) {
        let Some((mut node, children)) = self.open.pop() else { return };
        // A collection in flow style ends by something, one in block style by nothing. Where a comma stands before the
        // bracket, the parser says that it ends there.
        let closing = self.bytes(span);
        let (layout, end) = if closing.is_empty() {
            (Layout::Block, None)
        } else {
            let open = self.skip(node.span.start, PROPERTIES) + 1;
            (Layout::Flow(open), Some(self.skip(closing.start, b",") + 1))
        };
        node.kind = match node.kind {
            Kind::Map { .. } => Kind::Map { entries: self.entries(children), layout },
            Kind::List { .. } | Kind::Scalar { .. } | Kind::Alias(_) => {
                let dashes = if layout == Layout::Block { self.dashes(&node, &children) } else { Vec::new() };
                if let Some(dash) = dashes.first() {
                    node.span.start = node.span.start.min(*dash);
                    node.column = self.column(*dash);
                }
                Kind::List { items: children, layout, dashes }
            }
        };
        let start = node.span.start;
        let last = node.items().last().or_else(|| node.entries().last().map(|entry| &entry.value));
        let content = last.map_or(node.span.end, |last| last.span.end);
        node.span = start..end.unwrap_or(content).min(self.text.len());
        self.close(node);
    }

    /// Pairs keys with values. A value that is not there stands after its colon.
    fn entries(&self, children: Vec<Node>) -> Vec<Entry> {
        let mut children = children.into_iter();
        let mut entries = Vec::new();
        while let (Some(key), Some(mut value)) = (children.next(), children.next()) {
            // The parser may take what follows for its place.
            if value.plain() == Some("") && value.anchor == 0 {
                let after = self.text[key.span.end..].trim_start();
                let colon = self.text.len() - after.len() + usize::from(after.starts_with(':'));
                value.span = colon..colon;
            }
            entries.push(Entry { key, value });
        }
        entries
    }

    fn dashes(&self, list: &Node, items: &[Node]) -> Vec<usize> {
        // Where the dashes are not indented, the parser says that the list begins behind the first.
        let before = self.open.last().and_then(|(_, siblings)| siblings.last());
        let key = before.filter(|_| matches!(self.open.last(), Some((Node { kind: Kind::Map { .. }, .. }, _))));
        let mut from = key.map_or(list.span.start, |key| key.span.end);
        let mut dashes = Vec::new();
        for item in items {
            let dash = self.dash(from);
            dashes.push(dash);
            from = item.span.end.max(dash + 1);
        }
        dashes
    }

    fn column(&self, at: usize) -> usize {
        let line = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        self.text[line..at].trim_start_matches('\u{feff}').chars().count()
    }

    /// The next dash: before it there may be a colon, an anchor and a tag.
    fn dash(&self, from: usize) -> usize {
        self.skip(from, b":&!")
    }

    /// What follows behind blanks and comments, and behind words that begin so; a comma and a colon are words.
    fn skip(&self, from: usize, words: &[u8]) -> usize {
        let mut at = from;
        loop {
            let rest = &self.text[at..];
            at += match rest.bytes().next() {
                Some(b'#') => rest.find('\n').unwrap_or(rest.len()),
                Some(byte @ (b',' | b':')) if words.contains(&byte) => 1,
                Some(byte) if words.contains(&byte) => rest.find(char::is_whitespace).unwrap_or(rest.len()),
                Some(byte) if byte.is_ascii_whitespace() => 1,
                Some(_) | None => return at,
            };
        }
    }

    fn close(&mut self, node: Node) {
        match self.open.last_mut() {
            Some((_, children)) => children.push(node),
            None => self.root = Some(node),
        }
    }
}

/// The length of what is in quotes at the start of a text, quotes included.
pub(super) fn quoted(text: &str) -> usize {
    let quote = text.chars().next();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        let next = text[at + letter.len_utf8()..].chars().next();
        let is_escape = letter == '\\' && quote == Some('"') || letter == '\'' && next == Some('\'');
        if is_escape {
            letters.next();
        } else if Some(letter) == quote {
            return at + 1;
        }
    }
    text.len()
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Document>, Malformed> {
        super::read(text, &Part { range: 0..text.len(), line: 1 })
    }

    /// What the values of a map are, as they stand in the text.
    fn values(text: &str) -> Vec<&str> {
        let documents = read(text).unwrap();
        documents[0].root.entries().iter().map(|entry| &text[entry.value.span.clone()]).collect()
    }

    #[test]
    fn a_place_is_what_is_written_and_nothing_around_it() {
        let text = "a: [ x # 1\n , \"y\" # 2\n ] # 3\nb: &k \"q \\\" '\" # 4\nc: 'it''s' # 5\nd: {x: 1, } # 6\ne: é ü # 7\nf: *k # 8\n\
                    g: # 9\nh: |  # 10\n    x\n\n  # 11\ni: - 1\n";
        let text = text.replace("i: - 1\n", "i:\n- 1\n-\n  - 2 # 12\n# 13\n");
        let expected = [
            "[ x # 1\n , \"y\" # 2\n ]",
            "&k \"q \\\" '\"",
            "'it''s'",
            "{x: 1, }",
            "é ü",
            "*k",
            "",
            "|  # 10\n    x\n\n",
            "- 1\n-\n  - 2",
        ];
        let values = values(&text);
        assert_eq!(values[..7], expected[..7]);
        assert!(values[7].ends_with("x\n\n"), "{:?}", values[7]);
        assert_eq!(values[8], expected[8]);
    }

    #[test]
    fn dashes_are_found_wherever_they_stand() {
        let text = "a:\n- 1\n- # two\n  2\nb: &x\n  # three\n  - 3\n  -\n";
        let documents = read(text).unwrap();
        let dashes: Vec<_> = documents[0]
            .root
            .entries()
            .iter()
            .map(|entry| match &entry.value.kind {
                Kind::List { dashes, .. } => dashes.iter().map(|dash| &text[*dash..=*dash]).collect(),
                Kind::Scalar { .. } | Kind::Map { .. } | Kind::Alias(_) => Vec::new(),
            })
            .collect();
        assert_eq!(dashes, [["-", "-"], ["-", "-"]]);
        assert_eq!(documents[0].root.entries()[0].value.column, 0);
        assert_eq!(documents[0].root.entries()[1].value.column, 2);
    }

    #[test]
    fn a_place_is_right_behind_letters_of_many_bytes_and_a_byte_order_mark() {
        let text = "\u{feff}é: ü𝄞\nb: c\n";
        assert_eq!(values(text), ["ü𝄞", "c"]);
        assert_eq!(read(text).unwrap()[0].root.entries()[1].key.line, 2);
    }
}
