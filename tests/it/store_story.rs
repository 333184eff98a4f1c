//! The same events through every kind of store: what is written is what is read back.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::process::Stdio;

use fleetwatt::batch::{BatchId, Event, Metadata};
use fleetwatt::reading::Timestamp;
use fleetwatt::store::{Record, StoreUrl, Timeline};
use serde_json::{Value, json};
use uuid::Uuid;

/// 2026-11-24T07:00:00.000001Z: the last digit shows whether microseconds survive.
pub(crate) const AT: i64 = 1_795_503_600_000_001;

/// A row as read back: event type, source, value, metadata, microseconds.
pub(crate) type Row = (String, String, Option<f64>, Value, i64);

/// The id of a new batch.
pub(crate) fn new_id() -> BatchId {
    BatchId(Uuid::now_v7())
}

pub(crate) fn event(source: &str, value: Option<f64>, metadata: Value, micros: i64) -> Event {
    Event {
        event_type: "gpu_power_draw",
        source: source.to_owned(),
        value,
        metadata: Metadata::of(&metadata),
        at: Timestamp::from_micros(micros),
    }
}

pub(crate) fn nasty_events() -> Vec<Event> {
    vec![
        event("gpu_redfin_0", Some(71.25), json!({"batch": "b", "node": "redfin", "gpu_index": 0}), AT),
        event("gpu_\0nul", Some(0.0), json!({"evil\0key": "a\0b", "deep": [{"x": "\0"}], "n": null}), AT + 1),
        event("gpu_ünïcode_🔥", Some(f64::NAN), json!({"emoji": "👩‍🚀", "rtl": "\u{202e}abc"}), AT + 2),
        event(
            "gpu_o'brien\"; DROP TABLE unified_timeline; --",
            Some(f64::INFINITY),
            json!({"q": "'\"\\\n\t$1"}),
            AT + 3,
        ),
        event(
            "gpu_big",
            Some(-1.5e-3),
            json!({"blob": "x".repeat(10_000), "big": 18_446_744_073_709_551_615_u64}),
            AT + 4,
        ),
        event("gpu_old", None, json!({}), -1),
        event("", Some(1e300), json!({"C:\\u0000": true}), 0),
    ]
}

/// What has to be read back, in the order written.
pub(crate) fn expected(events: &[Event]) -> Vec<Row> {
    fn clean(value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(text.replace('\0', "")),
            Value::Array(items) => items.iter().map(clean).collect(),
            Value::Object(object) => {
                object.iter().map(|(key, value)| (key.replace('\0', ""), clean(value))).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
    let row = |event: &Event| {
        (
            event.event_type.to_owned(),
            event.source.replace('\0', ""),
            event.value.filter(|value| value.is_finite()),
            clean(&serde_json::from_str(event.metadata.text()).unwrap()),
            event.at.micros(),
        )
    };
    events.iter().map(row).collect()
}

pub(crate) fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| row.4);
    rows
}

/// Where the process that is going to be killed writes to.
const VICTIM_URL: &str = "FLEETWATT_TEST_VICTIM_URL";

/// Writes all nasty events in a process of its own, and kills that after the last insert.
pub(crate) fn killed_before_commit(url: &str) {
    let folder = tempfile::tempdir().unwrap();
    // Opening a FIFO returns when the other side has opened it too: no waiting in steps.
    let reached = folder.path().join("reached");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &reached, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    #[allow(clippy::disallowed_methods, reason = "a test kills a process of its own")]
    let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store_story::a_victim_writes_only_where_it_is_told"])
        .env(VICTIM_URL, url)
        .env("FLEETWATT_FAILPOINT", format!("before_commit:{}", reached.display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::fs::read(&reached).unwrap();
    victim.kill().unwrap();
    victim.wait().unwrap();
}

/// The process that [`killed_before_commit`] kills; nothing when run as a test of its own.
#[tokio::test]
async fn a_victim_writes_only_where_it_is_told() {
    let Ok(url) = std::env::var(VICTIM_URL) else { return };
    let timeline = Timeline::open(&StoreUrl::parse(&url, None).unwrap(), "unified_timeline").await.unwrap();
    timeline.write(new_id(), &Record::from_events(&nasty_events())).await.unwrap();
    panic!("the fail point was passed");
}
