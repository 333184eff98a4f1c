//! Values by quarter-hour from one or several files: what holds at a time, where two rows overlap, and where none is.

use std::fmt;
use std::ops::Range;

use super::calendar::shown;
use super::price_file::{Interval, PriceFile};
use crate::reading::{Quarter, SafeText};

/// Values of files by quarter-hour, in millionths.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuarterSeries {
    /// By quarter, each once; no value where rows contradict each other.
    values: Vec<(Quarter, Option<i64>)>,
}

/// The value of a quarter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesValue {
    /// In millionths.
    Value(i64),
    /// No row has the quarter.
    Missing,
    /// Two rows have it, with different values.
    Contradictory,
}

/// Two rows that have the same quarters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    /// The first quarter.
    pub from: Quarter,
    /// The quarter after the last one.
    pub to: Quarter,
    /// Where the first of the rows is: file and line.
    pub first: (String, usize),
    /// Where the other one is.
    pub second: (String, usize),
    /// Whether their values differ, so that neither is taken.
    pub is_contradiction: bool,
}

/// As in `a.csv:2 and b.csv:7 both have 2026-01-01T00:00:00Z to 2026-01-01T01:00:00Z, with the same values`.
impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |(file, line): &(String, usize)| format!("{}:{line}", SafeText::new(file));
        let (first, second) = (place(&self.first), place(&self.second));
        write!(f, "{first} and {second} both have {} to {}, ", shown(self.from), shown(self.to))?;
        f.write_str(match self.is_contradiction {
            true => "with different values, so that neither is taken",
            false => "with the same values",
        })
    }
}

impl QuarterSeries {
    /// Puts the rows of files together. A row of an hour covers four quarters. Rows that overlap are told, those of
    /// neighbouring quarters and the same two files as one.
    pub fn new(files: &[PriceFile]) -> (Self, Vec<Overlap>) {
        let rows = files.iter().flat_map(|file| file.rows.iter().map(move |row| (file, row)));
        let mut rows: Vec<_> =
            rows.flat_map(|(file, row)| row.start.until(row.end).map(move |at| (at, file, row))).collect();
        // Stable: of one quarter's rows, that of the first file comes first.
        rows.sort_by_key(|(at, ..)| *at);
        let (mut values, mut overlaps) = (Vec::new(), Vec::<Overlap>::new());
        for same in rows.chunk_by(|(one, ..), (other, ..)| one == other) {
            let Some(((at, first_file, first), others)) = same.split_first() else { continue };
            let contrary = others.iter().find(|(.., other)| other.value != first.value);
            if let Some((_, second_file, second)) = contrary.or_else(|| others.first()) {
                let places = ((*first_file, *first), (*second_file, *second));
                push_overlap(&mut overlaps, *at, places, contrary.is_some());
            }
            values.push((*at, contrary.is_none().then_some(first.value)));
        }
        (Self { values }, overlaps)
    }

    /// The value of a quarter.
    pub fn at(&self, quarter: Quarter) -> SeriesValue {
        let found =
            self.values.binary_search_by_key(&quarter, |(at, _)| *at).ok().and_then(|at| self.values.get(at));
        found.map_or(SeriesValue::Missing, |(_, value)| {
            value.map_or(SeriesValue::Contradictory, SeriesValue::Value)
        })
    }

    /// From the first quarter that has a row to behind the last one.
    pub fn span(&self) -> Option<Range<Quarter>> {
        Some(self.values.first()?.0..self.values.last()?.0.next())
    }

    /// Where no row is, within a range.
    pub fn holes(&self, range: Range<Quarter>) -> Vec<Range<Quarter>> {
        let first = self.values.partition_point(|(at, _)| *at < range.start);
        let within = self.values.get(first..).unwrap_or_default().iter().map(|(at, _)| *at);
        let (mut holes, mut next) = (Vec::new(), range.start);
        for at in within.take_while(|at| *at < range.end).chain([range.end]) {
            if next < at {
                holes.push(next..at);
            }
            next = at.next();
        }
        holes
    }
}

