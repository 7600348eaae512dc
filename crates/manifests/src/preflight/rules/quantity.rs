//! Quantities of resources (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>).

/// The exponent of 10 of the unit in which values are compared.
const UNIT: i32 = -9;

/// The decimal and binary suffixes, with the exponents of 10 and of 2.
const SUFFIXES: [(&str, i32, u32); 16] = [
    ("Ki", 0, 10),
    ("Mi", 0, 20),
    ("Gi", 0, 30),
    ("Ti", 0, 40),
    ("Pi", 0, 50),
    ("Ei", 0, 60),
    ("n", -9, 0),
    ("u", -6, 0),
    ("m", -3, 0),
    ("k", 3, 0),
    ("M", 6, 0),
    ("G", 9, 0),
    ("T", 12, 0),
    ("P", 15, 0),
    ("E", 18, 0),
    ("", 0, 0),
];

/// Returns a quantity in billionths; `None` if it is invalid, finer than that, or too large.
pub(super) fn parse(text: &str) -> Option<i128> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || fraction.contains('.') {
        return None;
    }
    let (ten, two) = exponents(suffix)?;
    let shift = ten - i32::try_from(fraction.len()).ok()? - UNIT;
    let value = digits.parse::<i128>().ok()?.checked_mul(1_i128.checked_shl(two)?)?;
    let factor = 10_i128.checked_pow(shift.unsigned_abs())?;
    if shift >= 0 { value.checked_mul(factor) } else { (value % factor == 0).then_some(value / factor) }
}

/// The exponents of 10 and of 2 that a suffix means.
fn exponents(suffix: &str) -> Option<(i32, u32)> {
    let known = SUFFIXES.iter().find(|(name, ..)| *name == suffix).map(|(_, ten, two)| (*ten, *two));
    known.or_else(|| Some((suffix.strip_prefix(['e', 'E'])?.parse().ok().filter(|ten| (-30..=30).contains(ten))?, 0)))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn equal_quantities_may_be_written_differently() {
        for (one, other) in
            [("1", "1000m"), ("0.5", "500m"), ("1Gi", "1024Mi"), ("1e3", "1k"), ("50m", "0.050"), ("1.5Gi", "1536Mi")]
        {
            assert!(parse(one).is_some(), "{one}");
            assert_eq!(parse(one), parse(other), "{one} {other}");
        }
        assert_ne!(parse("1G"), parse("1Gi"));
        assert_ne!(parse("1M"), parse("1m"));
    }

    #[test]
    fn invalid_quantities_are_none() {
        for text in ["", "m", "1.2.3", "1KB", "-1", "1e99", "9999999999999999999999999999999999999999", "1ee", "ü"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
