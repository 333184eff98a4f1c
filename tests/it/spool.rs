//! What waits in the spool when a database does not take it, and how it gets there later.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::path::Path;

use fleetwatt::batch::Metadata;
use fleetwatt::store::{Error, FileTrouble, Record, SpoolLimits, StoreUrl, Timeline, Writer};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::postgres::Database;
use crate::program::Home;
use crate::spool_once::{TABLE, batch, delivered, writer};
use crate::spool_proxy::Proxy;
use crate::store_story::{AT, event, nasty_events, new_id};

/// The dead letters of a spool: the row's source, and the error.
async fn dead_letters(state_dir: &Path) -> Vec<(String, String)> {
    let sql = "SELECT row_json ->> 'source', error FROM dead_letter ORDER BY id";
    let path = state_dir.join("spool.db");
    let mut spool = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    sqlx::query_as(sql).fetch_all(&mut spool).await.unwrap()
}

#[tokio::test]
async fn a_database_that_is_there_gets_each_batch_at_once_as_it_is() {
    let database = Database::new("spool_there", &TABLE.replace("CHECK (value >= 0)", "")).await;
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), &database.url("postgres", "")).await;
    let receipt = writer.keep(new_id(), &Record::from_events(&nasty_events()), None).await.unwrap();
    assert_eq!((receipt.batches, receipt.rows, receipt.backlog.is_none()), (1, 7, true));
    let status = writer.spool_status().await.unwrap();
    assert_eq!((status.batches, status.dead_letters, status.dropped_total), (0, 0, 0));
    let sql = "SELECT metadata ->> 'big', value FROM unified_timeline WHERE source = 'gpu_big'";
    let row: (String, f64) = sqlx::query_as(sql).fetch_one(&mut database.admin().await).await.unwrap();
    assert_eq!(row, ("18446744073709551615".to_owned(), -1.5e-3));
}

#[tokio::test]
async fn a_database_that_is_stopped_and_started_gets_all_batches_in_their_order() {
    let database = Database::new("spool_stopped", TABLE).await;
    let folder = tempfile::tempdir().unwrap();
    let mut proxy = Proxy::before(database.server.port).await;
    let url = format!("postgres://postgres@{}/spool_stopped?sslmode=disable", proxy.address);
    let mut kept = writer(folder.path(), &url).await;
    for number in 0..9 {
        match number {
            2 => proxy.stop().await,
            5 => {
                // The collector is started anew meanwhile, and connects before it has anything to say.
                kept.close().await;
                kept = writer(folder.path(), &url).await;
                kept.connect().await;
            }
            7 => proxy.start().await,
            _ => {}
        }
        let (id, events) = batch(number);
        let receipt = kept.keep(id, &Record::from_events(&events), None).await.unwrap();
        let left = receipt.backlog.map_or(0, |left| left.batches);
        assert_eq!(left, if (2..7).contains(&number) { u64::from(number) - 1 } else { 0 }, "{number}");
    }
    assert_eq!(delivered(&database).await, (0..9).collect::<Vec<_>>());
}

