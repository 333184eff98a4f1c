//! The alerts of a batch are kept with it, once, and never without it.

use std::time::Duration;

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use uuid::Uuid;

use super::tables::MAX_WAITING;
use super::*;
use crate::batch::{BatchId, Event, Metadata};
use crate::reading::Timestamp;
use crate::store::spool::Spool;
use crate::store::{Error, Record, SpoolLimits, StoreUrl, Writer};

/// The two kinds of timeline. Nothing listens where the server should be: its batches stay in the spool.
const TIMELINES: [&str; 2] = ["sqlite", "postgres"];

const LIMITS: SpoolLimits = SpoolLimits { bytes: 1 << 20, age: Duration::from_secs(3_600) };

struct Stage {
    folder: tempfile::TempDir,
    store_url: StoreUrl,
}

impl Stage {
    fn new(kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store_url = match kind {
            "sqlite" => StoreUrl::sqlite(folder.path().join("t.db")),
            _ => StoreUrl::parse("postgres://nobody@127.0.0.1:9/none", None).unwrap(),
        };
        Self { folder, store_url }
    }

    async fn writer(&self) -> Writer {
        Writer::open(self.folder.path(), &self.store_url, "unified_timeline", LIMITS).await.unwrap()
    }

    async fn kept(&self) -> StoredAlerts {
        stored_alerts(self.folder.path(), &self.store_url).await.unwrap()
    }

    fn outbox(&self) -> Outbox {
        Outbox::new(self.folder.path(), &self.store_url)
    }
}

fn id() -> BatchId {
    BatchId(Uuid::now_v7())
}

fn record(judged_by: i64, state: Option<&str>, messages: &[&str]) -> AlertRecord {
    AlertRecord {
        events: vec![event("alert")],
        judged_by,
        state: state.map(str::to_owned),
        messages: messages.iter().map(|message| (*message).to_owned()).collect(),
    }
}

fn event(event_type: &'static str) -> Event {
    Event {
        event_type,
        source: "s".to_owned(),
        value: Some(1.0),
        metadata: Metadata::of(&json!({})),
        at: Timestamp::from_micros(1),
    }
}

fn kept(revision: i64, text: &str, n_waiting: u64) -> StoredAlerts {
    StoredAlerts { state: Some(StoredAlertState { revision, text: text.to_owned() }), n_waiting }
}

async fn texts(outbox: &mut Outbox) -> Vec<String> {
    outbox.oldest(10).await.unwrap().into_iter().map(|message| message.text).collect()
}

#[tokio::test]
async fn state_and_messages_are_kept_with_their_batch_and_outlive_the_process() {
    for kind in TIMELINES {
        let stage = Stage::new(kind);
        assert_eq!(stage.kept().await, StoredAlerts::default(), "{kind}");
        let mut writer = stage.writer().await;
        writer
            .keep(id(), &Record::from_events(&[event("a")]), Some(&record(0, Some("one"), &["x", "y"])))
            .await
            .unwrap();
        writer.keep(id(), &Record::from_events(&[event("a")]), Some(&record(1, None, &[]))).await.unwrap();
        assert_eq!(stage.kept().await, kept(1, "one", 2), "{kind}");
        writer
            .keep(id(), &Record::from_events(&[event("a")]), Some(&record(1, Some("two"), &["z"])))
            .await
            .unwrap();
        assert_eq!(stage.kept().await, kept(2, "two", 3), "{kind}");
        assert_eq!(texts(&mut stage.outbox()).await, ["x", "y", "z"], "{kind}");
    }
}

#[tokio::test]
async fn whoever_judged_by_an_old_state_is_told_the_new_one_and_nothing_is_written() {
    for kind in TIMELINES {
        let stage = Stage::new(kind);
        let mut writer = stage.writer().await;
        writer.keep(id(), &[], Some(&record(0, Some("one"), &["x"]))).await.unwrap();
        let batch = id();
        let refused = writer
            .keep(batch, &Record::from_events(&[event("a")]), Some(&record(0, Some("two"), &["y"])))
            .await;
        let Err(Error::AlertsChanged(newer)) = refused else { panic!("{kind}: {refused:?}") };
        assert_eq!(newer, StoredAlertState { revision: 1, text: "one".to_owned() }, "{kind}");
        assert_eq!(stage.kept().await, kept(1, "one", 1), "{kind}");
        // The same batch may come again, judged anew.
        writer
            .keep(batch, &Record::from_events(&[event("a")]), Some(&record(1, Some("two"), &["y"])))
            .await
            .unwrap();
        assert_eq!(stage.kept().await, kept(2, "two", 2), "{kind}");
    }
}

