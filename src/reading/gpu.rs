//! The power numbers of a GPU: their kinds, and their samples.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::table::table;
use super::{Energy, Power, Quantity};

table! {
    /// The kind of a board's power number, the one to prefer first.
    ///
    /// Source: the help texts of drivers 535 to 610 and the NVML reference of `nvmlDeviceGetPowerUsage`.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    PowerKind;
    /// A short, stable label.
    pub label: &'static str;
    /// `power.draw.average`: the mean of the last second.
    Average: "average";
    /// `power.draw`: the mean of the last second from Ampere on, instantaneous on A100, A30 and older.
    Draw: "draw";
    /// `power.draw.instant`: the last value of the sensor.
    Instant: "instant";
}

impl PowerKind {
    /// The quantity that is the number of this kind.
    pub const fn quantity(self) -> Quantity {
        match self {
            Self::Average => Quantity::PowerAverage,
            Self::Draw => Quantity::PowerDraw,
            Self::Instant => Quantity::PowerInstant,
        }
    }
}

/// A board's power draw, and which kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerDraw {
    /// The draw of the whole board.
    pub power: Power,
    /// The kind of this number.
    pub kind: PowerKind,
}

/// A board's draw by the samples between two cycles. At least one of them was a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerSamples {
    /// The kind of number that was sampled.
    pub kind: PowerKind,
    /// Their mean, each sample counting the same.
    pub mean: Power,
    /// The least of them.
    pub min: Power,
    /// The largest of them.
    pub max: Power,
    /// Their number, and that of the rows that do not count.
    pub counts: SampleCounts,
    /// The energy over the covered time: the trapezoid between neighbouring samples, the last one of the
    /// cycle before included.
    pub energy: Energy,
    /// The time that the energy is of. What lies between samples too far apart is not in it.
    pub covered: Duration,
    /// The variance of the energy that is due to reading seldom, in square millijoules: (Δw·Δt)²/2 of each segment.
    pub variance_mj2: u64,
}

/// Counts of the samples of some GPUs between two cycles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SampleCounts {
    /// Those that count.
    pub n_samples: u64,
    /// Rows without a number.
    pub n_absent: u64,
    /// Numbers that cannot be true, which were thrown away.
    pub n_refused: u64,
    /// Lines that should have been rows and could not be read.
    pub n_unread: u64,
}

impl SampleCounts {
    /// The sum of both.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            n_samples: self.n_samples.saturating_add(other.n_samples),
            n_absent: self.n_absent.saturating_add(other.n_absent),
            n_refused: self.n_refused.saturating_add(other.n_refused),
            n_unread: self.n_unread.saturating_add(other.n_unread),
        }
    }

    /// Whether more than half of what came was thrown away.
    pub const fn is_mostly_refused(self) -> bool {
        self.n_samples.saturating_add(self.n_absent) < self.n_refused
    }
}
