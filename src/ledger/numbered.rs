//! Rows as a database keeps them: series and nodes by numbers, so that a month of a fleet can be read quickly.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Entry;
use crate::reading::Quarter;

/// A quarter with more covered time than this was added more than once: a quarter-hour and a hundredth, in milliseconds.
pub const MAX_COVERED_MS: i64 = 909_000;

/// The last row of a series or a source is looked for so far back: 31 days.
pub const LOOK_BACK: Duration = Duration::from_hours(31 * 24);

/// The last row of a series before some quarter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastSeen {
    /// The number of the series.
    pub series: i64,
    /// The number of the node where it was.
    pub node: i64,
    /// The quarter of that row.
    pub quarter: Quarter,
}

impl LastSeen {
    /// Whether the series is expected from a quarter on: it was seen in the 31 days before.
    pub fn is_recent(&self, quarter: Quarter) -> bool {
        quarter.start().since(self.quarter.start()) <= LOOK_BACK
    }
}

/// The names of a ledger's series and nodes, by their numbers in its database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Each series.
    pub series: BTreeMap<i64, SeriesName>,
    /// The name of each node; of a station its serial number.
    pub nodes: BTreeMap<i64, String>,
}

/// The name of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesName {
    /// As [`super::SeriesKey`] is printed.
    pub key: String,
    /// The model of its GPU or station; empty where it is not known.
    pub model: String,
}

/// The figures of a series on a node in a quarter, or in a local day where quarters were rolled up
/// ([`super::Method::DAY`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NumberedRow {
    /// The number of the series.
    pub series: i64,
    /// The number of the node.
    pub node: i64,
    /// The quarter, or the first one of the day.
    pub quarter: Quarter,
    /// The figures.
    pub entry: Entry,
}
