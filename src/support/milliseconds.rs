//! Durations as the machine-readable outputs write them.

use std::time::Duration;

/// Whole milliseconds; what is finer is cut off.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
