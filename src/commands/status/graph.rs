//! Numbers over time, and shares, as block characters.

/// From an eighth of a line to the whole of it.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// What is not known. It must not look like zero, which is the lowest block.
const GAP: char = ' ';

/// The values as columns, from left to right, `rows` lines high; `peak` is the value that fills them.
#[must_use]
pub fn columns(values: &[Option<u64>], rows: usize, peak: u64) -> Vec<String> {
    let line = |row: usize| {
        let column = |value: &Option<u64>| value.map_or(GAP, |value| block(eighths(value, rows, peak), row));
        values.iter().map(column).collect()
    };
    (0..rows).rev().map(line).collect()
}

/// How high a column is: one eighth for zero, all for the peak, and never rounded down to zero's.
fn eighths(value: u64, rows: usize, peak: u64) -> usize {
    let most = 8 * rows;
    let above_zero = (u128::from(value) * (most as u128 - 1)).div_ceil(u128::from(peak.max(1)));
    usize::try_from(above_zero).map_or(most, |above_zero| (1 + above_zero).min(most))
}

/// What a column of this height shows in a line, counted from the lowest.
fn block(eighths: usize, row: usize) -> char {
    let here = eighths.saturating_sub(8 * row).min(8);
    here.checked_sub(1).map_or(GAP, |at| BLOCKS[at])
}

/// A bar that is filled to this share of it, from 0 to 1; full only when the whole is there.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "it is a picture"
)]
pub fn bar(share: f64, width: usize) -> String {
    let full = ((share.clamp(0.0, 1.0) * width as f64) as usize).min(width);
    "█".repeat(full) + &"░".repeat(width - full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_the_lowest_block_and_unknown_a_gap() {
        assert_eq!(columns(&[Some(0), None, Some(7), Some(1), Some(3)], 1, 7), ["▁ █▂▄"]);
    }

    #[test]
    fn a_peak_of_zero_fills_nothing() {
        assert_eq!(columns(&[Some(0), Some(0)], 1, 0), ["▁▁"]);
    }

    #[test]
    fn one_of_very_many_does_not_look_like_zero() {
        assert_eq!(columns(&[Some(1), Some(u64::MAX)], 1, u64::MAX), ["▂█"]);
        assert_eq!(columns(&[Some(9)], 1, 3), ["█"], "more than the peak is the peak");
    }

    #[test]
    fn two_lines_tell_sixteen_heights_apart() {
        assert_eq!(columns(&[Some(0), Some(7), Some(8), Some(15), None], 2, 15), ["  ▁█ ", "▁███ "]);
    }

    #[test]
    fn a_bar_is_full_only_at_its_end() {
        assert_eq!(bar(0.0, 4), "░░░░");
        assert_eq!(bar(0.99, 4), "███░");
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(7.0, 2), "██");
        assert_eq!(bar(f64::NAN, 2), "░░");
        assert_eq!(bar(0.5, 0), "");
    }
}
