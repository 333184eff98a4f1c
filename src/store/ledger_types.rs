//! The answers of a [`LedgerReader`](super::LedgerReader), and the events that it reads.

use std::ops::Range;

use super::counts::from_database;
pub(super) use crate::ledger::{LOOK_BACK, LastSeen};
use crate::ledger::{MAX_COVERED_MS, Method, Names};
pub(super) use crate::reading::event_type::{ALERT, GPU_FACTS, GPU_POWER, NODE_UP};
use crate::reading::{Quarter, Timestamp, event_type};

/// The figures of a row of the ledger.
pub(super) const SUMS: &str = "energy_mj, covered_ms, samples, min_mw, max_mw, variance_mj2, busy_ms, method";

/// The same as columns of a table, in the types of both databases.
pub(super) const ENERGY_COLUMNS: &str = "energy_mj bigint NOT NULL, covered_ms int NOT NULL, samples int NOT NULL, \
    min_mw int, max_mw int, variance_mj2 real NOT NULL, busy_ms int, method smallint NOT NULL";

/// The event of each cycle of the whole fleet, and its source.
pub(super) const CYCLE: (&str, &str) = (event_type::CLUSTER_POWER, event_type::CLUSTER);

/// The most rows of `node_up` among which a failure is looked for: a day at one a minute.
pub(super) const MAX_ATTEMPTS: i64 = 1_440;

/// The most alerts that are read.
pub(super) const MAX_ALERTS: i64 = 10_000;

/// The most states of charge that are read: ten years of one station by the hour.
pub(super) const MAX_CHARGES: i64 = 100_000;

/// A ledger's place: whether its tables are there, and what this role may do with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerAccess {
    /// There is none.
    Missing,
    /// It is there and this role may not read it.
    Forbidden,
    /// It can be read.
    ReadOnly,
    /// It can be written, and nothing tells a batch that comes twice, so that it is not kept.
    NotKept,
    /// It can be read, and is kept by this role.
    ReadWrite,
}

impl LedgerAccess {
    /// That of a file.
    pub(super) const fn of_file(has_ledger: bool, may_write: bool) -> Self {
        match (has_ledger, may_write) {
            (false, _) => Self::Missing,
            (true, true) => Self::ReadWrite,
            (true, false) => Self::ReadOnly,
        }
    }

    /// Whether it can be read.
    pub const fn is_readable(self) -> bool {
        matches!(self, Self::ReadOnly | Self::NotKept | Self::ReadWrite)
    }

    /// Whether this role may write it.
    pub(super) const fn is_writable(self) -> bool {
        matches!(self, Self::NotKept | Self::ReadWrite)
    }
}

/// The size of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerSize {
    /// Number of series.
    pub series: u64,
    /// Number of the series that are flows of stations.
    pub flows: u64,
    /// Number of nodes and stations.
    pub nodes: u64,
    /// Number of stations.
    pub stations: u64,
    /// Number of rows.
    pub rows: u64,
    /// Number of local days whose quarters were rolled up.
    pub days: u64,
    /// Bytes on disk with the indexes; `None` where the database does not say.
    pub bytes: Option<u64>,
}

impl LedgerSize {
    /// From numbers of a database.
    pub(super) fn of(counts: SizeRow, bytes: Option<i64>) -> Self {
        let (series, flows, nodes, stations, rows, days) = counts;
        Self {
            series: from_database(series),
            flows: from_database(flows),
            nodes: from_database(nodes),
            stations: from_database(stations),
            rows: from_database(rows),
            days: from_database(days),
            bytes: bytes.map(from_database),
        }
    }
}

/// The row of [`counting`].
pub(super) type SizeRow = (i64, i64, i64, i64, i64, i64);

/// Counts series, those of stations, nodes, those that are stations, rows, and days that were rolled up; `prefix` stands
/// before the names of the tables.
pub(super) fn counting(prefix: &str) -> String {
    let day = Method::DAY.bits();
    format!(
        "SELECT (SELECT count(*) FROM {prefix}series), \
         (SELECT count(*) FROM {prefix}series WHERE key LIKE 'station:%'), (SELECT count(*) FROM {prefix}node), \
         (SELECT count(*) FROM {prefix}node AS n WHERE EXISTS (SELECT 1 FROM {prefix}series AS s \
         WHERE substr(s.key, 1, length(n.name) + 9) = 'station:' || n.name || ':')), count(*), \
         count(DISTINCT CASE WHEN method & {day} = {day} THEN quarter END) FROM {prefix}energy"
    )
}

