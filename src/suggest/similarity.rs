//! The similarity of two names, to guess which name a misspelt one stands for.

/// The similarity, in percent, from which one name may be a misspelling of the other.
const MIN_PERCENT: usize = 50;
/// The similarity of two names with the same letters in another order: short names then share few pairs.
const SAME_LETTERS_PERCENT: usize = 75;
/// The shortest names that are compared by their letters.
const MIN_LETTERS: usize = 3;
/// How much of a name is compared, in characters: names may have any length, and the time grows with the square.
const MAX_COMPARED: usize = 128;

/// Returns the percentage of letter pairs that two names share (Dice's coefficient), or more if their letters are the
/// same.
///
/// Only the beginning of a long name counts. Missing or doubled letters, missing prefixes and words in another order leave most pairs unchanged.
#[must_use]
pub fn percent(one: &str, other: &str) -> usize {
    let reordered = if has_same_letters(one, other) { SAME_LETTERS_PERCENT } else { 0 };
    let [one, mut rest] = [one, other].map(pairs);
    let all = one.len() + rest.len();
    let shared = one.iter().filter(|pair| {
        let index = rest.iter().position(|other| other == *pair);
        index.map(|index| rest.swap_remove(index)).is_some()
    });
    (200 * shared.count()).checked_div(all).unwrap_or(0).max(reordered)
}

/// Whether one name may be a misspelling of the other.
#[must_use]
pub fn is_similar(one: &str, other: &str) -> bool {
    percent(one, other) >= MIN_PERCENT
}

fn pairs(name: &str) -> Vec<(char, char)> {
    letters(name).zip(letters(name).skip(1)).collect()
}

fn has_same_letters(one: &str, other: &str) -> bool {
    let sorted = |name| {
        let mut letters: Vec<char> = letters(name).collect();
        letters.sort_unstable();
        letters
    };
    let (one, other) = (sorted(one), sorted(other));
    one.len() >= MIN_LETTERS && one == other
}

fn letters(name: &str) -> impl Iterator<Item = char> {
    name.chars().take(MAX_COMPARED).flat_map(char::to_lowercase)
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
            ("TREM", "TERM"),
            ("wran", "warn"),
        ] {
            assert!(is_similar(typed, intended), "{typed}: {}", percent(typed, intended));
        }
    }

    #[test]
    fn different_names_are_not_similar() {
        for (typed, other) in
            [("calls", "engine_active_requests"), ("impeller", "stem"), ("", ""), ("a", "a"), ("ab", "ba")]
        {
            assert!(!is_similar(typed, other), "{typed}: {}", percent(typed, other));
        }
        assert_eq!(percent("abcabc", "abcabc"), 100);
        assert_eq!(percent("aaaa", "aa"), 50);
    }
}
