//! Times in SQL, which go and come as microseconds since 1970.

use std::fmt::Display;
use std::ops::Range;

use crate::reading::Quarter;

/// A time as microseconds; without a zone it is UTC.
pub(super) fn micros(time: &str) -> String {
    format!("(extract(epoch FROM {time}) * 1000000)::int8")
}

/// Microseconds, a number or a parameter, as a `timestamptz`.
pub(super) fn timestamptz(micros: impl Display) -> String {
    time("timestamptz", micros)
}

/// The same as a value of a type: `timestamptz`, or `timestamp`, which then holds UTC.
pub(super) fn time(sql_type: &str, micros: impl Display) -> String {
    format!("{sql_type} 'epoch' + {micros} * interval '1 microsecond'")
}

/// The condition on the quarter of a row of the ledger.
pub(super) fn within(quarters: &Range<Quarter>) -> String {
    let at = |quarter: Quarter| timestamptz(quarter.start().micros());
    format!("quarter >= {} AND quarter < {}", at(quarters.start), at(quarters.end))
}
