//! A bar of characters.

/// A bar that is so wide at the largest value, to the nearest half of a column, and of at least one half for what is not
/// nothing.
pub(in crate::output) fn bar(value: f64, largest: f64, width: usize) -> String {
    if value <= 0.0 || largest <= 0.0 {
        return String::new();
    }
    let is_reached = |n_halves: &usize| part(2 * n_halves - 1, 4 * width) <= value / largest;
    let n_halves = (1..=2 * width).take_while(is_reached).count().max(1);
    format!("{}{}", "━".repeat(n_halves / 2), if n_halves.is_multiple_of(2) { "" } else { "╸" })
}

/// The part that is `n` of so many.
fn part(n: usize, of: usize) -> f64 {
    let number = |n: usize| u32::try_from(n).map_or(0.0, f64::from);
    number(n) / number(of).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_ends_at_the_nearest_half_and_what_is_not_nothing_is_seen() {
        assert_eq!(
            [0.0, 0.001, 18.7, 18.8, 50.0, 100.0, 107.0].map(|value| bar(value, 100.0, 4)),
            ["", "╸", "╸", "━", "━━", "━━━━", "━━━━"]
        );
    }
}
