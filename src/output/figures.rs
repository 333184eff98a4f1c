//! Numbers and words of a report, the same in its text and on its page.
//!
//! A number has thousands with commas, a decimal point, U+2212 as its minus sign, and a no-break space before its unit. A
//! share that is neither nothing nor everything is never rounded to it.

mod times;

use std::fmt;

use crate::support::with_thousands;

pub use times::{
    clock, date, day, day_in_words, hours_between, length, month_name, month_of, month_year, period, time,
    time_in, times_in, weekday_day, weekday_name, weekday_time,
};

/// The space before a unit, at which no line breaks.
pub const NBSP: char = '\u{a0}';

/// The minus sign.
const MINUS: char = '\u{2212}';

/// A cell to which its column does not apply.
pub const NOT_APPLICABLE: &str = "–";

/// The reason why a node that gave no reading is in no figure.
pub const SILENT: &str = "no reading at all; how many GPUs are there is not known";

/// The most decimals of a figure that is near nothing.
const MAX_DECIMALS: usize = 6;

/// Hours from which a duration is told in days.
const MIN_HOURS_OF_DAYS: f64 = 48.0;

/// A number with its unit. Shown with a no-break space between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// The number.
    pub number: String,
    /// The unit, such as `kWh`.
    pub unit: &'static str,
}

impl Figure {
    fn new(value: f64, decimals: usize, unit: &'static str) -> Self {
        Self { number: number(value, decimals), unit }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{NBSP}{}", self.number, self.unit)
    }
}

/// A number with so many decimals: `18,694.5`, `−2`. What rounds to zero has no sign.
pub fn number(value: f64, decimals: usize) -> String {
    let digits = with_thousands(&format!("{:.decimals$}", value.abs()));
    let is_negative = value < 0.0 && digits.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    if is_negative { format!("{MINUS}{digits}") } else { digits }
}

/// A count: `50,470`.
pub fn count(n: usize) -> String {
    with_thousands(&n.to_string())
}

/// Whether a value has reached a bound when it is shown with so many decimals: 9.996 is `10.00`.
fn reaches(value: f64, bound: f64, decimals: i32) -> bool {
    value.abs() >= bound - 0.5 * 10_f64.powi(-decimals)
}

/// An energy in kWh without its unit: no decimals from 1,000, one from 10, two below, and two digits of what would be near
/// nothing.
pub fn energy_number(kwh: f64) -> String {
    number(kwh, energy_decimals(kwh))
}

/// The decimals with which an energy in kWh is shown.
pub fn energy_decimals(kwh: f64) -> usize {
    if reaches(kwh, 1000.0, 1) {
        0
    } else if reaches(kwh, 10.0, 2) {
        1
    } else if kwh == 0.0 || reaches(kwh, 0.01, 4) {
        2
    } else {
        decimals_of_two_digits(kwh)
    }
}

/// The decimals with which a value has two significant digits, and at most six.
fn decimals_of_two_digits(value: f64) -> usize {
    let mut decimals = 0;
    let mut scaled = value.abs();
    while scaled > 0.0 && scaled < 9.95 && decimals < MAX_DECIMALS {
        scaled *= 10.0;
        decimals += 1;
    }
    decimals
}

/// An energy: `18,694 kWh`.
pub fn energy(kwh: f64) -> Figure {
    Figure { number: energy_number(kwh), unit: "kWh" }
}

/// An energy in a sentence: in MWh from 1,000 kWh.
pub fn energy_in_words(kwh: f64) -> Figure {
    if reaches(kwh, 1000.0, 1) { Figure::new(kwh / 1000.0, 1, "MWh") } else { energy(kwh) }
}

/// A power: `4 W`, `42.7 kW`, `425 kW`, `1.02 MW`.
pub fn power(watts: f64) -> Figure {
    if reaches(watts, 1e6, -3) {
        Figure::new(watts / 1e6, 2, "MW")
    } else if reaches(watts, 1e5, -2) {
        Figure::new(watts / 1000.0, 0, "kW")
    } else if reaches(watts, 1000.0, 0) {
        Figure::new(watts / 1000.0, 1, "kW")
    } else {
        Figure::new(watts, 0, "W")
    }
}

