//! The site: its time zone, what its cooling adds, and its rule for batteries.

use std::fmt;

use jiff::tz::TimeZone;

use super::battery::BatteryRule;
use super::money::{divided, exact_text};
use crate::reading::Energy;

/// Power usage effectiveness: the energy of a whole site for that of its machines, in millionths, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pue(i64);

impl Pue {
    const ONE_IN_MILLIONTHS: i64 = 1_000_000;

    /// The machines alone.
    pub const ONE: Self = Self(Self::ONE_IN_MILLIONTHS);

    /// From millionths.
    pub(super) const fn from_millionths(millionths: i64) -> Self {
        Self(millionths)
    }

    /// In millionths.
    pub const fn millionths(self) -> i64 {
        self.0
    }

    /// The energy of the site for that of its machines, rounded once, half away from zero.
    #[must_use]
    pub fn apply(self, energy: Energy) -> Energy {
        let whole = i128::from(energy.millijoules()) * i128::from(self.0);
        let millijoules = divided(whole, Self::ONE_IN_MILLIONTHS.into());
        Energy::from_millijoules(i64::try_from(millijoules).unwrap_or(i64::MAX))
    }
}

/// As in `1.35`.
impl fmt::Display for Pue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&exact_text(self.0.into(), 1))
    }
}

/// The site of an installation, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SiteSettings {
    /// The zone whose days, months and hours count.
    pub timezone: Option<TimeZone>,
    /// The power usage effectiveness.
    pub pue: Option<Pue>,
    /// The rule for energy from batteries.
    pub battery: BatteryRule,
}

impl SiteSettings {
    /// The zone, UTC if none was given; a report has to say so.
    pub fn zone(&self) -> TimeZone {
        self.timezone.clone().unwrap_or(TimeZone::UTC)
    }

    /// The power usage effectiveness, 1 if none was given; a report has to say so.
    pub fn pue(&self) -> Pue {
        self.pue.unwrap_or(Pue::ONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cooling_adds_is_rounded_once() {
        let apply = |pue, millijoules| Pue(pue).apply(Energy::from_millijoules(millijoules)).millijoules();
        assert_eq!(apply(1_350_000, 1_000), 1_350);
        assert_eq!(apply(1_500_000, 1), 2);
        assert_eq!(apply(1_000_000, i64::MAX), i64::MAX);
        assert_eq!(apply(2_000_000, i64::MAX), i64::MAX);
    }
}
