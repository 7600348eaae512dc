//! Code and its brackets.

/// Where the bracket that opens at `open` is closed. Angle brackets are not counted.
pub(super) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code[open..].char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + at;
        }
    }
    panic!("a bracket is not closed: {}", &code[open..])
}

/// How deep a scan is in brackets of any kind. The `>` of an arrow closes none.
#[derive(Default)]
struct Nesting {
    depth: usize,
    previous: Option<char>,
}

impl Nesting {
    /// Takes the next character; true if it is outside all brackets.
    fn is_outside(&mut self, c: char) -> bool {
        let is_arrow = c == '>' && matches!(self.previous, Some('-' | '='));
        let is_outside = self.depth == 0;
        self.previous = Some(c);
        match c {
            '(' | '[' | '{' | '<' => self.depth += 1,
            ')' | ']' | '}' | '>' if !is_arrow => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        is_outside
    }
}

/// Where the first of these characters is that is outside all brackets.
pub(super) fn find_outside(code: &str, wanted: &[char]) -> Option<usize> {
    let mut nesting = Nesting::default();
    code.find(|c| nesting.is_outside(c) && wanted.contains(&c))
}

/// Splits at the separators that are outside all brackets, and drops what is empty.
pub(super) fn split_outside(code: &str, separator: char) -> Vec<&str> {
    let mut nesting = Nesting::default();
    let parts = code.split(|c| nesting.is_outside(c) && c == separator);
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// Where this word stands in the code.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_alone = move |at: usize| {
        let (before, after) = (code[..at].chars().next_back(), code[at + word.len()..].chars().next());
        !before.is_some_and(is_identifier) && !after.is_some_and(is_identifier)
    };
    code.match_indices(word).map(|(at, _)| at).filter(move |at| is_alone(*at))
}

/// Whether the character can be part of an identifier.
pub(super) fn is_identifier(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[test]
fn lists_are_split_outside_brackets() {
    let list = "a: Map<B, C>, f: impl Fn(D, E) -> F, [g, h],";
    assert_eq!(split_outside(list, ','), ["a: Map<B, C>", "f: impl Fn(D, E) -> F", "[g, h]"]);
    assert_eq!(find_outside("<F: Fn(A) -> B>(a)", &['(']), Some(15));
    assert_eq!(closing("a(b[c], {d}) e", 1), 11);
    assert_eq!(words("fn fnord(fn_: fn()) {}", "fn").collect::<Vec<_>>(), [0, 14]);
}