#[tokio::test]
async fn whatever_is_wrong_with_the_database_keeps_the_batch() {
    let database = Database::new("spool_ailing", &format!("{TABLE}; CREATE ROLE spool_ailing LOGIN; \
        GRANT SELECT, INSERT ON unified_timeline TO spool_ailing; GRANT USAGE ON SEQUENCE unified_timeline_id_seq TO spool_ailing")).await;
    let full = "CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$; \
                CREATE TRIGGER full_disk BEFORE INSERT ON unified_timeline FOR EACH ROW EXECUTE FUNCTION full_disk()";
    let states = [
        (full, "DROP TRIGGER full_disk ON unified_timeline", "cannot work now"),
        (
            "ALTER ROLE spool_ailing SET default_transaction_read_only = on",
            "ALTER ROLE spool_ailing RESET default_transaction_read_only",
            "cannot work now",
        ),
        (
            "ALTER ROLE spool_ailing CONNECTION LIMIT 0",
            "ALTER ROLE spool_ailing CONNECTION LIMIT -1",
            "cannot work now",
        ),
        ("ALTER ROLE spool_ailing NOLOGIN", "ALTER ROLE spool_ailing LOGIN", "refused the login"),
        (
            "REVOKE INSERT ON unified_timeline FROM spool_ailing",
            "GRANT INSERT ON unified_timeline TO spool_ailing",
            "lacks permission",
        ),
        (
            "ALTER TABLE unified_timeline RENAME TO moved",
            "ALTER TABLE moved RENAME TO unified_timeline",
            "there is no table",
        ),
        (
            "ALTER TABLE unified_timeline ADD tenant int; ALTER TABLE unified_timeline ALTER tenant SET NOT NULL",
            "ALTER TABLE unified_timeline DROP tenant",
            "does not fit",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (number, (break_it, mend_it, words)) in (0_u32..).zip(states) {
        // The last column can only come to a table without rows, and they have been looked at by then.
        if words == "does not fit" {
            assert_eq!(delivered(&database).await, (0..12).collect::<Vec<_>>());
            database.run("TRUNCATE unified_timeline").await;
        }
        database.run(break_it).await;
        let mut writer = writer(folder.path(), &database.url("spool_ailing", "")).await;
        let (id, events) = batch(2 * number);
        let left = writer.keep(id, &Record::from_events(&events), None).await.unwrap().backlog.unwrap();
        let error = left.error.unwrap().to_string();
        assert!(left.batches == 1 && error.contains(words), "{break_it}: {error}");
        let (attempts, message) = writer.spool_status().await.unwrap().last_error.unwrap();
        assert!(attempts == 1 && !message.is_empty());
        database.run(mend_it).await;
        let (id, events) = batch(2 * number + 1);
        assert!(
            writer.keep(id, &Record::from_events(&events), None).await.unwrap().backlog.is_none(),
            "{mend_it}"
        );
        writer.close().await;
    }
    assert_eq!(delivered(&database).await, [12, 13]);
    assert!(dead_letters(folder.path()).await.is_empty());
}

#[tokio::test]
async fn a_row_that_the_table_refuses_costs_that_row_only() {
    let sql = "CREATE TABLE unified_timeline (event_type text, source varchar(20) UNIQUE, value numeric(6, 2) CHECK (value >= 0), \
               metadata jsonb, created_at timestamptz, node text REFERENCES node (name) DEFERRABLE INITIALLY DEFERRED)";
    let node = "CREATE TABLE node (name text PRIMARY KEY); CREATE FUNCTION node() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN new.node := new.metadata ->> 'node'; RETURN new; END $$";
    let trigger =
        "CREATE TRIGGER node BEFORE INSERT ON unified_timeline FOR EACH ROW EXECUTE FUNCTION node()";
    let database = Database::new("spool_poison", &format!("{node}; {sql}; {trigger}")).await;
    let mut events: Vec<_> =
        (0..300).map(|i| event(&format!("gpu_{i}"), Some(1.0), json!({}), AT + i)).collect();
    events[7].value = Some(-1.0);
    events[8].source = "much_too_long_for_its_column".to_owned();
    events[150].value = Some(1e9);
    events[298].source = "gpu_299".to_owned();
    // Only the commit finds this one out.
    events[200].metadata = Metadata::of(&json!({"node": "unknown"}));
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), &database.url("postgres", "")).await;
    let receipt = writer.keep(new_id(), &Record::from_events(&events), None).await.unwrap();
    assert_eq!((receipt.batches, receipt.rows, receipt.dead_letters), (1, 295, 5));
    assert!(receipt.backlog.is_none());
    let count = "SELECT count(*), count(DISTINCT xmin::text) FROM unified_timeline";
    let counts: (i64, i64) = sqlx::query_as(count).fetch_one(&mut database.admin().await).await.unwrap();
    assert_eq!(counts, (295, 1), "all good rows came in one transaction");
    let letters = dead_letters(folder.path()).await;
    let sources: Vec<&str> = letters.iter().map(|(source, _)| source.as_str()).collect();
    assert_eq!(sources, ["gpu_7", "much_too_long_for_its_column", "gpu_150", "gpu_200", "gpu_299"]);
    let message = ["check constraint", "holds 20 characters", "overflow", "foreign key", "duplicate key"];
    assert!(letters.iter().zip(message).all(|((_, error), message)| error.contains(message)), "{letters:?}");
    // Of a batch of nothing else it is not known whether it is the table, until another one comes.
    let bad = event("gpu_x", Some(-1.0), json!({}), AT);
    let receipt = writer.keep(new_id(), &Record::from_events(&[bad]), None).await.unwrap();
    assert_eq!(receipt.dead_letters, 0);
    assert!(matches!(receipt.backlog.unwrap().error, Some(Error::Refused(_))));
    let good = event("gpu_y", Some(1.0), json!({}), AT);
    let receipt = writer.keep(new_id(), &Record::from_events(&[good]), None).await.unwrap();
    assert!(receipt.batches == 1 && receipt.dead_letters == 1 && receipt.backlog.is_none(), "{receipt:?}");
    assert_eq!(receipt.dead_letters_total, 6);
}

