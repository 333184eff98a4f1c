//! The timeline in a SQLite file.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fleetwatt::store::{Error, FileTrouble, Record, StoreUrl, Timeline};
use fleetwatt::support::error::Diagnose;
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::store_story::{AT, Row, event, expected, killed_before_commit, nasty_events, new_id, sorted};

const TABLE: &str = "unified_timeline";

async fn open(path: &Path) -> Result<Timeline, Error> {
    Timeline::open(&StoreUrl::parse(&format!("sqlite:{}", path.display()), None).unwrap(), TABLE).await
}

/// A connection of its own, as another program would have it.
async fn peek(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

async fn scalar(path: &Path, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&mut peek(path).await).await.unwrap()
}

async fn read(path: &Path) -> Vec<Row> {
    let sql = "SELECT event_type, source, value, metadata, created_at FROM unified_timeline";
    let rows: Vec<(String, String, Option<f64>, String, i64)> =
        sqlx::query_as(sql).fetch_all(&mut peek(path).await).await.unwrap();
    sorted(rows.into_iter().map(|(a, b, c, d, e)| (a, b, c, serde_json::from_str(&d).unwrap(), e)).collect())
}

#[tokio::test]
async fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new folder/f.db");
    let timeline = open(&path).await.unwrap();
    let events = nasty_events();
    let written = timeline.write(new_id(), &Record::from_events(&events)).await.unwrap();
    assert_eq!(written.rows, 7);
    assert_eq!(read(&path).await, sorted(expected(&events)));
    assert_eq!(timeline.write(new_id(), &[]).await.unwrap().rows, 0);
    timeline.close().await;
    let mode = std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "a folder that fleetwatt creates is private");
    // A second opening finds everything there.
    let again = open(&path).await.unwrap();
    again.write(new_id(), &Record::from_events(&[event("s", None, json!({}), AT)])).await.unwrap();
    assert_eq!(read(&path).await.len(), 8);
}

#[tokio::test]
async fn the_file_is_in_wal_mode_and_has_a_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.db");
    open(&path).await.unwrap().close().await;
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut peek(&path).await).await.unwrap();
    assert_eq!(mode, "wal");
    assert_eq!(scalar(&path, "PRAGMA user_version").await, 2);
}

#[tokio::test]
async fn many_chunks_are_one_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.db");
    let timeline = open(&path).await.unwrap();
    let sql = "CREATE TRIGGER refuse BEFORE INSERT ON unified_timeline WHEN new.source = 'bad' \
               BEGIN SELECT RAISE(ABORT, 'no bad ones'); END";
    sqlx::query(sql).execute(&mut peek(&path).await).await.unwrap();
    let mut events: Vec<_> = (0..1_201).map(|i| event("good", Some(1.0), json!({}), AT + i)).collect();
    events.push(event("bad", None, json!({}), AT));
    let error = timeline.write(new_id(), &Record::from_events(&events)).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)));
    assert!(!error.is_transient());
    assert!(read(&path).await.is_empty());
    events.pop();
    assert_eq!(timeline.write(new_id(), &Record::from_events(&events)).await.unwrap().rows, 1_201);
    assert_eq!(read(&path).await.len(), 1_201);
}

#[tokio::test]
async fn the_view_for_dashboards_is_in_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.db");
    open(&path)
        .await
        .unwrap()
        .write(new_id(), &Record::from_events(&[event("s", None, json!({}), AT)]))
        .await
        .unwrap();
    assert_eq!(scalar(&path, "SELECT created_at FROM unified_timeline_unix").await, AT / 1_000_000);
}

#[tokio::test]
async fn init_says_what_it_did_and_does_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store_url = StoreUrl::sqlite(folder.path().join("f.db"));
    let first = Timeline::init(&store_url, "power").await.unwrap();
    assert_eq!(first.created.len(), 3);
    assert!(first.created[0].starts_with("CREATE TABLE \"power\""));
    assert!(Timeline::init(&store_url, "power").await.unwrap().already_there());
}

