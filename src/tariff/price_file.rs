//! Price files: CSV with `start,end,price`, times in RFC 3339 with their offset, a row a quarter-hour, half hour or hour.

use std::borrow::Cow;
use std::fmt;

use super::number;
use crate::reading::{Quarter, SafeText, Timestamp};
use crate::support::error::Diagnose;

/// The most bytes of a file that are worth reading.
pub const MAX_FILE_BYTES: usize = 64 << 20;

/// The most rows of a file: eleven years of quarter-hours.
pub const MAX_ROWS: usize = 400_000;

/// The most faults of a file that are told.
const MAX_FAULTS: usize = 20;

/// The third column of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesColumn {
    /// `price`: a currency's units per kilowatt-hour.
    Price,
    /// `g_per_kwh`: grams of carbon dioxide per kilowatt-hour.
    GramsPerKwh,
}

impl SeriesColumn {
    /// Its name in the first line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Price => "price",
            Self::GramsPerKwh => "g_per_kwh",
        }
    }
}

/// A row: a value that holds for one, two or four quarters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) start: Quarter,
    pub(super) end: Quarter,
    /// In millionths.
    pub(super) value: i64,
    /// From 1.
    pub(super) line: usize,
}

/// A file that has been parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceFile {
    pub(super) name: String,
    pub(super) rows: Vec<Interval>,
}

/// A fault of a file, with its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {message}", SafeText::new(file))]
pub struct FileFault {
    /// The file, as its caller named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The message.
    pub message: String,
    /// The hint.
    pub hint: String,
}

impl Diagnose for FileFault {
    fn hint(&self) -> Cow<'static, str> {
        self.hint.clone().into()
    }

    fn is_transient(&self) -> bool {
        false
    }
}

/// A fault without its place.
struct Fault {
    message: String,
    hint: String,
}

impl Fault {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

impl PriceFile {
    /// Number of its rows.
    pub const fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// Parses the text of a file. Empty lines and those that begin with `#` are passed over; the first other one names
    /// the columns. A value may have more decimals than six, or an exponent, and is rounded to a millionth.
    ///
    /// # Errors
    /// Every line that is not such a row, up to a bound; or that the file has more rows than [`MAX_ROWS`].
    pub fn parse(name: &str, text: &str, column: SeriesColumn) -> Result<Self, Vec<FileFault>> {
        let mut file = Self { name: name.to_owned(), rows: Vec::new() };
        let mut faults = Vec::new();
        let mut has_header = false;
        for (line, fields) in lines(text) {
            let is_header = !has_header;
            let parsed = if is_header {
                has_header = true;
                header(&fields, column)
            } else if file.rows.len() >= MAX_ROWS {
                Err(Fault::new(format!("has more than {MAX_ROWS} rows"), "split it by years"))
            } else {
                row(line, &fields).map(|row| file.rows.push(row))
            };
            if let Err(Fault { message, hint }) = parsed {
                let is_last = is_header || file.rows.len() >= MAX_ROWS || faults.len() + 1 >= MAX_FAULTS;
                faults.push(FileFault { file: name.to_owned(), line, message, hint });
                if is_last {
                    break;
                }
            }
        }
        if !has_header {
            let Fault { message, hint } = no_header("is empty", column);
            faults.push(FileFault { file: name.to_owned(), line: 1, message, hint });
        }
        if faults.is_empty() { Ok(file) } else { Err(faults) }
    }
}

/// Lines with their numbers, cut at commas: neither a time nor a number has one, or a line break, so that quotes have
/// nothing to protect.
fn lines(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_data = |line: &str| !line.is_empty() && !line.starts_with('#');
    (1..).zip(text.lines().map(str::trim)).filter(move |(_, line)| is_data(line)).map(|(number, line)| {
        let fields = line.split(',').map(|field| field.trim().trim_matches('"'));
        (number, fields.collect())
    })
}

fn header(fields: &[&str], column: SeriesColumn) -> Result<(), Fault> {
    let wanted = ["start", "end", column.name()];
    let is_header = fields.len() == wanted.len()
        && fields.iter().zip(wanted).all(|(field, name)| field.eq_ignore_ascii_case(name));
    if let [one] = fields
        && one.contains([';', '\t'])
    {
        let hint = format!("save it with commas, and points in its numbers: `start,end,{}`", column.name());
        return Err(Fault::new("has another separator than a comma", hint));
    }
    let found = format!("begins with \"{}\"", SafeText::new(&fields.join(",")));
    if is_header { Ok(()) } else { Err(no_header(&found, column)) }
}

fn no_header(found: &str, column: SeriesColumn) -> Fault {
    let hint = format!("name the columns in the first line: `start,end,{}`", column.name());
    Fault::new(found, hint)
}

fn row(line: usize, fields: &[&str]) -> Result<Interval, Fault> {
    let [start, end, value] = fields else {
        let hint = "a row has a start, an end and a value with a point, joined by commas";
        return Err(Fault::new(format!("has {} fields instead of 3", fields.len()), hint));
    };
    let (start, end) = (quarter(start)?, quarter(end)?);
    if !matches!(end.since(start), 1 | 2 | 4) {
        let message = format!("lasts {} minutes", end.since(start).saturating_mul(15));
        return Err(Fault::new(message, "a row holds for 15, 30 or 60 minutes; cut it into such rows"));
    }
    let value = number::micros(value, 0).ok_or_else(|| {
        let hint = "write a decimal number with a point, without unit or currency";
        Fault::new(format!("has \"{}\", which is not a number", SafeText::new(value)), hint)
    })?;
    Ok(Interval { start, end, value, line })
}

fn quarter(text: &str) -> Result<Quarter, Fault> {
    let refused =
        |fault: &str, hint: &str| Fault::new(format!("has \"{}\", {fault}", SafeText::new(text)), hint);
    let instant: jiff::Timestamp = text.parse().map_err(|_| {
        let hint = "write it as \"2026-03-29T01:00:00+01:00\" or \"2026-03-29T00:00:00Z\"";
        refused("which is not a time with its offset", hint)
    })?;
    let start = Timestamp::from_micros(instant.as_microsecond());
    let quarter = Quarter::at(start);
    let is_start = quarter.start() == start && instant.subsec_nanosecond() == 0;
    is_start.then_some(quarter).ok_or_else(|| {
        refused(
            "which is between quarter-hours",
            "prices change at quarter-hours; round it as your supplier does",
        )
    })
}

impl fmt::Display for SeriesColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<PriceFile, Vec<FileFault>> {
        PriceFile::parse("prices/a.csv", text, SeriesColumn::Price)
    }

