//! Charges that belong to months: which months a report charges, and what the highest quarter-hour of one costs.

use std::ops::Range;

use jiff::tz::TimeZone;

use super::calendar::{LocalQuarter, Month};
use super::model::DemandCharge;
use super::money::Money;
use crate::reading::{Energy, Power, Quarter};

/// A demand of one kilowatt over a quarter-hour, in millijoules.
const MILLIJOULES_PER_KW: i128 = 900_000_000;

/// Seconds of a quarter.
const SECONDS: i64 = 900;

/// The least coverage of a quarter that counts, in percent.
const LEAST_COVERAGE_PERCENT: u128 = 90;

/// A month that a report touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillingMonth {
    /// The month.
    pub month: Month,
    /// All its quarters, from its first local midnight to that of the next month.
    pub quarters: Range<Quarter>,
    /// Whether its demand and fixed charges are charged: the range begins at or before its first midnight. Else they are
    /// shown.
    pub is_charged: bool,
    /// Whether the range goes on to its end; else it is charged as it stands so far.
    pub is_complete: bool,
}

/// The months that a range touches, in order.
pub fn billing_months(range: Range<Quarter>, zone: &TimeZone) -> Vec<BillingMonth> {
    let mut months = Vec::new();
    let mut month = Month::of(LocalQuarter::new(range.start, zone).date);
    let mut quarters = month.quarters(zone);
    while quarters.start < range.end && range.start < range.end && quarters.start < quarters.end {
        let (is_charged, is_complete) = (range.start <= quarters.start, quarters.end <= range.end);
        let next = month.next();
        months.push(BillingMonth { month, quarters, is_charged, is_complete });
        (month, quarters) = (next, next.quarters(zone));
    }
    months
}

/// Whether enough of a quarter was measured for it to be a peak.
pub fn is_covered(covered_ms: u64, expected_ms: u64) -> bool {
    let (covered, expected) = (u128::from(covered_ms), u128::from(expected_ms));
    expected > 0 && covered * 100 >= expected * LEAST_COVERAGE_PERCENT
}

/// The load of a site in a quarter, and how much of it was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuarterLoad {
    /// The quarter.
    pub quarter: Quarter,
    /// Its measured energy.
    pub energy: Energy,
    /// The measured time, summed over what was measured.
    pub covered_ms: u64,
    /// The time that would have been measured without gaps, summed likewise.
    pub expected_ms: u64,
}

impl QuarterLoad {
    /// Whether enough of it was measured to be a peak.
    pub fn is_covered(&self) -> bool {
        is_covered(self.covered_ms, self.expected_ms)
    }

    /// Its energy over a quarter-hour, as a meter has it: a gap adds nothing.
    pub fn power(&self) -> Power {
        Power::from_milliwatts(self.energy.millijoules() / SECONDS)
    }
}

/// The cost of a demand charge in a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemandCost {
    /// The highest quarter that was measured well enough, the first of several; `None` if there is none.
    pub peak: Option<QuarterLoad>,
    /// The charge for it.
    pub cost: Money,
    /// A quarter that was even higher in what was measured of it, but not well enough: the bill may be higher.
    pub uncovered_peak: Option<QuarterLoad>,
    /// Number of quarters that count and were not measured well enough.
    pub n_uncovered: usize,
}

impl DemandCharge {
    /// Whether a quarter may be the peak: it is within a window.
    pub fn counts(&self, local: LocalQuarter) -> bool {
        self.windows.iter().any(|window| window.contains(local))
    }

    /// The charge for the loads of a month; those outside of its windows do not count.
    pub fn cost(&self, loads: impl IntoIterator<Item = QuarterLoad>, zone: &TimeZone) -> DemandCost {
        let (mut peak, mut uncovered_peak, mut n_uncovered) = (None, None, 0);
        for load in loads {
            if !self.counts(LocalQuarter::new(load.quarter, zone)) {
                continue;
            }
            let highest = if load.is_covered() { &mut peak } else { &mut uncovered_peak };
            n_uncovered += usize::from(!load.is_covered());
            if highest.is_none_or(|highest: QuarterLoad| highest.energy < load.energy) {
                *highest = Some(load);
            }
        }
        let energy = peak.map_or(Energy::default(), |peak| peak.energy);
        let uncovered_peak = uncovered_peak.filter(|load| energy < load.energy);
        let cost = self.per_kw.share(energy.millijoules().into(), MILLIJOULES_PER_KW);
        DemandCost { peak, cost, uncovered_peak, n_uncovered }
    }
}
