//! The ledger of a timeline in SQLite: as it is kept, and as it follows from the timeline's own rows.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::collections::BTreeMap;

use fleetwatt::batch::{TimelineReader, TimelineRow};
use fleetwatt::battery::VENDOR;
use fleetwatt::ledger::Book;
use fleetwatt::reading::Timestamp;

use crate::program::Home;

/// Energy, covered time, samples, minimum, maximum and busy time of a series on a node in a quarter.
pub(crate) type Figures = (i64, i64, i64, Option<i64>, Option<i64>, Option<i64>);

/// The figures by series, node, and the beginning of the quarter in microseconds.
pub(crate) type Ledger = BTreeMap<(String, String, i64), Figures>;

pub(crate) fn ledger(home: &Home) -> Ledger {
    type Row = (String, String, i64, i64, i64, i64, Option<i64>, Option<i64>, Option<i64>);
    let sql = "SELECT s.key, n.name, e.quarter, e.energy_mj, e.covered_ms, e.samples, e.min_mw, e.max_mw, e.busy_ms \
               FROM fleetwatt_energy e JOIN fleetwatt_series s ON s.id = e.series JOIN fleetwatt_node n ON n.id = e.node";
    let rows: Vec<Row> = home.query(sql);
    rows.into_iter()
        .map(|(series, node, quarter, energy, covered, samples, min, max, busy)| {
            ((series, node, quarter), (energy, covered, samples, min, max, busy))
        })
        .collect()
}

/// The ledger that follows from the rows of the timeline, all at once and in the order of time.
pub(crate) fn rebuilt(home: &Home) -> Ledger {
    let sql = "SELECT event_type, source, value, metadata, created_at FROM unified_timeline ORDER BY created_at, event_type, id";
    let rows: Vec<(String, String, Option<f64>, String, i64)> = home.query(sql);
    let mut reader = TimelineReader::new(VENDOR.figures);
    let readings: Vec<_> = rows
        .iter()
        .filter_map(|(event_type, source, value, metadata, at)| {
            reader.read(&TimelineRow {
                event_type,
                source,
                value: value.unwrap_or_default(),
                metadata,
                at: Timestamp::from_micros(*at),
            })
        })
        .collect();
    let booking = Book::default().book(&readings, None);
    booking
        .rows
        .into_iter()
        .map(|row| {
            let entry = row.entry;
            let figures =
                (entry.energy_mj, entry.covered_ms, entry.samples, entry.min_mw, entry.max_mw, entry.busy_ms);
            ((row.series, row.node, row.quarter.start().micros()), figures)
        })
        .collect()
}
