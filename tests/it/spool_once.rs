//! Each batch is in a PostgreSQL timeline exactly once, whatever breaks between the two.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::path::Path;
use std::time::Duration;

use fleetwatt::batch::{BatchId, Event};
use fleetwatt::store::{Error, Guarantee, Receipt, Record, SpoolLimits, StoreUrl, Timeline, Writer};
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::postgres::Database;
use crate::program::Home;
use crate::spool_proxy::Proxy;
use crate::store_story::{AT, event, new_id};

pub(crate) const TABLE: &str = "CREATE TABLE unified_timeline (id bigserial, event_type varchar(64) NOT NULL, \
    source varchar(128) NOT NULL, value double precision CHECK (value >= 0), metadata jsonb, created_at timestamptz)";

/// A role for each guarantee, named after the database, since roles are the whole server's.
fn with_role(role: &str, grants: &str) -> String {
    format!(
        "{TABLE}; CREATE ROLE {role} LOGIN; GRANT {grants} ON unified_timeline TO {role}; \
         GRANT USAGE ON SEQUENCE unified_timeline_id_seq TO {role};"
    )
}

fn with_ledger(role: &str) -> String {
    let sql = with_role(role, "INSERT");
    format!("{sql} GRANT CREATE ON DATABASE {role} TO {role};")
}

pub(crate) async fn writer(state_dir: &Path, url: &str) -> Writer {
    let limits = SpoolLimits { bytes: 1 << 30, age: Duration::from_secs(3_600) };
    Writer::open(state_dir, &StoreUrl::parse(url, None).unwrap(), "unified_timeline", limits).await.unwrap()
}

/// Some events of a batch; the first one's value is the batch's number.
pub(crate) fn batch(number: u32) -> (BatchId, Vec<Event>) {
    let id = new_id();
    let at = AT + i64::from(number) * 60_000_000;
    let event = |i: i64| {
        let metadata = json!({"batch": id.to_string(), "number": number});
        event(&format!("gpu_{i}"), Some(f64::from(number)), metadata, at + i)
    };
    (id, (0..5).map(event).collect())
}

/// The numbers of the batches in the order in which their rows came; five rows each, or it panics.
pub(crate) async fn delivered(database: &Database) -> Vec<i32> {
    let sql =
        "SELECT (metadata ->> 'number')::int, count(*), min(id) FROM unified_timeline GROUP BY 1 ORDER BY 3";
    let rows: Vec<(i32, i64, i64)> =
        sqlx::query_as(sql).fetch_all(&mut database.admin().await).await.unwrap();
    assert!(rows.iter().all(|(_, n_rows, _)| *n_rows == 5), "{rows:?}");
    rows.into_iter().map(|(number, _, _)| number).collect()
}

fn through(proxy: &Proxy, role: &str) -> String {
    format!("postgres://{role}@{}/{role}?sslmode=disable", proxy.address)
}

async fn guarantee(url: &str) -> Guarantee {
    let store_url = StoreUrl::parse(url, None).unwrap();
    Timeline::open(&store_url, "unified_timeline").await.unwrap().status().await.unwrap().guarantee
}

/// Loses the answer to each of `n` commits, and then delivers what is left.
async fn lose_answers(database: &Database, n: u32) {
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::before(database.server.port).await;
    let mut writer = writer(folder.path(), &through(&proxy, database.name)).await;
    proxy.swallow_commits(true);
    for number in 0..n {
        let (id, events) = batch(number);
        let receipt = writer.keep(id, &Record::from_events(&events), None).await.unwrap();
        let left = receipt.backlog.unwrap();
        assert!(matches!(left.error, Some(Error::CommitUnknown(_))), "{number}");
    }
    proxy.swallow_commits(false);
    assert!(writer.replay(|_| ()).await.unwrap().backlog.is_none());
    assert!(u32::try_from(proxy.swallowed()).unwrap() >= n);
}

