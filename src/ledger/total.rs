//! The energy of a series since it was first measured, as a counter that never falls.

use serde::{Deserialize, Serialize};

use super::Entry;
use crate::reading::Energy;

/// All that was measured of a series so far. It is kept with the end of the series, so it is durable with the batch that
/// brought it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EnergyTotal {
    /// The energy in millijoules. What flows the other way is not taken off, as a counter may not fall.
    pub energy_mj: i64,
    /// The time that it is of, in milliseconds.
    pub covered_ms: i64,
}

impl EnergyTotal {
    /// The energy in joules.
    pub fn joules(self) -> f64 {
        Energy::from_millijoules(self.energy_mj).joules()
    }

    /// The time that it is of, in seconds.
    #[allow(clippy::cast_precision_loss, reason = "2^53 milliseconds are 285,000 years")]
    pub fn covered_seconds(self) -> f64 {
        self.covered_ms as f64 / 1e3
    }

    /// Adds what a reading brought.
    pub(super) fn add(&mut self, entry: &Entry) {
        self.energy_mj = self.energy_mj.saturating_add(entry.energy_mj.max(0));
        self.covered_ms = self.covered_ms.saturating_add(entry.covered_ms.max(0));
    }
}