#[tokio::test]
async fn a_table_that_takes_no_row_at_all_keeps_the_batches() {
    let sql =
        TABLE.replace("created_at timestamptz)", "created_at timestamptz) PARTITION BY RANGE (created_at)");
    let partition = "PARTITION OF unified_timeline FOR VALUES FROM";
    let old = format!("CREATE TABLE old {partition} ('2020-01-01') TO ('2020-02-01')");
    let database = Database::new("spool_partition", &format!("{sql}; {old}")).await;
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), &database.url("postgres", "")).await;
    for number in 0..3 {
        let (id, events) = batch(number);
        let left = writer.keep(id, &Record::from_events(&events), None).await.unwrap().backlog.unwrap();
        assert_eq!(left.batches, u64::from(number) + 1);
        assert!(matches!(left.error, Some(Error::Refused(_))));
    }
    // One row of another time is that row's own fault.
    let (id, mut events) = batch(3);
    events.push(event("gpu_x", None, json!({}), 0));
    writer.keep(id, &Record::from_events(&events), None).await.unwrap();
    database.run(&format!("CREATE TABLE new {partition} ('2026-11-01') TO ('2026-12-01')")).await;
    let receipt = writer.replay(|_| ()).await.unwrap();
    assert!(receipt.batches == 4 && receipt.dead_letters == 1 && receipt.backlog.is_none(), "{receipt:?}");
    assert_eq!(delivered(&database).await, [0, 1, 2, 3]);
}

async fn sqlite(state_dir: &Path) -> (Writer, SqliteConnection) {
    let path = state_dir.join("f.db");
    let store_url = StoreUrl::sqlite(&path);
    Timeline::init(&store_url, "unified_timeline").await.unwrap();
    let limits = SpoolLimits { bytes: 1 << 30, age: std::time::Duration::from_secs(3_600) };
    let writer = Writer::open(state_dir, &store_url, "unified_timeline", limits).await.unwrap();
    (writer, SqliteConnectOptions::new().filename(path).connect().await.unwrap())
}

async fn numbers(connection: &mut SqliteConnection) -> Vec<i64> {
    let sql =
        "SELECT metadata ->> 'number' FROM unified_timeline GROUP BY 1 HAVING count(*) = 5 ORDER BY min(id)";
    sqlx::query_scalar(sql).fetch_all(connection).await.unwrap()
}

