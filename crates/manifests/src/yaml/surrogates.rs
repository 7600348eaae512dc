//! JSON writes a character beyond 16 bits as two escapes (surrogates), which the parser rejects. So the parser reads
//! escapes of the same length for characters of private use, and the text of each scalar is corrected afterwards.

use std::borrow::Cow;

/// The first character of private use that takes the place of a high and of a low surrogate.
const HIGH: u32 = 0xe800;
const LOW: u32 = 0xec00;
/// The number of high and of low surrogates.
const COUNT: u32 = 0x400;

/// Replaces surrogate escapes (`\ud800` to `\udfff`) in the parser's input.
pub(super) fn replace(text: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        // Also over a backslash that is escaped.
        let length = rest[at + 1..].chars().next().map_or(0, char::len_utf8);
        let (before, after) = rest.split_at(at + 1 + length);
        replaced.push_str(before);
        let is_replaced = before.ends_with('u') && is_surrogate(after);
        if is_replaced {
            replaced.push('e');
        }
        rest = &after[usize::from(is_replaced)..];
    }
    replaced.push_str(rest);
    replaced
}

/// Corrects the text of a scalar with this source, after [`replace`].
pub(super) fn restore(text: String, source: &str, is_double_quoted: bool) -> String {
    if !source.match_indices("\\u").any(|(at, escape)| is_surrogate(&source[at + escape.len()..])) {
        return text;
    }
    if is_double_quoted { decode(&text) } else { restore_letters(&text, source) }
}

/// Whether the digits of an escape are those of a surrogate.
fn is_surrogate(digits: &str) -> bool {
    matches!(digits.as_bytes(), [b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', ..])
}

/// Joins two surrogates to one character. A single surrogate becomes the replacement character, as in Kubernetes.
fn decode(text: &str) -> String {
    let offset = |letter: char, first| u32::from(letter).checked_sub(first).filter(|offset| *offset < COUNT);
    let mut letters = text.chars().peekable();
    let mut decoded = String::with_capacity(text.len());
    while let Some(letter) = letters.next() {
        let high = offset(letter, HIGH);
        let low = high.and_then(|_| letters.next_if(|next| offset(*next, LOW).is_some()));
        decoded.push(match (high, low.and_then(|low| offset(low, LOW))) {
            (Some(high), Some(low)) => char::from_u32(0x1_0000 + high * COUNT + low).unwrap_or(letter),
            (None, _) if offset(letter, LOW).is_none() => letter,
            (Some(_) | None, _) => char::REPLACEMENT_CHARACTER,
        });
    }
    decoded
}

/// Restores the letters of a text in which a backslash is no escape.
fn restore_letters(text: &str, source: &str) -> String {
    let mut originals = source.split("\\u").skip(1);
    let mut parts = text.split("\\u");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| match originals.next() {
        Some(original) if is_surrogate(original) && part.starts_with('e') => {
            Cow::Owned(format!("{}{}", &original[..1], &part[1..]))
        }
        Some(_) | None => Cow::Borrowed(part),
    });
    rest.fold(first, |text, part| text + "\\u" + &part)
}

#[cfg(test)]
mod tests {
    use super::replace;
    use crate::yaml::{DocumentText, read};

    #[test]
    fn surrogate_escapes_are_replaced_and_others_kept() {
        assert_eq!(replace(r"\ud83d\uDE00 \ud55c \u00fc \"), r"\ue83d\ueE00 \ud55c \u00fc \");
        assert_eq!(replace(r"\\ud83d \\\ud83d é\é"), r"\\ud83d \\\ue83d é\é");
    }

    #[test]
    fn scalars_have_their_original_text() {
        for (source, text) in [
            (r#""\ud83d\ude00 \uD83D\uDE00\ud55c""#, "😀 😀한"),
            (r#""\ud83d x \ude00 \ude00\ud83d""#, "\u{fffd} x \u{fffd} \u{fffd}\u{fffd}"),
            (r#""\\ud83d \\\ud83d\ude00""#, r"\ud83d \😀"),
            (r#""\ue83d\uee00""#, "\u{e83d}\u{ee00}"),
            (r"'\ud83d\uDE00 \ue83d'", r"\ud83d\uDE00 \ue83d"),
            (r"\ud83d\\ud83d\u\ue83d", r"\ud83d\\ud83d\u\ue83d"),
            ("|\n  \\ud83d\n  \\ue83d \\uDe00\n", "\\ud83d\n\\ue83d \\uDe00\n"),
        ] {
            let document = format!("a: {source}");
            let documents = read(&document, &DocumentText { range: 0..document.len(), line: 1 }).unwrap();
            assert_eq!(documents[0].root.entries()[0].value.text(), Some(text), "{source}");
        }
    }
}
