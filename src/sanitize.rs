//! Makes text from elsewhere safe to print: names of processes and series, and answers of a server.

/// Replaces every character that a terminal obeys or that hides or reorders text, by U+FFFD.
///
/// These are control characters, line and paragraph separators, bidirectional controls and other invisible format
/// characters (Unicode Technical Report #36, "Unicode Security Considerations").
#[must_use]
pub fn sanitize(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_invisible(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        // Soft hyphen and combining grapheme joiner.
        '\u{ad}' | '\u{34f}'
        // Arabic letter mark, a bidirectional control.
        | '\u{61c}'
        // Hangul fillers, which look like blanks.
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
        // Mongolian variation selectors and vowel separator.
        | '\u{180b}'..='\u{180f}'
        // Zero-width characters and direction marks.
        | '\u{200b}'..='\u{200f}'
        // Separators, and embeddings and overrides of the direction.
        | '\u{2028}'..='\u{202e}'
        // Word joiner, invisible operators, isolates of the direction, deprecated format characters.
        | '\u{2060}'..='\u{206f}'
        // Byte order mark and annotation controls.
        | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
        // Format controls of shorthand and of musical notation.
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        // Tags, which can carry whole sentences unseen, and further variation selectors.
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(
            sanitize("a\u{1b}[2Jb\r\nc\u{7f}d\u{9b}e\0"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}"
        );
    }

    #[test]
    fn bidirectional_controls_are_replaced() {
        for c in ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}').chain(['\u{200e}', '\u{200f}', '\u{61c}']) {
            assert_eq!(sanitize(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
    }

    #[test]
    fn invisible_characters_are_replaced() {
        for c in ['\u{ad}', '\u{200b}', '\u{200d}', '\u{2028}', '\u{2060}', '\u{3164}', '\u{feff}', '\u{e0041}'] {
            assert_eq!(sanitize(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
    }

    #[test]
    fn visible_text_is_kept() {
        for text in ["impeller (17)", "größer – 90 %", "流れ", "שלום مرحبا", "a\u{fffd}b", "…✓✗"] {
            assert_eq!(sanitize(text), text);
        }
    }
}