#[tokio::test]
async fn a_batch_that_comes_twice_sends_no_message_twice() {
    for kind in TIMELINES {
        let stage = Stage::new(kind);
        let mut writer = stage.writer().await;
        let (batch, said) = (id(), record(0, Some("one"), &["x"]));
        writer.keep(batch, &Record::from_events(&[event("a")]), Some(&said)).await.unwrap();
        let mut outbox = stage.outbox();
        let told = outbox.oldest(10).await.unwrap();
        outbox.remove(told.into_iter().map(|message| message.id)).await.unwrap();
        writer.keep(batch, &Record::from_events(&[event("a")]), Some(&said)).await.unwrap();
        assert_eq!(stage.kept().await, kept(1, "one", 0), "{kind}");
    }
}

#[tokio::test]
async fn what_a_locked_timeline_does_not_take_waits_in_the_spool_with_its_alerts() {
    let stage = Stage::new("sqlite");
    let mut writer = stage.writer().await;
    writer.keep(id(), &[], Some(&record(0, Some("one"), &["x"]))).await.unwrap();
    let file = stage.folder.path().join("t.db");
    let mut other = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let receipt = writer.keep(id(), &[], Some(&record(1, Some("two"), &["y"]))).await.unwrap();
    assert!(receipt.backlog.is_some());
    assert_eq!(stage.kept().await, kept(2, "two", 2));
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    // The state of the spool is newer than that of the timeline, and stays so until the next.
    let mut writer = stage.writer().await;
    writer.keep(id(), &[], Some(&record(2, Some("three"), &["z"]))).await.unwrap();
    assert_eq!(stage.kept().await, kept(3, "three", 3));
    assert_eq!(texts(&mut stage.outbox()).await, ["x", "y", "z"]);
}

#[tokio::test]
async fn a_message_that_is_done_with_and_cannot_be_removed_is_not_given_again() {
    let stage = Stage::new("sqlite");
    let mut writer = stage.writer().await;
    writer.keep(id(), &[], Some(&record(0, Some("one"), &["x", "y"]))).await.unwrap();
    let file = stage.folder.path().join("t.db");
    let mut other = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let mut outbox = stage.outbox();
    let first = outbox.oldest(1).await.unwrap().into_iter().map(|message| message.id);
    assert!(outbox.remove(first).await.is_err());
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(texts(&mut outbox).await, ["y"]);
    assert_eq!(stage.kept().await.n_waiting, 1, "it was removed when it could be");
}

#[tokio::test]
async fn the_oldest_messages_go_when_too_many_wait() {
    let stage = Stage::new("postgres");
    let mut writer = stage.writer().await;
    let n_most = usize::try_from(MAX_WAITING).unwrap();
    let messages: Vec<String> = (0..n_most + 3).map(|n| n.to_string()).collect();
    let said = AlertRecord { messages, ..AlertRecord::default() };
    writer.keep(id(), &[], Some(&said)).await.unwrap();
    assert_eq!(stage.kept().await.n_waiting, MAX_WAITING.unsigned_abs());
    assert_eq!(texts(&mut stage.outbox()).await.first().map(String::as_str), Some("3"));
}

#[tokio::test]
async fn a_spool_that_is_set_aside_hands_its_alerts_on() {
    let stage = Stage::new("postgres");
    let mut writer = stage.writer().await;
    writer.keep(id(), &[], Some(&record(0, Some("one"), &["x", "y"]))).await.unwrap();
    writer.close().await;
    let path = Spool::path_in(stage.folder.path());
    let mut damaged = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    // A row that is not what its checksum says is damage.
    sqlx::raw_sql("UPDATE batch SET crc32 = crc32 + 1").execute(&mut damaged).await.unwrap();
    damaged.close().await.unwrap();
    stage.writer().await.keep(id(), &Record::from_events(&[event("a")]), None).await.unwrap();
    let is_aside = |name: &str| name.starts_with("spool.corrupt-");
    let mut entries = stage.folder.path().read_dir().unwrap();
    assert!(entries.any(|entry| is_aside(entry.unwrap().file_name().to_str().unwrap())));
    assert_eq!(stage.kept().await, kept(1, "one", 2));
    assert_eq!(texts(&mut stage.outbox()).await, ["x", "y"]);
}
