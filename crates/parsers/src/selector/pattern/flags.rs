//! What follows `(?`: flags, and names of groups.

use super::{Reason, invalid};
use crate::cursor::Cursor;

/// The flags that change what matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) fold_case: bool,
    pub(super) multi_line: bool,
    pub(super) dot_matches_newline: bool,
}

impl Flags {
    /// In Prometheus a dot matches newlines too.
    pub(super) const DEFAULT: Self = Self { fold_case: false, multi_line: false, dot_matches_newline: true };
}

/// Parses the flags or the name of a group after `(?`. Returns whether the parenthesis is closed, so that there is no
/// group.
pub(super) fn parse(cursor: &mut Cursor<'_>, flags: &mut Flags) -> Result<bool, Reason> {
    if cursor.eat("P<") || cursor.eat("<") {
        return if name(cursor) { Ok(false) } else { Err(invalid("malformed name of a group")) };
    }
    let mut value = true;
    let mut is_complete = true;
    loop {
        match cursor.next() {
            Some('i') => flags.fold_case = value,
            Some('m') => flags.multi_line = value,
            Some('s') => flags.dot_matches_newline = value,
            // Ungreedy: no difference for a match of the whole value.
            Some('U') => {}
            Some('-') if value => {
                value = false;
                is_complete = false;
                continue;
            }
            Some(end @ (':' | ')')) if is_complete => return Ok(end == ')'),
            Some(_) | None => return Err(invalid("unknown flag, or an assertion such as `(?=`")),
        }
        is_complete = true;
    }
}

/// Parses a name and its `>`.
fn name(cursor: &mut Cursor<'_>) -> bool {
    let name = cursor.take_while(|next| next.is_ascii_alphanumeric() || next == '_');
    !name.is_empty() && cursor.eat(">")
}
