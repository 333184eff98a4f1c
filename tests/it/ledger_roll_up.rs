//! Old quarter-hours that become local days, in a SQLite file and in a PostgreSQL server alike.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::collections::BTreeMap;
use std::time::Duration;

use fleetwatt::batch::BatchId;
use fleetwatt::ledger::{EnergyRow, Entry, Method, NumberedRow};
use fleetwatt::reading::{Quarter, Timestamp};
use fleetwatt::store::{LedgerReader, Record, RollUp, StoreUrl, Timeline};
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::ledger_reader::{TABLE, file, server};
use crate::ledger_rebuild::keep_rows_away;
use crate::postgres::Database;

fn rule() -> RollUp {
    RollUp { keep: Duration::from_hours(24), zone: TimeZone::get("Europe/Berlin").unwrap() }
}

fn quarter(text: &str) -> Quarter {
    let instant: jiff::Timestamp = text.parse().unwrap();
    Quarter::at(Timestamp::from_micros(instant.as_microsecond()))
}

/// The figures of a quarter, each another one.
fn row(board: i64, quarter: Quarter) -> EnergyRow {
    let number = quarter.since(Quarter::at(Timestamp::from_micros(0))) % 1_009 + board;
    EnergyRow {
        series: format!("gpu:GPU-{board}"),
        node: format!("n{}", number % 2),
        model: "H100".to_owned(),
        quarter,
        entry: Entry {
            energy_mj: 90_000_000 + number,
            covered_ms: 900_000 - number,
            samples: 15,
            min_mw: Some(100_000 - number),
            max_mw: Some(100_000 + number),
            variance_mj2: 1e9 * 2.0,
            busy_ms: (board == 1).then_some(number),
            method: Method::READINGS,
        },
    }
}

/// Two boards over the days on which the clocks are changed in Berlin, each until the evening of another day.
fn rows() -> Vec<EnergyRow> {
    let spring = quarter("2026-03-27T23:00:00Z").until(quarter("2026-03-30T22:00:00Z"));
    let autumn = quarter("2026-10-23T22:00:00Z").until(quarter("2026-10-27T18:00:00Z"));
    spring.chain(autumn).flat_map(|quarter| [row(1, quarter), row(2, quarter)]).collect()
}

async fn write(store_url: &StoreUrl, id: u128, rows: &[EnergyRow]) {
    Timeline::init(store_url, TABLE).await.unwrap();
    let timeline = Timeline::open(store_url, TABLE).await.unwrap();
    timeline.write(BatchId(Uuid::from_u128(id)), &Record::from_energies(rows)).await.unwrap();
    timeline.close().await;
}

/// Rolls up whatever is old; says how many rows there were.
async fn roll_up(store_url: &StoreUrl) -> usize {
    let timeline = Timeline::open(store_url, TABLE).await.unwrap();
    let mut n_rows = 0;
    for _ in 0..9 {
        n_rows += timeline.roll_up_step(&rule()).await.unwrap();
    }
    timeline.close().await;
    n_rows
}

async fn kept(store_url: &StoreUrl) -> Vec<NumberedRow> {
    let mut reader = LedgerReader::open(store_url, TABLE).await.unwrap().unwrap();
    let mut rows = Vec::new();
    let all = quarter("2026-01-01T00:00:00Z")..quarter("2027-01-01T00:00:00Z");
    reader.rows(all, |row| rows.push(row)).await.unwrap();
    rows
}

/// The sums of each series on each node.
fn sums(rows: &[NumberedRow]) -> BTreeMap<(i64, i64), Entry> {
    let mut sums: BTreeMap<(i64, i64), Entry> = BTreeMap::new();
    for row in rows {
        let entry = Entry { method: Method::READINGS, ..row.entry };
        sums.entry((row.series, row.node)).and_modify(|sum| *sum = sum.plus(entry)).or_insert(entry);
    }
    sums
}

/// The energies of the days, of all series.
fn days(rows: &[NumberedRow]) -> BTreeMap<Quarter, i64> {
    let mut days = BTreeMap::new();
    for row in rows.iter().filter(|row| row.entry.method.has(Method::DAY)) {
        *days.entry(row.quarter).or_default() += row.entry.energy_mj;
    }
    days
}

fn energy(from: &str, to: &str) -> i64 {
    let quarters = quarter(from).until(quarter(to));
    quarters.map(|quarter| row(1, quarter).entry.energy_mj + row(2, quarter).entry.energy_mj).sum()
}

