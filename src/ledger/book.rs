//! The ledger of a fleet: where each series ends, and what readings add.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{EnergyReading, Entry, Quarter, SeriesKey, SeriesState};
use crate::reading::Timestamp;

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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// A ledger whose series end here.
    pub fn new(ends: impl IntoIterator<Item = (String, SeriesState)>) -> Self {
        Self(ends.into_iter().collect())
    }

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

    /// Takes over the ends of what is durable now.
    pub fn accept(&mut self, booking: Booking) {
        self.0.extend(booking.ends);
    }

    /// Forgets the series that were not read for a month, and gives their names.
    pub fn forget(&mut self, now: Timestamp) -> Vec<String> {
        let is_old = |end: &SeriesState| end.last_at().is_none_or(|at| now.since(at) > FORGOTTEN_AFTER);
        let old: Vec<String> =
            self.0.iter().filter(|(_, end)| is_old(end)).map(|(series, _)| series.clone()).collect();
        self.0.retain(|_, end| !is_old(end));
        old
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
            rows.extend(booking.rows.clone());
            book.accept(booking);
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
    fn nothing_is_taken_over_before_it_is_durable() {
        let mut book = Book::default();
        book.accept(book.book(&[reading("GPU-1", "n", 0, 100)], None));
        let before = book.clone();
        let lost = book.book(&[reading("GPU-1", "n", MINUTE, 100)], None);
        assert_eq!((book == before, lost.ends.len()), (true, 1));
    }

    #[test]
    fn a_series_that_is_gone_is_forgotten_after_a_month() {
        let mut book = Book::default();
        book.accept(
            book.book(&[reading("GPU-1", "n", 0, 1), reading("GPU-2", "n", 31 * 1_440 * MINUTE, 1)], None),
        );
        assert_eq!(book.forget(Timestamp::from_micros(31 * 1_440 * MINUTE + 1)), ["gpu:GPU-1"]);
        assert_eq!(book.forget(Timestamp::from_micros(31 * 1_440 * MINUTE + 1)), [""; 0]);
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
