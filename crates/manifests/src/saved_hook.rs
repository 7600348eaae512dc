//! The text of a preStop hook that removal restores. It comes from an annotation, which anybody may have edited, and the
//! manifest may have been converted to JSON or indented again.

use crate::yaml::{self, Document, DocumentText, Entry, Kind, Node, SPACE, Style};
use crate::yaml_value::{YamlStyle, YamlValue, quote};

/// The key of the entry.
const KEY: &str = "preStop";

/// A saved hook: the text of one map entry, as it is read in block style, in flow style, or in both.
#[derive(Debug)]
pub struct SavedHook<'a> {
    text: &'a str,
    block: Option<Parsed>,
    flow: Option<Parsed>,
}

/// The place where a hook is restored.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Whether its map is in flow style.
    pub is_flow: bool,
    /// The column of its key.
    pub column: usize,
    /// Whether everything around it is JSON.
    pub is_json: bool,
    /// The text after it.
    pub after: &'a str,
}

impl<'a> SavedHook<'a> {
    /// Reads the text of an entry.
    ///
    /// # Errors
    /// Returns the cause if it is anything but one entry `preStop`, which can be understood without the rest of a document.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let block = Parsed::new(text.to_owned(), text);
        let flow = Parsed::new(format!("{{{}\n}}", text.trim_matches(SPACE)), text);
        match (block, flow) {
            (Err(cause), Err(_)) => Err(cause),
            (block, flow) => Ok(Self { text, block: block.ok(), flow: flow.ok() }),
        }
    }

    /// The saved text without the space around it, if it means the same at a place.
    #[must_use]
    pub fn verbatim(&self, place: Place) -> Option<&'a str> {
        let fits = if place.is_flow {
            self.flow.as_ref().is_some_and(|parsed| !place.is_json || parsed.is_json())
        } else {
            self.fits_block(place.column) && self.keeps_value(place)
        };
        fits.then(|| self.text.trim_matches(SPACE))
    }

    /// Whether every line but the first belongs to an entry whose key is at a column.
    fn fits_block(&self, column: usize) -> bool {
        let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let mut others = self.text.lines().skip(1).filter(|line| !line.trim_matches(SPACE).is_empty());
        indent(self.text) == column || others.all(|line| indent(line) > column)
    }

    /// Whether the value in block style is the same with the blank lines and comments at a place: they may become a part
    /// of a block scalar.
    fn keeps_value(&self, place: Place) -> bool {
        let Some(parsed) = &self.block else { return false };
        let (text, after) = (self.text.trim_matches(SPACE), blank_lines_and_comments(place.after));
        let source = format!("{:1$}{text}{after}", "", place.column);
        let documents = yaml::read(&source, &DocumentText { range: 0..source.len(), line: 1 });
        documents.is_ok_and(
            |documents| matches!(&documents[..], [document] if is_same(&document.root, &parsed.document.root)),
        )
    }

    /// The entry in flow style, on one line.
    ///
    /// # Errors
    /// Returns the cause if the value cannot be written in this style.
    pub fn one_line(&self, style: YamlStyle) -> Result<String, String> {
        let Some(parsed) = self.block.as_ref().or(self.flow.as_ref()) else { return Ok(self.text.to_owned()) };
        let (key, colon) = (YamlValue::text(KEY).flow(style), if style.compact { ":" } else { ": " });
        let value = parsed.entry().map_or_else(|| Ok(String::new()), |entry| flow(&entry.value, style))?;
        Ok(format!("{key}{colon}{value}"))
    }
}

/// A document whose root has the entry, and nothing else.
#[derive(Debug)]
struct Parsed {
    source: String,
    document: Document,
}

impl Parsed {
    /// Reads a document that contains the text of the entry.
    fn new(source: String, text: &str) -> Result<Self, String> {
        let whole = DocumentText { range: 0..source.len(), line: 1 };
        let mut documents =
            yaml::read(&source, &whole).map_err(|error| format!("it is not YAML ({})", error.message))?;
        let document = documents.pop().filter(|_| documents.is_empty());
        let document = document.ok_or_else(|| format!("it is not exactly one entry {KEY}"))?;
        let parsed = Self { source, document };
        let is_whole = |entry: &Entry| {
            let span = entry.key.span.start..entry.value.span.end;
            entry.key.text() == Some(KEY) && parsed.source[span].trim_matches(SPACE) == text.trim_matches(SPACE)
        };
        match parsed.document.root.entries() {
            [entry] if !is_whole(entry) => Err(format!("it is not exactly one entry {KEY}")),
            [entry] if has_anchor(&entry.key) || has_anchor(&entry.value) => {
                Err("it contains an anchor or an alias".to_owned())
            }
            [entry] if entry.value.is_null() => Err("it has no value".to_owned()),
            [_] => Ok(parsed),
            _ => Err(format!("it is not exactly one entry {KEY}")),
        }
    }

