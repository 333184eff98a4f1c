//! Exact sums as the numbers of a report.

use crate::tariff::{Money, PricePerKwh};

/// Milliseconds of a quarter-hour.
pub(super) const QUARTER_MS: u32 = 900_000;

/// Milliseconds of an hour.
const HOUR_MS: f64 = 3_600_000.0;

/// Millijoules of a watt-hour.
pub(super) const MJ_PER_WH: i64 = 3_600_000;

/// Millijoules of a kilowatt-hour.
const MJ_PER_KWH: f64 = 3_600_000_000.0;

/// Millijoules of a kilowatt over a quarter-hour.
const MJ_PER_QUARTER_KW: f64 = 900_000_000.0;

/// Millijoules as kilowatt-hours.
#[allow(clippy::cast_precision_loss, reason = "2^53 mJ are 2.5 GWh")]
pub(super) fn kwh(millijoules: i64) -> f64 {
    to_kwh(millijoules as f64)
}

/// Millijoules of an estimate as kilowatt-hours.
pub(super) fn to_kwh(millijoules: f64) -> f64 {
    millijoules / MJ_PER_KWH
}

/// The energy of a quarter in millijoules as its mean power in kilowatts.
#[allow(clippy::cast_precision_loss, reason = "2^53 mJ are 2.5 GWh")]
pub(super) fn quarter_kw(millijoules: i64) -> f64 {
    millijoules as f64 / MJ_PER_QUARTER_KW
}

/// Milliseconds as hours.
#[allow(clippy::cast_precision_loss, reason = "2^53 ms are 285,000 years")]
pub(super) fn hours(milliseconds: i64) -> f64 {
    milliseconds as f64 / HOUR_MS
}

/// Energy over time as watts.
#[allow(clippy::cast_precision_loss, reason = "2^53 mJ are 2.5 GWh")]
pub(super) fn mean_w(millijoules: i64, milliseconds: i64) -> Option<f64> {
    (milliseconds > 0).then(|| millijoules as f64 / milliseconds as f64)
}

/// The measured share of a time; `None` of no time.
#[allow(clippy::cast_precision_loss, reason = "2^53 ms are 285,000 years")]
pub(super) fn measured_share(covered_ms: i64, missing_ms: i64) -> Option<f64> {
    let expected = covered_ms + missing_ms;
    (expected > 0).then(|| covered_ms as f64 / expected as f64)
}

/// An amount of money in units of its currency.
#[allow(clippy::cast_precision_loss, reason = "2^53 millionths are nine thousand millions")]
pub(super) fn amount(money: Money) -> f64 {
    money.micros() as f64 / 1_000_000.0
}

/// A price in units of its currency per kilowatt-hour.
#[allow(clippy::cast_precision_loss, reason = "a price has few digits")]
pub(super) fn price(price: PricePerKwh) -> f64 {
    price.micros() as f64 / 1_000_000.0
}

/// A number with two significant digits.
pub(super) fn two_digits(number: f64) -> f64 {
    if !number.is_normal() {
        return 0.0;
    }
    // By the power of ten that leaves two digits; a division keeps 0.3 from being 0.30000000000000004.
    let digits = number.abs().log10().floor() - 1.0;
    if digits < 0.0 {
        let unit = 10_f64.powf(-digits);
        (number * unit).round() / unit
    } else {
        let unit = 10_f64.powf(digits);
        (number / unit).round() * unit
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "what is printed is compared")]
mod tests {
    use super::*;

    #[test]
    fn an_uncertainty_has_two_digits() {
        let rounded = [1_719.9, 284.7, 9.04, 0.304, 0.000_125, 99.6, 0.0].map(two_digits);
        assert_eq!(rounded, [1_700.0, 280.0, 9.0, 0.3, 0.000_13, 100.0, 0.0]);
    }

    #[test]
    fn energies_and_times_are_those_of_their_units() {
        assert_eq!(kwh(3_600_000_000), 1.0);
        // 0.25 kWh in a quarter of an hour are a kilowatt.
        assert_eq!(quarter_kw(900_000_000), 1.0);
        assert_eq!(hours(900_000), 0.25);
        // 1,000 mJ in 1,000 ms are a watt.
        assert_eq!((mean_w(1_000, 1_000), mean_w(5, 0)), (Some(1.0), None));
        assert_eq!(amount(Money::from_micros(12_500_000)), 12.5);
    }
}
