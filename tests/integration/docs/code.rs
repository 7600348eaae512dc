//! The code in documents.

/// Messages that begin like a command.
const MESSAGES: [&str; 1] = ["lameduck is up to date"];

/// A code span, or a line of a code block.
#[derive(Debug)]
pub(super) struct Code {
    /// The language of the block; `None` for a span.
    language: Option<String>,
    pub(super) text: String,
}

impl Code {
    /// The text, if it is a shell command or begins with a call of lameduck.
    pub(super) fn command(&self) -> Option<&str> {
        match self.language.as_deref() {
            Some("sh" | "bash") => Some(&self.text),
            Some("console") => self.text.strip_prefix("$ "),
            Some(_) => None,
            None => Some(self.text.as_str()).filter(|text| text.starts_with("lameduck ") && !MESSAGES.contains(text)),
        }
    }
}

/// The code spans of a document, and the lines of its code blocks with their continuations.
pub(super) fn code(text: &str) -> Vec<Code> {
    let (mut code, mut prose, mut language) = (Vec::new(), String::new(), None);
    for line in text.replace("\\\n", " ").lines() {
        if let Some(fence) = line.trim_start().strip_prefix("```") {
            language = if language.is_none() { Some(fence.to_owned()) } else { None };
        } else if language.is_some() {
            code.push(Code { language: language.clone(), text: line.to_owned() });
        } else {
            prose.push_str(line);
            // A code span may be wrapped, but does not go on in another paragraph.
            prose.push_str(if line.is_empty() { "\n" } else { " " });
        }
    }
    let spans = prose.lines().flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2));
    code.extend(spans.map(|span| Code { language: None, text: span.to_owned() }));
    code
}

/// The words of shell commands. An operator is a word of its own.
pub(super) fn words(code: &str) -> Vec<&str> {
    code.split_whitespace().map(|word| word.trim_matches(|letter| "'\"(),;:".contains(letter))).collect()
}

#[test]
fn spans_and_lines_of_blocks_are_found() {
    let text = "Use `lameduck --b\nc`.\n\n```sh\nx \\\n  y\n```\n\n```console\n$ z\nlameduck\n```\n`d`";
    let code = code(text);
    let texts: Vec<&str> = code.iter().map(|code| code.text.as_str()).collect();
    assert_eq!(texts, ["x    y", "$ z", "lameduck", "lameduck --b c", "d"]);
    let commands: Vec<&str> = code.iter().filter_map(Code::command).collect();
    assert_eq!(commands, ["x    y", "z", "lameduck --b c"]);
}
