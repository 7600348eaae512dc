//! Writes trees as text.

use crate::manifests::Tree::{self, Bare, Lines, List, Map, Text};
use crate::manifests::{Tape, config};

/// Writes a YAML stream: the tree and, by chance, other documents, directives and comments.
pub fn yaml_stream(tree: &Tree, tape: &mut Tape) -> String {
    let mut out = String::new();
    let mut yaml = Yaml { tape, step: 2 };
    if yaml.tape.one_in(4) {
        out.push_str("# first comment\n");
    }
    if yaml.tape.one_in(3) {
        out.push_str("%YAML 1.1\n---\n");
        yaml.document(&config(), &mut out);
        out.push_str(["---\n", "...\n---\n", "--- # next\n"][yaml.tape.pick(3)]);
    } else if yaml.tape.one_in(2) {
        out.push_str("---\n");
    }
    yaml.step = [2, 4, 3, 1][yaml.tape.pick(4)];
    yaml.document(tree, &mut out);
    if yaml.tape.one_in(3) {
        out.push_str(["# the end\n", "\n\n", "  # deep\n"][yaml.tape.pick(3)]);
    }
    if yaml.tape.one_in(3) {
        out.push_str("---\n");
        yaml.document(&config(), &mut out);
    }
    out
}

/// Varies the byte order mark, the line endings and the final newline.
pub fn finish(out: &str, tape: &mut Tape) -> String {
    let mut out = out.to_owned();
    if tape.one_in(4) && out.ends_with('\n') {
        out.pop();
    }
    if tape.one_in(4) {
        out = out.replace('\n', "\r\n");
    }
    if tape.one_in(5) && !out.starts_with('%') {
        out.insert(0, '\u{feff}');
    }
    out
}

/// Writes JSON, indented if an indentation is given.
pub fn json(tree: &Tree, tape: &mut Tape, indent: Option<usize>) -> String {
    let step = [2, 4][tape.pick(2)];
    let mut out = json_value(tree, indent.map(|indent| (indent, step)));
    if tape.one_in(2) {
        out.push('\n');
    }
    if tape.one_in(4) { out.replace('\n', "\r\n") } else { out }
}

fn json_value(tree: &Tree, indent: Option<(usize, usize)>) -> String {
    let inner = indent.map(|(indent, step)| (indent + step, step));
    let all = |open, close, values: Vec<String>| match (indent, inner) {
        (Some((out, _)), Some((inside, _))) if !values.is_empty() => {
            let inside = " ".repeat(inside);
            let values = values.join(&format!(",\n{inside}"));
            format!("{open}\n{inside}{values}\n{}{close}", " ".repeat(out))
        }
        _ => format!("{open}{}{close}", values.join(",")),
    };
    match tree {
        // JSON has no octal numbers.
        Bare(value) => value.trim_start_matches('0').to_owned(),
        Text(value) => serde_json::to_string(value).unwrap(),
        Lines(value) => serde_json::to_string(value).unwrap(),
        List(items) => all('[', ']', items.iter().map(|item| json_value(item, inner)).collect()),
        Map(entries) => {
            let colon = if indent.is_some() { ": " } else { ":" };
            let entry = |(key, value): &(&str, Tree)| format!("\"{key}\"{colon}{}", json_value(value, inner));
            all('{', '}', entries.iter().map(entry).collect())
        }
    }
}

/// Appends indented text.
fn push_indented(out: &mut String, column: usize, text: &str) {
    out.extend(std::iter::repeat_n(' ', column));
    out.push_str(text);
}

struct Yaml<'a> {
    tape: &'a mut Tape,
    step: usize,
}

