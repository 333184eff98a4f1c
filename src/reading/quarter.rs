//! Quarter-hours of UTC: the resolution of energy, of day-ahead prices and of demand charges. Every zone's local day is
//! whole quarters of it.

use super::Timestamp;

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
        self.plus(1)
    }

    /// The one that is so many quarters later.
    #[must_use]
    pub const fn plus(self, quarters: i64) -> Self {
        Self(self.0.saturating_add(quarters))
    }

    /// Number of quarters from `earlier` to this one; negative if it is not earlier.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This quarter and those after it, `end` excluded.
    pub fn until(self, end: Self) -> impl DoubleEndedIterator<Item = Self> + Clone {
        (self.0..end.0).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_holds_its_first_microsecond_and_not_that_of_the_next() {
        let quarter = Quarter::at(Timestamp::from_micros(-1));
        assert_eq!(quarter.start().micros(), -Quarter::MICROS);
        assert_eq!(quarter.next(), Quarter::at(Timestamp::from_micros(0)));
        assert_eq!(quarter.plus(4).since(quarter), 4);
        assert_eq!(quarter.until(quarter.plus(3)).count(), 3);
    }
}
