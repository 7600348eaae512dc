//! How alike two names are: what somebody who mistyped one may have meant.

/// From how many percent on one name may have been meant by the other.
const LIKELY: usize = 50;

/// How many percent of their pairs of neighbouring letters two names share (Dice's coefficient).
///
/// Letters left out or doubled, missing prefixes and words in another order all leave most pairs as they are.
pub(super) fn percent(one: &str, other: &str) -> usize {
    let [one, mut rest] = [one, other].map(pairs);
    let all = one.len() + rest.len();
    let shared = one.iter().filter(|pair| {
        let place = rest.iter().position(|other| other == *pair);
        place.map(|place| rest.swap_remove(place)).is_some()
    });
    (200 * shared.count()).checked_div(all).unwrap_or(0)
}

/// Whether one name may have been meant by the other.
pub(super) fn is_likely(one: &str, other: &str) -> bool {
    percent(one, other) >= LIKELY
}

fn pairs(name: &str) -> Vec<(char, char)> {
    let letters = || name.chars().flat_map(char::to_lowercase);
    letters().zip(letters().skip(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_likely() {
        for (typed, meant) in [
            ("engine_active_request", "engine_active_requests"),
            ("active_requests", "engine_active_requests"),
            ("engine_requests_active", "engine_active_requests"),
            ("impeler", "impeller"),
            ("Impeller", "impeller"),
        ] {
            assert!(is_likely(typed, meant), "{typed}: {}", percent(typed, meant));
        }
    }

    #[test]
    fn other_names_are_not() {
        for (typed, other) in [("calls", "engine_active_requests"), ("impeller", "stem"), ("", ""), ("a", "a")] {
            assert!(!is_likely(typed, other), "{typed}: {}", percent(typed, other));
        }
        assert_eq!(percent("abcabc", "abcabc"), 100);
        assert_eq!(percent("aaaa", "aa"), 50);
    }
}
