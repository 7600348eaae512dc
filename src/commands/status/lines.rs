//! Lines that fit a terminal.

use crate::sanitize::sanitize;

/// The end of a truncated text.
const ELLIPSIS: char = '…';

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Characters per line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

/// The style of a value on a terminal with colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// No colour.
    Plain,
    /// Important.
    Bold,
    /// A detail.
    Dim,
    /// Healthy.
    Good,
    /// Unknown or pending.
    Warning,
    /// Failed.
    Bad,
}

/// One line: a key, and a value with its style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    key: String,
    value: String,
    style: Style,
}

impl Style {
    /// The parameter of Select Graphic Rendition (ECMA-48, 8.3.117).
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31",
        }
    }
}

impl Line {
    /// A line of at most `columns` characters, in which the key is padded to `key_width`.
    #[must_use]
    pub fn new(key: &str, key_width: usize, value: &str, style: Style, columns: usize) -> Self {
        let key = truncate(&format!("{key:<key_width$}"), columns);
        let left = columns.saturating_sub(key.chars().count());
        Self { value: truncate(&sanitize(value), left), key, style }
    }

    /// Returns the line with its escape sequences, if it has a colour.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let Self { key, value, style } = self;
        if colour && *style != Style::Plain && !value.is_empty() {
            format!("{key}\x1b[{}m{value}\x1b[0m", style.code())
        } else {
            format!("{key}{value}").trim_end().to_owned()
        }
    }
}

/// Truncates a text to `max` characters.
fn truncate(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain((max > 0).then_some(ELLIPSIS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &str, value: &str, columns: usize) -> String {
        Line::new(key, 4, value, Style::Bad, columns).render(false)
    }

    #[test]
    fn long_text_is_truncated_with_ellipsis() {
        assert_eq!(text("key", "größer", 10), "key größer");
        assert_eq!(text("key", "größer", 9), "key größ…");
        assert_eq!(text("key", "größer", 5), "key …");
        assert_eq!(text("key", "größer", 4), "key");
        assert_eq!(text("key", "größer", 2), "k…");
        assert_eq!(text("key", "größer", 0), "");
    }

    #[test]
    fn values_are_sanitized() {
        assert_eq!(
            text("", "a\x1b[2Jb\r\nc\u{9b}d\u{202e}e\u{7f}", 80),
            "    a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}"
        );
    }

    #[test]
    fn colour_is_optional() {
        let line = Line::new("key", 4, "no", Style::Bad, 80);
        assert_eq!((line.render(true), line.render(false)), ("key \x1b[31mno\x1b[0m".into(), "key no".into()));
    }
}
