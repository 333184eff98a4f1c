//! Decimal numbers as TOML, CSV, JSON and XML have them, read without a float in between.

use super::money::PLACES;
use crate::support::decimal;

/// A larger exponent is no price.
const MAX_EXPONENT: i32 = 30;

/// A number of an inventory in millionths: plain, with at most six decimals.
pub(super) fn exact_micros(text: &str) -> Option<i64> {
    decimal::scaled_exactly(&plain(text), PLACES)
}

/// A number as TOML may write it, without its underscores and its plus sign.
pub(super) fn plain(text: &str) -> String {
    text.strip_prefix('+').unwrap_or(text).replace('_', "")
}

/// A number of a file in millionths of a unit `10^shift` times as large, such as -2 for a price in cents. It may have an
/// exponent, as programs print floats; a finer one is rounded, half away from zero.
pub(super) fn micros(text: &str, shift: i32) -> Option<i64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    if !(-MAX_EXPONENT..=MAX_EXPONENT).contains(&exponent) {
        return None;
    }
    let places = i32::try_from(PLACES).ok()?.checked_add(shift)?.checked_add(exponent)?;
    match usize::try_from(places) {
        Ok(places) => decimal::scaled(mantissa, places),
        Err(_) => decimal::scaled(&divided(mantissa, usize::try_from(places.unsigned_abs()).ok()?)?, 0),
    }
}

/// A plain number with its point moved to the left.
fn divided(number: &str, places: usize) -> Option<String> {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    if !decimal::is_digits(whole) || !decimal::is_digits(fraction) {
        return None;
    }
    let width = places.checked_add(1)?;
    let padded = format!("{whole:0>width$}");
    let (head, tail) = padded.split_at_checked(padded.len().checked_sub(places)?)?;
    Some(format!("{sign}{head}.{tail}{fraction}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_price_of_a_file_may_have_an_exponent_and_another_unit() {
        for (text, shift, wanted) in [
            ("0.14", 0, Some(140_000)),
            ("-0.0000005", 0, Some(-1)),
            ("18.291", -2, Some(182_910)),
            ("45.67", -3, Some(45_670)),
            ("5e-05", 0, Some(50)),
            ("1.5E+2", -2, Some(1_500_000)),
            ("123456789", -9, Some(123_457)),
            ("-4.5e-7", 0, Some(0)),
            ("5e-7", 0, Some(1)),
            ("1e31", 0, None),
            ("1e", 0, None),
            ("0,14", 0, None),
            ("NaN", 0, None),
            ("", 0, None),
        ] {
            assert_eq!(micros(text, shift), wanted, "{text}");
        }
    }

    #[test]
    fn a_price_of_an_inventory_is_exact() {
        assert_eq!(exact_micros("+1_000.123456"), Some(1_000_123_456));
        assert_eq!([exact_micros("0.1234567"), exact_micros("1e-3"), exact_micros("inf")], [None; 3]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9.]{0,30}(e-?[0-9]{0,3})?", shift in -9..9) {
            prop_assert!(micros(&text, shift).is_none_or(|number| number >= 0));
            let negated = format!("-{text}");
            prop_assert!(micros(&negated, shift).is_none_or(|number| number <= 0));
        }

        #[test]
        fn a_moved_point_is_a_division(number in 0..1_000_000_000_u32, places in 1..12_u32) {
            let rounded = (u64::from(number) * 2 + 10_u64.pow(places)) / (2 * 10_u64.pow(places));
            let moved = micros(&format!("{number}e-{places}"), -6);
            prop_assert_eq!(moved, i64::try_from(rounded).ok());
        }
    }
}
