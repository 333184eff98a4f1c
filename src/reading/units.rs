//! Units as types: integers in the smallest unit that a source gives, so that equality, sums and SQL
//! are exact.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Electrical power in milliwatts. Tools print watts with two decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Power(i64);

impl Power {
    /// From whole milliwatts.
    pub const fn from_milliwatts(milliwatts: i64) -> Self {
        Self(milliwatts)
    }

    /// From whole watts.
    pub const fn from_watts(watts: i32) -> Self {
        Self(watts as i64 * 1000)
    }

    /// In milliwatts.
    pub const fn milliwatts(self) -> i64 {
        self.0
    }

    /// In watts, for a database column or a screen.
    pub fn watts(self) -> f64 {
        thousandths(self.0)
    }
}

impl std::iter::Sum for Power {
    fn sum<I: Iterator<Item = Self>>(powers: I) -> Self {
        powers.fold(Self(0), |total, power| Self(total.0.saturating_add(power.0)))
    }
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} W", self.watts())
    }
}

/// Electrical energy in millijoules: a milliwatt for a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Energy(i64);

impl Energy {
    /// From whole millijoules.
    pub const fn from_millijoules(millijoules: i64) -> Self {
        Self(millijoules)
    }

    /// In millijoules.
    pub const fn millijoules(self) -> i64 {
        self.0
    }

    /// In joules, for a database column or a screen.
    pub fn joules(self) -> f64 {
        thousandths(self.0)
    }

    /// In watt-hours, as batteries are sold by them.
    pub fn watt_hours(self) -> f64 {
        self.joules() / 3_600.0
    }
}

/// Temperature in thousandths of a degree Celsius.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Temperature(i64);

impl Temperature {
    /// From thousandths of a degree Celsius.
    pub const fn from_millicelsius(millicelsius: i64) -> Self {
        Self(millicelsius)
    }

    /// In thousandths of a degree Celsius.
    pub const fn millicelsius(self) -> i64 {
        self.0
    }

    /// In degrees Celsius.
    pub fn celsius(self) -> f64 {
        thousandths(self.0)
    }
}

impl fmt::Display for Temperature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} °C", self.celsius())
    }
}

/// A share of a whole in thousandths of a percent: utilisation, fan speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(i64);

impl Share {
    /// From thousandths of a percent.
    pub const fn from_millipercent(millipercent: i64) -> Self {
        Self(millipercent)
    }

    /// In thousandths of a percent.
    pub const fn millipercent(self) -> i64 {
        self.0
    }

    /// In percent.
    pub fn percent(self) -> f64 {
        thousandths(self.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} %", self.percent())
    }
}

/// Memory in mebibytes (2^20 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory(u64);

impl Memory {
    /// From whole mebibytes.
    pub const fn from_mebibytes(mebibytes: u64) -> Self {
        Self(mebibytes)
    }

    /// In mebibytes.
    pub const fn mebibytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0)
    }
}

/// A number of thousandths as a float. Exact to three decimals for everything a board can say.
#[allow(clippy::cast_precision_loss, reason = "2^53 thousandths are more than any unit here can hold")]
fn thousandths(n: i64) -> f64 {
    n as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_powers_is_exact_in_milliwatts() {
        let total: Power = std::iter::repeat_n(Power::from_milliwatts(285_510), 3).sum();
        assert_eq!(total, Power::from_milliwatts(856_530));
    }

    #[test]
    fn units_print_as_people_write_them() {
        assert_eq!(Power::from_milliwatts(26_200).to_string(), "26.2 W");
        assert_eq!(Temperature::from_millicelsius(36_000).to_string(), "36 °C");
        assert_eq!(Share::from_millipercent(2_000).to_string(), "2 %");
        assert_eq!(Memory::from_mebibytes(876).to_string(), "876 MiB");
    }
}
