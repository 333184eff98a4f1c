//! `report` on the same days in SQLite and in PostgreSQL, with a ledger and without.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use fleetwatt::batch::{BatchId, Event, Metadata};
use fleetwatt::ledger::{EnergyRow, Entry, Method};
use fleetwatt::reading::{Quarter, Timestamp};
use fleetwatt::store::{Record, StoreUrl, Timeline};
use serde_json::Value;
use uuid::Uuid;

use crate::postgres::Database;
use crate::program::Home;
use crate::report::{Played, chicago, is_near, number, sum};

const DAY: [&str; 4] = ["--from", "2026-11-25", "--to", "2026-11-26"];
const TABLE: &str = "unified_timeline";

/// The energies of a SQLite ledger.
fn energies(home: &Home) -> Vec<Record> {
    type Keys = (String, String, String, i64);
    type Figures = (i64, i64, i64, Option<i64>, Option<i64>, f64, Option<i64>, i64);
    let keys: Vec<Keys> = home.query(
        "SELECT s.key, s.model, n.name, e.quarter FROM fleetwatt_energy e JOIN fleetwatt_series s ON s.id = e.series \
         JOIN fleetwatt_node n ON n.id = e.node ORDER BY e.series, e.quarter, e.node",
    );
    let figures: Vec<Figures> = home.query(
        "SELECT energy_mj, covered_ms, samples, min_mw, max_mw, variance_mj2, busy_ms, method FROM fleetwatt_energy \
         ORDER BY series, quarter, node",
    );
    let row = |((series, model, node, quarter), figures): (Keys, Figures)| {
        let (energy_mj, covered_ms, samples, min_mw, max_mw, variance_mj2, busy_ms, method) = figures;
        let method = Method::from_bits(u8::try_from(method).unwrap());
        let quarter = Quarter::at(Timestamp::from_micros(quarter));
        let entry = Entry { energy_mj, covered_ms, samples, min_mw, max_mw, variance_mj2, busy_ms, method };
        EnergyRow { series, model, node, quarter, entry }
    };
    Record::from_energies(&keys.into_iter().zip(figures).map(row).collect::<Vec<_>>())
}

/// The rows of a SQLite timeline.
fn events(home: &Home) -> Vec<Record> {
    let rows: Vec<(String, String, Option<f64>, String, i64)> = home
        .query("SELECT event_type, source, value, metadata, created_at FROM unified_timeline ORDER BY id");
    let event = |(event_type, source, value, metadata, at): (String, String, Option<f64>, String, i64)| {
        let metadata: Value = serde_json::from_str(&metadata).unwrap();
        Event {
            event_type: event_type.leak(),
            source,
            value,
            metadata: Metadata::of(&metadata),
            at: Timestamp::from_micros(at),
        }
    };
    Record::from_events(&rows.into_iter().map(event).collect::<Vec<_>>())
}

/// Names another store in the inventory of the played fleet.
fn move_to(played: &Played, url: &str) {
    let text = std::fs::read_to_string(&played.inventory).unwrap();
    let with_url = |line: &str| {
        if line.starts_with("url ") { format!("url = \"{url}\"\n") } else { format!("{line}\n") }
    };
    std::fs::write(&played.inventory, text.lines().map(with_url).collect::<String>()).unwrap();
}

/// What differs between two documents, but for the last digits of numbers.
fn difference(one: &Value, two: &Value) -> Option<String> {
    match (one, two) {
        (Value::Number(_), Value::Number(_)) => {
            let (one, two) = (number(one), number(two));
            (!is_near(one, two, 1e-6 * one.abs().max(1e-3))).then(|| format!("{one} and {two}"))
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            one.iter().zip(two).find_map(|(one, two)| difference(one, two))
        }
        (Value::Object(one), Value::Object(two)) if one.len() == two.len() => {
            one.iter().find_map(|(key, value)| {
                let other = two.get(key).unwrap_or(&Value::Null);
                difference(value, other).map(|found| format!("{key}: {found}"))
            })
        }
        _ => (one != two).then(|| format!("{one} and {two}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_and_postgresql_give_the_same_report() {
    let played = tokio::task::spawn_blocking(|| Played::new(&chicago(""))).await.unwrap();
    let database = Database::new(
        "report_same",
        "CREATE ROLE report_same LOGIN; GRANT CREATE ON SCHEMA public TO report_same; \
         GRANT CREATE ON DATABASE report_same TO report_same",
    )
    .await;
    let url = database.url("report_same", "");
    let (played, records, of_sqlite) = tokio::task::spawn_blocking(move || {
        let records = [energies(&played.home), events(&played.home)].concat();
        let of_sqlite = played.json(&[&DAY[..], &["--charts"]].concat());
        (played, records, of_sqlite)
    })
    .await
    .unwrap();
    let store_url = StoreUrl::parse(&url, None).unwrap();
    Timeline::init(&store_url, TABLE).await.unwrap();
    let timeline = Timeline::open(&store_url, TABLE).await.unwrap();
    timeline.write(BatchId(Uuid::from_u128(1)), &records).await.unwrap();
    timeline.close().await;
    let of_postgres = tokio::task::spawn_blocking(move || {
        move_to(&played, &url);
        played.json(&[&DAY[..], &["--charts"]].concat())
    });
    assert_eq!(difference(&of_sqlite, &of_postgres.await.unwrap()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_only_insert_gets_the_report_of_its_timeline() {
    let table = "CREATE TABLE unified_timeline (event_type text, source text, value float8, metadata jsonb, created_at timestamptz)";
    let sql = format!(
        "{table}; CREATE ROLE report_inserts LOGIN; GRANT SELECT, INSERT ON unified_timeline TO report_inserts"
    );
    let database = Database::new("report_inserts", &sql).await;
    let url = database.url("report_inserts", "");
    let played = tokio::task::spawn_blocking(|| Played::new(&chicago(""))).await.unwrap();
    let (played, records, by_ledger) = tokio::task::spawn_blocking(move || {
        let by_ledger = played.json(&DAY);
        let records = events(&played.home);
        (played, records, by_ledger)
    })
    .await
    .unwrap();
    let timeline = Timeline::open(&StoreUrl::parse(&url, None).unwrap(), TABLE).await.unwrap();
    timeline.write(BatchId(Uuid::from_u128(1)), &records).await.unwrap();
    timeline.close().await;
    let by_timeline = tokio::task::spawn_blocking(move || {
        move_to(&played, &url);
        played.json(&DAY)
    });
    is_derived(&by_timeline.await.unwrap(), &by_ledger);
}

#[test]
fn without_a_ledger_the_timeline_gives_the_same_energy_and_a_note_says_so() {
    let played = Played::new(&chicago(""));
    let by_ledger = played.json(&DAY);
    for table in ["energy", "series", "node"] {
        played.execute(&format!("DROP TABLE fleetwatt_{table}"));
    }
    is_derived(&played.json(&DAY), &by_ledger);
}

/// That a report is the same as one of a ledger, and says where it is from.
fn is_derived(by_timeline: &Value, by_ledger: &Value) {
    assert_eq!(difference(&by_ledger["rows"], &by_timeline["rows"]), None);
    assert!(is_near(
        sum(&by_timeline["rows"], "energy_kwh"),
        number(&by_ledger["total"]["energy_kwh"]),
        0.001
    ));
    let notes = by_timeline["notes"].as_array().unwrap();
    assert!(notes.iter().any(|note| note.as_str().unwrap().contains("timeline")), "{notes:?}");
}
