//! What was measured of series so far, from the ledger of a file and of a server.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::collections::BTreeMap;

use fleetwatt::batch::BatchId;
use fleetwatt::ledger::{EnergyRow, EnergyTotal, Entry, Method};
use fleetwatt::reading::{Quarter, Timestamp};
use fleetwatt::store::{LedgerReader, Record, StoreUrl, Timeline};
use uuid::Uuid;

use crate::ledger_reader::{TABLE, file, server};

fn row(series: &str, quarter: i64, energy_mj: i64) -> EnergyRow {
    EnergyRow {
        series: series.to_owned(),
        node: "n".to_owned(),
        model: "H100".to_owned(),
        quarter: Quarter::at(Timestamp::from_micros(1_790_000_000_000_000)).plus(quarter),
        entry: Entry {
            energy_mj,
            covered_ms: 900_000,
            samples: 15,
            min_mw: None,
            max_mw: None,
            variance_mj2: 0.0,
            busy_ms: None,
            method: Method::READINGS,
        },
    }
}

async fn totals(store_url: &StoreUrl) -> BTreeMap<String, EnergyTotal> {
    let rows = [
        row("gpu:GPU-1", 0, 5_000_000_000),
        row("gpu:GPU-1", 1, 7),
        row("gpu:GPU-2", 0, 1),
        row("station:S:grid", 0, 100),
        row("station:S:grid", 1, -300),
    ];
    Timeline::init(store_url, TABLE).await.unwrap();
    let timeline = Timeline::open(store_url, TABLE).await.unwrap();
    timeline.write(BatchId(Uuid::from_u128(1)), &Record::from_energies(&rows)).await.unwrap();
    timeline.close().await;
    let mut reader = LedgerReader::open(store_url, TABLE).await.unwrap().unwrap();
    let asked = ["gpu:GPU-1", "station:S:grid", "gpu:GPU-9"].map(str::to_owned);
    reader.totals(&asked).await.unwrap()
}

/// Of a flow both ways what came in counts, and of a series that is not there nothing is told.
fn expected() -> BTreeMap<String, EnergyTotal> {
    let total = |energy_mj| EnergyTotal { energy_mj, covered_ms: 1_800_000 };
    BTreeMap::from([
        ("gpu:GPU-1".to_owned(), total(5_000_000_007)),
        ("station:S:grid".to_owned(), total(100)),
    ])
}

#[tokio::test]
async fn a_file_has_the_totals_of_the_series_that_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(totals(&file(&dir)).await, expected());
}

#[tokio::test]
async fn a_server_has_the_totals_of_the_series_that_are_asked_for() {
    assert_eq!(totals(&server("ledger_totals", "").await).await, expected());
}