/// A power in a column, with three digits in kilowatts: `571 W`, `5.24 kW`, `30.4 kW`.
pub fn power_of_three_digits(watts: f64) -> Figure {
    let has_two_decimals = reaches(watts, 1000.0, 0) && !reaches(watts, 1e4, -1);
    if has_two_decimals { Figure::new(watts / 1000.0, 2, "kW") } else { power(watts) }
}

/// An expanded uncertainty (k = 2) with two significant digits and without its sign: `1,700`, `9.0`. It has no more decimals
/// than the value beside it, and `<0.01` is what would be nothing with them.
pub fn uncertainty(value: f64, decimals_of_value: usize) -> String {
    let mut step = 1.0;
    while value.abs() / step >= 99.5 {
        step *= 10.0;
    }
    if step > 1.0 {
        return number((value / step).round() * step, 0);
    }
    let decimals = decimals_of_two_digits(value).min(decimals_of_value);
    let least = 0.1_f64.powi(i32::try_from(decimals).unwrap_or_default());
    if value > 0.0 && value < least / 2.0 {
        return format!("<{}", number(least, decimals));
    }
    number(value, decimals)
}

/// The sign of a currency, or its code and a space.
fn sign(currency: &str) -> String {
    let sign = match currency {
        "USD" => "$",
        "EUR" => "€",
        "GBP" => "£",
        "JPY" => "¥",
        "INR" => "₹",
        "KRW" => "₩",
        "UAH" => "₴",
        "ILS" => "₪",
        code => return format!("{code}{NBSP}"),
    };
    sign.to_owned()
}

/// An amount whose digits are there already.
fn signed(digits: &str, currency: &str) -> String {
    let begins_with = |c: char| digits.strip_prefix(c).map(|rest| (c.to_string(), rest));
    let (before, digits) =
        begins_with(MINUS).or_else(|| begins_with('<')).unwrap_or_else(|| (String::new(), digits));
    format!("{before}{}{digits}", sign(currency))
}

/// Money: `$1,834.50`, `−€0.20`, `CHF 12.00`.
pub fn money(amount: f64, currency: &str) -> String {
    signed(&number(amount, 2), currency)
}

/// The expanded uncertainty of money, with two significant digits down to a hundredth: `$200`, `$9.50`, `<$0.01`.
pub fn money_uncertainty(amount: f64, currency: &str) -> String {
    let digits = uncertainty(amount, 2);
    let has_one_decimal = digits.split_once('.').is_some_and(|(_, fraction)| fraction.len() == 1);
    signed(&if has_one_decimal { digits + "0" } else { digits }, currency)
}

/// The price of a kilowatt-hour: `$0.072/kWh`.
pub fn price(per_kwh: f64, currency: &str) -> String {
    signed(&number(per_kwh, 3), currency) + "/kWh"
}

/// A share, from 0 to 1: `17 %`, `9.1 %`, `<1 %`, `99.2 %`, `>99.9 %`. Only nothing is `0 %`, and only everything `100 %`; a
/// ratio may be above it.
pub fn share(share: f64) -> String {
    let percent = share * 100.0;
    let text = if percent <= 0.0 {
        "0".to_owned()
    } else if percent < 1.0 {
        "<1".to_owned()
    } else if percent >= 100.0 {
        number(percent, 0)
    } else if reaches(percent, 100.0, 1) {
        ">99.9".to_owned()
    } else if percent > 99.0 || !reaches(percent, 10.0, 1) {
        number(percent, 1)
    } else {
        number(percent, 0)
    };
    format!("{text}{NBSP}%")
}

/// A share in a narrow column, without decimals: `17 %`, `9 %`, `<1 %`, `>99 %`.
pub fn whole_share(share: f64) -> String {
    let percent = share * 100.0;
    let text = if percent > 0.0 && percent < 1.0 {
        "<1".to_owned()
    } else if percent < 100.0 && reaches(percent, 100.0, 0) {
        ">99".to_owned()
    } else {
        number(percent, 0)
    };
    format!("{text}{NBSP}%")
}

