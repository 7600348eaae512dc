//! Builds the tree from the parser's events.

use std::collections::HashSet;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::reindent::{Offsets, ReindentedText};
use super::scan::{self, PROPERTIES};
use super::split::{DocumentText, split_json};
use super::surrogates;
use super::{Document, Entry, Kind, Layout, Node, Style, YamlError};

/// The largest nesting depth; manifests of Kubernetes stay below 50.
const MAX_DEPTH: usize = 500;

/// Reads the documents of one piece of a stream. JSON objects may follow one another without a separator.
///
/// # Errors
/// Returns the place and cause of the first syntax error.
pub fn read(text: &str, document: &DocumentText) -> Result<Vec<Document>, YamlError> {
    let read = read_piece(text, document);
    let pieces = if read.is_err() { split_json(text, document) } else { Vec::new() };
    if pieces.len() < 2 {
        return read;
    }
    let documents: Result<Vec<_>, _> = pieces.iter().map(|piece| read_piece(text, piece)).collect();
    Ok(documents?.into_iter().flatten().collect())
}

fn read_piece(text: &str, document: &DocumentText) -> Result<Vec<Document>, YamlError> {
    let piece = &text[document.range.clone()];
    reject_bare_cr(piece, document.line)?;
    let mut input = ReindentedText::new(piece);
    let offsets = Offsets::new(piece);
    loop {
        match parse(text, document, &offsets, &input)? {
            Ok(documents) => return Ok(documents),
            Err(error) if input.try_fix(error.marker()) => {}
            Err(error) => return Err(yaml_error(&error, document, &input)),
        }
    }
}

/// Rejects a carriage return without a newline: the parser reads it as a line break, but line numbers and columns here
/// count newlines only.
fn reject_bare_cr(text: &str, first_line: usize) -> Result<(), YamlError> {
    let mut returns = text.match_indices('\r').map(|(at, _)| at);
    let Some(at) = returns.find(|at| !text[at + 1..].starts_with('\n')) else { return Ok(()) };
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let (line, column) = (text[..start].matches('\n').count() + first_line, text[start..at].chars().count() + 1);
    Err(YamlError { line, column, message: "a carriage return without a newline".to_owned() })
}

/// Parses the input. The inner error is the parser's, which a change of indentation may fix; the outer error is final.
fn parse(
    text: &str,
    document: &DocumentText,
    offsets: &Offsets,
    input: &ReindentedText,
) -> Result<Result<Vec<Document>, ScanError>, YamlError> {
    let (open, documents, aliased) = (Vec::new(), Vec::new(), HashSet::new());
    let mut builder = Builder { text, document, offsets, input, open, root: None, aliased, documents };
    for event in Parser::new_from_str(&input.text) {
        match event {
            Ok((event, span)) => builder.add(event, span)?,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(builder.documents))
}

fn yaml_error(error: &ScanError, document: &DocumentText, input: &ReindentedText) -> YamlError {
    let marker = error.marker();
    let (_, column) = input.original_position(marker);
    YamlError { line: marker.line() + document.line - 1, column: column + 1, message: error.info().to_owned() }
}

struct Builder<'a> {
    text: &'a str,
    document: &'a DocumentText,
    offsets: &'a Offsets,
    input: &'a ReindentedText,
    /// The lists and maps that are open, outermost first, with their children; in a map, keys and values alternate.
    open: Vec<(Node, Vec<Node>)>,
    root: Option<Node>,
    /// The anchors that have an alias.
    aliased: HashSet<usize>,
    documents: Vec<Document>,
}

