//! Quarter-hours of UTC: the resolution of the ledger. Every zone's local day is whole quarters of it, and day-ahead
//! prices and demand charges have this resolution too.

use crate::reading::Timestamp;

/// A quarter-hour of UTC, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quarter(i64);

impl Quarter {
    /// Its length in microseconds.
    pub const MICROS: i64 = 15 * 60 * 1_000_000;

    /// The quarter that holds an instant; its first microsecond belongs to it, and that of the next one does not.
    pub const fn at(instant: Timestamp) -> Self {
        Self(instant.micros().div_euclid(Self::MICROS))
    }

    /// Its first instant.
    pub const fn start(self) -> Timestamp {
        Timestamp::from_micros(self.0.saturating_mul(Self::MICROS))
    }

    /// The one that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
