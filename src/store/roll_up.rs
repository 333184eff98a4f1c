//! Old quarter-hours of the ledger become local days: a little with each batch, so that the ledger stops growing.
//!
//! Constraints:
//! - Sums stay what they are: quarters are taken out and added to their day in one transaction.
//! - A quarter that comes late for a day that is there already is added to it in the same way.
//! - Each step looks at a few series that are drawn by lot, since whoever polls by a timer remembers no place.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::ledger::{Entry, Method, local_day};
use crate::reading::{Quarter, Timestamp};

/// Series that a step looks at.
pub(super) const SERIES_A_STEP: i64 = 16;

/// Quarters of a series that a step takes at most: 20 days.
pub(super) const QUARTERS_A_SERIES: i64 = 20 * 96;

/// With more rows than this a step has done enough, so that nobody waits long for the lock.
pub(super) const ROWS_A_STEP: usize = 5_000;

/// The rule of a ledger for old quarters.
#[derive(Debug, Clone)]
pub struct RollUp {
    /// Quarters are kept so long.
    pub keep: Duration,
    /// The zone of the days.
    pub zone: TimeZone,
}

impl RollUp {
    /// The first quarter that stays, at a local midnight: all of the days before it are old.
    pub(super) fn cutoff(&self, now: Timestamp) -> Quarter {
        local_day(now.minus(self.keep), &self.zone)
    }
}

/// A row that was taken out: node, quarter in microseconds since 1970, and the figures.
pub(super) type TakenRow = (i64, i64, i64, i64, i64, Option<i64>, Option<i64>, f64, Option<i64>, i64);

/// Its node, quarter and figures.
///
/// # Errors
/// A later version wrote its method.
pub(super) fn taken(row: TakenRow) -> sqlx::Result<(i64, Quarter, Entry)> {
    let (node, quarter, energy_mj, covered_ms, samples, min_mw, max_mw, variance_mj2, busy_ms, method) = row;
    let bits = u8::try_from(method).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let method = Method::from_bits(bits);
    let entry = Entry { energy_mj, covered_ms, samples, min_mw, max_mw, variance_mj2, busy_ms, method };
    Ok((node, Quarter::at(Timestamp::from_micros(quarter)), entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_of_which_every_quarter_is_old_are_rolled_up() {
        let zone = TimeZone::get("America/Chicago").unwrap();
        let roll_up = RollUp { keep: Duration::from_hours(48), zone };
        let at = |text: &str| {
            let instant: jiff::Timestamp = text.parse().unwrap();
            Timestamp::from_micros(instant.as_microsecond())
        };
        // Two days before is the evening of June 7 there, which began at 05:00 UTC.
        assert_eq!(roll_up.cutoff(at("2026-06-10T04:00:00Z")).start(), at("2026-06-07T05:00:00Z"));
    }
}
