//! The energies of a timeline: as its ledger has them, and as they follow from the timeline's own rows, all at once and
//! in the order of time.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]
#![allow(dead_code, reason = "several programs use this module, each a part of it")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use fleetwatt::batch::{TimelineReader, TimelineRow};
use fleetwatt::battery::VENDOR;
use fleetwatt::ledger::Book;
use fleetwatt::reading::Timestamp;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

/// Energy, covered time, samples, minimum, maximum and busy time of a series on a node in a quarter.
pub(crate) type Figures = (i64, i64, i64, Option<i64>, Option<i64>, Option<i64>);

/// The figures by series, node, and the beginning of the quarter in microseconds.
pub(crate) type Ledger = BTreeMap<(String, String, i64), Figures>;

type LedgerRow = (String, String, i64, i64, i64, i64, Option<i64>, Option<i64>, Option<i64>);

type EventRow = (String, String, Option<f64>, String, i64);

/// The energies of a timeline.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Energies {
    /// As its ledger has them.
    pub(crate) kept: Ledger,
    /// As they follow from its rows.
    pub(crate) computed: Ledger,
}

impl Energies {
    /// Of a timeline in a file.
    pub(crate) async fn of_file(path: &Path) -> Self {
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(20));
        let mut database = options.connect().await.unwrap();
        let ledger = "SELECT s.key, n.name, e.quarter, e.energy_mj, e.covered_ms, e.samples, e.min_mw, e.max_mw, \
                      e.busy_ms FROM fleetwatt_energy e JOIN fleetwatt_series s ON s.id = e.series \
                      JOIN fleetwatt_node n ON n.id = e.node";
        let events = "SELECT event_type, source, value, metadata, created_at FROM unified_timeline \
                      ORDER BY created_at, event_type, id";
        let ledger: Vec<LedgerRow> = sqlx::query_as(ledger).fetch_all(&mut database).await.unwrap();
        let events: Vec<EventRow> = sqlx::query_as(events).fetch_all(&mut database).await.unwrap();
        Self { kept: kept(ledger), computed: computed(&events) }
    }

    /// Of a timeline on a server.
    pub(crate) async fn of_server(url: &str) -> Self {
        let options: PgConnectOptions = url.parse().unwrap();
        let mut database = options.connect().await.unwrap();
        let ledger = "SELECT s.key, n.name, (extract(epoch FROM e.quarter) * 1000000)::int8, e.energy_mj, \
                      e.covered_ms::int8, e.samples::int8, e.min_mw::int8, e.max_mw::int8, e.busy_ms::int8 \
                      FROM fleetwatt.energy e JOIN fleetwatt.series s ON s.id = e.series \
                      JOIN fleetwatt.node n ON n.id = e.node";
        let events = "SELECT event_type, source, value::float8, metadata::text, \
                      (extract(epoch FROM created_at) * 1000000)::int8 FROM unified_timeline \
                      ORDER BY created_at, event_type, id";
        let ledger: Vec<LedgerRow> = sqlx::query_as(ledger).fetch_all(&mut database).await.unwrap();
        let events: Vec<EventRow> = sqlx::query_as(events).fetch_all(&mut database).await.unwrap();
        Self { kept: kept(ledger), computed: computed(&events) }
    }

    /// Where the two differ, in words.
    pub(crate) fn differences(&self) -> Vec<String> {
        let keys = self.kept.keys().chain(self.computed.keys().filter(|key| !self.kept.contains_key(key)));
        let different = keys.filter(|key| self.kept.get(key) != self.computed.get(key));
        let words = |key: &(String, String, i64)| {
            let (kept, computed) = (self.kept.get(key), self.computed.get(key));
            format!("{key:?}: the ledger has {kept:?}, the timeline gives {computed:?}")
        };
        different.map(words).collect()
    }

    /// The same, and that nothing was measured, so that nothing was compared.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = self.differences();
        if self.total().1 == 0 {
            faults.push("the ledger has no time that was measured".to_owned());
        }
        faults
    }

    /// The energy in millijoules and the covered time in milliseconds of all series.
    pub(crate) fn total(&self) -> (i64, i64) {
        self.kept.values().fold((0, 0), |sum, figures| (sum.0 + figures.0, sum.1 + figures.1))
    }
}

fn kept(rows: Vec<LedgerRow>) -> Ledger {
    rows.into_iter()
        .map(|(series, node, quarter, energy, covered, samples, min, max, busy)| {
            ((series, node, quarter), (energy, covered, samples, min, max, busy))
        })
        .collect()
}

fn computed(events: &[EventRow]) -> Ledger {
    let mut reader = TimelineReader::new(VENDOR.figures);
    let reading = |(event_type, source, value, metadata, at): &EventRow| {
        reader.read(&TimelineRow {
            event_type,
            source,
            value: value.unwrap_or_default(),
            metadata,
            at: Timestamp::from_micros(*at),
        })
    };
    let readings: Vec<_> = events.iter().filter_map(reading).collect();
    let rows = Book::default().book(&readings, None).rows.into_iter();
    rows.map(|row| {
        let entry = row.entry;
        let figures =
            (entry.energy_mj, entry.covered_ms, entry.samples, entry.min_mw, entry.max_mw, entry.busy_ms);
        ((row.series, row.node, row.quarter.start().micros()), figures)
    })
    .collect()
}
