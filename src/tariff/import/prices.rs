//! Prices by time, as the text of a price file.

use super::ImportError;
use crate::reading::{Quarter, SafeText, Timestamp};
use crate::tariff::calendar::shown;
use crate::tariff::money::PricePerKwh;
use crate::tariff::price_file::{MAX_ROWS, SeriesColumn};

/// A price and when it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PriceRow {
    pub(super) start: Quarter,
    pub(super) end: Quarter,
    pub(super) price: PricePerKwh,
}

/// The quarter that begins at a time with its offset.
pub(super) fn quarter(text: &str) -> Result<Quarter, ImportError> {
    let refused = |fault: &str| {
        let message = format!("has the time \"{}\", which is {fault}", SafeText::new(text));
        ImportError::new(message, "give the text as it was downloaded")
    };
    let instant: jiff::Timestamp = text.parse().map_err(|_| refused("not a time with its offset"))?;
    let start = Timestamp::from_micros(instant.as_microsecond());
    let quarter = Quarter::at(start);
    if quarter.start() == start { Ok(quarter) } else { Err(refused("between quarter-hours")) }
}

/// The text of a price file, sorted, each row once. A price that holds for longer than an hour has several rows.
pub(super) fn price_csv(mut rows: Vec<PriceRow>) -> Result<String, ImportError> {
    rows.sort_unstable();
    rows.dedup();
    let n_quarters = rows.iter().try_fold(0_i64, |sum, row| sum.checked_add(row.end.since(row.start).max(0)));
    if n_quarters.and_then(|n| usize::try_from(n).ok()).is_none_or(|n| n > MAX_ROWS) {
        let message = format!("has prices for more than {MAX_ROWS} quarter-hours");
        return Err(ImportError::new(message, "import it in parts, a year each"));
    }
    if rows.is_empty() {
        return Err(ImportError::new("has no prices", "ask your supplier for a range that has some"));
    }
    let mut csv = format!("start,end,{}\n", SeriesColumn::Price);
    for row in rows {
        let mut start = row.start;
        while start < row.end {
            let end = start.plus(row_length(row.end.since(start)));
            csv.push_str(&format!("{},{},{}\n", shown(start), shown(end), row.price));
            start = end;
        }
    }
    Ok(csv)
}

/// The quarters of a row, of those that remain.
const fn row_length(remaining: i64) -> i64 {
    match remaining {
        4.. => 4,
        2 | 3 => 2,
        _ => 1,
    }
}
