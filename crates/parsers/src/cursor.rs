//! Lexing steps that the selector grammar and the sample grammar share.

/// A position in a text.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, rest: text }
    }

    /// Returns the unread text.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    /// Returns the position as an error message shows it: in characters, from one.
    pub(super) fn column(&self) -> usize {
        self.text.chars().count() - self.rest.chars().count() + 1
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<char> {
        let mut rest = self.rest.chars();
        let next = rest.next();
        self.rest = rest.as_str();
        next
    }

    /// Consumes `token` if the rest starts with it.
    #[inline]
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let after = self.rest.strip_prefix(token);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    #[inline]
    pub(super) fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        self.take(self.rest.find(|next| !belongs(next)).unwrap_or(self.rest.len()))
    }

    /// Consumes an unquoted metric name; returns an empty string if there is none.
    pub(super) fn metric_name(&mut self) -> &'a str {
        self.identifier(|next| next == b'_' || next == b':')
    }

    /// Consumes an unquoted label name; returns an empty string if there is none.
    pub(super) fn label_name(&mut self) -> &'a str {
        self.identifier(|next| next == b'_')
    }

    fn identifier(&mut self, is_punctuation: impl Fn(u8) -> bool) -> &'a str {
        let mut bytes = self.rest.bytes();
        let end = bytes.position(|next| !next.is_ascii_alphanumeric() && !is_punctuation(next));
        let length = end.unwrap_or(self.rest.len());
        let starts_with_digit = self.rest.starts_with(|first: char| first.is_ascii_digit());
        self.take(if starts_with_digit { 0 } else { length })
    }

    /// Consumes `length` bytes.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::Cursor;

    #[test]
    fn only_metric_names_contain_colons() {
        assert_eq!(Cursor::new("job:rate_5m{").metric_name(), "job:rate_5m");
        assert_eq!(Cursor::new("job:rate").label_name(), "job");
    }

    #[test]
    fn names_do_not_start_with_digit() {
        assert_eq!(Cursor::new("5xx").metric_name(), "");
        assert_eq!(Cursor::new("_5xx").label_name(), "_5xx");
    }

    #[test]
    fn columns_count_characters() {
        let mut cursor = Cursor::new("é{");
        assert_eq!(cursor.next(), Some('é'));
        assert_eq!((cursor.column(), cursor.eat("}"), cursor.eat("{")), (2, false, true));
        assert_eq!((cursor.column(), cursor.next()), (3, None));
    }
}