async fn rolls_up(store_url: &StoreUrl) {
    write(store_url, 1, &rows()).await;
    let before = kept(store_url).await;
    let n_rows = roll_up(store_url).await;
    let after = kept(store_url).await;
    assert_eq!(sums(&after), sums(&before));
    let edges = [
        "2026-03-27T23:00:00Z",
        "2026-03-28T23:00:00Z", // 23 hours
        "2026-03-29T22:00:00Z",
        "2026-03-30T22:00:00Z",
    ];
    let autumn = ["2026-10-23T22:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"]; // the second has 25
    let expected: BTreeMap<Quarter, i64> = [&edges[..], &autumn[..]]
        .iter()
        .flat_map(|edges| edges.windows(2).map(|pair| (quarter(pair[0]), energy(pair[0], pair[1]))))
        .collect();
    assert_eq!(days(&after), expected);
    // What is younger than a day at the last reading, and the beginning of that day, is as it was.
    let young = |rows: &[NumberedRow]| -> Vec<_> {
        let young = rows.iter().filter(|row| row.quarter >= quarter("2026-10-25T23:00:00Z"));
        young.map(|row| (row.series, row.quarter, row.entry.energy_mj, row.entry.method)).collect()
    };
    assert_eq!(young(&after).len(), young(&before).len());
    assert_eq!(before.len() - n_rows, young(&after).len());
    assert_eq!(roll_up(store_url).await, 0, "once is enough");
    assert_eq!(kept(store_url).await.len(), after.len());
}

async fn takes_what_comes_late(store_url: &StoreUrl) {
    write(store_url, 1, &rows()).await;
    roll_up(store_url).await;
    let before = kept(store_url).await;
    // In the middle of a day, and at its midnight, where the row of the day is.
    let late = [row(1, quarter("2026-03-29T10:00:00Z")), row(1, quarter("2026-03-28T23:00:00Z"))];
    write(store_url, 2, &late).await;
    assert_eq!(roll_up(store_url).await, 1);
    let after = kept(store_url).await;
    let grown =
        days(&after)[&quarter("2026-03-28T23:00:00Z")] - days(&before)[&quarter("2026-03-28T23:00:00Z")];
    assert_eq!(grown, late[0].entry.energy_mj + late[1].entry.energy_mj);
    assert_eq!(days(&after).len(), days(&before).len());
    assert_eq!(after.len(), before.len());
}

#[tokio::test]
async fn a_file_rolls_up_local_days_and_no_sum_changes() {
    let folder = tempfile::tempdir().unwrap();
    rolls_up(&file(&folder)).await;
}

#[tokio::test]
async fn a_server_rolls_up_local_days_and_no_sum_changes() {
    rolls_up(&server("roll_up_days", "").await).await;
}

#[tokio::test]
async fn in_a_file_what_comes_late_is_added_to_its_day() {
    let folder = tempfile::tempdir().unwrap();
    takes_what_comes_late(&file(&folder)).await;
}

#[tokio::test]
async fn in_a_server_what_comes_late_is_added_to_its_day() {
    takes_what_comes_late(&server("roll_up_late", "").await).await;
}

async fn nothing_is_taken_out_that_its_day_does_not_take(store_url: &StoreUrl) {
    write(store_url, 1, &rows()).await;
    let before = kept(store_url).await.len();
    keep_rows_away(store_url).await;
    let timeline = Timeline::open(store_url, TABLE).await.unwrap();
    let mut n_refused = 0;
    for _ in 0..9 {
        n_refused += u32::from(timeline.roll_up_step(&rule()).await.is_err());
    }
    timeline.close().await;
    assert!(n_refused > 0);
    assert_eq!(kept(store_url).await.len(), before);
}

#[tokio::test]
async fn in_a_file_nothing_is_taken_out_that_its_day_does_not_take() {
    let folder = tempfile::tempdir().unwrap();
    nothing_is_taken_out_that_its_day_does_not_take(&file(&folder)).await;
}

#[tokio::test]
async fn in_a_server_nothing_is_taken_out_that_its_day_does_not_take() {
    nothing_is_taken_out_that_its_day_does_not_take(&server("roll_up_away", "").await).await;
}

#[tokio::test]
async fn a_role_that_may_not_take_rows_out_leaves_them_and_is_given_the_grant() {
    let sql = "CREATE ROLE roll_up_role LOGIN; GRANT CREATE ON SCHEMA public TO roll_up_role; \
               GRANT CREATE ON DATABASE roll_up_role TO roll_up_role";
    let database = Database::new("roll_up_role", sql).await;
    let store_url = StoreUrl::parse(&database.url("roll_up_role", ""), None).unwrap();
    write(&store_url, 1, &rows()).await;
    database.run("ALTER TABLE fleetwatt.energy OWNER TO postgres").await;
    database.run("GRANT SELECT, INSERT, UPDATE ON fleetwatt.energy TO roll_up_role").await;
    let before = kept(&store_url).await.len();
    assert_eq!(roll_up(&store_url).await, 0);
    assert_eq!(kept(&store_url).await.len(), before);
    let status = Timeline::inspect(&store_url, TABLE).await.unwrap().unwrap();
    let grant = "GRANT DELETE ON fleetwatt.energy TO \"roll_up_role\";";
    assert!(status.hints.iter().any(|hint| hint.ends_with(grant)), "{:?}", status.hints);
}
