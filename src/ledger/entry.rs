//! The figures of a series in a quarter. Each is a sum, a minimum or a maximum, so that entries add up in any order: by
//! upsert in a database, over quarters to days, over series to a node.

use serde::{Deserialize, Serialize};

/// The origin of the energy of an entry; an entry that was added up may have several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Method(u8);

impl Method {
    /// From the line between two readings.
    pub const READINGS: Self = Self(1);
    /// From samples between two readings.
    pub const SAMPLES: Self = Self(2);
    /// Of a whole local day: its quarters were rolled up, and their times are gone.
    pub const DAY: Self = Self(4);

    /// From the bits in which a database keeps it.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The bits in which a database keeps it.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other` is in it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The figures of a series in a quarter, or of several added up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The energy of the covered time, in millijoules. Negative only where the power can be.
    pub energy_mj: i64,
    /// The covered time, in milliseconds.
    pub covered_ms: i64,
    /// The number of readings, or samples, that it is from.
    pub samples: i64,
    /// The least of them, in milliwatts; `None` where there is none.
    pub min_mw: Option<i64>,
    /// The largest of them, in milliwatts.
    pub max_mw: Option<i64>,
    /// The variance of the energy that is due to reading seldom, in square millijoules: the sum of (Δw·Δt)²/2 over its
    /// segments. Its root is a standard uncertainty.
    pub variance_mj2: f64,
    /// The time in which the GPU was busy, in milliseconds; `None` if a part of it is not known.
    pub busy_ms: Option<i64>,
    /// The origin of its energy.
    pub method: Method,
}

impl Entry {
    /// Nothing but one reading.
    pub(super) const fn reading(milliwatts: i64) -> Self {
        Self {
            energy_mj: 0,
            covered_ms: 0,
            samples: 1,
            min_mw: Some(milliwatts),
            max_mw: Some(milliwatts),
            variance_mj2: 0.0,
            busy_ms: Some(0),
            method: Method::from_bits(0),
        }
    }

    /// Energy without a reading: a segment that ends in a later quarter.
    pub(super) const fn passage() -> Self {
        Self { samples: 0, min_mw: None, max_mw: None, ..Self::reading(0) }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            energy_mj: self.energy_mj.saturating_add(other.energy_mj),
            covered_ms: self.covered_ms.saturating_add(other.covered_ms),
            samples: self.samples.saturating_add(other.samples),
            min_mw: self.min_mw.into_iter().chain(other.min_mw).min(),
            max_mw: self.max_mw.into_iter().chain(other.max_mw).max(),
            variance_mj2: self.variance_mj2 + other.variance_mj2,
            busy_ms: self.busy_ms.zip(other.busy_ms).map(|(one, two)| one.saturating_add(two)),
            method: self.method.and(other.method),
        }
    }
}