#[tokio::test]
async fn a_sqlite_timeline_is_written_directly() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, mut other) = sqlite(folder.path()).await;
    let (id, events) = batch(1);
    for n_rows in [5, 0] {
        let receipt = writer.keep(id, &Record::from_events(&events), None).await.unwrap();
        assert_eq!((receipt.batches, receipt.rows), (1, n_rows));
    }
    assert_eq!(numbers(&mut other).await, [1]);
    assert!(!folder.path().join("spool.db").exists());
}

#[tokio::test]
async fn a_sqlite_timeline_that_is_locked_gets_the_batch_next_time_and_before_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, mut other) = sqlite(folder.path()).await;
    let locked = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let (id, events) = batch(1);
    let left = writer.keep(id, &Record::from_events(&events), None).await.unwrap().backlog.unwrap();
    assert_eq!(left.batches, 1);
    assert!(matches!(left.error, Some(Error::File(_, FileTrouble::Locked, _))));
    locked.rollback().await.unwrap();
    let (id, events) = batch(2);
    let receipt = writer.keep(id, &Record::from_events(&events), None).await.unwrap();
    assert!(receipt.batches == 2 && receipt.backlog.is_none(), "{receipt:?}");
    assert_eq!(numbers(&mut other).await, [1, 2]);
}

#[tokio::test]
async fn a_row_that_a_sqlite_timeline_refuses_costs_that_row_only() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, mut other) = sqlite(folder.path()).await;
    let sql = "CREATE TRIGGER refuse BEFORE INSERT ON unified_timeline WHEN new.source = 'gpu_bad' \
               BEGIN SELECT RAISE(ABORT, 'no bad ones'); END";
    sqlx::query(sql).execute(&mut other).await.unwrap();
    let (id, mut events) = batch(1);
    events.insert(3, event("gpu_bad", None, json!({}), AT));
    let receipt = writer.keep(id, &Record::from_events(&events), None).await.unwrap();
    assert_eq!((receipt.rows, receipt.dead_letters, receipt.backlog.is_none()), (5, 1, true));
    assert_eq!(numbers(&mut other).await, [1]);
    assert!(dead_letters(folder.path()).await[0].1.contains("no bad ones"));
}

#[tokio::test]
async fn a_file_of_the_first_version_gets_the_table_of_delivered_batches() {
    let folder = tempfile::tempdir().unwrap();
    let (writer, mut other) = sqlite(folder.path()).await;
    writer.close().await;
    sqlx::raw_sql("DROP TABLE delivered_batch; PRAGMA user_version = 1").execute(&mut other).await.unwrap();
    let report =
        Timeline::init(&StoreUrl::sqlite(folder.path().join("f.db")), "unified_timeline").await.unwrap();
    assert!(report.already_there());
    assert_eq!(report.delivery_log.len(), 1);
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut other).await.unwrap();
    assert_eq!(version, 2);
}

#[tokio::test]
async fn a_spool_that_is_full_makes_room_and_the_timeline_says_so() {
    let database = Database::new("spool_full", TABLE).await;
    let folder = tempfile::tempdir().unwrap();
    let away = StoreUrl::parse("postgres://u@127.0.0.1:1/d", None).unwrap();
    let limits = SpoolLimits { bytes: 2_000, age: std::time::Duration::from_secs(3_600) };
    let mut kept = Writer::open(folder.path(), &away, "unified_timeline", limits).await.unwrap();
    let mut dropped = 0;
    for number in 0..30 {
        let (id, events) = batch(number);
        dropped += kept.keep(id, &Record::from_events(&events), None).await.unwrap().dropped.batches;
    }
    let status = kept.spool_status().await.unwrap();
    assert!(dropped > 0 && status.dropped_total == dropped && status.bytes <= 2_500, "{status:?}");
    assert_eq!(status.batches + dropped, 30);
    kept.close().await;
    let mut shown = Vec::new();
    let mut again = writer(folder.path(), &database.url("postgres", "")).await;
    assert_eq!(again.replay(|progress| shown.push(progress)).await.unwrap().batches, status.batches);
    assert!(shown.iter().zip(1..).all(|(shown, n)| (shown.delivered, shown.of) == (n, status.batches)));
    let sql = "SELECT count(*) FROM unified_timeline WHERE event_type = 'spool_dropped' AND source = 'fleetwatt' AND value >= 1";
    let n_notes: i64 = sqlx::query_scalar(sql).fetch_one(&mut database.admin().await).await.unwrap();
    assert!(n_notes > 0);
    let sql = "SELECT max((metadata ->> 'number')::int) FROM unified_timeline";
    let newest: i32 = sqlx::query_scalar(sql).fetch_one(&mut database.admin().await).await.unwrap();
    assert_eq!(newest, 29);
}