#[tokio::test]
async fn status_counts_the_last_day() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.db");
    let now = scalar(&path, "SELECT unixepoch()").await * 1_000_000;
    let timeline = open(&path).await.unwrap();
    let two_days = 2 * 86_400_000_000;
    timeline
        .write(
            new_id(),
            &Record::from_events(&[
                event("s", None, json!({}), now),
                event("s", None, json!({}), now - two_days),
            ]),
        )
        .await
        .unwrap();
    let status = timeline.status().await.unwrap();
    assert_eq!(status.recent, Some(vec![("gpu_power_draw".to_owned(), 1)]));
    assert_eq!(status.newest.unwrap().micros(), now);
    assert_eq!(status.columns.len(), 6);
    assert!(status.size_bytes.unwrap() > 0 && status.version.unwrap().starts_with('3'));
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.db");
    sqlx::query("PRAGMA user_version = 7").execute(&mut peek(&path).await).await.unwrap();
    let error = open(&path).await.unwrap_err();
    assert!(matches!(error, Error::Newer(_, 7, 2)), "{error:?}");
    assert_eq!(scalar(&path, "SELECT count(*) FROM sqlite_schema").await, 0);
}

#[tokio::test]
async fn what_is_not_a_database_is_said_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let trouble = |error: Error| {
        let Error::File(_, trouble, _) = error else { panic!("{error:?}") };
        trouble
    };
    assert_eq!(trouble(open(folder.path()).await.unwrap_err()), FileTrouble::Directory);
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to be taken for one. ".repeat(20)).unwrap();
    assert_eq!(trouble(open(&text).await.unwrap_err()), FileTrouble::NotADatabase);
    assert!(std::fs::read_to_string(&text).unwrap().starts_with("not a database"));
    let error = open(&text.join("f.db")).await.unwrap_err();
    assert!(matches!(error, Error::File(_, FileTrouble::CannotOpen, _)), "{error:?}");
}

#[tokio::test]
async fn a_table_of_somebody_else_must_have_the_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.db");
    let sql = "CREATE TABLE unified_timeline (event_type TEXT, source TEXT, created_at INTEGER)";
    sqlx::query(sql).execute(&mut peek(&path).await).await.unwrap();
    let error = open(&path).await.unwrap_err();
    insta::assert_snapshot!(
        error,
        @r#"the table "unified_timeline" does not fit: there is no column `value`; there is no column `metadata`"#
    );
}

#[tokio::test]
async fn a_lock_is_waited_for_and_then_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.db");
    let timeline = open(&path).await.unwrap();
    let mut other = peek(&path).await;
    let transaction = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error =
        timeline.write(new_id(), &Record::from_events(&[event("s", None, json!({}), AT)])).await.unwrap_err();
    assert!(matches!(error, Error::File(_, FileTrouble::Locked, _)), "{error:?}");
    assert!(error.is_transient());
    transaction.rollback().await.unwrap();
    assert_eq!(
        timeline
            .write(new_id(), &Record::from_events(&[event("s", None, json!({}), AT)]))
            .await
            .unwrap()
            .rows,
        1
    );
}

#[tokio::test]
async fn a_table_that_vanished_is_an_error_and_a_schema_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.db");
    let error = Timeline::open(&StoreUrl::sqlite(&path), "schema.name").await.unwrap_err();
    assert!(matches!(error, Error::TableName(..)));
    assert!(!path.exists());
    let timeline = open(&path).await.unwrap();
    sqlx::query("DROP TABLE unified_timeline").execute(&mut peek(&path).await).await.unwrap();
    let error =
        timeline.write(new_id(), &Record::from_events(&[event("s", None, json!({}), AT)])).await.unwrap_err();
    assert!(matches!(error, Error::Other(..)));
}

#[tokio::test]
async fn a_kill_before_the_commit_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.db");
    killed_before_commit(&format!("sqlite:{}", path.display()));
    let timeline = open(&path).await.unwrap();
    assert!(read(&path).await.is_empty());
    assert_eq!(timeline.write(new_id(), &Record::from_events(&nasty_events())).await.unwrap().rows, 7);
}
