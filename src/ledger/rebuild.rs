//! A ledger that is computed from readings at once, with numbers of its own, row by row and in bounded memory.

use std::collections::HashMap;
use std::time::Duration;

use super::rhythm::Rhythm;
use super::{Entry, Names, NumberedRow, SeriesName, SeriesReading, SeriesState};
use crate::reading::Quarter;

/// Quarters before that of the last reading to which the next one may still add: its samples may begin a little earlier.
const OPEN_QUARTERS: i64 = 1;

/// Takes readings in the order of time, and gives rows once no reading adds to them any more.
#[derive(Debug, Default)]
pub struct Rebuild {
    max_gap: Option<Duration>,
    /// Whether readings of a second collector are passed over.
    is_of_one: bool,
    numbers: HashMap<String, usize>,
    series: Vec<Series>,
    nodes: HashMap<String, i64>,
}

#[derive(Debug)]
struct Series {
    name: SeriesName,
    end: SeriesState,
    rhythm: Rhythm,
    /// The rows that are not given yet: of a node in a quarter.
    open: Vec<(i64, Quarter, Entry)>,
}

impl Rebuild {
    /// `max_gap` is as in [`SeriesState::advance`].
    pub fn new(max_gap: Option<Duration>) -> Self {
        Self { max_gap, ..Self::default() }
    }

    /// The same for a timeline that two collectors may have written at once: what the second one says of a series of the
    /// first counts no more.
    #[must_use]
    pub const fn of_one_collector(mut self) -> Self {
        self.is_of_one = true;
        self
    }

    /// Takes the next reading of its series. A row that was given comes again only where samples say that they began more
    /// than a quarter before the reading before them; both add up.
    pub fn take(&mut self, reading: &SeriesReading, on_row: impl FnMut(NumberedRow)) {
        let (number, node) = self.name(reading);
        let Some(series) = self.series.get_mut(number) else { return };
        if self.is_of_one && series.rhythm.is_second_collector(reading.reading.at) {
            return;
        }
        for (quarter, entry) in series.end.advance(&reading.reading, self.max_gap) {
            series.add(node, quarter, entry);
        }
        let open = Quarter::at(reading.reading.at).plus(-OPEN_QUARTERS);
        series.give(number, |quarter| quarter < open, on_row);
    }

    /// The numbers of the series and of the node of a reading, which adds nothing.
    pub fn numbers(&mut self, reading: &SeriesReading) -> (i64, i64) {
        let (number, node) = self.name(reading);
        (outer(number), node)
    }

    /// The place of the series of a reading, and the number of its node.
    fn name(&mut self, reading: &SeriesReading) -> (usize, i64) {
        let node = number_of(&mut self.nodes, &reading.node);
        let key = reading.key.to_string();
        let number = match self.numbers.get(&key) {
            Some(number) => *number,
            None => {
                let number = self.series.len();
                self.numbers.insert(key.clone(), number);
                let name = SeriesName { key, model: String::new() };
                let (end, rhythm) = (SeriesState::default(), Rhythm::default());
                self.series.push(Series { name, end, rhythm, open: Vec::new() });
                number
            }
        };
        if let Some(series) = self.series.get_mut(number)
            && !reading.model.is_empty()
            && reading.model != series.name.model
        {
            series.name.model.clone_from(&reading.model);
        }
        (number, node)
    }

    /// Gives the rest of the rows: no reading comes any more.
    pub fn finish(&mut self, mut on_row: impl FnMut(NumberedRow)) {
        for (number, series) in self.series.iter_mut().enumerate() {
            series.give(number, |_| true, &mut on_row);
        }
    }

    /// The names of all series and nodes so far, by the numbers that they have in the rows.
    pub fn names(&self) -> Names {
        let series = self.series.iter().enumerate();
        Names {
            series: series.map(|(number, series)| (outer(number), series.name.clone())).collect(),
            nodes: self.nodes.iter().map(|(name, number)| (*number, name.clone())).collect(),
        }
    }
}

impl Series {
    fn add(&mut self, node: i64, quarter: Quarter, entry: Entry) {
        match self.open.iter_mut().rev().find(|open| (open.0, open.1) == (node, quarter)) {
            Some(open) => open.2 = open.2.plus(entry),
            None => self.open.push((node, quarter, entry)),
        }
    }

    fn give(
        &mut self,
        number: usize,
        is_done: impl Fn(Quarter) -> bool,
        mut on_row: impl FnMut(NumberedRow),
    ) {
        self.open.retain(|(node, quarter, entry)| {
            let is_done = is_done(*quarter);
            if is_done {
                on_row(NumberedRow { series: outer(number), node: *node, quarter: *quarter, entry: *entry });
            }
            !is_done
        });
    }
}

