//! The grammar of an instant selector.

use super::{Error, Matcher, NAME, Pattern, Reason, Selector, Test, is_reserved, quoted};
use crate::cursor::Cursor;

type Build = fn(String) -> Result<Test, Reason>;

/// Longer operators first, because `=` is a prefix of `=~`.
const OPERATORS: [(&str, Build); 4] = [
    ("=~", |value| Pattern::new(value).map(Test::Match)),
    ("!~", |value| Pattern::new(value).map(Test::NoMatch)),
    ("!=", |value| Ok(Test::NotEqual(value))),
    ("=", |value| Ok(Test::Equal(value))),
];

/// Parses a whole selector.
pub(super) fn selector(text: &str) -> Result<Selector, Error> {
    let mut parser = Parser { cursor: Cursor::new(text), name: None, matchers: Vec::new() };
    match parser.parse() {
        Ok(()) => Ok(Selector::new(parser.name, parser.matchers)),
        Err(reason) => Err(Error { column: parser.cursor.column(), reason }),
    }
}

/// A method that fails leaves the cursor at the error position.
struct Parser<'a> {
    cursor: Cursor<'a>,
    name: Option<String>,
    matchers: Vec<Matcher>,
}

impl Parser<'_> {
    fn parse(&mut self) -> Result<(), Reason> {
        self.skip_whitespace();
        let start = self.cursor.clone();
        let bare = self.cursor.metric_name();
        if is_reserved(bare) {
            self.cursor = start;
            return Err(Reason::ReservedName(bare.to_owned()));
        }
        self.name = Some(bare.to_owned()).filter(|name| !name.is_empty());
        self.skip_whitespace();
        if self.cursor.eat("{") {
            self.braces()?;
        } else if self.name.is_none() {
            return Err(self.missing_selector());
        }
        self.expect_end()?;
        self.check_name().inspect_err(|_| self.cursor = start)
    }

    fn missing_selector(&self) -> Reason {
        match self.cursor.peek() {
            None => Reason::Empty,
            Some('(') => Reason::NotInstant("the parentheses"),
            Some(_) => Reason::Expected("a metric name or `{`"),
        }
    }

    fn braces(&mut self) -> Result<(), Reason> {
        loop {
            self.skip_whitespace();
            if self.cursor.eat("}") {
                return Ok(());
            }
            self.entry()?;
            self.skip_whitespace();
            if !self.cursor.eat(",") {
                return if self.cursor.eat("}") { Ok(()) } else { Err(Reason::Expected("`,` or `}`")) };
            }
        }
    }

    /// Parses a matcher, or the quoted metric name.
    fn entry(&mut self) -> Result<(), Reason> {
        let start = self.cursor.clone();
        let quoted = quoted::parse(&mut self.cursor)?;
        self.skip_whitespace();
        match quoted {
            Some(name) if matches!(self.cursor.peek(), Some(',' | '}')) => {
                self.quoted_name(name).inspect_err(|_| self.cursor = start)
            }
            Some(label) => self.matcher(label),
            None => {
                let label = self.cursor.label_name();
                if label.is_empty() {
                    return Err(Reason::Expected("a label name or `}`"));
                }
                self.skip_whitespace();
                self.matcher(label.to_owned())
            }
        }
    }

    fn quoted_name(&mut self, name: String) -> Result<(), Reason> {
        if name.is_empty() {
            return Err(Reason::EmptyName);
        }
        match self.name.replace(name) {
            None => Ok(()),
            Some(_) => Err(Reason::DuplicateName),
        }
    }

    /// Parses the operator and the value after a label.
    fn matcher(&mut self, label: String) -> Result<(), Reason> {
        let Some((_, build)) = OPERATORS.into_iter().find(|(operator, _)| self.cursor.eat(operator)) else {
            return Err(self.unquotable_char().unwrap_or(Reason::Expected("one of `=`, `!=`, `=~`, `!~`")));
        };
        self.skip_whitespace();
        let start = self.cursor.clone();
        let value = quoted::parse(&mut self.cursor)?.ok_or(Reason::Expected("a value in quotes"))?;
        let test = build(value).inspect_err(|_| self.cursor = start)?;
        self.matchers.push(Matcher { label, test });
        Ok(())
    }

    /// Fails if anything follows the selector, and names it.
    fn expect_end(&mut self) -> Result<(), Reason> {
        self.skip_whitespace();
        let Some(next) = self.cursor.peek() else { return Ok(()) };
        if let Some(reason) = self.unquotable_char() {
            return Err(reason);
        }
        Err(Reason::NotInstant(match next {
            '[' => "the range such as `[5m]`",
            '@' => "the `@` and its time",
            '(' => "the function; matching series are summed anyway",
            '{' => "the second pair of braces",
            _ if self.cursor.rest().starts_with("offset") => "the offset",
            _ => "what follows the selector: operators and modifiers are not supported",
        }))
    }

    /// Returns an error if the next character is valid only in a quoted name.
    fn unquotable_char(&self) -> Option<Reason> {
        self.cursor.peek().filter(|next| matches!(next, '.' | ':') || !next.is_ascii()).map(Reason::NeedsQuotes)
    }

    /// Takes the name from a `__name__=` matcher, and rejects selectors with two names and those that match everything.
    fn check_name(&mut self) -> Result<(), Reason> {
        if self.name.is_some() {
            let is_duplicate = self.matchers.iter().any(|matcher| matcher.label == NAME);
            return if is_duplicate { Err(Reason::DuplicateName) } else { Ok(()) };
        }
        if self.matchers.iter().all(|matcher| matcher.test.holds("")) {
            return Err(Reason::MatchesEverything);
        }
        self.name = self.remove_fixed_name();
        if self.name.as_deref() == Some("") { Err(Reason::EmptyName) } else { Ok(()) }
    }

    fn remove_fixed_name(&mut self) -> Option<String> {
        let fixes = |matcher: &mut Matcher| matcher.label == NAME && matches!(&matcher.test, Test::Equal(_));
        match self.matchers.extract_if(.., fixes).next()?.test {
            Test::Equal(name) => Some(name),
            Test::NotEqual(_) | Test::Match(_) | Test::NoMatch(_) => None,
        }
    }

    fn skip_whitespace(&mut self) {
        self.cursor.take_while(|next| matches!(next, ' ' | '\t' | '\n' | '\r'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitespace_between_tokens_is_ignored() {
        let spaced = selector("\t{\n\"m\" , a\r=~ 'b' , 'c.d' != `e` , }\n").unwrap();
        assert_eq!(spaced, selector(r#"{"m",a=~"b","c.d"!="e"}"#).unwrap());
        assert_eq!(selector("m { }").unwrap(), selector("m").unwrap());
    }

    #[test]
    fn expressions_are_rejected_by_name() {
        for (text, column, name) in [
            ("m[5m]", 2, "the range"),
            ("m{a=\"b\"} offset 5m", 10, "the offset"),
            ("m @ 1", 3, "the `@`"),
            ("sum(m)", 4, "the function"),
            ("sum by (a) (m)", 5, "what follows"),
            ("a + b", 3, "what follows"),
            ("m{} > 0", 5, "what follows"),
            ("(m)", 1, "the parentheses"),
            ("m{a=\"b\"}{}", 9, "the second"),
        ] {
            let error = selector(text).unwrap_err();
            let start = format!("at character {column}: only instant selectors are supported: remove {name}");
            assert!(error.to_string().starts_with(&start), "{text}: {error}");
        }
    }

    #[test]
    fn errors_have_position_and_message() {
        for (text, column, start) in [
            ("", 1, "the selector is empty"),
            ("  ", 3, "the selector is empty"),
            ("5xx", 1, "expected a metric name or `{`"),
            ("\"m\"", 1, "expected a metric name or `{`"),
            ("my.metric", 3, "`.` is not valid in an unquoted name"),
            ("mé", 2, "`é` is not valid in an unquoted name"),
            ("m{a:b=\"c\"}", 4, "`:` is not valid in an unquoted name"),
            ("m{a.b=\"c\"}", 4, "`.` is not valid in an unquoted name"),
            ("m{a}", 4, "expected one of `=`"),
            ("m{a==\"b\"}", 5, "expected a value in quotes"),
            ("m{a=b}", 5, "expected a value in quotes"),
            ("m{a=\"b\" c=\"d\"}", 9, "expected `,` or `}`"),
            ("m{a=\"b\"", 8, "expected `,` or `}`"),
            ("m{", 3, "expected a label name or `}`"),
            ("m{,}", 3, "expected a label name or `}`"),
            ("m{a=\"b\",,}", 9, "expected a label name or `}`"),
            ("m{a=\"b}", 8, "unterminated string: add \""),
            ("m{a=\"\\d\"}", 6, "unknown escape"),
            (" Inf", 2, "`Inf` is a word of PromQL: write `{\"Inf\"}`"),
            ("bool{}", 1, "`bool` is a word of PromQL: write `{\"bool\"}`"),
            ("{\"\"}", 2, "the metric name is empty"),
            ("{__name__=\"\",a=\"b\"}", 1, "the metric name is empty"),
        ] {
            let error = selector(text).unwrap_err();
            assert!(error.to_string().starts_with(&format!("at character {column}: {start}")), "{text}: {error}");
        }
    }

    #[test]
    fn duplicate_names_are_rejected() {
        for text in [r#"m{__name__=~"m"}"#, r#"{"m","n"}"#, r#"m{"m"}"#, r#"{__name__="m","m"}"#] {
            assert_eq!(selector(text).unwrap_err().reason, Reason::DuplicateName, "{text}");
        }
    }

    #[test]
    fn selectors_that_match_everything_are_rejected() {
        for text in ["{}", r#"{a=~".*"}"#, r#"{a!="b"}"#, r#"{a=""}"#, r#"{__name__=~".*"}"#] {
            assert_eq!(selector(text).unwrap_err(), Error { column: 1, reason: Reason::MatchesEverything });
        }
        for text in [r#"{a=~".+"}"#, r#"{a!=""}"#, r#"{a!~""}"#, r#"{b=~".*",a="b"}"#] {
            assert!(selector(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn invalid_patterns_are_rejected_at_their_quote() {
        for pattern in ["(", "a)|(b", r"\p{L}", r"(?x)a #"] {
            let error = selector(&format!("m{{a=~`{pattern}`}}")).unwrap_err();
            let rejected = matches!(error.reason, Reason::InvalidPattern(_));
            assert!(rejected && error.column == 6, "{pattern}: {error}");
        }
        assert!(selector(r"m{a!~`\w+\.\d{2}\\<`}").is_ok());
    }
}