impl Yaml<'_> {
    fn document(&mut self, tree: &Tree, out: &mut String) {
        if let Map(entries) = tree {
            self.map(entries, 0, "", out);
        }
    }

    /// Writes a map in block style. With a prefix, the first key continues the current line.
    fn map(&mut self, entries: &[(&'static str, Tree)], column: usize, prefix: &str, out: &mut String) {
        for (index, (key, value)) in entries.iter().enumerate() {
            if index > 0 || prefix.is_empty() {
                self.comments(column, out);
                push_indented(out, column, "");
            }
            let key = match self.tape.pick(8) {
                6 => format!("\"{key}\""),
                7 => format!("'{key}'"),
                _ => (*key).to_owned(),
            };
            out.push_str(&key);
            out.push_str(if self.tape.one_in(9) { " :" } else { ":" });
            self.value(value, column, out);
        }
    }

    /// Writes comments or empty lines by chance.
    fn comments(&mut self, column: usize, out: &mut String) {
        match self.tape.pick(14) {
            9 => push_indented(out, column, "# of what follows: {\n"),
            10 => {
                push_indented(out, column, "#\ttab\n");
                push_indented(out, column, "# - two\n");
            }
            11 => out.push('\n'),
            12 => out.push_str("# far left\n"),
            13 => push_indented(out, column + 3, "# deep\n"),
            _ => {}
        }
    }

    fn value(&mut self, value: &Tree, column: usize, out: &mut String) {
        match value {
            Map(entries) if !entries.is_empty() && !self.tape.one_in(6) => {
                self.line_end(out);
                self.map(entries, column + self.step, "", out);
            }
            List(items) if !items.is_empty() && !self.tape.one_in(6) => {
                self.line_end(out);
                let column = column + [0, self.step][self.tape.pick(2)];
                self.list(items, column, out);
            }
            Lines(lines) if !self.tape.one_in(4) => {
                out.push_str([" |\n", " >-\n", " |+\n", " |-\n"][self.tape.pick(4)]);
                for line in lines.lines() {
                    let indent = if line.is_empty() { 0 } else { column + self.step };
                    push_indented(out, indent, line);
                    out.push('\n');
                }
            }
            Bare("null") if self.tape.one_in(2) => self.line_end(out),
            Map(entries) if entries.is_empty() && self.tape.one_in(3) => {
                self.line_end(out);
                push_indented(out, column + self.step, "{}\n");
            }
            Bare(_) | Text(_) | Lines(_) | List(_) | Map(_) => {
                out.push(' ');
                let flow = self.flow(value, column + self.step);
                out.push_str(&flow);
                self.line_end(out);
            }
        }
    }

    fn list(&mut self, items: &[Tree], column: usize, out: &mut String) {
        for item in items {
            self.comments(column, out);
            push_indented(out, column, "-");
            match item {
                Map(entries) if !entries.is_empty() && !self.tape.one_in(8) => {
                    if self.tape.one_in(6) {
                        self.line_end(out);
                        self.map(entries, column + 2, "", out);
                    } else {
                        let blanks = [1, 3][self.tape.pick(2)];
                        push_indented(out, blanks, "");
                        self.map(entries, column + 1 + blanks, "-", out);
                    }
                }
                Bare(_) | Text(_) | Lines(_) | List(_) | Map(_) => self.value(item, column, out),
            }
        }
    }

    fn line_end(&mut self, out: &mut String) {
        out.push_str(["\n", "\n", "\n", "\n", " # why: {not} [this]\n", "  \n"][self.tape.pick(6)]);
    }

    fn flow(&mut self, tree: &Tree, column: usize) -> String {
        let gap = match self.tape.pick(5) {
            3 => format!("\n{:column$}", ""),
            // Inside brackets, libyaml accepts any indentation.
            4 => format!("\n{:1$}", "", column - self.step),
            2 => " ".to_owned(),
            _ => String::new(),
        };
        let comma = [", ", ",  ", " , "][self.tape.pick(3)];
        match tree {
            Bare(value) => (*value).to_owned(),
            Text(value) => self.scalar(value),
            Lines(value) => serde_json::to_string(value).unwrap(),
            List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.flow(item, column + self.step)).collect();
                format!("[{gap}{}{gap}]", items.join(comma))
            }
            Map(entries) => {
                let entry =
                    |(key, value): &(&'static str, Tree)| format!("{key}: {}", self.flow(value, column + self.step));
                let entries: Vec<_> = entries.iter().map(entry).collect();
                let last = if self.tape.one_in(4) && !entries.is_empty() { "," } else { "" };
                format!("{{{gap}{}{last}{gap}}}", entries.join(comma))
            }
        }
    }

    fn scalar(&mut self, value: &str) -> String {
        let is_plain = value.chars().all(|letter| letter.is_ascii_alphanumeric() || "/.-".contains(letter));
        match self.tape.pick(3) {
            0 if is_plain && !value.is_empty() && !value.starts_with('-') => value.to_owned(),
            1 => format!("'{value}'"),
            _ => serde_json::to_string(value).unwrap(),
        }
    }
}