    fn entry(&self) -> Option<&Entry> {
        self.document.root.entries().first()
    }

    fn is_json(&self) -> bool {
        is_json(&self.document.root, &self.source)
    }
}

/// The rest of a line, and the blank lines and comments after it.
fn blank_lines_and_comments(text: &str) -> &str {
    let has_token =
        |line: &str| !line.trim_matches(SPACE).is_empty() && !line.trim_start_matches(SPACE).starts_with('#');
    let lines = text.split_inclusive('\n').enumerate().take_while(|(index, line)| *index == 0 || !has_token(line));
    &text[..lines.map(|(_, line)| line.len()).sum()]
}

/// Whether two nodes without aliases have the same value, in the same styles.
fn is_same(a: &Node, b: &Node) -> bool {
    let kind = match (&a.kind, &b.kind) {
        (Kind::Scalar { text: a, style: a_style }, Kind::Scalar { text: b, style: b_style }) => {
            (a, a_style) == (b, b_style)
        }
        (Kind::List { .. }, Kind::List { .. }) | (Kind::Map { .. }, Kind::Map { .. }) => {
            a.children().count() == b.children().count() && a.children().zip(b.children()).all(|(a, b)| is_same(a, b))
        }
        _ => false,
    };
    kind && a.tagged == b.tagged
}

fn has_anchor(node: &Node) -> bool {
    node.anchor != 0 || matches!(node.kind, Kind::Alias(_)) || node.children().any(has_anchor)
}

/// Writes a value in flow style, on one line.
fn flow(node: &Node, style: YamlStyle) -> Result<String, String> {
    if node.tagged {
        return Err("it contains a tag".to_owned());
    }
    let (comma, colon) = if style.compact { (",", ":") } else { (", ", ": ") };
    match &node.kind {
        Kind::Alias(_) => Err("it contains an alias".to_owned()),
        Kind::Scalar { text, .. } => match node.plain() {
            Some(_) if node.is_null() => Ok("null".to_owned()),
            Some(plain) if yaml::is_typed(plain) && style.json && !is_json_literal(plain) => {
                Err(format!("JSON has no spelling like {plain}"))
            }
            Some(plain) if yaml::is_typed(plain) => Ok(plain.to_owned()),
            _ => Ok(YamlValue::text(text).flow(style)),
        },
        Kind::List { items, .. } => {
            let items = items.iter().map(|item| flow(item, style)).collect::<Result<Vec<_>, _>>()?;
            Ok(format!("[{}]", items.join(comma)))
        }
        Kind::Map { entries, .. } => {
            let entries = entries.iter().map(|Entry { key, value }| {
                let key = match key.text() {
                    Some("<<") | None => return Err("it contains a key that is not a text".to_owned()),
                    Some(text) if style.json => quote(text),
                    Some(_) => flow(key, style)?,
                };
                Ok(format!("{key}{colon}{}", flow(value, style)?))
            });
            Ok(format!("{{{}}}", entries.collect::<Result<Vec<_>, String>>()?.join(comma)))
        }
    }
}

/// Whether a node of a text is JSON.
#[must_use]
pub fn is_json(node: &Node, text: &str) -> bool {
    let source = &text[node.span.clone()];
    match &node.kind {
        _ if node.tagged || node.anchor != 0 => false,
        Kind::Alias(_) => false,
        Kind::Scalar { text, style } => match style {
            Style::Plain => is_json_literal(text),
            Style::Quoted => is_json_string(source),
            Style::Block => false,
        },
        Kind::List { items, .. } => source.starts_with('[') && items.iter().all(|item| is_json(item, text)),
        Kind::Map { entries, .. } => {
            let is_entry = |entry: &Entry| is_json_string(&text[entry.key.span.clone()]) && is_json(&entry.value, text);
            source.starts_with('{') && entries.iter().all(is_entry)
        }
    }
}

/// Whether a quoted scalar is a string of JSON.
fn is_json_string(source: &str) -> bool {
    let mut letters = source.chars();
    let mut is_escape_known = true;
    while let Some(letter) = letters.next() {
        if letter == '\\' {
            is_escape_known &= letters.next().is_some_and(|escaped| "\"\\/bfnrtu".contains(escaped));
        }
    }
    source.starts_with('"') && is_escape_known && !source.contains(['\n', '\t'])
}

