//! What is read for a report, from a SQLite file and from a PostgreSQL server alike.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::ops::Range;
use std::time::Duration;

use fleetwatt::batch::{BatchId, Event, Metadata};
use fleetwatt::ledger::{Book, EnergyReading, LastSeen, NumberedRow, SeriesKey, SeriesReading};
use fleetwatt::reading::{Power, Quarter, Timestamp};
use fleetwatt::store::{Error, LedgerAccess, LedgerReader, Record, StoreUrl, Timeline};
use serde_json::json;
use uuid::Uuid;

use crate::postgres::Database;

const MINUTE: i64 = 60_000_000;
pub(crate) const TABLE: &str = "unified_timeline";

/// After 2026-01-01T00:00:00Z.
pub(crate) fn at(minute: i64) -> Timestamp {
    Timestamp::from_micros(1_767_225_600_000_000 + minute * MINUTE)
}

pub(crate) fn quarter(number: i64) -> Quarter {
    Quarter::at(at(0)).plus(number)
}

/// Board 1 for an hour at 100 W, board 2 for its first half hour at 50 W, a reading a minute.
fn energies() -> Vec<Record> {
    let reading = |board: i64, minute: i64| SeriesReading {
        key: SeriesKey::Gpu { uuid: format!("GPU-{board}") },
        node: format!("n{board}"),
        model: "H100".to_owned(),
        reading: EnergyReading {
            at: at(minute),
            power: Power::from_watts(if board == 1 { 100 } else { 50 }),
            busy: None,
            samples: None,
        },
    };
    let readings: Vec<_> = (0..60)
        .flat_map(|minute| (1..=2).map(move |board| (board, minute)))
        .filter(|(board, minute)| *board == 1 || *minute < 30)
        .map(|(board, minute)| reading(board, minute))
        .collect();
    Record::from_energies(&Book::default().book(&readings, Some(Duration::from_secs(60))).rows)
}

fn events() -> Vec<Record> {
    let event = |event_type, source: &str, value, minute, metadata| Event {
        event_type,
        source: source.to_owned(),
        value: Some(value),
        metadata: Metadata::of(&metadata),
        at: at(minute),
    };
    let failed = |message| json!({"outcome": "connect_failed", "message": message});
    let alert = |message| json!({"key": "host_silent:node_n1", "rule": "host_silent", "severity": "critical", "message": message});
    let mut events = vec![
        event("node_up", "node_n1", 1.0, 0, json!({})),
        event("node_up", "node_n1", 0.0, 1, failed("no route\u{1b}[31m to n1")),
        event("node_up", "node_n1", 0.0, 2, failed("later")),
        event("node_up", "node_n2", 0.0, 0, failed("another node")),
        event("cluster_gpu_power_total", "gpu_cluster", 150.0, 5, json!({})),
        event("gpu_power_draw", "gpu_n1_6", 50.0, 7, json!({"gpu_uuid": "GPU-6", "gpu_index": 6})),
        event("gpu_power_draw", "gpu_n1_6", 50.0, 8, json!({"gpu_uuid": "GPU-7", "gpu_index": 6})),
        event("gpu_power_draw", "gpu_redfin", 50.0, 8, json!({"temp": 61})),
        event("alert", "node_n1", 1.0, 3, alert("n1 is silent")),
        event("alert", "gpu_n2", 1.0, 2, json!({"key": 3})),
        event("alert", "node_n1", 0.0, 40, alert("n1 answers")),
        event("alert", "node_n1", 0.0, 60, alert("too late")),
    ];
    let charges = [("s1", 0, 50.0), ("s1", 14, 40.0), ("s1", 15, 30.0), ("s2", 31, 90.0), ("s2", 60, 10.0)];
    events.extend(
        charges.map(|(source, minute, percent)| event("acme_soc", source, percent, minute, json!({}))),
    );
    Record::from_events(&events)
}

async fn filled(store_url: &StoreUrl) -> LedgerReader {
    Timeline::init(store_url, TABLE).await.unwrap();
    let timeline = Timeline::open(store_url, TABLE).await.unwrap();
    let records: Vec<_> = energies().into_iter().chain(events()).collect();
    timeline.write(BatchId(Uuid::from_u128(1)), &records).await.unwrap();
    timeline.close().await;
    let reader = LedgerReader::open(store_url, TABLE).await.unwrap().unwrap();
    assert_eq!(reader.access(), LedgerAccess::ReadWrite);
    reader
}