fn number_of(numbers: &mut HashMap<String, i64>, name: &str) -> i64 {
    if let Some(number) = numbers.get(name) {
        return *number;
    }
    let number = outer(numbers.len());
    numbers.insert(name.to_owned(), number);
    number
}

/// The number of the first one is 1, as in a database.
fn outer(index: usize) -> i64 {
    i64::try_from(index).map_or(i64::MAX, |index| index.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::ledger::{Book, EnergyReading, Sampled, SeriesKey};
    use crate::reading::{Energy, Power, Timestamp};

    fn reading((board, node): (u8, u8), at_us: i64, watts: i32, covered_ms: Option<u64>) -> SeriesReading {
        let samples = covered_ms.map(|covered| Sampled {
            energy: Energy::from_millijoules(i64::from(watts) * 1_000),
            covered: Duration::from_millis(covered),
            samples: 3,
            min: Power::from_watts(watts),
            max: Power::from_watts(watts),
            variance_mj2: 7,
        });
        SeriesReading {
            key: SeriesKey::Gpu { uuid: format!("GPU-{board}") },
            node: format!("n{node}"),
            model: String::new(),
            reading: EnergyReading {
                at: Timestamp::from_micros(at_us),
                power: Power::from_watts(watts),
                busy: None,
                samples,
            },
        }
    }

    type Sums = BTreeMap<(String, String, Quarter), (i64, i64, i64)>;

    fn add(sums: &mut Sums, key: (String, String, Quarter), entry: Entry) {
        let sum = sums.entry(key).or_default();
        *sum = (sum.0 + entry.energy_mj, sum.1 + entry.covered_ms, sum.2 + entry.samples);
    }

    proptest! {
        #[test]
        fn it_is_the_ledger_that_a_book_keeps_and_each_row_comes_once(
            steps in prop::collection::vec((1..900_i64, 0..500, 0..3_u8, 0..2_u8, prop::option::of(1..700_000_u64)), 1..80)
        ) {
            let mut at = 0;
            let readings: Vec<_> = steps.into_iter().map(|(seconds, watts, board, node, covered)| {
                at += seconds * 1_000_000;
                reading((board, node), at, watts, covered)
            }).collect();
            let (mut rebuild, mut rows) = (Rebuild::new(None), Vec::new());
            for one in &readings {
                rebuild.take(one, |row| rows.push(row));
            }
            rebuild.finish(|row| rows.push(row));
            let names = rebuild.names();
            let (mut own, mut booked) = (Sums::new(), Sums::new());
            let n_rows = rows.len();
            for row in rows {
                let key = (names.series[&row.series].key.clone(), names.nodes[&row.node].clone(), row.quarter);
                add(&mut own, key, row.entry);
            }
            for row in Book::default().book(&readings, None).rows {
                add(&mut booked, (row.series, row.node, row.quarter), row.entry);
            }
            prop_assert_eq!(n_rows, own.len());
            prop_assert_eq!(own, booked);
        }
    }

    #[test]
    fn a_board_that_two_collectors_read_is_measured_once_and_wholly() {
        let minutes = (0..90).flat_map(|minute| [minute * 60_000_000, minute * 60_000_000 + 1_500_000]);
        let mut rebuild = Rebuild::new(None).of_one_collector();
        let (mut energy_mj, mut covered_ms) = (0, 0);
        let mut add = |row: NumberedRow| {
            energy_mj += row.entry.energy_mj;
            covered_ms += row.entry.covered_ms;
        };
        // The second one begins after ten minutes.
        for at_us in minutes.filter(|at_us| at_us % 60_000_000 == 0 || *at_us > 600_000_000) {
            rebuild.take(&reading((1, 1), at_us, 100, None), &mut add);
        }
        rebuild.finish(&mut add);
        // 88 of 89 minutes: of the first one no interval is known yet.
        assert_eq!((covered_ms, energy_mj), (88 * 60_000, 100 * 88 * 60_000));
    }

    #[test]
    fn a_row_is_given_as_soon_as_nothing_adds_to_it() {
        let mut rebuild = Rebuild::new(None);
        let mut given = Vec::new();
        for quarter in 0..4 {
            rebuild
                .take(&reading((1, 1), quarter * Quarter::MICROS, 100, None), |row| given.push(row.quarter));
        }
        let first = Quarter::at(Timestamp::from_micros(0));
        assert_eq!(given, [first, first.plus(1)]);
    }
}
