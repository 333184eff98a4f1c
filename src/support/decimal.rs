//! Decimal numbers as programs print them, read without a float in between.

/// A plain decimal number times ten to the `places`; what is finer is rounded, half away from zero.
///
/// `None` for anything else: an exponent, a plus sign, `inf`, `NaN`, a missing digit on either side of the
/// point, and what does not fit.
///
/// ```
/// use fleetwatt::support::decimal::scaled;
///
/// assert_eq!(scaled("285.51", 3), Some(285_510));
/// assert_eq!(scaled("1e3", 3), None);
/// ```
pub fn scaled(text: &str, places: usize) -> Option<i64> {
    parse(text, places).map(|(value, _)| value)
}

/// The same for a number that must not be finer than `places`.
pub fn scaled_exactly(text: &str, places: usize) -> Option<i64> {
    parse(text, places).filter(|(_, is_exact)| *is_exact).map(|(value, _)| value)
}

/// Whether a text is ASCII digits, at least one.
pub fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse(text: &str, places: usize) -> Option<(i64, bool)> {
    let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let mut decimals = fraction.bytes().map(|byte| i64::from(byte - b'0'));
    let mut value: i64 = whole.parse().ok()?;
    for _ in 0..places {
        value = value.checked_mul(10)?.checked_add(decimals.next().unwrap_or(0))?;
    }
    let finer = decimals.next().unwrap_or(0);
    value = value.checked_add(i64::from(finer >= 5))?;
    let is_exact = finer == 0 && decimals.all(|decimal| decimal == 0);
    Some((if is_negative { -value } else { value }, is_exact))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_finer_is_rounded_half_away_from_zero_or_refused() {
        assert_eq!(
            ["0.0004", "0.0005", "-0.0005", "12.9999"].map(|text| scaled(text, 3)),
            [Some(0), Some(1), Some(-1), Some(13_000)]
        );
        assert_eq!(scaled_exactly("0.0005", 3), None);
        assert_eq!(scaled_exactly("12.5000", 3), Some(12_500));
    }

    #[test]
    fn what_is_no_plain_decimal_number_or_does_not_fit_is_refused() {
        for text in
            ["", "1e5", "+1", "-", "inf", "NaN", "1,5", ".5", "5.", "1.2.3", "١", "9223372036854775807"]
        {
            assert_eq!(scaled(text, 3), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_number_survives_printing_and_reading(number in -999_999_999_i64..999_999_999) {
            let sign = if number < 0 { "-" } else { "" };
            let printed = format!("{sign}{}.{:03}", number.abs() / 1000, number.abs() % 1000);
            prop_assert_eq!(scaled(&printed, 3), Some(number));
        }

        #[test]
        fn no_text_makes_it_panic(text in "-?[0-9.]{0,30}", places in 0..12_usize) {
            let exact = scaled_exactly(&text, places);
            prop_assert!(exact.is_none() || exact == scaled(&text, places));
        }
    }
}
