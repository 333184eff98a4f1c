//! Carbon: how much carbon dioxide a kilowatt-hour stands for, and what energy adds up to.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use super::money::{MILLIJOULES_PER_KWH, divided, exact_text};
use super::series::{QuarterSeries, SeriesValue};
use crate::reading::{Energy, Quarter};

/// Millionths of a gram in a milligram.
const MICROGRAMS_PER_MILLIGRAM: i128 = 1_000;

/// Carbon dioxide for each kilowatt-hour, in millionths of a gram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CarbonIntensity(i64);

impl CarbonIntensity {
    /// From millionths of a gram per kilowatt-hour.
    pub const fn from_micrograms(micrograms: i64) -> Self {
        Self(micrograms)
    }

    /// In millionths of a gram per kilowatt-hour.
    pub const fn micrograms(self) -> i64 {
        self.0
    }
}

/// In grams per kilowatt-hour, as in `380.5`.
impl fmt::Display for CarbonIntensity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&exact_text(self.0.into(), 0))
    }
}

/// The carbon intensity of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carbon {
    /// The same at all times.
    Flat(CarbonIntensity),
    /// From files.
    Files {
        /// The files, as a shell pattern.
        file: String,
        /// Their values, once their caller has read them.
        series: QuarterSeries,
    },
}

impl Carbon {
    /// The intensity of a quarter; `None` where the files have none, or two that differ.
    pub fn at(&self, quarter: Quarter) -> Option<CarbonIntensity> {
        match self {
            Self::Flat(intensity) => Some(*intensity),
            Self::Files { series, .. } => match series.at(quarter) {
                SeriesValue::Value(micrograms) => Some(CarbonIntensity(micrograms)),
                SeriesValue::Missing | SeriesValue::Contradictory => None,
            },
        }
    }
}

/// An exact mass of carbon dioxide: a sum of millijoules times micrograms per kilowatt-hour, rounded once, like a cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Emission(i128);

impl Emission {
    /// Of some energy at an intensity.
    pub fn of(energy: Energy, intensity: CarbonIntensity) -> Self {
        Self(i128::from(energy.millijoules()) * i128::from(intensity.0))
    }

    /// Rounded to a milligram, half away from zero.
    pub fn milligrams(self) -> i128 {
        divided(self.0, MILLIJOULES_PER_KWH * MICROGRAMS_PER_MILLIGRAM)
    }
}

impl Add for Emission {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Emission {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Emission {
    fn sum<I: Iterator<Item = Self>>(emissions: I) -> Self {
        emissions.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Timestamp;
    use crate::tariff::price_file::{PriceFile, SeriesColumn};

    #[test]
    fn a_kilowatt_hour_has_the_grams_of_its_intensity() {
        let kwh = Energy::from_millijoules(3_600_000_000);
        let intensity = CarbonIntensity::from_micrograms(380_500_000);
        assert_eq!(Emission::of(kwh, intensity).milligrams(), 380_500);
        let halves = [Energy::from_millijoules(1_800_000_001), Energy::from_millijoules(1_799_999_999)];
        let sum: Emission = halves.into_iter().map(|half| Emission::of(half, intensity)).sum();
        assert_eq!(sum, Emission::of(kwh, intensity));
    }

    #[test]
    fn a_file_of_carbon_has_the_form_of_a_price_file() {
        let text = "start,end,g_per_kwh\n1970-01-01T00:00Z,1970-01-01T01:00Z,412.5\n";
        let file = PriceFile::parse("carbon/a.csv", text, SeriesColumn::GramsPerKwh).unwrap();
        let carbon = Carbon::Files { file: "carbon/*.csv".to_owned(), series: QuarterSeries::new(&[file]).0 };
        let first = Quarter::at(Timestamp::from_micros(0));
        assert_eq!(carbon.at(first.plus(3)), Some(CarbonIntensity(412_500_000)));
        assert_eq!(carbon.at(first.plus(4)), None);
    }
}
