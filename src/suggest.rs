//! Suggestions for a name that matches nothing: the closest name, and the names that exist.

use std::cmp::Reverse;
use std::fmt::Display;

use self::similarity::{is_similar, percent};

pub mod gauges;
pub mod similarity;

/// Maximum number of names in one line of output.
pub const MAX_LISTED: usize = 12;
/// Maximum length of a listed name, in characters.
const MAX_NAME_CHARS: usize = 100;

/// Returns the name that was probably meant; `None` if no name is similar to what was typed.
pub fn closest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Of equally similar names, the first.
    let best = names.into_iter().min_by_key(|name| Reverse(percent(typed, name)))?;
    is_similar(typed, best).then_some(best)
}

/// Lists the first few items, and says how many more there are.
#[must_use]
pub fn list(items: &[impl Display]) -> String {
    let shown: Vec<String> = items.iter().take(MAX_LISTED).map(|item| shorten(item.to_string())).collect();
    let more = items.len().saturating_sub(MAX_LISTED);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    shown.join(", ") + &rest
}

/// Names come from outside lameduck and may have any length.
fn shorten(mut name: String) -> String {
    if let Some((end, _)) = name.char_indices().nth(MAX_NAME_CHARS) {
        name.truncate(end);
        name.push('…');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closest_name_must_be_similar() {
        let names = ["nginx", "impeller", "impellers"];
        assert_eq!(closest("impeler", names), Some("impeller"));
        assert_eq!(closest("stem", names), None);
        assert_eq!(closest("impeller", []), None);
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(list(&["ä".repeat(101), "ä".repeat(100)]), format!("{0}…, {0}", "ä".repeat(100)));
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(list(&[1, 2]), "1, 2");
        let fourteen: Vec<u32> = (1..=14).collect();
        assert_eq!(list(&fourteen), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 2 more");
    }
}
