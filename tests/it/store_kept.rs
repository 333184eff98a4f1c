//! The SQLite timeline's file over time: moved away, folded, and pruned.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use fleetwatt::batch::{BatchId, Event};
use fleetwatt::store::{Record, SpoolLimits, StoreUrl, Timeline, Writer};
use serde_json::json;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::spool_once::batch;
use crate::store_story::{AT, event, new_id};

async fn writer(state_dir: &Path, keep: Option<Duration>) -> Writer {
    let store_url = StoreUrl::sqlite(state_dir.join("f.db"));
    let limits = SpoolLimits { bytes: 1 << 30, age: Duration::from_secs(3_600) };
    Writer::open(state_dir, &store_url, "unified_timeline", limits).await.unwrap().with_retention(keep)
}

/// The numbers of the batches in a file.
async fn numbers(path: &Path) -> Vec<i64> {
    let mut file = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let sql =
        "SELECT metadata ->> 'number' FROM unified_timeline GROUP BY 1 HAVING count(*) = 5 ORDER BY min(id)";
    sqlx::query_scalar(sql).fetch_all(&mut file).await.unwrap()
}

#[tokio::test]
async fn nothing_goes_into_a_file_that_was_moved_removed_or_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (place, elsewhere) = (folder.path().join("f.db"), folder.path().join("elsewhere.db"));
    let mut writer = writer(folder.path(), None).await;
    let mut keep = async |number| {
        let (id, events) = batch(number);
        let receipt = writer.keep(id, &Record::from_events(&events), None).await.unwrap();
        assert_eq!((receipt.rows, receipt.backlog.is_none()), (5, true));
    };
    keep(1).await;
    std::fs::rename(&place, &elsewhere).unwrap();
    keep(2).await;
    assert_eq!(numbers(&elsewhere).await, [1], "all that was in it went with it");
    assert_eq!(numbers(&place).await, [2]);
    std::fs::remove_file(&place).unwrap();
    keep(3).await;
    assert_eq!(numbers(&place).await, [3]);
    std::fs::rename(&elsewhere, &place).unwrap();
    keep(4).await;
    assert_eq!(numbers(&place).await, [1, 4]);
}

#[tokio::test]
async fn a_spool_that_is_removed_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = crate::spool_once::writer(folder.path(), "postgres://u@127.0.0.1:1/d").await;
    for (number, n_waiting) in [(1, 1), (2, 2), (3, 1)] {
        if number == 3 {
            std::fs::rename(folder.path().join("spool.db"), folder.path().join("moved.db")).unwrap();
        }
        let (id, events) = batch(number);
        assert_eq!(
            writer.keep(id, &Record::from_events(&events), None).await.unwrap().backlog.unwrap().batches,
            n_waiting
        );
    }
    for (name, wanted) in [("moved.db", 2), ("spool.db", 1)] {
        let mut file =
            SqliteConnectOptions::new().filename(folder.path().join(name)).connect().await.unwrap();
        let n_batches: i64 =
            sqlx::query_scalar("SELECT count(*) FROM batch").fetch_one(&mut file).await.unwrap();
        assert_eq!(n_batches, wanted, "{name}");
    }
}

#[tokio::test]
async fn the_file_is_its_owners_alone_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut writer = writer(folder.path(), None).await;
    let (id, events) = batch(1);
    writer.keep(id, &Record::from_events(&events), None).await.unwrap();
    for name in ["f.db", "f.db-wal"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// A cycle of five hosts with eight GPUs, a minute after the one before.
fn cycle(number: i64) -> (BatchId, Vec<Event>) {
    let id = new_id();
    let row = |i: i64| {
        let metadata = json!({"batch": id.to_string(), "number": number, "more": "x".repeat(300)});
        event(&format!("gpu_{i}"), Some(1.0), metadata, AT + number * 60_000_000 + i)
    };
    (id, (0..5 * 8 * 3).map(row).collect())
}

#[tokio::test]
async fn with_keep_the_file_stops_growing_and_prune_makes_it_small() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("f.db");
    let size = async || {
        let timeline = Timeline::open(&StoreUrl::sqlite(&place), "unified_timeline").await.unwrap();
        let size = timeline.status().await.unwrap().size_bytes.unwrap();
        timeline.close().await;
        size
    };
    let mut writer = writer(folder.path(), Some(Duration::from_secs(10 * 60))).await;
    let mut sizes = Vec::new();
    for number in 0..60 {
        let (id, events) = cycle(number);
        assert_eq!(writer.keep(id, &Record::from_events(&events), None).await.unwrap().rows, 120);
        writer.maintain().await;
        sizes.push(size().await);
    }
    assert_eq!(sizes[30], sizes[59], "{sizes:?}");
    writer.close().await;
    let timeline = Timeline::open(&StoreUrl::sqlite(&place), "unified_timeline").await.unwrap();
    let keep = Duration::from_secs(5 * 60);
    let dry = timeline.prune(keep, true).await.unwrap();
    let pruned = timeline.prune(keep, false).await.unwrap();
    assert!(
        pruned.rows > 0 && pruned.rows == dry.rows && dry.bytes_before == dry.bytes_after,
        "{dry:?} {pruned:?}"
    );
    assert!(pruned.bytes_after < pruned.bytes_before, "{pruned:?}");
    let mut file = SqliteConnectOptions::new().filename(&place).connect().await.unwrap();
    let oldest: i64 = sqlx::query_scalar("SELECT min(created_at) FROM unified_timeline")
        .fetch_one(&mut file)
        .await
        .unwrap();
    assert!(AT + 54 * 60_000_000 <= oldest, "{oldest}");
    assert_eq!(timeline.prune(keep, false).await.unwrap().rows, 0);
}

#[tokio::test]
async fn one_batch_from_the_future_removes_nothing_early() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path(), Some(Duration::from_secs(3_600))).await;
    for number in [0, 1, 2, 31 * 24 * 60] {
        let (id, events) = cycle(number);
        writer.keep(id, &Record::from_events(&events), None).await.unwrap();
        writer.maintain().await;
    }
    let mut file = SqliteConnectOptions::new().filename(folder.path().join("f.db")).connect().await.unwrap();
    let n_rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM unified_timeline").fetch_one(&mut file).await.unwrap();
    assert_eq!(n_rows, 4 * 120);
}

#[test]
fn keep_is_refused_for_postgresql_with_words_and_prune_wants_it() {
    let home = crate::program::Home::new();
    let host = "[[host]]\nname = \"a\"\nlocal = true\n";
    let run = |store: &str, args: &[&str]| {
        let inventory = home.inventory(&format!("{store}{host}"));
        home.run(&[args, &["--inventory", inventory.to_str().unwrap()]].concat())
    };
    let ran = run("[store]\nurl = \"postgres://u@127.0.0.1:1/d\"\nkeep = \"90d\"\n", &["check"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("`keep` is for a timeline in SQLite") && ran.stderr.contains(":3:"),
        "{}",
        ran.stderr
    );
    let ran = run("", &["store", "prune"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("write `keep = \"90d\"` in [store]"), "{}", ran.stderr);
    let ran = run("[store]\nkeep = \"90d\"\n", &["store", "prune", "--dry-run"]);
    assert!(
        ran.code == Some(0) && ran.stdout.starts_with("0 rows of before "),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
}
