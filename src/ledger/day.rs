//! The energy of the boards in the local day that runs, kept beside the ends of the series so that it costs no reading
//! of the ledger.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{EnergyRow, SeriesKey};
use crate::reading::{Energy, Quarter, Timestamp};

/// The energy of the boards in a day so far, by groups of nodes that have one price, and by quarter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DayTotals {
    /// The beginning of the day, in microseconds since 1970 in UTC.
    from_us: i64,
    /// The covered time of all boards.
    covered_ms: i64,
    /// Millijoules by group and the beginning of the quarter.
    groups: BTreeMap<String, BTreeMap<i64, i64>>,
}

impl DayTotals {
    /// The totals with some rows more, each with its group; those of other days are left out. On another day they begin
    /// again.
    #[must_use]
    pub fn after<'r>(
        &self,
        day: &Range<Quarter>,
        rows: impl Iterator<Item = (&'r str, &'r EnergyRow)>,
    ) -> Self {
        let mut totals = if self.is_of(day) { self.clone() } else { Self::default() };
        totals.from_us = day.start.start().micros();
        for (group, row) in rows.filter(|(_, row)| day.contains(&row.quarter) && is_board(&row.series)) {
            let known = totals.groups.get_mut(group);
            let quarters = match known {
                Some(quarters) => quarters,
                None => totals.groups.entry(group.to_owned()).or_default(),
            };
            let sum = quarters.entry(row.quarter.start().micros()).or_default();
            *sum = sum.saturating_add(row.entry.energy_mj);
            totals.covered_ms = totals.covered_ms.saturating_add(row.entry.covered_ms);
        }
        totals
    }

    /// Whether they are of this day.
    pub fn is_of(&self, day: &Range<Quarter>) -> bool {
        self.from_us == day.start.start().micros()
    }

    /// The covered time of all boards, in milliseconds.
    pub const fn covered_ms(&self) -> i64 {
        self.covered_ms
    }

    /// The energy of each group in each quarter.
    pub fn energies(&self) -> impl Iterator<Item = (&str, Quarter, Energy)> {
        self.groups.iter().flat_map(|(group, quarters)| {
            let of_quarter = |(from_us, millijoules): (&i64, &i64)| {
                let quarter = Quarter::at(Timestamp::from_micros(*from_us));
                (group.as_str(), quarter, Energy::from_millijoules(*millijoules))
            };
            quarters.iter().map(of_quarter)
        })
    }
}

/// Whether a series is of a board, and of no station.
fn is_board(series: &str) -> bool {
    SeriesKey::station_in(series).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Entry, Method};

    fn quarter(number: i64) -> Quarter {
        Quarter::at(Timestamp::from_micros(0)).plus(number)
    }

    fn row(series: &str, number: i64, energy_mj: i64) -> EnergyRow {
        let entry = Entry {
            energy_mj,
            covered_ms: 1_000,
            samples: 1,
            min_mw: None,
            max_mw: None,
            variance_mj2: 0.0,
            busy_ms: None,
            method: Method::READINGS,
        };
        EnergyRow {
            series: series.to_owned(),
            node: "n".to_owned(),
            model: String::new(),
            quarter: quarter(number),
            entry,
        }
    }

    fn after(totals: &DayTotals, day: i64, rows: &[EnergyRow]) -> DayTotals {
        totals.after(&(quarter(96 * day)..quarter(96 * day + 96)), rows.iter().map(|row| ("g", row)))
    }

    #[test]
    fn rows_of_the_day_add_up_by_quarter_and_no_station_is_among_them() {
        let rows =
            [row("gpu:1", 0, 5), row("station:S:out", 0, 100), row("gpu:2", 1, 7), row("gpu:1", 96, 9)];
        let totals = after(&after(&DayTotals::default(), 0, &rows), 0, &[row("gpu:2", 0, 2)]);
        let energies: Vec<_> =
            totals.energies().map(|(group, at, energy)| (group, at, energy.millijoules())).collect();
        assert_eq!(energies, [("g", quarter(0), 7), ("g", quarter(1), 7)]);
        assert_eq!(totals.covered_ms(), 3_000);
    }

    #[test]
    fn another_day_begins_at_nothing_with_the_rows_that_are_its_own() {
        let first = after(&DayTotals::default(), 0, &[row("gpu:1", 95, 5)]);
        let second = after(&first, 1, &[row("gpu:1", 95, 1), row("gpu:1", 96, 3)]);
        assert_eq!(second.energies().map(|(_, _, energy)| energy.millijoules()).sum::<i64>(), 3);
        let text = serde_json::to_string(&second).unwrap();
        assert_eq!(serde_json::from_str::<DayTotals>(&text).unwrap(), second);
    }
}
