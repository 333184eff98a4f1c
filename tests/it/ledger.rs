//! The ledger of the real program: whatever happens to it, the energies are those that follow from the timeline.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::process::Child;
use std::time::{Duration, Instant};

use fleetwatt::batch::BatchId;
use fleetwatt::ledger::{Book, EnergyReading, SeriesKey, SeriesReading};
use fleetwatt::reading::{Power, Share, Timestamp};
use fleetwatt::store::{Error, LedgerAccess, LedgerReader, Record, StoreUrl, Timeline};
use uuid::Uuid;

use crate::ledger_reader::file;
use crate::postgres::Database;
use crate::program::{Home, signal};

const PATIENCE: Duration = Duration::from_secs(40);

/// Waits until the timeline has so many cycles.
fn wait_for_cycles(home: &Home, n_cycles: i64) {
    let deadline = Instant::now() + PATIENCE;
    let sql = "SELECT count(*) FROM unified_timeline WHERE event_type = 'cluster_gpu_power_total'";
    while home.query::<(i64,)>(sql).first().is_none_or(|count| count.0 < n_cycles) {
        assert!(Instant::now() < deadline, "{n_cycles} cycles did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start(home: &Home, sample: &str) -> Child {
    let demo = format!("{}/fixtures/demo", env!("CARGO_MANIFEST_DIR"));
    let text = format!(
        "[cycle]\ninterval = \"1s\"\n[defaults]\ntimeout = \"900ms\"\n{sample}\n\
         [[host]]\nname = \"redfin\"\nscripted = \"{demo}/redfin.toml\"\n\
         [[host]]\nname = \"rack1-01\"\nscripted = \"{demo}/h100x8.toml\"\n"
    );
    let inventory = home.inventory(&text);
    home.start(&["run", "--inventory", inventory.to_str().unwrap()])
}

fn end(mut child: Child, which: rustix::process::Signal) {
    signal(i32::try_from(child.id()).unwrap(), which);
    child.wait().unwrap();
}

fn lives(sample: &str) {
    let home = Home::new();
    for life in 1..=4 {
        let child = start(&home, sample);
        wait_for_cycles(&home, 3 * life);
        end(child, rustix::process::Signal::KILL);
    }
    let child = start(&home, sample);
    wait_for_cycles(&home, 16);
    end(child, rustix::process::Signal::TERM);
    let energies = home.energies();
    assert_eq!(energies.differences(), Vec::<String>::new());
    let (energy, covered) = energies.total();
    assert!(energy > 0 && covered > 9_000, "{energy} mJ in {covered} ms");
}

#[test]
fn after_four_kills_it_is_what_follows_from_the_timeline() {
    lives("");
}

#[test]
fn so_it_is_where_hosts_are_sampled_between_cycles() {
    lives("sample = \"200ms\"");
}

#[test]
fn the_log_of_deliveries_counts_rows_of_the_timeline_and_no_energies() {
    let home = Home::new();
    let child = start(&home, "");
    wait_for_cycles(&home, 3);
    end(child, rustix::process::Signal::TERM);
    let sql = "SELECT d.rows, (SELECT count(*) FROM unified_timeline WHERE metadata ->> 'batch' = d.batch_id) \
               FROM delivered_batch d";
    let counts: Vec<(i64, i64)> = home.query(sql);
    assert!(counts.len() >= 3 && counts.iter().all(|(logged, rows)| logged == rows), "{counts:?}");
}

/// The energies of some minutes at 100 W, from the third reading on half known to be busy.
pub(crate) fn energies(minutes: std::ops::Range<i64>) -> Vec<Record> {
    let reading = |minute: i64| SeriesReading {
        key: SeriesKey::Gpu { uuid: "GPU-1".to_owned() },
        node: "a".to_owned(),
        model: if minute == 0 { String::new() } else { "H100".to_owned() },
        reading: EnergyReading {
            at: Timestamp::from_micros(minute * 60_000_000),
            power: Power::from_watts(100 + i32::try_from(minute).unwrap()),
            busy: (minute > 16).then_some(Share::from_millipercent(50_000)),
            samples: None,
        },
    };
    let readings: Vec<_> = minutes.map(reading).collect();
    Record::from_energies(&Book::default().book(&readings, Some(Duration::from_secs(60))).rows)
}

type PostgresRow = (String, String, String, i64, i64, i32, i32, i32, i32, Option<i32>);

async fn rows_in(database: &Database) -> Vec<PostgresRow> {
    let sql = "SELECT s.key, s.model, n.name, extract(epoch FROM quarter)::int8, energy_mj, covered_ms, samples, min_mw, \
               max_mw, busy_ms FROM fleetwatt.energy e JOIN fleetwatt.series s ON s.id = e.series \
               JOIN fleetwatt.node n ON n.id = e.node ORDER BY 4";
    sqlx::query_as(sql).fetch_all(&mut database.admin().await).await.unwrap()
}

/// A timeline with its ledger in a database of its own, of a role that has both names.
async fn in_postgresql(name: &'static str) -> (Database, Timeline) {
    let role = format!(
        "CREATE ROLE {name} LOGIN; GRANT CREATE ON SCHEMA public TO {name}; GRANT CREATE ON DATABASE {name} TO {name}"
    );
    let database = Database::new(name, &role).await;
    let store_url = StoreUrl::parse(&database.url(name, ""), None).unwrap();
    Timeline::init(&store_url, "unified_timeline").await.unwrap();
    (database, Timeline::open(&store_url, "unified_timeline").await.unwrap())
}

#[tokio::test]
async fn in_postgresql_the_log_of_deliveries_counts_no_energies() {
    let (database, timeline) = in_postgresql("ledger_log").await;
    timeline.write(BatchId(Uuid::from_u128(1)), &energies(0..3)).await.unwrap();
    timeline.close().await;
    let sql = "SELECT rows FROM fleetwatt.delivered_batch";
    let rows: Vec<i32> = sqlx::query_scalar(sql).fetch_all(&mut database.admin().await).await.unwrap();
    assert_eq!(rows, [0]);
}

#[tokio::test]
async fn in_postgresql_batches_add_up_and_one_that_comes_twice_counts_once() {
    let (database, timeline) = in_postgresql("ledger_sums").await;
    for (id, minutes) in [(1, 0..11), (1, 0..11), (2, 10..21)] {
        timeline.write(BatchId(Uuid::from_u128(id)), &energies(minutes)).await.unwrap();
    }
    let name = |quarter| ("gpu:GPU-1".to_owned(), "H100".to_owned(), "a".to_owned(), quarter);
    let row = |quarter, energy, covered, samples, min, max, busy| {
        let (series, model, node, quarter) = name(quarter);
        (series, model, node, quarter, energy, covered, samples, min, max, busy)
    };
    // 900 s at a mean of 107.5 W, of which nobody said how busy it was; 300 s at 117.5 W, busy in part of it.
    assert_eq!(
        rows_in(&database).await,
        [
            row(0, 96_750_000, 900_000, 16, 100_000, 114_000, None),
            row(900, 35_250_000, 300_000, 6, 115_000, 120_000, None),
        ]
    );
}

#[tokio::test]
async fn a_name_that_was_removed_beside_the_writer_loses_no_energy() {
    let (database, timeline) = in_postgresql("ledger_names").await;
    timeline.write(BatchId(Uuid::from_u128(1)), &energies(0..11)).await.unwrap();
    database.run("TRUNCATE fleetwatt.energy, fleetwatt.series, fleetwatt.node").await;
    let (id, later) = (BatchId(Uuid::from_u128(2)), energies(10..21));
    assert!(matches!(timeline.write(id, &later).await, Err(Error::LedgerRefused(_))));
    assert!(rows_in(&database).await.is_empty());
    timeline.write(id, &later).await.unwrap();
    assert_eq!(rows_in(&database).await.len(), 2);
}

#[tokio::test]
async fn a_name_that_was_removed_from_a_file_loses_no_energy() {
    let folder = tempfile::tempdir().unwrap();
    let store_url = file(&folder);
    let timeline = Timeline::open(&store_url, "unified_timeline").await.unwrap();
    timeline.write(BatchId(Uuid::from_u128(1)), &energies(0..11)).await.unwrap();
    let url = store_url.to_string();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(url.strip_prefix("sqlite:").unwrap());
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let sql = "DELETE FROM fleetwatt_energy; DELETE FROM fleetwatt_series; DELETE FROM fleetwatt_node";
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    let (id, later) = (BatchId(Uuid::from_u128(2)), energies(10..21));
    assert!(matches!(timeline.write(id, &later).await, Err(Error::LedgerRefused(_))));
    timeline.write(id, &later).await.unwrap();
    let count = "SELECT count(*) FROM fleetwatt_energy JOIN fleetwatt_series AS s ON s.id = series";
    let n_rows: i64 = sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap();
    assert_eq!(n_rows, 2);
}

#[tokio::test]
async fn without_the_table_of_delivered_batches_no_ledger_is_kept() {
    let sql = "CREATE ROLE ledger_unkept LOGIN; GRANT CREATE ON SCHEMA public TO ledger_unkept; \
               GRANT CREATE ON DATABASE ledger_unkept TO ledger_unkept";
    let database = Database::new("ledger_unkept", sql).await;
    let store_url = StoreUrl::parse(&database.url("ledger_unkept", ""), None).unwrap();
    Timeline::init(&store_url, "unified_timeline").await.unwrap();
    database.run("DROP TABLE fleetwatt.delivered_batch").await;
    let timeline = Timeline::open(&store_url, "unified_timeline").await.unwrap();
    timeline.write(BatchId(Uuid::from_u128(1)), &energies(0..11)).await.unwrap();
    assert!(rows_in(&database).await.is_empty(), "a batch that comes twice would count twice");
    assert_eq!(timeline.status().await.unwrap().ledger, LedgerAccess::NotKept);
    let reader = LedgerReader::open(&store_url, "unified_timeline").await.unwrap().unwrap();
    assert_eq!(reader.access(), LedgerAccess::NotKept);
}

#[tokio::test]
async fn a_role_that_may_not_keep_a_ledger_still_writes_its_batches() {
    let table = "CREATE TABLE unified_timeline (event_type text, source text, value float8, metadata jsonb, created_at timestamptz)";
    let sql = format!(
        "{table}; CREATE ROLE ledger_none LOGIN; GRANT SELECT, INSERT ON unified_timeline TO ledger_none"
    );
    let database = Database::new("ledger_none", &sql).await;
    let store_url = StoreUrl::parse(&database.url("ledger_none", ""), None).unwrap();
    let timeline = Timeline::open(&store_url, "unified_timeline").await.unwrap();
    let report = timeline.write(BatchId(Uuid::from_u128(1)), &energies(0..11)).await.unwrap();
    assert_eq!((report.rows, report.swallowed), (0, 0));
    let init = Timeline::init(&store_url, "unified_timeline").await.unwrap();
    assert!(init.owner_sql.iter().any(|sql| sql.contains("fleetwatt.energy")), "{:?}", init.owner_sql);
}
