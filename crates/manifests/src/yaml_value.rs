//! Values to write into a manifest, formatted like their surroundings.

use std::fmt::{Display, Write};

/// A value to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum YamlValue {
    /// A string; quoted if a parser could read it as anything else.
    Text(String),
    /// A number or a boolean.
    Bare(String),
    /// A list.
    List(Vec<YamlValue>),
    /// A map, in this order.
    Map(Vec<(&'static str, YamlValue)>),
}

/// The formatting of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct YamlStyle {
    /// The indentation of a map's values, in columns.
    pub step: usize,
    /// The indentation of a list's dashes under their key, in columns.
    pub dash: usize,
    /// Whether the document is JSON, in which keys are quoted.
    pub json: bool,
    /// Whether there is no whitespace between the tokens of the JSON.
    pub compact: bool,
}

impl YamlValue {
    /// Creates a string.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Creates a number or a boolean.
    pub fn bare<T: Display>(value: T) -> Self {
        Self::Bare(format!("{value}"))
    }

    /// Creates a list of strings.
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// Formats the value in flow style, on one line.
    #[must_use]
    pub fn flow(&self, style: YamlStyle) -> String {
        let comma = if style.compact { "," } else { ", " };
        match self {
            Self::Text(text) if !style.json && is_plain_in_flow(text) => text.clone(),
            Self::Text(text) => quote(text),
            Self::Bare(value) => value.clone(),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| item.flow(style)).collect();
                format!("[{}]", items.join(comma))
            }
            Self::Map(entries) => {
                let entries: Vec<_> = entries.iter().map(|(key, value)| flow_entry(key, value, style)).collect();
                format!("{{{}}}", entries.join(comma))
            }
        }
    }

    /// Formats the value in block style: its lines, indented relative to the first.
    #[must_use]
    pub fn block(&self, style: YamlStyle) -> Vec<String> {
        match self {
            Self::Text(text) if is_plain(text) => vec![text.clone()],
            Self::Text(text) => vec![quote(text)],
            Self::Bare(value) => vec![value.clone()],
            Self::List(items) => items.iter().flat_map(|item| block_item(item, style)).collect(),
            Self::Map(entries) => entries.iter().flat_map(|(key, value)| block_entry(key, value, style)).collect(),
        }
    }

    /// The entries of a map; empty for any other value.
    #[must_use]
    pub fn entries(&self) -> &[(&'static str, Self)] {
        if let Self::Map(entries) = self { entries } else { &[] }
    }
}

/// Formats a map entry in flow style.
#[must_use]
pub fn flow_entry(key: &str, value: &YamlValue, style: YamlStyle) -> String {
    let key = if style.json { quote(key) } else { key.to_owned() };
    let colon = if style.compact { ":" } else { ": " };
    format!("{key}{colon}{}", value.flow(style))
}

/// Formats a map entry in block style, as lines.
#[must_use]
pub fn block_entry(key: &str, value: &YamlValue, style: YamlStyle) -> Vec<String> {
    if matches!(value, YamlValue::List(items) if items.is_empty())
        || matches!(value, YamlValue::Map(all) if all.is_empty())
    {
        return vec![format!("{key}: {}", value.flow(style))];
    }
    let lines = value.block(style);
    let indent = match value {
        YamlValue::Text(_) | YamlValue::Bare(_) => return lines.iter().map(|line| format!("{key}: {line}")).collect(),
        YamlValue::List(_) => style.dash,
        YamlValue::Map(_) => style.step,
    };
    let values = lines.iter().map(|line| format!("{:indent$}{line}", ""));
    std::iter::once(format!("{key}:")).chain(values).collect()
}

/// Formats a list item in block style, as lines.
#[must_use]
pub fn block_item(item: &YamlValue, style: YamlStyle) -> Vec<String> {
    let lines = item.block(style);
    lines.iter().enumerate().map(|(index, line)| format!("{}{line}", if index == 0 { "- " } else { "  " })).collect()
}

/// Whether every parser reads the unquoted text as this string, in block style.
pub(super) fn is_plain(text: &str) -> bool {
    let mut letters = text.chars();
    let starts_plain = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '/');
    let continues_plain = letters.all(|letter| letter.is_ascii_alphanumeric() || "_-./:@".contains(letter));
    starts_plain && continues_plain && !text.ends_with(':') && !is_reserved(text)
}

/// The same in flow style, in which older parsers fail on a colon.
fn is_plain_in_flow(text: &str) -> bool {
    is_plain(text) && !text.contains([':', '@'])
}

/// The words that YAML 1.1 reads as booleans or null (<https://yaml.org/type/bool.html>).
fn is_reserved(text: &str) -> bool {
    let word = text.to_ascii_lowercase();
    ["y", "n", "yes", "no", "on", "off", "true", "false", "null"].contains(&word.as_str())
}

/// Quotes a string so that JSON and YAML parsers both read it.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            // Control characters, and those that YAML 1.1 reads as line breaks or a byte order mark.
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

    const BLOCK: YamlStyle = YamlStyle { step: 2, dash: 2, json: false, compact: false };
    const JSON: YamlStyle = YamlStyle { json: true, compact: true, ..BLOCK };

    #[test]
    fn ambiguous_strings_are_quoted() {
        for text in ["1800", "yes", "No", "null", "~", "", "a b", "a:", "a: b", "-x", "{}", "é", "1_000", "a #b"] {
            assert_eq!(YamlValue::text(text).block(BLOCK), [quote(text)], "{text}");
        }
        for text in ["/prestop", "registry.example.com:5000/lameduck:0.1.0", "a@sha256:0f", "SIGINT"] {
            assert_eq!(YamlValue::text(text).block(BLOCK), [text]);
        }
        assert_eq!(YamlValue::text("a:b").flow(BLOCK), "\"a:b\"");
    }

    #[test]
    fn quoted_strings_round_trip() {
        for text in ["a\"b\\c\nd\te\r\u{7}\u{2028}\u{feff}é𝄞", "\u{85}\u{a0}\u{7f}"] {
            assert_eq!(serde_json::from_str::<String>(&quote(text)).unwrap(), text);
        }
    }

    #[test]
    fn values_are_formatted_in_the_given_style() {
        let value = YamlValue::Map(vec![
            ("a", YamlValue::texts(["b", "1"])),
            ("c", YamlValue::Map(vec![("d", YamlValue::bare(true))])),
        ]);
        assert_eq!(value.flow(BLOCK), "{a: [b, \"1\"], c: {d: true}}");
        assert_eq!(value.flow(JSON), r#"{"a":["b","1"],"c":{"d":true}}"#);
        assert_eq!(value.block(BLOCK), ["a:", "  - b", "  - \"1\"", "c:", "  d: true"]);
        assert_eq!(value.block(YamlStyle { dash: 0, step: 4, ..BLOCK }), ["a:", "- b", "- \"1\"", "c:", "    d: true"]);
    }
}
