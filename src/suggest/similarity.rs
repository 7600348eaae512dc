//! The similarity of two names, to guess which name a misspelt one stands for.

/// The similarity, in percent, from which one name may be a misspelling of the other.
const MIN_PERCENT: usize = 50;
/// How much of a name is compared, in characters: names come from elsewhere, and the time grows with the square.
const MAX_COMPARED: usize = 128;

/// Returns the percentage of letter pairs that two names share (Dice's coefficient).
///
/// Only the beginning of a long name counts. Missing or doubled letters, missing prefixes and words in another order leave most pairs unchanged.
#[must_use]
pub fn percent(one: &str, other: &str) -> usize {
    let [one, mut rest] = [one, other].map(pairs);
    let all = one.len() + rest.len();
    let shared = one.iter().filter(|pair| {
        let index = rest.iter().position(|other| other == *pair);
        index.map(|index| rest.swap_remove(index)).is_some()
    });
    (200 * shared.count()).checked_div(all).unwrap_or(0)
}

/// Whether one name may be a misspelling of the other.
#[must_use]
pub fn is_similar(one: &str, other: &str) -> bool {
    percent(one, other) >= MIN_PERCENT
}

fn pairs(name: &str) -> Vec<(char, char)> {
    let letters = || name.chars().take(MAX_COMPARED).flat_map(char::to_lowercase);
    letters().zip(letters().skip(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_are_similar() {
        for (typed, intended) in [
            ("engine_active_request", "engine_active_requests"),
            ("active_requests", "engine_active_requests"),
            ("engine_requests_active", "engine_active_requests"),
            ("impeler", "impeller"),
            ("Impeller", "impeller"),
        ] {
            assert!(is_similar(typed, intended), "{typed}: {}", percent(typed, intended));
        }
    }

    #[test]
    fn different_names_are_not_similar() {
        for (typed, other) in [("calls", "engine_active_requests"), ("impeller", "stem"), ("", ""), ("a", "a")] {
            assert!(!is_similar(typed, other), "{typed}: {}", percent(typed, other));
        }
        assert_eq!(percent("abcabc", "abcabc"), 100);
        assert_eq!(percent("aaaa", "aa"), 50);
    }
}
