//! Numbers of rows, bytes and microseconds, in the type that is told.

/// Of a number that a database or a clock gives. One below zero is none.
pub(super) const fn from_database(number: i64) -> u64 {
    if number < 0 { 0 } else { number.unsigned_abs() }
}

/// Of a length in memory.
pub(super) fn from_length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