    #[test]
    fn rows_of_15_30_and_60_minutes_are_read_with_any_offset() {
        let file = parse(
            "\u{feff}# by hand\nstart,end,price\n\n\
             2026-03-29T01:00:00+01:00,2026-03-29T03:00:00+02:00,0.25\n\
             \"2026-03-29T01:00:00Z\",\"2026-03-29T01:30:00Z\",-0.0000005\r\n\
             2026-03-29 01:30Z, 2026-03-29 01:45Z, 5e-05\n",
        );
        let rows: Vec<_> = file
            .unwrap()
            .rows
            .iter()
            .map(|row| (row.line, row.start.start().to_string(), row.end.since(row.start), row.value))
            .collect();
        let wanted = [
            (4, "2026-03-29T00:00:00.000000Z".to_owned(), 4, 250_000),
            (5, "2026-03-29T01:00:00.000000Z".to_owned(), 2, -1),
            (6, "2026-03-29T01:30:00.000000Z".to_owned(), 1, 50),
        ];
        assert_eq!(rows, wanted);
    }

    #[test]
    fn each_wrong_line_is_told_with_its_number_and_a_hint() {
        let faults = parse(
            "start,end,price\n\
             2026-01-01T00:00,2026-01-01T00:15Z,1\n\
             2026-01-01T00:05Z,2026-01-01T00:20Z,1\n\
             2026-01-01T00:00Z,2026-01-01T00:45Z,1\n\
             2026-01-01T00:15Z,2026-01-01T00:00Z,1\n\
             2026-01-01T00:00Z,2026-01-01T00:15Z,\"0,14\"\n\
             2026-01-01T00:00Z,2026-01-01T00:15Z,0.14 EUR\n",
        );
        let told: Vec<String> = faults.unwrap_err().iter().map(FileFault::to_string).collect();
        let wanted = [
            "prices/a.csv:2: has \"2026-01-01T00:00\", which is not a time with its offset",
            "prices/a.csv:3: has \"2026-01-01T00:05Z\", which is between quarter-hours",
            "prices/a.csv:4: lasts 45 minutes",
            "prices/a.csv:5: lasts -15 minutes",
            "prices/a.csv:6: has 4 fields instead of 3",
            "prices/a.csv:7: has \"0.14 EUR\", which is not a number",
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn a_file_without_its_first_line_is_refused() {
        for (text, told) in [
            ("", "prices/a.csv:1: is empty"),
            ("# only\n", "prices/a.csv:1: is empty"),
            ("start,end,g_per_kwh\n", "prices/a.csv:1: begins with \"start,end,g_per_kwh\""),
        ] {
            let faults = parse(text).unwrap_err();
            assert_eq!(faults.first().unwrap().to_string(), told);
            assert!(faults.first().unwrap().hint.contains("start,end,price"));
        }
        assert!(PriceFile::parse("c", "start,end,g_per_kwh\n", SeriesColumn::GramsPerKwh).is_ok());
    }

    #[test]
    fn a_file_with_another_separator_is_told_once() {
        for separator in [";", "\t"] {
            let text = "start,end,price\n2026-01-01T00:00Z,2026-01-01T01:00Z,1\n".replace(',', separator);
            let told: Vec<String> = parse(&text).unwrap_err().iter().map(FileFault::to_string).collect();
            assert_eq!(told, ["prices/a.csv:1: has another separator than a comma"]);
        }
    }

    #[test]
    fn a_file_of_nonsense_is_told_in_few_lines() {
        assert_eq!(
            parse(&format!("start,end,price\n{}", "x\n".repeat(1_000))).unwrap_err().len(),
            MAX_FAULTS
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(start,end,price\n)?([-0-9TZ:+.,e# \"\n]{0,40}\n){0,5}\\PC{0,20}") {
            if let Ok(file) = parse(&text) {
                prop_assert!(file.rows.iter().all(|row| row.start < row.end));
            }
        }
    }
}
