//! Shell scripts, as far as it takes to see which command comes last.

/// A script, as a list of commands.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    /// The commands, in their order.
    pub(crate) commands: Vec<Command>,
    /// Whether it has only simple commands. Otherwise a command of the list may be a part of another one, or a text.
    pub(crate) is_simple: bool,
}

/// A simple command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// Its words, without quotes.
    pub(crate) words: Vec<String>,
    /// What follows it.
    pub(crate) followed_by: Operator,
}

/// What separates two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    /// A newline, a semicolon or the end: the next command runs when this one has ended.
    Sequence,
    /// `&`.
    Background,
    /// `|`.
    Pipe,
    /// `&&`.
    And,
    /// `||`.
    Or,
}

/// Words that begin or end a compound command.
const RESERVED: [&str; 17] = [
    "!", "case", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "select", "then", "until",
    "while", "{", "}",
];

impl Script {
    /// Splits a script into commands; `None` if a quote is not closed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut script = Self { is_simple: !text.contains("<<"), ..Self::default() };
        let (mut words, mut word) = (Vec::new(), None::<String>);
        let mut rest = text.chars().peekable();
        let mut previous = '\n';
        while let Some(next) = rest.next() {
            let operator = match next {
                '#' if word.is_none() => {
                    while rest.next_if(|next| *next != '\n').is_some() {}
                    continue;
                }
                '\\' if rest.next_if_eq(&'\n').is_some() => continue,
                '\\' => {
                    word.get_or_insert_default().extend(rest.next());
                    continue;
                }
                '\'' | '"' => {
                    word.get_or_insert_default().push_str(&script.quoted(next, &mut rest)?);
                    continue;
                }
                // `2>&1` and `&>file` are redirections.
                '&' if previous == '>' || rest.peek() == Some(&'>') => None,
                '&' if rest.next_if_eq(&'&').is_some() => Some(Operator::And),
                '&' => Some(Operator::Background),
                '|' if rest.next_if_eq(&'|').is_some() => Some(Operator::Or),
                '|' => Some(Operator::Pipe),
                ';' | '\n' => Some(Operator::Sequence),
                _ => None,
            };
            previous = next;
            if operator.is_some() || next.is_whitespace() {
                words.extend(word.take());
            } else {
                script.is_simple &= !"()`".contains(next);
                word.get_or_insert_default().push(next);
            }
            if let Some(operator) = operator {
                script.push(std::mem::take(&mut words), operator);
            }
        }
        words.extend(word);
        script.push(words, Operator::Sequence);
        Some(script)
    }

    /// The text up to the closing quote.
    fn quoted(&mut self, quote: char, rest: &mut impl Iterator<Item = char>) -> Option<String> {
        let mut text = String::new();
        loop {
            match rest.next()? {
                next if next == quote => return Some(text),
                '\\' if quote == '"' => text.push(rest.next()?),
                next => {
                    self.is_simple &= quote == '\'' || !"(`".contains(next);
                    text.push(next);
                }
            }
        }
    }

    fn push(&mut self, words: Vec<String>, followed_by: Operator) {
        let Some(first) = words.first() else { return };
        self.is_simple &= !RESERVED.contains(&first.as_str());
        self.commands.push(Command { words, followed_by });
    }
}

#[cfg(test)]
mod tests {
    use super::Operator::{And, Background, Or, Pipe, Sequence};
    use super::*;

    fn commands(text: &str) -> Vec<(String, Operator)> {
        let script = Script::parse(text).unwrap();
        script.commands.into_iter().map(|command| (command.words.join("|"), command.followed_by)).collect()
    }

    #[test]
    fn script_is_split_into_commands() {
        let expected =
            [("a|b c", And), ("d", Or), ("e;f", Pipe), ("g", Background), ("h|i", Sequence), ("j", Sequence)];
        let expected = expected.map(|(words, operator)| (words.to_owned(), operator));
        assert_eq!(commands("a 'b c' && d || \"e;f\" | g & h \\\n i; # no j\n\nj\n"), expected);
    }

    #[test]
    fn redirections_are_words() {
        assert_eq!(commands("a 2>&1 >/dev/null"), [("a|2>&1|>/dev/null".to_owned(), Sequence)]);
        assert_eq!(commands("a &>/dev/null"), [("a|&>/dev/null".to_owned(), Sequence)]);
    }

    #[test]
    fn compound_commands_are_not_simple() {
        for text in ["a; b \"$x\" '(`'", "a && b"] {
            assert!(Script::parse(text).unwrap().is_simple, "{text}");
        }
        for text in ["if a; then b; fi", "(a; b)", "a $(b)", "a `b`", "cat <<E\nb\nE", "{ a; }", "a \"$(b)\"", "! a"] {
            assert!(!Script::parse(text).unwrap().is_simple, "{text}");
        }
        assert_eq!(Script::parse("a 'b"), None);
        assert_eq!(Script::parse("a \"b\\"), None);
    }
}