/// The measured part of a time, from 0 to 1, with one decimal: `99.4 %`, `>99.9 %`, `<0.1 %`.
pub fn measured(share: f64) -> String {
    let percent = share * 100.0;
    let text = if percent > 0.0 && percent < 0.1 {
        "<0.1".to_owned()
    } else if percent < 100.0 && reaches(percent, 100.0, 1) {
        ">99.9".to_owned()
    } else {
        number(percent, 1)
    };
    format!("{text}{NBSP}%")
}

/// Whether so little was measured that a reader is warned: below 99 %.
pub fn is_poorly_measured(share: f64) -> bool {
    share < 0.99
}

/// Carbon dioxide: `140 kg`, `7.0 t`.
pub fn co2(kg: f64) -> Figure {
    if reaches(kg, 1000.0, 0) {
        Figure::new(kg / 1000.0, 1, "t")
    } else if reaches(kg, 10.0, 1) {
        Figure::new(kg, 0, "kg")
    } else {
        Figure::new(kg, 1, "kg")
    }
}

/// Hours without a unit, such as GPU-hours: no decimals from 1,000, one below, `<0.1` of what would be nothing.
pub fn hours(hours: f64) -> String {
    if reaches(hours, 1000.0, 1) {
        number(hours, 0)
    } else if hours > 0.0 && !reaches(hours, 0.1, 1) {
        "<0.1".to_owned()
    } else {
        number(hours, 1)
    }
}

