//! The values of an inventory's keys, each from its text: numbers as they are written, strings without their quotes.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::battery::BatteryRule;
use super::carbon::CarbonIntensity;
use super::invalid::Invalid;
use super::money::{Money, PriceFactor, PricePerKwh};
use super::number;
use super::site::Pue;

/// No energy is as dear, and no currency as cheap: a million units for a kilowatt-hour.
const MAX_PRICE_MICROS: i64 = 1_000_000_000_000;

/// No contract has such a charge: a billion units.
const MAX_CHARGE_MICROS: i64 = 1_000_000_000_000_000;

/// No tax or unit is as large.
const MAX_FACTOR_BILLIONTHS: i64 = 10_000 * 1_000_000_000;

/// Grams for each kilowatt-hour; the dirtiest fuel has some thousand.
const MAX_GRAMS_MICROS: i64 = 100_000 * 1_000_000;

/// A worse cooling is a typing error.
const MAX_PUE_MICROS: i64 = 10_000_000;

/// The longest name of a tariff or band, in characters.
pub(super) const MAX_NAME_CHARS: usize = 100;

const PLAIN: &str = "write a plain decimal number with at most six decimals, as 0.14";

/// A name: of a tariff, of a band.
///
/// # Errors
/// No text, control characters, or more than 100 characters.
pub fn name(text: &str) -> Result<String, Invalid> {
    let hint = "write a short name, as \"home\" or \"peak\"";
    if text.trim().is_empty() {
        return Err(Invalid::key("is empty", "empty", hint));
    }
    if text.chars().any(char::is_control) || text.chars().count() > MAX_NAME_CHARS {
        return Err(Invalid::value(text, "not a name in one short line", hint));
    }
    Ok(text.to_owned())
}

/// Files, as a shell pattern.
///
/// # Errors
/// No text, or control characters.
pub fn file(text: &str) -> Result<String, Invalid> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Invalid::value(text, "not a path", "write the path of the files, as \"prices/*.csv\""));
    }
    Ok(text.to_owned())
}

/// A time zone by its IANA name, out of the database that is built in.
///
/// # Errors
/// A name that is not in it.
pub fn timezone(text: &str) -> Result<TimeZone, Invalid> {
    TimeZone::get(text).map_err(|_| {
        let hint = city(text).map_or_else(
            || "write its IANA name, as \"Europe/Berlin\" or \"America/Chicago\", or \"UTC\"".to_owned(),
            |name| format!("write its IANA name, most likely as \"{name}\""),
        );
        Invalid::value(text, "not a time zone", hint)
    })
}

/// The zone that has a city in its name.
fn city(text: &str) -> Option<String> {
    let wanted = text.trim().replace(' ', "_");
    let is_it =
        |name: &str| name.rsplit_once('/').is_some_and(|(_, city)| city.eq_ignore_ascii_case(&wanted));
    jiff::tz::db().available().map(|name| name.as_str().to_owned()).find(|name| is_it(name))
}

/// A local day.
///
/// # Errors
/// Anything but a date.
pub fn date(text: &str) -> Result<Date, Invalid> {
    // A time beside it would be ignored.
    let is_date = text.len() == 10;
    text.parse()
        .ok()
        .filter(|_| is_date)
        .ok_or_else(|| Invalid::value(text, "not a day", "write year, month and day, as \"2026-01-31\""))
}

/// A price for a kilowatt-hour, which may be negative.
///
/// # Errors
/// Anything but a number with at most six decimals, and what no kilowatt-hour costs.
pub fn per_kwh(text: &str) -> Result<PricePerKwh, Invalid> {
    bounded(text, -MAX_PRICE_MICROS, MAX_PRICE_MICROS, "as 0.14").map(PricePerKwh::from_micros)
}

/// A charge in units of the currency: for a month, for a kilowatt.
///
/// # Errors
/// Anything but a number with at most six decimals, and one below zero.
pub fn charge(text: &str) -> Result<Money, Invalid> {
    bounded(text, 0, MAX_CHARGE_MICROS, "as 12.50").map(|micros| Money::from_micros(micros.into()))
}

/// A factor, with at most nine decimals.
///
/// # Errors
/// Anything else, zero, and what is negative.
pub fn factor(text: &str) -> Result<PriceFactor, Invalid> {
    let factor = PriceFactor::from_text(&number::plain(text));
    factor.filter(|factor| (1..=MAX_FACTOR_BILLIONTHS).contains(&factor.billionths())).ok_or_else(|| {
        let hint = "write a number above 0 with at most nine decimals, as 1.19 for a tax of 19 %";
        Invalid::value(text, "not a factor", hint)
    })
}

