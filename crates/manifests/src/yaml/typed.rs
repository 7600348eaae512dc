//! The types of plain scalars.

/// Whether a plain scalar is a boolean, null or a number, in YAML 1.1 or 1.2.
#[must_use]
pub fn is_typed(text: &str) -> bool {
    let word = text.to_ascii_lowercase();
    let words = ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", "-.inf", ".nan"];
    let starts_number = text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    let number = word.replace('_', "");
    // YAML 1.1 also reads numbers to the base of 60.
    let is_sexagesimal =
        text.contains(':') && text.bytes().all(|byte| byte.is_ascii_digit() || b":._+-".contains(&byte));
    let is_radix = ["0x", "0o", "0b"].iter().any(|prefix| {
        let digits = number.strip_prefix(prefix).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    words.contains(&word.as_str()) || starts_number && (is_radix || is_sexagesimal || number.parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::is_typed;

    #[test]
    fn numbers_and_booleans_are_no_strings() {
        for text in ["3600", "-1", "1.5", "1e3", "0x1F", "0644", "1_000", "true", "Yes", "null", "~", ".5", "1:30"] {
            assert!(is_typed(text), "{text}");
        }
        for text in ["60s", "30m", "sidecar", "--grace-period=3600", "-v", "1.2.3", "0xg", "nano", "inf", "."] {
            assert!(!is_typed(text), "{text}");
        }
    }
}
