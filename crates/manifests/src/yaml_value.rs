//! What is written into a manifest, in the style of its surroundings.

use std::fmt::{Display, Write};

/// Something to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A string, quoted where a reader could take it for something else.
    Text(String),
    /// A number or a truth value.
    Bare(String),
    /// A list.
    List(Vec<Part>),
    /// A map, in this order.
    Map(Vec<(&'static str, Part)>),
}

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// How far the values of a map are indented.
    pub step: usize,
    /// How far the dashes of a list are indented under their key.
    pub dash: usize,
    /// Whether it is JSON, where keys are quoted.
    pub json: bool,
    /// Whether there are no blanks between the words of JSON.
    pub compact: bool,
}

impl Part {
    /// A string.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A number or a truth value.
    pub fn bare<T: Display>(value: T) -> Self {
        Self::Bare(format!("{value}"))
    }

    /// A list of strings.
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// In flow style, on one line.
    #[must_use]
    pub fn flow(&self, manner: Manner) -> String {
        let comma = if manner.compact { "," } else { ", " };
        match self {
            Self::Text(text) if !manner.json && is_word(text) => text.clone(),
            Self::Text(text) => quote(text),
            Self::Bare(value) => value.clone(),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| item.flow(manner)).collect();
                format!("[{}]", items.join(comma))
            }
            Self::Map(entries) => {
                let entries: Vec<_> = entries.iter().map(|(key, value)| flow_entry(key, value, manner)).collect();
                format!("{{{}}}", entries.join(comma))
            }
        }
    }

    /// In block style: the lines, indented from the column where the first begins.
    #[must_use]
    pub fn block(&self, manner: Manner) -> Vec<String> {
        match self {
            Self::Text(text) if is_plain(text) => vec![text.clone()],
            Self::Text(text) => vec![quote(text)],
            Self::Bare(value) => vec![value.clone()],
            Self::List(items) => items.iter().flat_map(|item| block_item(item, manner)).collect(),
            Self::Map(entries) => entries.iter().flat_map(|(key, value)| block_entry(key, value, manner)).collect(),
        }
    }
}

/// An entry in flow style.
#[must_use]
pub fn flow_entry(key: &str, value: &Part, manner: Manner) -> String {
    let key = if manner.json { quote(key) } else { key.to_owned() };
    let colon = if manner.compact { ":" } else { ": " };
    format!("{key}{colon}{}", value.flow(manner))
}

/// The lines of an entry in block style.
#[must_use]
pub fn block_entry(key: &str, value: &Part, manner: Manner) -> Vec<String> {
    if matches!(value, Part::List(items) if items.is_empty()) || matches!(value, Part::Map(all) if all.is_empty()) {
        return vec![format!("{key}: {}", value.flow(manner))];
    }
    let lines = value.block(manner);
    let indent = match value {
        Part::Text(_) | Part::Bare(_) => return lines.iter().map(|line| format!("{key}: {line}")).collect(),
        Part::List(_) => manner.dash,
        Part::Map(_) => manner.step,
    };
    let values = lines.iter().map(|line| format!("{:indent$}{line}", ""));
    std::iter::once(format!("{key}:")).chain(values).collect()
}

/// The lines of an item in block style.
#[must_use]
pub fn block_item(item: &Part, manner: Manner) -> Vec<String> {
    let lines = item.block(manner);
    lines.iter().enumerate().map(|(index, line)| format!("{}{line}", if index == 0 { "- " } else { "  " })).collect()
}

/// Whether every reader takes it for this string, in block style.
pub(super) fn is_plain(text: &str) -> bool {
    let mut letters = text.chars();
    let begins = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '/');
    let goes_on = letters.all(|letter| letter.is_ascii_alphanumeric() || "_-./:@".contains(letter));
    begins && goes_on && !text.ends_with(':') && !is_taken(text)
}

/// The same in flow style, where older readers stumble over a colon.
fn is_word(text: &str) -> bool {
    is_plain(text) && !text.contains([':', '@'])
}

/// The words that YAML 1.1 takes for truth values or null (<https://yaml.org/type/bool.html>).
fn is_taken(text: &str) -> bool {
    let word = text.to_ascii_lowercase();
    ["y", "n", "yes", "no", "on", "off", "true", "false", "null"].contains(&word.as_str())
}

/// In double quotes, as JSON and YAML both read them.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            // Controls, and what YAML 1.1 takes for line ends or a byte order mark.
            '\0'..='\x1f' | '\x7f'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: Manner = Manner { step: 2, dash: 2, json: false, compact: false };
    const JSON: Manner = Manner { json: true, compact: true, ..BLOCK };

    #[test]
    fn strings_that_could_be_something_else_are_quoted() {
        for text in ["1800", "yes", "No", "null", "~", "", "a b", "a:", "a: b", "-x", "{}", "é", "1_000", "a #b"] {
            assert_eq!(Part::text(text).block(BLOCK), [quote(text)], "{text}");
        }
        for text in ["/prestop", "registry.example.com:5000/lameduck:0.1.0", "a@sha256:0f", "SIGINT"] {
            assert_eq!(Part::text(text).block(BLOCK), [text]);
        }
        assert_eq!(Part::text("a:b").flow(BLOCK), "\"a:b\"");
    }

    #[test]
    fn what_is_quoted_is_read_back() {
        for text in ["a\"b\\c\nd\te\r\u{7}\u{2028}\u{feff}é𝄞", "\u{85}\u{a0}\u{7f}"] {
            assert_eq!(serde_json::from_str::<String>(&quote(text)).unwrap(), text);
        }
    }

    #[test]
    fn a_part_is_written_in_the_manner_of_its_surroundings() {
        let yaml_value =
            Part::Map(vec![("a", Part::texts(["b", "1"])), ("c", Part::Map(vec![("d", Part::bare(true))]))]);
        assert_eq!(yaml_value.flow(BLOCK), "{a: [b, \"1\"], c: {d: true}}");
        assert_eq!(yaml_value.flow(JSON), r#"{"a":["b","1"],"c":{"d":true}}"#);
        assert_eq!(yaml_value.block(BLOCK), ["a:", "  - b", "  - \"1\"", "c:", "  d: true"]);
        assert_eq!(
            yaml_value.block(Manner { dash: 0, step: 4, ..BLOCK }),
            ["a:", "- b", "- \"1\"", "c:", "    d: true"]
        );
    }
}