/// Series of which a ledger has more time in a quarter than there is, so that their energy was added more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedTwice {
    /// Number of series.
    pub series: u64,
    /// The key of one of them.
    pub example: String,
    /// From the first of these quarters to the last one.
    pub quarters: Range<Quarter>,
}

impl CountedTwice {
    /// From the numbers of a database; `None` of no series.
    pub(super) fn of((series, example, first, last): CountedTwiceRow) -> Option<Self> {
        let quarter = |micros| Quarter::at(Timestamp::from_micros(micros));
        Some(Self {
            series: u64::try_from(series).ok().filter(|series| *series > 0)?,
            example: example?,
            quarters: quarter(first?)..quarter(last?).next(),
        })
    }
}

/// A row of [`counting_twice`].
pub(super) type CountedTwiceRow = (i64, Option<String>, Option<i64>, Option<i64>);

/// Counts the series with quarters of which more is covered than there is, and gives one of them, and the first and last
/// of these quarters. `micros` makes microseconds of a quarter.
pub(super) fn counting_twice(prefix: &str, micros: impl Fn(&str) -> String) -> String {
    format!(
        "SELECT t.n_series, (SELECT s.key FROM {prefix}series AS s WHERE s.id = t.one), {}, {} FROM (\
         SELECT count(DISTINCT d.series) AS n_series, min(d.series) AS one, min(d.quarter) AS first, \
         max(d.quarter) AS last FROM (SELECT series, quarter FROM {prefix}energy WHERE method & {} = 0 \
         GROUP BY series, quarter HAVING sum(covered_ms) > {MAX_COVERED_MS}) AS d) AS t",
        micros("t.first"),
        micros("t.last"),
        Method::DAY.bits()
    )
}

/// Some rows of energy did not come to the ledger, and nothing said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "some rows did not come to the ledger: a trigger, a rule or row-level security keeps them, or a name was removed"
)]
pub(super) struct RowsKeptAway;

/// Checks that all rows came to the ledger, of which the database says how many it added.
pub(super) fn all_added(n_added: u64, n_rows: u64) -> Result<(), RowsKeptAway> {
    if n_added == n_rows { Ok(()) } else { Err(RowsKeptAway) }
}

impl From<RowsKeptAway> for sqlx::Error {
    fn from(error: RowsKeptAway) -> Self {
        Self::AnyDriverError(Box::new(error))
    }
}

impl From<RowsKeptAway> for rusqlite::Error {
    fn from(error: RowsKeptAway) -> Self {
        Self::ToSqlConversionFailure(Box::new(error))
    }
}

/// The names and last rows of a ledger that was derived from its timeline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Derived {
    /// The names of its series and nodes.
    pub names: Names,
    /// Where series were last before its quarters, of those that were seen in the 31 days before them.
    pub last_seen: Vec<LastSeen>,
}

/// A failed attempt to ask a node. Its texts are harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFailure {
    /// When.
    pub at: Timestamp,
    /// The label of its outcome, such as `connect_failed`.
    pub outcome: String,
    /// The failure in words, for a person.
    pub message: String,
}

/// The state of charge of a station over some quarters, in percent.
#[derive(Debug, Clone, PartialEq)]
pub struct ChargeSpan {
    /// The source of its events.
    pub source: String,
    /// The first quarter.
    pub from: Quarter,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
    /// The mean of its readings.
    pub mean: f64,
}

/// An alert that was raised or cleared. Its texts are harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertEvent {
    /// When.
    pub at: Timestamp,
    /// Whether it was raised; else it was cleared.
    pub is_raised: bool,
    /// The source that it is about.
    pub source: String,
    /// Tells alerts apart: the one that clears has the key of the one that raised.
    pub key: String,
    /// The rule.
    pub rule: String,
    /// `warning` or `critical`.
    pub severity: String,
    /// The trouble in words, for a person.
    pub message: String,
}

/// A row of an alert as it is in the timeline.
#[derive(Debug)]
pub(super) struct AlertRow {
    pub(super) at: Timestamp,
    pub(super) source: String,
    pub(super) value: Option<f64>,
    pub(super) metadata: String,
}
