//! Helpers of several rooms.

pub mod backoff;
pub mod decimal;
pub mod error;
pub mod https;
pub mod jitter;
pub mod percent;
pub mod regular_file;
pub mod secret;
mod shape;
pub mod state_file;

use std::time::Duration;

pub(crate) use shape::shape;

/// `1 host`, `2 hosts`.
pub(crate) fn counted(n: impl TryInto<u64>, one: &str, several: &str) -> String {
    let n: u64 = n.try_into().unwrap_or(u64::MAX);
    format!("{} {}", with_thousands(&n.to_string()), if n == 1 { one } else { several })
}

/// A decimal number with commas between the thousands of its whole part.
pub(crate) fn with_thousands(plain: &str) -> String {
    let n_whole = plain.chars().take_while(|c| *c != '.').count();
    let mut grouped = String::new();
    for (place, c) in plain.chars().enumerate() {
        let digits_left = n_whole.saturating_sub(place);
        let after_digit = grouped.ends_with(|last: char| last.is_ascii_digit());
        if digits_left > 0 && digits_left.is_multiple_of(3) && after_digit {
            grouped.push(',');
        }
        grouped.push(c);
    }
    grouped
}

/// The first `n_shown` names, and how many more there are.
pub(crate) fn named(names: &[&str], n_shown: usize) -> String {
    let shown = names.get(..n_shown).unwrap_or(names);
    match names.len() - shown.len() {
        0 => shown.join(", "),
        n_more => format!("{} … and {n_more} more", shown.join(", ")),
    }
}

/// Whole milliseconds, as the machine-readable outputs write them; what is finer is cut off.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A hash that is the same in every build, which that of the standard library is not: FNV-1a with a finish, which
/// lets the last letter of a short text change all of it.
pub(crate) fn stable_hash(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let texts =
            ["8412.5 W", "412.5 W", "1234567.9 W", "-412.5 W", "1235", "-1230.00"].map(with_thousands);
        assert_eq!(texts, ["8,412.5 W", "412.5 W", "1,234,567.9 W", "-412.5 W", "1,235", "-1,230.00"]);
    }

    #[test]
    fn one_is_singular_and_the_others_are_not() {
        let texts = [0_usize, 1, 2, 1_000].map(|n| counted(n, "host", "hosts"));
        assert_eq!(texts, ["0 hosts", "1 host", "2 hosts", "1,000 hosts"]);
    }
}