async fn rows(reader: &mut LedgerReader, quarters: Range<Quarter>) -> Vec<NumberedRow> {
    let mut rows = Vec::new();
    reader.rows(quarters, |row| rows.push(row)).await.unwrap();
    rows.sort_by_key(|row| (row.series, row.quarter));
    rows
}

/// The number of each board's series, by its name.
async fn boards(reader: &mut LedgerReader) -> [i64; 2] {
    let names = reader.names().await.unwrap();
    assert!(names.series.values().all(|name| name.model == "H100"));
    let number = |key: &str| *names.series.iter().find(|(_, name)| name.key == key).unwrap().0;
    [number("gpu:GPU-1"), number("gpu:GPU-2")]
}

async fn gives_the_rows_of_a_range(mut reader: LedgerReader) {
    let [one, two] = boards(&mut reader).await;
    assert_eq!(reader.span().await.unwrap(), Some(quarter(0)..quarter(4)));
    let found = rows(&mut reader, quarter(1)..quarter(3)).await;
    let figures: Vec<_> = found.iter().map(|row| (row.series, row.quarter, row.entry.energy_mj)).collect();
    let mut expected = [
        (one, quarter(1), 90_000_000),
        (one, quarter(2), 90_000_000),
        // The last reading of the second board is a minute before the end of its half hour.
        (two, quarter(1), 42_000_000),
    ];
    expected.sort_unstable();
    assert_eq!(figures, expected);
    let row = found.iter().find(|row| row.series == two).unwrap();
    assert_eq!((row.entry.covered_ms, row.entry.samples), (840_000, 15));
    assert_eq!((row.entry.min_mw, row.entry.max_mw, row.entry.busy_ms), (Some(50_000), Some(50_000), None));
    assert_eq!(reader.names().await.unwrap().nodes[&row.node], "n2");
    let mut seen = reader.last_seen(quarter(3)).await.unwrap();
    seen.sort_by_key(|seen| seen.quarter);
    let nodes: Vec<i64> = seen.iter().map(|seen| seen.node).collect();
    let last = |series, node, number| LastSeen { series, node, quarter: quarter(number) };
    assert_eq!(seen, [last(two, nodes[0], 1), last(one, nodes[1], 2)]);
    assert_eq!(rows(&mut reader, quarter(4)..quarter(9)).await, []);
    reader.close().await;
}

async fn tells_what_the_timeline_says_beside_it(mut reader: LedgerReader) {
    let failure = reader.first_failure("n1", at(0)..at(9)).await.unwrap().unwrap();
    assert_eq!((failure.at, failure.outcome.as_str()), (at(1), "connect_failed"));
    assert_eq!(failure.message, "no route[31m to n1");
    assert_eq!(reader.first_failure("n1", at(3)..at(9)).await.unwrap(), None);
    // A cycle ended in minute 5.
    for (time, minutes) in [(0..60, 55), (0..5, 5), (4..7, 2), (6..60, 54), (0..6, 5)] {
        let pause = reader.longest_pause(at(time.start)..at(time.end)).await.unwrap();
        assert_eq!(pause, Duration::from_mins(minutes), "{time:?}");
    }
    let indices = |from, until| (at(from), at(until));
    let (from, until) = indices(50, 60);
    assert_eq!(reader.gpu_indices(from, until).await.unwrap(), [("GPU-7".to_owned(), 6)].into());
    let (from, until) = indices(0, 8);
    assert_eq!(reader.gpu_indices(from, until).await.unwrap(), [("GPU-6".to_owned(), 6)].into());
    let alerts = reader.alerts(at(0)..at(60)).await.unwrap();
    let told: Vec<_> = alerts.iter().map(|one| (one.at, one.is_raised, one.message.as_str())).collect();
    assert_eq!(told, [(at(2), true, ""), (at(3), true, "n1 is silent"), (at(40), false, "n1 answers")]);
    assert_eq!((alerts[1].rule.as_str(), alerts[1].severity.as_str()), ("host_silent", "critical"));
    let charges = reader.charges("acme_soc", quarter(0)..quarter(4), 1).await.unwrap();
    let told: Vec<_> =
        charges.iter().map(|one| (one.source.as_str(), one.from, one.min, one.max, one.mean)).collect();
    assert_eq!(
        told,
        [
            ("s1", quarter(0), 40.0, 50.0, 45.0),
            ("s1", quarter(1), 30.0, 30.0, 30.0),
            ("s2", quarter(2), 90.0, 90.0, 90.0)
        ]
    );
    let hourly = reader.charges("acme_soc", quarter(0)..quarter(4), 4).await.unwrap();
    assert_eq!(hourly.iter().map(|one| one.mean).collect::<Vec<_>>(), [40.0, 90.0]);
    reader.close().await;
}

