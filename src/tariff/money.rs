//! Money and prices: integers in millionths of a currency's unit, and a cost that is exact until it is rounded once.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg};

use super::invalid::Invalid;
use crate::reading::Energy;
use crate::support::decimal;

/// Millionths in a unit.
const MICROS: u128 = 1_000_000;

/// Decimals of a millionth.
pub(super) const PLACES: usize = 6;

/// Millijoules in a kilowatt-hour.
pub(super) const MILLIJOULES_PER_KWH: i128 = 3_600_000_000;

/// A currency by its ISO 4217 code, such as `EUR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// From three capital letters.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let code: Option<[u8; 3]> = text.as_bytes().try_into().ok();
        code.filter(|code| code.iter().all(u8::is_ascii_uppercase)).map(Self).ok_or_else(|| {
            let hint = "write its code of three capital letters, as \"EUR\" or \"USD\"";
            Invalid::value(text, "not the code of a currency", hint)
        })
    }

    /// The code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount of money in millionths of its currency's unit. The currency stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i128);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From millionths.
    pub const fn from_micros(micros: i128) -> Self {
        Self(micros)
    }

    /// In millionths.
    pub const fn micros(self) -> i128 {
        self.0
    }

    /// So many parts of `whole`, rounded to a millionth, half away from zero. Nothing of nothing.
    #[must_use]
    pub fn share(self, parts: i128, whole: i128) -> Self {
        Self(divided(self.0.saturating_mul(parts), whole))
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Neg for Money {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Exact, with two decimals or more: `12.50`, `0.031`. With a precision (`{:.2}`) rounded to it, half away from zero.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match f.precision() {
            Some(places) => f.write_str(&rounded_text(self.0, places.min(PLACES))),
            None => f.write_str(&exact_text(self.0, 2)),
        }
    }
}

/// A price of energy in millionths of a currency's unit per kilowatt-hour; it may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PricePerKwh(i64);

impl PricePerKwh {
    /// From millionths per kilowatt-hour.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// In millionths per kilowatt-hour.
    pub const fn micros(self) -> i64 {
        self.0
    }
}

/// Exact, with as many decimals as it has: `0.14`.
impl fmt::Display for PricePerKwh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match f.precision() {
            Some(places) => f.write_str(&rounded_text(self.0.into(), places.min(PLACES))),
            None => f.write_str(&exact_text(self.0.into(), 1)),
        }
    }
}

/// A factor in billionths, such as 1.19 for a tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PriceFactor(i64);

impl PriceFactor {
    /// Decimals of a billionth.
    const PLACES: usize = 9;
    const ONE_IN_UNITS: i64 = 1_000_000_000;

    /// The factor that changes nothing.
    pub const ONE: Self = Self(Self::ONE_IN_UNITS);

    /// From a plain decimal number with at most nine decimals.
    pub fn from_text(text: &str) -> Option<Self> {
        decimal::scaled_exactly(text, Self::PLACES).map(Self)
    }

    /// In billionths.
    pub const fn billionths(self) -> i64 {
        self.0
    }

    /// So many times a number, rounded once, half away from zero; at most what an `i64` holds.
    pub fn times(self, number: i64) -> i64 {
        let product = divided(i128::from(number) * i128::from(self.0), Self::ONE_IN_UNITS.into());
        i64::try_from(product).unwrap_or(if product < 0 { i64::MIN } else { i64::MAX })
    }
}

/// The exact cost of energy: a sum of millijoules times millionths per kilowatt-hour.
///
/// Nothing is rounded while costs are added, so that any split of the energy costs what the whole does. It is rounded
/// by [`EnergyCost::to_money`] alone, once: the sum of n amounts is off from the amount of the sum by at most n + 1 halves
/// of a millionth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EnergyCost(i128);

impl EnergyCost {
    /// Of nothing.
    pub const ZERO: Self = Self(0);

    /// Of some energy at a price.
    pub fn of(energy: Energy, price: PricePerKwh) -> Self {
        Self(i128::from(energy.millijoules()) * i128::from(price.micros()))
    }

    /// Rounded to a millionth, half away from zero.
    pub fn to_money(self) -> Money {
        Money(divided(self.0, MILLIJOULES_PER_KWH))
    }

    /// The price at which so much energy costs this, rounded to a millionth per kilowatt-hour; `None` for no energy.
    pub fn mean_price(self, energy: Energy) -> Option<PricePerKwh> {
        self.price_over(energy.millijoules().into())
    }

    /// The price at which so many millijoules cost this.
    pub(super) fn price_over(self, millijoules: i128) -> Option<PricePerKwh> {
        (millijoules != 0)
            .then(|| divided(self.0, millijoules))
            .and_then(|micros| micros.try_into().ok())
            .map(PricePerKwh)
    }

    /// So many times this.
    pub(super) fn times(self, factor: i128) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl Add for EnergyCost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for EnergyCost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for EnergyCost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::ZERO, Add::add)
    }
}

/// A quotient rounded half away from zero; zero where the divisor is.
pub(super) fn divided(number: i128, by: i128) -> i128 {
    let (Some(quotient), Some(rest)) = (number.checked_div(by), number.checked_rem(by)) else { return 0 };
    let is_up = rest.unsigned_abs() >= by.unsigned_abs() - rest.unsigned_abs();
    if is_up { quotient.saturating_add(number.signum() * by.signum()) } else { quotient }
}