/// Adds an overlapping quarter to the last overlap, if it goes on from there.
fn push_overlap(
    overlaps: &mut Vec<Overlap>,
    at: Quarter,
    (first, second): ((&PriceFile, &Interval), (&PriceFile, &Interval)),
    is_contradiction: bool,
) {
    if let Some(last) = overlaps.last_mut()
        && last.to == at
        && (&last.first.0, &last.second.0) == (&first.0.name, &second.0.name)
        && last.is_contradiction == is_contradiction
    {
        last.to = at.next();
        return;
    }
    let place = |(file, row): (&PriceFile, &Interval)| (file.name.clone(), row.line);
    overlaps.push(Overlap {
        from: at,
        to: at.next(),
        first: place(first),
        second: place(second),
        is_contradiction,
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reading::Timestamp;
    use crate::tariff::price_file::SeriesColumn;

    fn file(name: &str, rows: &[(&str, &str, &str)]) -> PriceFile {
        let rows =
            rows.iter().map(|(start, end, price)| format!("2026-01-01T{start}Z,2026-01-01T{end}Z,{price}\n"));
        PriceFile::parse(name, &format!("start,end,price\n{}", rows.collect::<String>()), SeriesColumn::Price)
            .unwrap()
    }

    fn at(text: &str) -> Quarter {
        let instant: jiff::Timestamp = format!("2026-01-01T{text}Z").parse().unwrap();
        Quarter::at(Timestamp::from_micros(instant.as_microsecond()))
    }

    #[test]
    fn an_hour_covers_four_quarters_beside_rows_of_15_and_30_minutes() {
        let (series, overlaps) = QuarterSeries::new(&[
            file("b.csv", &[("01:00", "01:15", "0.3"), ("01:15", "01:45", "0.4")]),
            file("a.csv", &[("00:00", "01:00", "0.2")]),
        ]);
        let values = ["00:00", "00:45", "01:00", "01:15", "01:30"].map(|time| series.at(at(time)));
        assert_eq!(values, [200_000, 200_000, 300_000, 400_000, 400_000].map(SeriesValue::Value));
        assert_eq!((series.at(at("01:45")), overlaps), (SeriesValue::Missing, vec![]));
        assert_eq!(series.span(), Some(at("00:00")..at("01:45")));
    }

    #[test]
    fn holes_are_found_within_and_at_both_ends() {
        let (series, _) =
            QuarterSeries::new(&[file("a", &[("01:00", "01:15", "1"), ("01:45", "02:00", "1")])]);
        let holes = series.holes(at("00:30")..at("03:00"));
        assert_eq!(holes, [at("00:30")..at("01:00"), at("01:15")..at("01:45"), at("02:00")..at("03:00")]);
        assert_eq!(series.holes(at("01:00")..at("01:15")), []);
        assert_eq!(QuarterSeries::default().holes(at("01:00")..at("02:00")), [at("01:00")..at("02:00")]);
        assert_eq!(QuarterSeries::default().holes(at("02:00")..at("01:00")), []);
    }

    #[test]
    fn overlaps_are_told_with_times_files_and_lines_and_contradictions_have_no_value() {
        let (series, overlaps) = QuarterSeries::new(&[
            file("a.csv", &[("00:00", "01:00", "0.2"), ("01:00", "01:15", "0.3")]),
            file("b.csv", &[("00:30", "00:45", "0.2"), ("00:45", "01:00", "0.5"), ("01:00", "01:15", "0.6")]),
        ]);
        let told: Vec<String> = overlaps.iter().map(Overlap::to_string).collect();
        let wanted = [
            "a.csv:2 and b.csv:2 both have 2026-01-01T00:30:00Z to 2026-01-01T00:45:00Z, with the same values",
            "a.csv:2 and b.csv:3 both have 2026-01-01T00:45:00Z to 2026-01-01T01:15:00Z, with different values, so that \
             neither is taken",
        ];
        assert_eq!(told, wanted);
        assert_eq!(series.at(at("00:30")), SeriesValue::Value(200_000));
        assert_eq!(series.at(at("00:45")), SeriesValue::Contradictory);
    }

    proptest! {
        #[test]
        fn holes_and_values_share_out_a_range(
            rows in prop::collection::vec((0..60_i64, prop::sample::select(vec![1, 2, 4]), 0..3_i64), 0..20),
        ) {
            let origin = at("00:00");
            let rows = rows.into_iter().map(|(start, length, value)| {
                let start = origin.plus(start);
                Interval { start, end: start.plus(length), value, line: 1 }
            });
            let (series, _) = QuarterSeries::new(&[PriceFile { name: String::new(), rows: rows.collect() }]);
            let range = origin.plus(-5)..origin.plus(70);
            let holes = series.holes(range.clone());
            for quarter in range.start.until(range.end) {
                let is_hole = holes.iter().any(|hole| hole.contains(&quarter));
                prop_assert_eq!(is_hole, series.at(quarter) == SeriesValue::Missing);
            }
            prop_assert!(holes.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
