//! The ledger of a fleet: where each series ends, and what readings add.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{EnergyReading, EnergyTotal, Entry, SeriesKey, SeriesState};
use crate::reading::{Quarter, Timestamp};

/// A series that was not read for this long begins again.
const FORGOTTEN_AFTER: Duration = Duration::from_hours(31 * 24);

/// A reading of a series, and where it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesReading {
    /// The series.
    pub key: SeriesKey,
    /// The node of a GPU, or the serial number of a station.
    pub node: String,
    /// The model of the GPU or station; empty where it is not known.
    pub model: String,
    /// The reading.
    pub reading: EnergyReading,
}

/// The figures of a series on a node in a quarter: what a database adds to its own.
#[derive(Debug, Clone, PartialEq)]
pub struct EnergyRow {
    /// The name of the series, as [`SeriesKey`] is printed.
    pub series: String,
    /// The node of a GPU, or the serial number of a station.
    pub node: String,
    /// The model of the GPU or station; empty where it is not known.
    pub model: String,
    /// The quarter.
    pub quarter: Quarter,
    /// The figures.
    pub entry: Entry,
}

/// The end of each series, by its name. It is durable together with the rows that brought it there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Book(BTreeMap<String, SeriesState>);

/// The rows of some readings, and the ends of their series, which hold once the rows are durable.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Booking {
    /// The rows, by series, node and quarter.
    pub rows: Vec<EnergyRow>,
    /// The new ends.
    pub ends: BTreeMap<String, SeriesState>,
}

impl Book {
    /// Books readings, of each series in the order of time. `max_gap` is as in [`SeriesState::advance`].
    pub fn book(&self, readings: &[SeriesReading], max_gap: Option<Duration>) -> Booking {
        let mut booking = Booking::default();
        let mut figures: BTreeMap<(String, &str, Quarter), (&str, Entry)> = BTreeMap::new();
        for one in readings {
            let series = one.key.to_string();
            let known = || self.0.get(&series).cloned().unwrap_or_default();
            let end = booking.ends.entry(series.clone()).or_insert_with(known);
            for (quarter, entry) in end.advance(&one.reading, max_gap) {
                figures
                    .entry((series.clone(), &one.node, quarter))
                    .and_modify(|(_, sum)| *sum = sum.plus(entry))
                    .or_insert((&one.model, entry));
            }
        }
        let row = |((series, node, quarter), (model, entry)): ((String, &str, Quarter), (&str, Entry))| {
            EnergyRow { series, node: node.to_owned(), model: model.to_owned(), quarter, entry }
        };
        booking.rows = figures.into_iter().map(row).collect();
        booking
    }

    /// The ledger after a booking, without the series that were not read for a month at `now`.
    #[must_use]
    pub fn after(&self, booking: &Booking, now: Timestamp) -> Self {
        let mut book = self.clone();
        book.0.extend(booking.ends.iter().map(|(series, end)| (series.clone(), end.clone())));
        book.0.retain(|_, end| end.last_at().is_some_and(|at| now.since(at) <= FORGOTTEN_AFTER));
        book
    }

    /// All that was measured of each series so far, where that is known.
    pub fn totals(&self) -> BTreeMap<String, EnergyTotal> {
        let total = |(series, end): (&String, &SeriesState)| Some((series.clone(), end.total()?));
        self.0.iter().filter_map(total).collect()
    }

    /// The series of which it is not known what was measured before.
    pub fn without_total(&self) -> Vec<String> {
        let lacks = |(series, end): (&String, &SeriesState)| end.total().is_none().then(|| series.clone());
        self.0.iter().filter_map(lacks).collect()
    }

