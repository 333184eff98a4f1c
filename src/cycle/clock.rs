//! The one place that reads the wall clock.

use std::time::UNIX_EPOCH;

use crate::reading::Timestamp;

/// The wall clock, as a value that is handed down. Waiting is measured by `tokio::time::Instant` instead.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// The present instant in UTC.
    #[allow(clippy::disallowed_methods, reason = "this is the clock that everybody else asks")]
    pub fn now(self) -> Timestamp {
        let since_1970 = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(0).plus(since_1970)
    }
}