#[tokio::test]
async fn a_spool_that_is_damaged_while_it_is_open_is_mended_and_the_batch_kept() {
    let folder = tempfile::tempdir().unwrap();
    let away = "postgres://u@127.0.0.1:1/d";
    let mut kept = writer(folder.path(), away).await;
    for number in 0..3 {
        let (id, events) = batch(number);
        kept.keep(id, &Record::from_events(&events), None).await.unwrap();
    }
    let mut other =
        SqliteConnectOptions::new().filename(folder.path().join("spool.db")).connect().await.unwrap();
    sqlx::query("UPDATE batch SET crc32 = crc32 + 1 WHERE seq = 1").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let (id, events) = batch(3);
    assert_eq!(kept.keep(id, &Record::from_events(&events), None).await.unwrap().backlog.unwrap().batches, 3);
    assert_eq!(kept.spool_status().await.unwrap().lost_total, 1);
}

/// A disk of its own, so small that it can be filled. Only root may have one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mounted() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let is_mounted =
            run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder.path().to_str().unwrap()]);
        is_mounted.then_some(Self(folder))
    }

    /// Writes until nothing fits any more.
    fn fill(&self) {
        let written = std::fs::write(self.0.path().join("filling"), vec![0; 2 << 20]);
        assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.path().join("filling")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l", self.0.path().to_str().unwrap()]);
    }
}

#[allow(clippy::disallowed_methods, reason = "a test mounts its disk")]
fn run(program: &str, args: &[&str]) -> bool {
    std::process::Command::new(program)
        .args(args)
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[test]
fn a_full_disk_under_the_spool_is_said_and_what_was_kept_stays() {
    // Without root, the test beside the spool itself says the same by SQLite's own bound.
    let Some(disk) = SmallDisk::mounted() else { return };
    let demo = format!("{}/inventory/demo.toml", env!("CARGO_MANIFEST_DIR"));
    let home = Home::new()
        .with("DATABASE_URL", "postgres://u@127.0.0.1:1/d")
        .with("STATE_DIRECTORY", disk.0.path().display());
    let poll = || home.run(&["poll", "--quiet", "--inventory", &demo]);
    assert_eq!(poll().code, Some(4));
    disk.fill();
    // Some fit into what the file has already.
    let mut n_kept = 1;
    let ran = loop {
        let ran = poll();
        if ran.code == Some(1) {
            break ran;
        }
        n_kept += 1;
        assert!(ran.code == Some(4) && n_kept < 50, "{}", ran.stderr);
    };
    assert!(ran.stderr.contains("nothing was kept: the spool `"), "{}", ran.stderr);
    assert!(ran.stderr.contains("cannot grow: the disk is full"), "{}", ran.stderr);
    assert!(ran.stderr.contains("help: make room on the disk of the state directory"), "{}", ran.stderr);
    disk.make_room();
    let ran = poll();
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    let status = home.run(&["store", "status", "--inventory", &demo]);
    assert!(status.stdout.contains(&format!("spool     {} batches", n_kept + 1)), "{}", status.stdout);
}