/// Carbon dioxide for a kilowatt-hour, in grams.
///
/// # Errors
/// Anything but a number with at most six decimals, and one below zero.
pub fn grams_per_kwh(text: &str) -> Result<CarbonIntensity, Invalid> {
    bounded(text, 0, MAX_GRAMS_MICROS, "as 380").map(CarbonIntensity::from_micrograms)
}

/// The power usage effectiveness of a site.
///
/// # Errors
/// Anything but a number from 1 to 10 with at most six decimals.
pub fn pue(text: &str) -> Result<Pue, Invalid> {
    bounded(text, 1_000_000, MAX_PUE_MICROS, "as 1.35; 1.0 counts the GPUs alone").map(Pue::from_millionths)
}

/// The rule by which energy from a battery is priced.
///
/// # Errors
/// An unknown one.
pub fn battery(text: &str) -> Result<BatteryRule, Invalid> {
    let rules = [BatteryRule::Charged, BatteryRule::Opportunity, BatteryRule::Zero];
    rules.into_iter().find(|rule| rule.name() == text).ok_or_else(|| {
        let hint = "use \"charged\" (the sun at the grid's price when it charged), \"opportunity\" (at the price of \
                    export then) or \"zero\"";
        Invalid::value(text, "not a rule", hint)
    })
}

fn bounded(text: &str, least: i64, most: i64, example: &str) -> Result<i64, Invalid> {
    let micros = number::exact_micros(text).ok_or_else(|| {
        let is_number = number::micros(&number::plain(text), 0).is_some();
        let fault =
            if is_number && text.contains('.') { "more than six decimals" } else { "not a plain number" };
        Invalid::value(text, fault, PLAIN)
    })?;
    if (least..=most).contains(&micros) {
        return Ok(micros);
    }
    let fault = if micros < least { "too low" } else { "too high" };
    let whole = |micros: i64| micros / 1_000_000;
    Err(Invalid::value(
        text,
        fault,
        format!("write a number from {} to {}, {example}", whole(least), whole(most)),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_refusal_names_the_value_and_an_example() {
        let faults = [
            timezone("Berlin").unwrap_err(),
            date("2026-02-30").unwrap_err(),
            date("2026-01-01T00:00").unwrap_err(),
            per_kwh("14ct").unwrap_err(),
            per_kwh("0.1234567").unwrap_err(),
            per_kwh("1000001").unwrap_err(),
            charge("-1").unwrap_err(),
            factor("0").unwrap_err(),
            pue("0.9").unwrap_err(),
            battery("sun").unwrap_err(),
            name(" ").unwrap_err(),
            file("").unwrap_err(),
            grams_per_kwh("-1").unwrap_err(),
        ];
        let told: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
        let wanted = [
            "is \"Berlin\": not a time zone",
            "is \"2026-02-30\": not a day",
            "is \"2026-01-01T00:00\": not a day",
            "is \"14ct\": not a plain number",
            "is \"0.1234567\": more than six decimals",
            "is \"1000001\": too high",
            "is \"-1\": too low",
            "is \"0\": not a factor",
            "is \"0.9\": too low",
            "is \"sun\": not a rule",
            "is empty",
            "is \"\": not a path",
            "is \"-1\": too low",
        ];
        assert_eq!(told, wanted);
        assert!(faults.first().unwrap().hint.ends_with("\"Europe/Berlin\""));
        assert!(faults.iter().all(|fault| fault.hint.contains(" as ") || fault.hint.contains("charged")));
    }

    #[test]
    fn values_are_exact() {
        assert_eq!(per_kwh("-0.000001"), Ok(PricePerKwh::from_micros(-1)));
        assert_eq!(per_kwh("1_0.5"), Ok(PricePerKwh::from_micros(10_500_000)));
        assert_eq!(charge("12.50"), Ok(Money::from_micros(12_500_000)));
        assert_eq!(timezone("Asia/Kathmandu").unwrap().iana_name(), Some("Asia/Kathmandu"));
        assert_eq!(battery("opportunity"), Ok(BatteryRule::Opportunity));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_key_panic(text in "[-+_0-9.e]{0,24}|\\PC{0,12}") {
            let parsed = [name(&text).is_ok(), file(&text).is_ok(), timezone(&text).is_ok(), date(&text).is_ok()];
            let numbers = [per_kwh(&text).is_ok(), charge(&text).is_ok(), pue(&text).is_ok(), factor(&text).is_ok()];
            prop_assert!(!numbers[2] || numbers[0], "{parsed:?}");
        }
    }
}
