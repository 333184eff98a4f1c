//! Units as types: integers in the smallest unit that a source gives, so that equality, sums and SQL
//! are exact.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! thousandths {
    ($($(#[$doc:meta])+ $unit:ident, $from:ident, $thousandths:ident, $whole:ident $(, $format:literal)?;)+) => {$(
        $(#[$doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $unit(i64);

        impl $unit {
            #[doc = concat!("From ", stringify!($thousandths), ".")]
            pub const fn $from($thousandths: i64) -> Self {
                Self($thousandths)
            }

            #[doc = concat!("In ", stringify!($thousandths), ".")]
            pub const fn $thousandths(self) -> i64 {
                self.0
            }

            #[doc = concat!("In ", stringify!($whole), ", for a database column or a screen. Exact to three decimals.")]
            #[allow(clippy::cast_precision_loss, reason = "2^53 thousandths are more than any unit here can hold")]
            pub fn $whole(self) -> f64 {
                self.0 as f64 / 1000.0
            }
        }

        $(impl fmt::Display for $unit {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.$whole())
            }
        })?
    )+};
}

thousandths! {
    /// Electrical power. Tools print watts with two decimals.
    Power, from_milliwatts, milliwatts, watts, "{:.1} W";
    /// Electrical energy: a milliwatt for a second is a millijoule.
    Energy, from_millijoules, millijoules, joules;
    /// Temperature in degrees Celsius and their thousandths.
    Temperature, from_millicelsius, millicelsius, celsius, "{:.0} °C";
    /// A share of a whole: utilisation, fan speed.
    Share, from_millipercent, millipercent, percent, "{:.0} %";
}

impl Share {
    /// As a part of 1. Exact to five decimals.
    #[allow(
        clippy::cast_precision_loss,
        reason = "2^53 thousandths of a percent are more than any share here"
    )]
    pub fn ratio(self) -> f64 {
        self.0 as f64 / 100_000.0
    }
}

impl Power {
    /// From whole watts.
    pub const fn from_watts(watts: i32) -> Self {
        Self(watts as i64 * 1000)
    }
}

impl std::iter::Sum for Power {
    fn sum<I: Iterator<Item = Self>>(powers: I) -> Self {
        powers.fold(Self(0), |total, power| Self(total.0.saturating_add(power.0)))
    }
}

impl Energy {
    /// In watt-hours, as batteries are sold by them.
    pub fn watt_hours(self) -> f64 {
        self.joules() / 3_600.0
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
