//! Lines that fit a terminal.

use crate::commands::status::text::harmless;

/// What stands where something was cut.
const CUT: char = '…';

/// How many characters a terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// In a line.
    pub columns: usize,
    /// Lines.
    pub rows: usize,
}

/// How a value looks where there is colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// It matters.
    Bold,
    /// It is there for those who look for it.
    Dim,
    /// All is well.
    Good,
    /// Something is not known, or waits.
    Warning,
    /// Something is wrong.
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
    /// Select graphic rendition (ECMA-48, 8.3.117).
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
    /// A line at most `columns` characters long, of which the key takes a column of its own.
    #[must_use]
    pub fn new(key: &str, key_width: usize, value: &str, style: Style, columns: usize) -> Self {
        let key = cut(&format!("{key:<key_width$}"), columns);
        let left = columns.saturating_sub(key.chars().count());
        Self { value: cut(&harmless(value), left), key, style }
    }

    /// The line as a terminal is told it.
    #[must_use]
    pub fn painted(&self, colour: bool) -> String {
        let Self { key, value, style } = self;
        if colour && *style != Style::Plain && !value.is_empty() {
            format!("{key}\x1b[{}m{value}\x1b[0m", style.code())
        } else {
            format!("{key}{value}").trim_end().to_owned()
        }
    }
}

/// The text, at most so many characters long.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain((most > 0).then_some(CUT)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: &str, value: &str, columns: usize) -> String {
        Line::new(key, 4, value, Style::Bad, columns).painted(false)
    }

    #[test]
    fn what_is_too_long_is_cut_at_characters_and_says_so() {
        assert_eq!(text("key", "größer", 10), "key größer");
        assert_eq!(text("key", "größer", 9), "key größ…");
        assert_eq!(text("key", "größer", 5), "key …");
        assert_eq!(text("key", "größer", 4), "key");
        assert_eq!(text("key", "größer", 2), "k…");
        assert_eq!(text("key", "größer", 0), "");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        assert_eq!(
            text("", "a\x1b[2Jb\r\nc\u{9b}d\u{202e}e\u{7f}", 80),
            "    a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}"
        );
    }

    #[test]
    fn colour_is_only_where_it_is_wanted() {
        let line = Line::new("key", 4, "no", Style::Bad, 80);
        assert_eq!((line.painted(true), line.painted(false)), ("key \x1b[31mno\x1b[0m".into(), "key no".into()));
    }
}
