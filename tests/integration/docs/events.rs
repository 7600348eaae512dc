//! docs/log.md lists every event that the source logs, with its levels and fields.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::{read, repository};

const LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];
/// The macro that logs the fields of an outcome. Its first argument is the level.
const RECORD: &str = "log_record";
/// The cell of the table for those fields.
const OUTCOME: &str = "the outcome";

/// The levels and the fields of each message.
type Events = BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>;

/// The beginning of a message, by which the page names it.
fn beginning(message: &str) -> &str {
    let end = [":", ";", " ("].into_iter().filter_map(|mark| message.find(mark)).min();
    &message[..end.unwrap_or(message.len())]
}

/// The production code of every source file below this folder.
fn sources(folder: &Path, sources: &mut Vec<String>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            self::sources(&path, sources);
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            sources
                .push(code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n"));
        }
    }
}

/// The arguments of a macro call; the code begins after its opening bracket.
fn arguments(code: &str) -> Vec<String> {
    let (mut arguments, mut argument) = (Vec::new(), String::new());
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    for letter in code.chars() {
        match letter {
            '"' if !escaped => in_string = !in_string,
            '(' | '[' | '{' if !in_string => depth += 1,
            ')' | ']' | '}' if !in_string && depth == 0 => break,
            ')' | ']' | '}' if !in_string => depth -= 1,
            ',' if !in_string && depth == 0 => {
                arguments.push(std::mem::take(&mut argument));
                continue;
            }
            _ => {}
        }
        escaped = letter == '\\' && !escaped;
        argument.push(letter);
    }
    arguments.push(argument);
    arguments.into_iter().map(|argument| argument.trim().to_owned()).filter(|argument| !argument.is_empty()).collect()
}

/// The value of a string literal that may continue on further lines.
fn text(literal: &str) -> String {
    let lines = literal.trim_matches('"').split("\\\n");
    lines.enumerate().map(|(index, line)| if index == 0 { line } else { line.trim_start() }).collect()
}

fn add_events(events: &mut Events, code: &str) {
    for name in LEVELS.into_iter().chain([RECORD]) {
        let call = format!("{name}!(");
        for (start, _) in code.match_indices(&call) {
            let is_whole_name =
                !code[..start].ends_with(|letter: char| letter.is_alphanumeric() || "_$".contains(letter));
            if is_whole_name {
                add_event(events, name, arguments(&code[start + call.len()..]));
            }
        }
    }
}

fn add_event(events: &mut Events, name: &str, mut arguments: Vec<String>) {
    let message = text(&arguments.pop().unwrap());
    let (levels, fields) = events.entry(beginning(&message).to_owned()).or_default();
    if name == RECORD {
        levels.insert(arguments.swap_remove(0));
        fields.insert(OUTCOME.to_owned());
        return;
    }
    levels.insert(name.to_owned());
    let field = |argument: String| argument.split('=').next().unwrap().trim().trim_start_matches(['%', '?']).to_owned();
    fields.extend(arguments.into_iter().map(field));
}

fn in_source() -> Events {
    let (mut files, mut events) = (Vec::new(), Events::new());
    sources(&repository("src"), &mut files);
    for code in &files {
        add_events(&mut events, code);
    }
    events
}

fn in_page() -> Events {
    let page = read("docs/log.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let event = |row: &str| {
        let cells: Vec<&str> = row.split(" |").map(str::trim).collect();
        let levels = cells[1].split(", ").map(str::to_owned).collect();
        let fields = match cells[2] {
            OUTCOME => [OUTCOME.to_owned()].into(),
            fields => fields.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
        };
        (cells[0].trim_end_matches('`').to_owned(), (levels, fields))
    };
    let events: Vec<_> = rows.map(event).collect();
    let count = events.len();
    let events: Events = events.into_iter().collect();
    assert_eq!(events.len(), count, "a message has two rows");
    events
}

#[test]
fn every_log_event_is_documented_with_levels_and_fields() {
    let (source, mut page) = (in_source(), in_page());
    assert!(source.len() > 50, "only {} events were found", source.len());
    let mut differences = Vec::new();
    for (message, logged) in source {
        let documented = page.remove(&message);
        if documented.as_ref() != Some(&logged) {
            differences.push(format!("{message}: logged {logged:?}, documented {documented:?}"));
        }
    }
    differences.extend(page.into_keys().map(|message| format!("{message}: documented, but never logged")));
    assert!(differences.is_empty(), "docs/log.md:\n{}", differences.join("\n"));
}

#[test]
fn events_are_found_in_code() {
    let code = "fn f() { warn!(path = %g(\"a, b\"), ?pid, %error, \"cannot \\\n    do \\\"it\\\": why\"); other_info!(1);\n\
                log_record!(debug, report, \"so far\"); info!(\"so (far)\"); }";
    let mut events = Events::new();
    add_events(&mut events, code);
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let expected = [
        ("cannot do \\\"it\\\"".to_owned(), (set(&["warn"]), set(&["path", "pid", "error"]))),
        ("so far".to_owned(), (set(&["debug"]), set(&[OUTCOME]))),
        ("so".to_owned(), (set(&["info"]), set(&[]))),
    ];
    assert_eq!(events, expected.into());
}