/// A duration: `<1 min`, `15 min`, `1.5 h`, `2.4 days`.
pub fn duration(hours: f64) -> Figure {
    if reaches(hours, MIN_HOURS_OF_DAYS, 1) {
        Figure::new(hours / 24.0, 1, "days")
    } else if reaches(hours * 60.0, 60.0, 0) {
        Figure::new(hours, 1, "h")
    } else if hours * 60.0 < 1.0 {
        Figure { number: "<1".to_owned(), unit: "min" }
    } else {
        Figure::new(hours * 60.0, 0, "min")
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    /// Without no-break spaces, so that the expected texts can be typed.
    fn plain(text: impl fmt::Display) -> String {
        text.to_string().replace(NBSP, " ")
    }

    #[test]
    fn thousands_have_commas_and_only_what_is_not_zero_a_minus_sign() {
        assert_eq!(
            [(0.0, 0), (999.0, 0), (1000.0, 0), (1_234_567.891, 2), (-1234.5, 1), (-0.004, 2)]
                .map(|(value, decimals)| number(value, decimals)),
            ["0", "999", "1,000", "1,234,567.89", "−1,234.5", "0.00"]
        );
        assert_eq!(
            [0, 12, 999, 1000, 50_470, 1_234_567].map(count),
            ["0", "12", "999", "1,000", "50,470", "1,234,567"]
        );
    }

    #[test]
    fn an_energy_has_fewer_decimals_the_larger_it_is_shown() {
        assert_eq!(
            [0.0, 0.0000591, 0.0015, 0.00996, 0.054, 9.994, 9.996, 97.66, 999.94, 999.96, 18_694.49]
                .map(energy)
                .map(plain),
            [
                "0.00 kWh",
                "0.000059 kWh",
                "0.0015 kWh",
                "0.01 kWh",
                "0.05 kWh",
                "9.99 kWh",
                "10.0 kWh",
                "97.7 kWh",
                "999.9 kWh",
                "1,000 kWh",
                "18,694 kWh"
            ]
        );
        assert_eq!(
            [999.9, 18_694.5, 247_336.0].map(energy_in_words).map(plain),
            ["999.9 kWh", "18.7 MWh", "247.3 MWh"]
        );
    }

    #[test]
    fn a_power_is_in_the_unit_in_which_it_is_short() {
        assert_eq!(
            [0.0, 42.6, 999.4, 999.6, 4_391.0, 99_940.0, 99_960.0, 425_300.0, 999_600.0, 1_023_000.0]
                .map(power)
                .map(plain),
            ["0 W", "43 W", "999 W", "1.0 kW", "4.4 kW", "99.9 kW", "100 kW", "425 kW", "1.00 MW", "1.02 MW"]
        );
    }

    #[test]
    fn a_power_in_a_column_has_three_digits_in_kilowatts() {
        assert_eq!(
            [14.2, 570.6, 999.6, 5_237.0, 9_994.0, 9_996.0, 30_412.0, 425_300.0, 1_023_000.0]
                .map(power_of_three_digits)
                .map(plain),
            ["14 W", "571 W", "1.00 kW", "5.24 kW", "9.99 kW", "10.0 kW", "30.4 kW", "425 kW", "1.02 MW"]
        );
    }

    #[test]
    fn an_uncertainty_has_two_significant_digits() {
        assert_eq!(
            [1700.0, 1749.0, 290.0, 99.4, 99.6, 38.0, 9.96, 9.0, 0.25, 0.012, 0.0]
                .map(|value| uncertainty(value, 6)),
            ["1,700", "1,700", "290", "99", "100", "38", "10", "9.0", "0.25", "0.012", "0"]
        );
    }

    #[test]
    fn an_uncertainty_has_no_more_decimals_than_its_value() {
        assert_eq!(
            [(0.25, 2), (0.25, 1), (0.046, 2), (0.006, 2), (0.000_059, 2), (0.4, 0), (0.0, 2)]
                .map(|(value, decimals)| uncertainty(value, decimals)),
            ["0.25", "0.2", "0.05", "0.01", "<0.01", "<1", "0"]
        );
    }

    #[test]
    fn money_has_the_sign_of_its_currency_or_its_code() {
        assert_eq!(money(2225.434, "USD"), "$2,225.43");
        assert_eq!(money(-0.2, "EUR"), "−€0.20");
        assert_eq!(money(-0.001, "EUR"), "€0.00");
        assert_eq!(plain(money(12.0, "CHF")), "CHF 12.00");
        assert_eq!(money_uncertainty(200.0, "USD"), "$200");
        assert_eq!(money_uncertainty(9.5, "USD"), "$9.50");
        assert_eq!(money_uncertainty(0.012, "USD"), "$0.01");
        assert_eq!(money_uncertainty(0.0039, "EUR"), "<€0.01");
        assert_eq!(price(0.0717, "USD"), "$0.072/kWh");
    }

    #[test]
    fn a_share_is_never_rounded_to_nothing_or_everything() {
        assert_eq!(
            [0.0, 0.0004, 0.0099, 0.01, 0.0914, 0.0999, 0.172, 0.99, 0.9912, 0.9994, 0.9999, 1.0, 1.07]
                .map(share)
                .map(plain),
            [
                "0 %", "<1 %", "<1 %", "1.0 %", "9.1 %", "10 %", "17 %", "99 %", "99.1 %", "99.9 %",
                ">99.9 %", "100 %", "107 %"
            ]
        );
        assert_eq!(
            [0.0, 0.0004, 0.0914, 0.172, 0.9999, 1.0].map(whole_share).map(plain),
            ["0 %", "<1 %", "9 %", "17 %", ">99 %", "100 %"]
        );
        assert_eq!(
            [0.0, 0.0004, 0.5, 0.9943, 0.9994, 0.9996, 1.0].map(measured).map(plain),
            ["0.0 %", "<0.1 %", "50.0 %", "99.4 %", "99.9 %", ">99.9 %", "100.0 %"]
        );
    }

    #[test]
    fn carbon_is_in_tonnes_and_a_time_in_days_where_they_are_large() {
        assert_eq!(
            [0.04, 9.96, 139.6, 999.6, 7040.0].map(co2).map(plain),
            ["0.0 kg", "10 kg", "140 kg", "1.0 t", "7.0 t"]
        );
        assert_eq!(
            [0.25, 0.992, 1.0, 1.5, 47.9, 48.0, 58.5].map(duration).map(plain),
            ["15 min", "1.0 h", "1.0 h", "1.5 h", "47.9 h", "2.0 days", "2.4 days"]
        );
        assert_eq!(
            [0.0, 0.01, 13.94, 999.96, 50_470.0].map(hours),
            ["0.0", "<0.1", "13.9", "1,000", "50,470"]
        );
    }

    #[test]
    fn a_short_time_is_in_minutes_and_never_nothing() {
        assert_eq!(
            [0.0, 10.0, 59.0, 61.0, 300.0].map(|seconds| plain(duration(seconds / 3600.0))),
            ["<1 min", "<1 min", "<1 min", "1 min", "5 min"]
        );
    }
}