pub(crate) fn file(folder: &tempfile::TempDir) -> StoreUrl {
    StoreUrl::sqlite(folder.path().join("time line?#%.db"))
}

pub(crate) async fn server(name: &'static str, sql: &str) -> StoreUrl {
    let role = format!("CREATE ROLE {name} LOGIN; GRANT CREATE ON DATABASE {name} TO {name};");
    let database =
        Database::new(name, &format!("{role} GRANT CREATE ON SCHEMA public TO {name}; {sql}")).await;
    StoreUrl::parse(&database.url(name, ""), None).unwrap()
}

#[tokio::test]
async fn a_file_gives_the_rows_of_a_range() {
    let folder = tempfile::tempdir().unwrap();
    gives_the_rows_of_a_range(filled(&file(&folder)).await).await;
}

#[tokio::test]
async fn a_server_gives_the_rows_of_a_range() {
    let store_url = server("ledger_rows", "").await;
    gives_the_rows_of_a_range(filled(&store_url).await).await;
}

#[tokio::test]
async fn a_file_tells_what_its_timeline_says_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    tells_what_the_timeline_says_beside_it(filled(&file(&folder)).await).await;
}

#[tokio::test]
async fn a_server_tells_what_its_timeline_says_beside_it() {
    let store_url = server("ledger_beside", "").await;
    tells_what_the_timeline_says_beside_it(filled(&store_url).await).await;
}

#[tokio::test]
async fn a_table_of_another_with_other_types_tells_the_same() {
    let table = "CREATE TABLE unified_timeline (id serial, event_type varchar(64), source varchar(80), value numeric, \
                 metadata json, created_at timestamp); GRANT ALL ON unified_timeline TO ledger_types; \
                 GRANT USAGE ON SEQUENCE unified_timeline_id_seq TO ledger_types";
    let store_url = server("ledger_types", table).await;
    tells_what_the_timeline_says_beside_it(filled(&store_url).await).await;
}

#[tokio::test]
async fn a_file_that_is_not_there_is_none_and_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    assert!(LedgerReader::open(&file(&folder), TABLE).await.unwrap().is_none());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_timeline_without_a_ledger_says_so_and_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let store_url = file(&folder);
    filled(&store_url).await.close().await;
    let sql = "DROP TABLE fleetwatt_energy";
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("time line?#%.db"));
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
    let mut reader = LedgerReader::open(&store_url, TABLE).await.unwrap().unwrap();
    assert_eq!(reader.access(), LedgerAccess::Missing);
    assert!(matches!(reader.names().await, Err(Error::NoLedger)));
    assert_eq!(reader.alerts(at(0)..at(60)).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_role_that_may_only_insert_is_told_what_it_lacks() {
    let table = "CREATE TABLE unified_timeline (event_type text, source text, value float8, metadata jsonb, \
                 created_at timestamptz)";
    let sql = format!(
        "{table}; CREATE ROLE ledger_insert LOGIN; GRANT INSERT ON unified_timeline TO ledger_insert"
    );
    let database = Database::new("ledger_insert", &sql).await;
    let store_url = StoreUrl::parse(&database.url("ledger_insert", ""), None).unwrap();
    let mut reader = LedgerReader::open(&store_url, TABLE).await.unwrap().unwrap();
    assert_eq!(reader.access(), LedgerAccess::Missing);
    assert!(matches!(reader.span().await, Err(Error::NoLedger)));
    let Err(Error::Permission(_, grants, _)) = reader.alerts(at(0)..at(60)).await else { panic!() };
    assert_eq!(grants, [r#"GRANT SELECT ON "public"."unified_timeline" TO "ledger_insert";"#]);
    let status = Timeline::inspect(&store_url, TABLE).await.unwrap().unwrap();
    assert_eq!(status.ledger, LedgerAccess::Missing);
    assert!(status.owner_sql.iter().any(|sql| sql.contains("fleetwatt.energy")), "{:?}", status.owner_sql);
}
