use super::*;

fn matching<'v>(pattern: &str, values: &[&'v str]) -> Vec<&'v str> {
    let pattern = Pattern::new(pattern.to_owned()).unwrap();
    values.iter().copied().filter(|value| pattern.is_match(value)).collect()
}

#[test]
fn whole_value_must_match_and_dot_matches_newline() {
    for (pattern, value, holds) in [
        ("b|c", "abc", false),
        ("ab|c", "abc", false),
        ("a.c", "a\nc", true),
        ("(?-s)a.c", "a\nc", false),
        ("a", "a\n", false),
        ("(?m)a$.b", "a\nb", true),
        ("a$.b", "a\nb", false),
        (r"\d+", "12", true),
        (r"\d", "٣", false),
        (r"\w+", "é", false),
        (r"a\\<b", r"a\<b", true),
        (r"(?P<x>a)(?<y>b)(?:c)(d)", "abcd", true),
        ("(?U)a+?", "aa", true),
        ("", "", true),
        ("a||b", "", true),
        (r"\Aa\bb?\z", "a", true),
        (r"\x41\x{e9}\-\.", "Aé-.", true),
        ("a(?-s){2}", "aa", true),
        ("a*(?-s)*", "aa", true),
    ] {
        assert_eq!(matching(pattern, &[value]), if holds { vec![value] } else { vec![] }, "{pattern} on {value:?}");
    }
}

#[test]
fn braces_are_literal_unless_they_are_a_repetition() {
    for (pattern, matches) in [
        ("a{1, 2}", vec!["a{1, 2}"]),
        ("a{1 }", vec!["a{1 }"]),
        ("a{02}", vec!["a{02}"]),
        ("a{1,01}", vec!["a{1,01}"]),
        ("a{,2}", vec!["a{,2}"]),
        ("a{1,2}", vec!["a", "aa"]),
        ("a{0}", vec![""]),
        ("a{2,}", vec!["aa"]),
        ("a{", vec!["a{"]),
        ("{", vec!["{"]),
    ] {
        let values = ["", "a", "aa", "a{1, 2}", "a{1 }", "a{02}", "a{1,01}", "a{,2}", "a{", "{"];
        assert_eq!(matching(pattern, &values), matches, "{pattern}");
    }
}

#[test]
fn classes_are_those_of_go() {
    let values = ["-", "A", "[", "]", "a", "b", "w", "z", "&", "Z]", "w]", "A]", "\u{b}", "\t", "é"];
    for (pattern, matches) in [
        ("[--[:word:]]", vec!["Z]", "w]", "A]"]),
        ("[]-a-c]", vec!["-", "]", "a"]),
        ("[a-]", vec!["-", "a"]),
        ("[]a]", vec!["]", "a"]),
        ("[a&&b]", vec!["a", "b", "&"]),
        (r"[^\D[:^ascii:]]", vec![]),
        (r"[^\w\-\[\]&]", vec!["\u{b}", "\t", "é"]),
        (r"[\s]", vec!["\t"]),
        (r"\s", vec!["\t"]),
        (r"[[:space:]]", vec!["\u{b}", "\t"]),
        ("[[a]", vec!["[", "a"]),
        (r"[^\x00-\x{10FFFF}]", vec![]),
    ] {
        assert_eq!(matching(pattern, &values), matches, "{pattern}");
    }
    assert_eq!(matching(r"\S", &["\u{b}", "\t"]), ["\u{b}"]);
}

#[test]
fn case_is_folded_as_in_unicode() {
    let values = ["k", "K", "\u{212a}", "s", "ſ", "a", "A", "_"];
    for (pattern, matches) in [
        ("(?i)k", vec!["k", "K", "\u{212a}"]),
        ("(?i)[^k]", vec!["s", "ſ", "a", "A", "_"]),
        ("(?i:S)", vec!["s", "ſ"]),
        ("(?i)[j-l]", vec!["k", "K", "\u{212a}"]),
        (r"(?i)\w", values.to_vec()),
        (r"(?i)\W", vec![]),
        (r"\W", vec!["\u{212a}", "ſ"]),
        ("(?i)[[:upper:]]", vec!["k", "K", "\u{212a}", "s", "ſ", "a", "A"]),
        ("(?i)(?-i)a", vec!["a"]),
        ("((?i)k)|a", vec!["k", "K", "\u{212a}", "a"]),
        ("(?i)x|a", vec!["a", "A"]),
    ] {
        assert_eq!(matching(pattern, &values), matches, "{pattern}");
    }
}

const REJECTED: &[&str] = &[
    "(",
    ")",
    "a)|(b",
    "*",
    "a|*",
    "(*)",
    "a**",
    "a*+",
    "a{2}{3}",
    "a{1001}",
    "a{2,1}",
    "a{99999999999}",
    "[",
    "[]",
    "[b-a]",
    "[[:foo:]]",
    "(?",
    "(?x)a",
    "(?i-)a",
    "(?=a)",
    "(?!a)",
    "(?<=a)",
    "(?P<>a)",
    "(?P<a",
    r"\p{L}",
    r"\Qa\E",
    r"\1",
    r"\8",
    r"\q",
    r"\Z",
    r"\C",
    r"\",
    r"\x",
    r"\x4",
    r"\xzz",
    r"\x{110000}",
    r"\x{}",
    r"[\b]",
    "(?i)é",
    "(?i)[a-é]",
    "(?i)*",
];

#[test]
fn unsupported_and_invalid_patterns_are_rejected() {
    for pattern in REJECTED {
        let error = Pattern::new((*pattern).to_owned()).unwrap_err();
        assert!(matches!(error, Reason::InvalidPattern(_)), "{pattern}: {error:?}");
    }
}

#[test]
fn slow_patterns_are_rejected_but_long_name_lists_are_not() {
    assert!(Pattern::new("(?:.{0,50}){50}".to_owned()).is_err());
    let names = vec!["engine-7d9f8c6b5-x2x4z"; 50].join("|");
    assert!(Pattern::new(names).is_ok());
}

#[test]
fn prefix_is_what_every_match_starts_with() {
    for (pattern, prefix) in [
        ("active", "active"),
        ("active_.+", "active_"),
        ("active_(a|b)", "active_"),
        ("active_(a|b)|c", ""),
        ("active_(a|b)?", ""),
        ("active_[|]", ""),
        ("active|idle", ""),
        ("ab*", "a"),
        ("ab?", "a"),
        ("ab+", "ab"),
        ("ab{0}", "a"),
        ("a*", ""),
        ("(?i)a", ""),
        ("^a", ""),
        (".+", ""),
        ("", ""),
    ] {
        assert_eq!(Pattern::new(pattern.to_owned()).unwrap().prefix, prefix, "{pattern}");
    }
}