#[tokio::test]
async fn two_hundred_lost_answers_double_nothing_with_a_table_of_delivered_batches() {
    let database = Database::new("once_ledger", &with_ledger("once_ledger")).await;
    let store_url = StoreUrl::parse(&database.url("once_ledger", ""), None).unwrap();
    let report = Timeline::init(&store_url, "unified_timeline").await.unwrap();
    assert!(report.already_there() && report.owner_sql.is_empty());
    // The schema, the table of delivered batches, and the three of the ledger.
    assert_eq!(report.delivery_log.len(), 5, "{report:?}");
    assert_eq!(guarantee(&database.url("once_ledger", "")).await, Guarantee::DeliveryLog);
    lose_answers(&database, 200).await;
    assert_eq!(delivered(&database).await, (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn two_hundred_lost_answers_double_nothing_with_the_rights_to_select_and_insert() {
    let database = Database::new("once_lookup", &with_role("once_lookup", "SELECT, INSERT")).await;
    // What the look must see was committed while it waited, whatever the database's own level is.
    database.run("ALTER DATABASE once_lookup SET default_transaction_isolation = 'repeatable read'").await;
    assert_eq!(guarantee(&database.url("once_lookup", "")).await, Guarantee::Lookup);
    lose_answers(&database, 200).await;
    assert_eq!(delivered(&database).await, (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_look_works_in_a_text_column_among_rows_of_others() {
    let sql = with_role("once_text", "SELECT, INSERT").replace("metadata jsonb", "metadata text");
    let database =
        Database::new("once_text", &sql.replace("created_at timestamptz", "created_at timestamp(0)")).await;
    database
        .run("INSERT INTO unified_timeline (event_type, source, metadata, created_at) SELECT 'gpu_power_draw', 'gpu_0', 'no json', to_timestamp(1795503600)")
        .await;
    lose_answers(&database, 5).await;
    let sql = "SELECT count(*) FROM unified_timeline";
    let n_rows: i64 = sqlx::query_scalar(sql).fetch_one(&mut database.admin().await).await.unwrap();
    assert_eq!(n_rows, 1 + 5 * 5);
}

#[tokio::test]
async fn with_the_right_to_insert_only_the_view_of_the_readme_removes_doubles() {
    let database = Database::new("once_insert", &with_role("once_insert", "INSERT")).await;
    assert_eq!(guarantee(&database.url("once_insert", "")).await, Guarantee::AtLeastOnce);
    lose_answers(&database, 3).await;
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, rest) = readme.split_once("CREATE VIEW unified_timeline_once").unwrap();
    let view = format!("CREATE VIEW unified_timeline_once{}", rest.split_once(';').unwrap().0);
    database
        .run(
            "INSERT INTO unified_timeline (event_type, source) VALUES ('theirs', 'same'), ('theirs', 'same')",
        )
        .await;
    database.run(&view).await;
    let count = async |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        let n_rows: i64 =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut database.admin().await).await.unwrap();
        n_rows
    };
    assert!(15 + 2 < count("unified_timeline").await, "the lost answers doubled something");
    assert_eq!(count("unified_timeline_once").await, 15 + 2, "and rows of others are left alone");
}

/// Sends the same batches by two writers at once, each with a spool of its own.
async fn race(database: &Database, url: &str) {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (mut a, mut b) = (writer(folders[0].path(), url).await, writer(folders[1].path(), url).await);
    a.connect().await;
    b.connect().await;
    for number in 0..30 {
        let (id, events) = batch(number);
        let records = Record::from_events(&events);
        let (a, b) = tokio::join!(a.keep(id, &records, None), b.keep(id, &records, None));
        let well = |receipt: &Receipt| receipt.backlog.is_none() && receipt.batches == 1;
        let (a, b) = (a.unwrap(), b.unwrap());
        assert!(well(&a) && well(&b), "{a:?} {b:?}");
        assert_eq!(a.rows + b.rows, 5, "one of them wrote it");
    }
    assert_eq!(delivered(database).await, (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn of_two_that_deliver_one_batch_at_once_one_writes_it() {
    let database = Database::new("race_ledger", &with_ledger("race_ledger")).await;
    let url = database.url("race_ledger", "");
    Timeline::init(&StoreUrl::parse(&url, None).unwrap(), "unified_timeline").await.unwrap();
    Box::pin(race(&database, &url)).await;
    let database = Database::new("race_lookup", &with_role("race_lookup", "SELECT, INSERT")).await;
    Box::pin(race(&database, &database.url("race_lookup", ""))).await;
}

#[tokio::test]
async fn who_may_create_no_schema_is_told_what_an_owner_would_run() {
    let database = Database::new("once_owner", &with_role("once_owner", "INSERT")).await;
    let url = database.url("once_owner", "");
    let store_url = StoreUrl::parse(&url, None).unwrap();
    let report = Timeline::init(&store_url, "unified_timeline").await.unwrap();
    assert!(report.already_there() && report.delivery_log.is_empty());
    assert_eq!(report.owner_sql.len(), 6);
    let status = Timeline::open(&store_url, "unified_timeline").await.unwrap().status().await.unwrap();
    assert_eq!(status.owner_sql, report.owner_sql);
    database.run(&report.owner_sql.join("\n")).await;
    let report = Timeline::init(&store_url, "unified_timeline").await.unwrap();
    assert!(report.delivery_log.is_empty() && report.owner_sql.is_empty(), "{report:?}");
    assert_eq!(guarantee(&url).await, Guarantee::DeliveryLog);
}

#[tokio::test]
async fn delivered_batches_are_forgotten_after_a_month() {
    let database = Database::new("once_prune", TABLE).await;
    let store_url = StoreUrl::parse(&database.url("postgres", ""), None).unwrap();
    Timeline::init(&store_url, "unified_timeline").await.unwrap();
    database
        .run(
            "INSERT INTO fleetwatt.delivered_batch VALUES \
             ('018f0000-0000-7000-8000-000000000000', 1, now() - interval '31 days'), \
             ('018f0000-0000-7000-8000-000000000001', 5, now() - interval '29 days')",
        )
        .await;
    let timeline = Timeline::open(&store_url, "unified_timeline").await.unwrap();
    for number in 0..2 {
        let (id, events) = batch(number);
        timeline.write(id, &Record::from_events(&events)).await.unwrap();
    }
    let sql = "SELECT count(*) FROM fleetwatt.delivered_batch WHERE rows = 5 AND committed_at <= now()";
    let n_batches: i64 = sqlx::query_scalar(sql).fetch_one(&mut database.admin().await).await.unwrap();
    assert_eq!(n_batches, 3, "an old id that was committed lately stays");
    let sql = "SELECT count(*) FROM fleetwatt.delivered_batch";
    let n_batches: i64 = sqlx::query_scalar(sql).fetch_one(&mut database.admin().await).await.unwrap();
    assert_eq!(n_batches, 3, "the old one is gone");
}

/// Kills a real poll where `place` says, and replays. Each row has to be there once, and the spool empty.
async fn killed_and_replayed(database: &Database, role: &str, place: &str) {
    let demo = format!("{}/inventory/demo.toml", env!("CARGO_MANIFEST_DIR"));
    let home = Home::new().with("DATABASE_URL", database.url(role, ""));
    let reached = home.path("reached");
    // Opening a FIFO returns when the other side has opened it too: no waiting in steps.
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &reached, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let victim = Home::new()
        .with("DATABASE_URL", database.url(role, ""))
        .with("STATE_DIRECTORY", home.path("s").display())
        .with("FLEETWATT_FAILPOINT", format!("{place}:{}", reached.display()));
    let mut poll = victim.start(&["poll", "--quiet", "--inventory", &demo]);
    std::fs::read(&reached).unwrap();
    poll.kill().unwrap();
    poll.wait().unwrap();
    let sql = "SELECT count(*), count(DISTINCT (event_type, source)), count(DISTINCT metadata ->> 'batch') FROM unified_timeline";
    let counts = async || {
        let counts: (i64, i64, i64) =
            sqlx::query_as(sql).fetch_one(&mut database.admin().await).await.unwrap();
        counts
    };
    assert_eq!(counts().await.2, i64::from(place == "after_commit_before_delete"), "{place}");
    let replay = home.run(&["store", "replay", "--inventory", &demo]);
    assert_eq!(replay.code, Some(0), "{place}: {}", replay.stderr);
    assert!(replay.stdout.ends_with("the spool is empty\n"), "{}", replay.stdout);
    let (n_rows, n_series, n_batches) = counts().await;
    assert!(n_rows == n_series && n_batches == 1 && n_rows > 60, "{place}: {n_rows} {n_series} {n_batches}");
    database.run("TRUNCATE unified_timeline").await;
}

#[tokio::test]
async fn a_poll_that_is_killed_anywhere_loses_and_doubles_nothing() {
    let places = ["after_spool_append", "before_commit", "after_commit_before_delete"];
    let database = Database::new("once_killed", &with_role("once_killed", "SELECT, INSERT")).await;
    for place in places {
        killed_and_replayed(&database, "once_killed", place).await;
    }
    let store_url = StoreUrl::parse(&database.url("postgres", ""), None).unwrap();
    Timeline::init(&store_url, "unified_timeline").await.unwrap();
    for place in places {
        killed_and_replayed(&database, "postgres", place).await;
    }
}