    /// The same with what was measured of some series before, where that was not known.
    #[must_use]
    pub fn with_totals(mut self, before: &BTreeMap<String, EnergyTotal>) -> Self {
        for (series, end) in &mut self.0 {
            if let Some(total) = before.get(series) {
                end.begin_total(*total);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reading::Power;

    const MINUTE: i64 = 60_000_000;

    fn reading(uuid: &str, node: &str, at_us: i64, watts: i32) -> SeriesReading {
        SeriesReading {
            key: SeriesKey::Gpu { uuid: uuid.to_owned() },
            node: node.to_owned(),
            model: "H100".to_owned(),
            reading: EnergyReading {
                at: Timestamp::from_micros(at_us),
                power: Power::from_watts(watts),
                busy: None,
                samples: None,
            },
        }
    }

    fn booked(cycles: &[Vec<SeriesReading>]) -> Vec<EnergyRow> {
        let mut book = Book::default();
        let mut rows = Vec::new();
        for cycle in cycles {
            let booking = book.book(cycle, Some(Duration::from_secs(180)));
            book = book.after(&booking, Timestamp::from_micros(0));
            rows.extend(booking.rows);
        }
        rows
    }

    fn summed(rows: Vec<EnergyRow>) -> BTreeMap<(String, String, Quarter), (i64, i64, i64)> {
        let mut sums = BTreeMap::new();
        for EnergyRow { series, node, quarter, entry, .. } in rows {
            let sum: &mut (i64, i64, i64) = sums.entry((series, node, quarter)).or_default();
            *sum = (sum.0 + entry.energy_mj, sum.1 + entry.covered_ms, sum.2 + entry.samples);
        }
        sums
    }

    #[test]
    fn a_board_that_moves_keeps_its_series_and_each_node_has_its_part() {
        let cycles: Vec<_> = (0..4)
            .map(|n| vec![reading("GPU-1", if n < 2 { "old" } else { "new" }, n * MINUTE, 100)])
            .collect();
        let sums = summed(booked(&cycles));
        let of = |node: &str| {
            sums[&("gpu:GPU-1".to_owned(), node.to_owned(), Quarter::at(Timestamp::from_micros(0)))]
        };
        // A segment belongs to the node where it ends.
        assert_eq!((of("old"), of("new")), ((6_000_000, 60_000, 2), (12_000_000, 120_000, 2)));
    }

    #[test]
    fn a_series_that_is_gone_is_forgotten_after_a_month() {
        let month = 31 * 1_440 * MINUTE;
        let book = Book::default();
        let booking = book.book(&[reading("GPU-1", "n", 0, 1), reading("GPU-2", "n", month, 1)], None);
        let after = |now| book.after(&booking, Timestamp::from_micros(now)).0.into_keys().collect::<Vec<_>>();
        assert_eq!(after(month), ["gpu:GPU-1", "gpu:GPU-2"]);
        assert_eq!(after(month + 1), ["gpu:GPU-2"]);
    }

    #[test]
    fn a_book_is_its_own_json() {
        let book = Book::default();
        let book = book.after(&book.book(&[reading("GPU-1", "n", 0, 100)], None), Timestamp::from_micros(0));
        let text = serde_json::to_string(&book).unwrap();
        assert_eq!(serde_json::from_str::<Book>(&text).unwrap(), book);
    }

    #[test]
    fn a_total_is_unknown_until_it_is_said_and_counts_on_from_there() {
        let cycle = |minute: i64| [reading("GPU-1", "n", minute * MINUTE, 100)];
        let now = Timestamp::from_micros(0);
        let book = Book::default();
        let book = book.after(&book.book(&cycle(0), None), now);
        assert_eq!((book.without_total(), book.totals()), (vec!["gpu:GPU-1".to_owned()], BTreeMap::new()));
        let before = EnergyTotal { energy_mj: 7, covered_ms: 5 };
        let book = book.with_totals(&BTreeMap::from([("gpu:GPU-1".to_owned(), before)]));
        let booking = book.book(&cycle(1), Some(Duration::from_secs(180)));
        let book = book.after(&booking, now).with_totals(&BTreeMap::new());
        let total = EnergyTotal { energy_mj: 7 + 6_000_000, covered_ms: 5 + 60_000 };
        assert_eq!(book.totals(), BTreeMap::from([("gpu:GPU-1".to_owned(), total)]));
    }

    #[test]
    fn what_flows_back_is_not_taken_off_a_total() {
        let book = Book::default();
        let cycle = |minute: i64, watts| [reading("GPU-1", "n", minute * MINUTE, watts)];
        let mut book = book.after(&book.book(&cycle(0, 0), None), Timestamp::from_micros(0));
        book = book.with_totals(&BTreeMap::from([("gpu:GPU-1".to_owned(), EnergyTotal::default())]));
        let mut before = EnergyTotal::default();
        for (minute, watts) in [(1, 100), (2, -300), (3, -300), (4, 100)] {
            let booking = book.book(&cycle(minute, watts), Some(Duration::from_secs(180)));
            book = book.after(&booking, Timestamp::from_micros(0));
            let total = book.totals()["gpu:GPU-1"];
            assert!(before.energy_mj <= total.energy_mj && before.covered_ms < total.covered_ms);
            before = total;
        }
    }

    proptest! {
        #[test]
        fn cycles_give_what_all_readings_at_once_give(
            steps in prop::collection::vec((1..300_i64, 0..500, 0..3_u8), 1..60)
        ) {
            let mut at = 0;
            let readings: Vec<_> = steps
                .into_iter()
                .map(|(seconds, watts, board)| {
                    at += seconds * 1_000_000;
                    reading(&format!("GPU-{board}"), "n", at, watts)
                })
                .collect();
            let cycles: Vec<_> = readings.chunks(7).map(<[_]>::to_vec).collect();
            prop_assert_eq!(summed(booked(&cycles)), summed(booked(&[readings])));
        }
    }
}