/// Millionths as a decimal number, without zeros behind its first `least` decimals.
pub(super) fn exact_text(micros: i128, least: usize) -> String {
    let text = rounded_text(micros, PLACES);
    let most = text.len().saturating_sub(PLACES).saturating_add(least);
    let end = text.trim_end_matches('0').len().max(most);
    text.get(..end).unwrap_or(&text).trim_end_matches('.').to_owned()
}

/// Millionths as a decimal number with so many decimals, rounded half away from zero.
fn rounded_text(micros: i128, places: usize) -> String {
    let unit = (places..PLACES).fold(1, |unit, _| unit * 10);
    let rounded = divided(micros, unit).unsigned_abs().saturating_mul(unit.unsigned_abs());
    let sign = if micros < 0 && rounded != 0 { "-" } else { "" };
    let decimals = format!("{:06}", rounded % MICROS);
    match decimals.get(..places) {
        Some(decimals) if places > 0 => format!("{sign}{}.{decimals}", rounded / MICROS),
        _ => format!("{sign}{}", rounded / MICROS),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KWH: Energy = Energy::from_millijoules(3_600_000_000);

    #[test]
    fn a_kilowatt_hour_costs_its_price() {
        assert_eq!(EnergyCost::of(KWH, PricePerKwh(312_345)).to_money(), Money(312_345));
        // 1 mJ at 1.80 is 0.0000005 micro-units times 1000: 1_800_000 / 3.6e9 = 0.0005 micro-units, so 0.
        assert_eq!(EnergyCost::of(Energy::from_millijoules(1), PricePerKwh(1_800_000)).to_money(), Money(0));
        // 1 J at 1.80: 1000 * 1_800_000 / 3.6e9 = 0.5 micro-units, half away from zero.
        assert_eq!(
            EnergyCost::of(Energy::from_millijoules(1_000), PricePerKwh(1_800_000)).to_money(),
            Money(1)
        );
        assert_eq!(
            EnergyCost::of(Energy::from_millijoules(1_000), PricePerKwh(-1_800_000)).to_money(),
            Money(-1)
        );
    }

    #[test]
    fn amounts_print_exactly_or_rounded_half_away_from_zero() {
        let shown = |micros| Money(micros).to_string();
        assert_eq!([12_500_000, 31_000, -1, 0].map(shown), ["12.50", "0.031", "-0.000001", "0.00"]);
        let rounded = |micros| format!("{:.2}", Money(micros));
        assert_eq!([1_005_000, -1_005_000, -4_999, 999_999].map(rounded), ["1.01", "-1.01", "0.00", "1.00"]);
        assert_eq!(format!("{:.0}", Money(2_500_000)), "3");
        assert_eq!([140_000, 2_000_000].map(|micros| PricePerKwh(micros).to_string()), ["0.14", "2.0"]);
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert_eq!(Currency::parse("EUR").unwrap().to_string(), "EUR");
        for bad in ["", "eur", "€", "EURO", "E R"] {
            assert!(Currency::parse(bad).unwrap_err().hint.contains("EUR"), "{bad}");
        }
    }

    #[test]
    fn a_factor_is_applied_once_and_stops_at_the_ends() {
        let vat = PriceFactor::from_text("1.19").unwrap();
        assert_eq!(vat.times(76_670), 91_237); // 91_237.3
        assert_eq!(vat.times(50), 60); // 59.5
        assert_eq!(vat.times(-50), -60);
        assert_eq!(vat.times(i64::MAX), i64::MAX);
        assert_eq!(PriceFactor::from_text("1.0000000001"), None);
    }

    proptest! {
        #[test]
        fn any_split_of_the_energy_costs_what_the_whole_does(
            parts in prop::collection::vec(0..10_000_000_000_i64, 1..50),
            price in -5_000_000..5_000_000_i64,
        ) {
            let price = PricePerKwh(price);
            let costs = parts.iter().map(|part| EnergyCost::of(Energy::from_millijoules(*part), price));
            let whole = EnergyCost::of(Energy::from_millijoules(parts.iter().sum()), price);
            prop_assert_eq!(costs.clone().sum::<EnergyCost>(), whole);

            let rounded: Money = costs.map(EnergyCost::to_money).sum();
            let off = (rounded.micros() - whole.to_money().micros()).unsigned_abs();
            prop_assert!(off * 2 <= parts.len() as u128 + 1, "{off} off");
        }

        #[test]
        fn a_division_is_off_by_at_most_half(number in -1_000_000_i128..1_000_000, by in 1..1_000_i128) {
            let off = (divided(number, by) * by - number).abs();
            prop_assert!(off * 2 <= by);
            prop_assert_eq!(divided(-number, by), -divided(number, by));
        }

        #[test]
        fn an_amount_survives_printing_and_reading(micros in -1_000_000_000_000_i64..1_000_000_000_000) {
            let printed = Money(micros.into()).to_string();
            prop_assert_eq!(decimal::scaled_exactly(&printed, PLACES), Some(micros));
        }
    }
}