impl Builder<'_> {
    fn add(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let kind = Kind::Scalar { text: String::new(), style: style_of(style) };
                let mut node = self.node(kind, span, anchor, tag.is_some());
                node.span.end = self.end_of_scalar(&node.span, style);
                let source = self.text.get(node.span.clone()).unwrap_or_default();
                let text = surrogates::restore(text.into_owned(), source, style == ScalarStyle::DoubleQuoted);
                node.kind = Kind::Scalar { text, style: style_of(style) };
                self.close(node);
            }
            Event::Alias(anchor) => {
                self.aliased.insert(anchor);
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
                let aliased = std::mem::take(&mut self.aliased);
                self.documents.extend(self.root.take().map(|root| Document { root, aliased }));
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
        }
        Ok(())
    }

    fn node(&self, kind: Kind, span: Span, anchor: usize, tagged: bool) -> Node {
        let (_, column) = self.input.original_position(&span.start);
        let line = span.start.line() + self.document.line - 1;
        Node { kind, span: self.bytes(span), column, line, anchor, tagged }
    }

    fn bytes(&self, span: Span) -> Range<usize> {
        let Range { start, end } = self.document.range;
        let byte = |marker| start + self.offsets.byte(self.input.original_position(marker).0, end - start);
        byte(&span.start)..byte(&span.end)
    }

    /// The end of a scalar. The parser's span of a quoted scalar includes the whitespace and the comment after it; that of
    /// a block scalar includes the next line's indentation.
    fn end_of_scalar(&self, span: &Range<usize>, style: ScalarStyle) -> usize {
        match style {
            ScalarStyle::Plain => span.end,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                let quote = scan::skip(self.text, span.start, PROPERTIES);
                quote + scan::quoted_len(&self.text[quote..])
            }
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let trimmed = self.text[span.clone()].trim_end_matches(' ');
                let has_next_line = trimmed.ends_with('\n') && span.end < self.document.range.end;
                if has_next_line { span.start + trimmed.len() } else { span.end }
            }
        }
    }

    fn begin(&mut self, node: Node) -> Result<(), YamlError> {
        if self.open.len() == MAX_DEPTH {
            let message = format!("nested more than {MAX_DEPTH} levels deep");
            return Err(YamlError { line: node.line, column: node.column + 1, message });
        }
        self.open.push((node, Vec::new()));
        Ok(())
    }

    fn end(&mut self, span: Span) {
        let Some((mut node, children)) = self.open.pop() else { return };
        // A flow collection ends with a token, a block collection with an empty span. After a trailing comma, the parser
        // reports the comma instead of the bracket.
        let closing = self.bytes(span);
        let (layout, end) = if closing.is_empty() {
            (Layout::Block, None)
        } else {
            let open = scan::skip(self.text, node.span.start, PROPERTIES) + 1;
            (Layout::Flow(open), Some(scan::skip(self.text, closing.start, b",") + 1))
        };
        node.kind = match node.kind {
            Kind::Map { .. } => Kind::Map { entries: self.entries(children), layout },
            Kind::List { .. } | Kind::Scalar { .. } | Kind::Alias(_) => {
                let dashes = if layout == Layout::Block { self.dashes(&node, &children) } else { Vec::new() };
                if let Some(dash) = dashes.first() {
                    node.span.start = node.span.start.min(*dash);
                    node.column = scan::column(self.text, *dash);
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

    /// Pairs keys with values. A missing value is placed after its colon.
    fn entries(&self, children: Vec<Node>) -> Vec<Entry> {
        let mut children = children.into_iter();
        let mut entries = Vec::new();
        while let (Some(key), Some(mut value)) = (children.next(), children.next()) {
            // The parser may place it at the next token.
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
        // If the dashes are not indented, the parser places the list after the first of them.
        let before = self.open.last().and_then(|(_, siblings)| siblings.last());
        let key = before.filter(|_| matches!(self.open.last(), Some((Node { kind: Kind::Map { .. }, .. }, _))));
        let mut from = key.map_or(list.span.start, |key| key.span.end);
        let mut dashes = Vec::new();
        for item in items {
            // Before the dash there may be the key's colon, an anchor and a tag.
            let dash = scan::skip(self.text, from, b":&!");
            dashes.push(dash);
            from = item.span.end.max(dash + 1);
        }
        dashes
    }

    fn close(&mut self, node: Node) {
        match self.open.last_mut() {
            Some((_, children)) => children.push(node),
            None => self.root = Some(node),
        }
    }
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

    fn read(text: &str) -> Result<Vec<Document>, YamlError> {
        super::read(text, &DocumentText { range: 0..text.len(), line: 1 })
    }

    /// The text of each value in a map.
    fn values(text: &str) -> Vec<&str> {
        let documents = read(text).unwrap();
        documents[0].root.entries().iter().map(|entry| &text[entry.value.span.clone()]).collect()
    }

    #[test]
    fn span_is_exactly_the_value() {
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
    fn last_line_is_read_as_if_it_had_a_newline() {
        for (text, value) in [
            ("a: |\n  x", "x\n"),
            ("a: |+\n  x", "x\n"),
            ("a: |-\n  x", "x"),
            ("a: >\n  ü\n  x", "ü x\n"),
            ("a: |\r\n  x", "x\n"),
            ("a: |\n  x\n   ", "x\n \n"),
            ("a: |+\n  x\n\n", "x\n\n"),
        ] {
            let documents = read(text).unwrap();
            assert_eq!(documents[0].root.entries()[0].value.text(), Some(value), "{text:?}");
        }
    }

    #[test]
    fn dashes_are_found_at_any_indentation() {
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
    fn spans_count_bytes_after_multibyte_text_and_bom() {
        let text = "\u{feff}é: ü𝄞\nb: c\n";
        assert_eq!(values(text), ["ü𝄞", "c"]);
        assert_eq!(read(text).unwrap()[0].root.entries()[1].key.line, 2);
    }
}
