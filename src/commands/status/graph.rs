//! Graphs and bars of block characters.

/// From an eighth of a line to a full line.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// An unknown value. It must not look like zero, which is the lowest block.
const UNKNOWN_CELL: char = ' ';

/// Draws the values as columns from left to right, `rows` lines high. The value `peak` has the full height.
#[must_use]
pub fn columns(values: &[Option<u64>], rows: usize, peak: u64) -> Vec<String> {
    let line = |row: usize| {
        let column = |value: &Option<u64>| value.map_or(UNKNOWN_CELL, |value| block(eighths(value, rows, peak), row));
        values.iter().map(column).collect()
    };
    (0..rows).rev().map(line).collect()
}

/// The height of a column in eighths of a line: one for zero, all for the peak, and at least two above zero.
fn eighths(value: u64, rows: usize, peak: u64) -> usize {
    let max = 8 * rows;
    let above_zero = (u128::from(value) * (max as u128 - 1)).div_ceil(u128::from(peak.max(1)));
    usize::try_from(above_zero).map_or(max, |above_zero| (1 + above_zero).min(max))
}

/// The cell of a column of this height in one line, counted from the bottom.
fn block(eighths: usize, row: usize) -> char {
    let here = eighths.saturating_sub(8 * row).min(8);
    here.checked_sub(1).map_or(UNKNOWN_CELL, |index| BLOCKS[index])
}

/// Draws a bar that is filled to a share from 0 to 1. It is full only at 1.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "precise enough to draw"
)]
pub fn bar(share: f64, width: usize) -> String {
    let full = ((share.clamp(0.0, 1.0) * width as f64) as usize).min(width);
    "█".repeat(full) + &"░".repeat(width - full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_is_blank_and_zero_is_lowest_block() {
        assert_eq!(columns(&[Some(0), None, Some(7), Some(1), Some(3)], 1, 7), ["▁ █▂▄"]);
    }

    #[test]
    fn zero_peak_draws_lowest_blocks() {
        assert_eq!(columns(&[Some(0), Some(0)], 1, 0), ["▁▁"]);
    }

    #[test]
    fn small_value_does_not_look_like_zero() {
        assert_eq!(columns(&[Some(1), Some(u64::MAX)], 1, u64::MAX), ["▂█"]);
        assert_eq!(columns(&[Some(9)], 1, 3), ["█"], "capped at the peak");
    }

    #[test]
    fn two_lines_show_sixteen_heights() {
        assert_eq!(columns(&[Some(0), Some(7), Some(8), Some(15), None], 2, 15), ["  ▁█ ", "▁███ "]);
    }

    #[test]
    fn bar_is_full_only_at_one() {
        assert_eq!(bar(0.0, 4), "░░░░");
        assert_eq!(bar(0.99, 4), "███░");
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(7.0, 2), "██");
        assert_eq!(bar(f64::NAN, 2), "░░");
        assert_eq!(bar(0.5, 0), "");
    }
}