/// Whether a plain scalar is a boolean, null or a number of JSON.
fn is_json_literal(text: &str) -> bool {
    let number = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let (fraction, exponent) = fraction.split_once(['e', 'E']).unwrap_or((fraction, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let is_number =
        is_digits(whole) && (whole == "0" || !whole.starts_with('0')) && is_digits(fraction) && is_digits(exponent);
    ["true", "false", "null"].contains(&text) || is_number
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: YamlStyle = YamlStyle { step: 2, dash: 2, json: true, compact: true };
    const YAML: YamlStyle = YamlStyle { json: false, compact: false, ..JSON };
    const FLOW: Place<'static> = Place { is_flow: true, column: 2, is_json: false, after: "\n" };

    #[test]
    fn only_one_entry_for_the_hook_is_accepted() {
        for text in ["preStop: {}", "\"preStop\":{\"sleep\":{}}", "  preStop:\n    sleep:\n      seconds: 5\n"] {
            assert!(SavedHook::parse(text).is_ok(), "{text:?}");
        }
        for text in [
            "",
            "postStart: {}",
            "preStop: {",
            "preStop: *a",
            "preStop: &a {}",
            "preStop: {exec: &a {}}",
            "preStop: {}\n---\nkind: Evil",
            "preStop: {}\n...",
            "%YAML 1.2\n---\npreStop: {}",
            "preStop: {}\nx: 1",
            "preStop: {} # x",
            "preStop: a\n}\n---\n{preStop: b",
            "preStop: a}, {preStop: b",
            "preStop: a, x: b",
            "- preStop: {}",
            "{preStop: {}}",
            "preStop",
            "preStop:",
            "preStop: null",
        ] {
            assert!(SavedHook::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn text_is_used_only_where_it_means_the_same() {
        let verbatim = |text, place| SavedHook::parse(text).unwrap().verbatim(place).is_some();
        let block = Place { is_flow: false, ..FLOW };
        let json = Place { is_json: true, ..FLOW };
        for (text, in_block, in_flow, in_json) in [
            ("preStop: {sleep: {seconds: 5}}", true, true, false),
            ("\"preStop\":{\"sleep\":{\"seconds\":5}}", false, true, true),
            ("\"preStop\": {\"sleep\":{\"seconds\":5}}", true, true, true),
            ("  preStop:\n    sleep:\n      seconds: 5", true, false, false),
            (" preStop:\n  sleep:\n   seconds: 5", false, false, false),
            ("preStop: {sleep:\n{seconds: 5}}", false, true, false),
            ("preStop: a}", true, false, false),
        ] {
            assert_eq!(
                (verbatim(text, block), verbatim(text, FLOW), verbatim(text, json)),
                (in_block, in_flow, in_json),
                "{text:?}"
            );
        }
    }

    #[test]
    fn text_is_used_only_before_lines_that_keep_its_value() {
        let verbatim = |text, after| {
            let place = Place { is_flow: false, after, ..FLOW };
            SavedHook::parse(text).unwrap().verbatim(place).is_some()
        };
        let (clip, keep) = ("  preStop:\n    x: |\n      y\n", "  preStop:\n    x: |+\n      y\n\n");
        for (text, after, fits) in [
            (clip, "\n", true),
            (clip, "\r\n\r\n  # z\n  tty: true", true),
            (clip, " # z\n", false),
            (clip, "", true),
            (clip, "\n      # z\n", false),
            (clip.trim_end(), "", true),
            (clip.trim_end(), "\n", true),
            (keep, "", false),
            (keep, "\n\n  tty: true", true),
            (keep, "\n  \n", true),
            (keep, "\n", false),
            (keep, "\n\n\n", false),
            ("preStop: {sleep: {seconds: 5}}", " # z\n\n", true),
        ] {
            assert_eq!(verbatim(text, after), fits, "{text:?} {after:?}");
        }
    }

    #[test]
    fn value_is_written_on_one_line() {
        let text = "preStop:\n  exec:\n    command: [sleep, '5', 5, yes, ~, a b]\n    x: |\n      y\n      z\n";
        let hook = SavedHook::parse(text).unwrap();
        let line = r#"preStop: {exec: {command: [sleep, "5", 5, yes, null, "a b"], x: "y\nz\n"}}"#;
        assert_eq!(hook.one_line(YAML).unwrap(), line);
        assert!(hook.one_line(JSON).unwrap_err().contains("yes"));
        let hook = SavedHook::parse("preStop: {sleep: {seconds: 5, a: b}}").unwrap();
        assert_eq!(hook.one_line(JSON).unwrap(), r#""preStop":{"sleep":{"seconds":5,"a":"b"}}"#);
        let tagged = SavedHook::parse("preStop: {a: !!str 5}").unwrap();
        assert!(tagged.verbatim(FLOW).is_some() && tagged.one_line(YAML).unwrap_err().contains("tag"));
    }

    #[test]
    fn json_is_recognized() {
        let json = |text: &str| {
            let documents = yaml::read(text, &DocumentText { range: 0..text.len(), line: 1 }).unwrap();
            is_json(&documents[0].root, text)
        };
        assert!(json(r#"{"a": [1, -0.5, 1.5e3, true, null, "b\n\"", {}]}"#));
        for text in
            ["{a: 1}", r#"{"a": b}"#, "{\"a\": 'b'}", r#"{"a": 01}"#, r#"{"a": "\x41"}"#, "\"a\": 1", "{\"a\": }"]
        {
            assert!(!json(text), "{text}");
        }
    }
}
