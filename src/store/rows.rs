//! Events as rows of an insert, with everything taken out that a database would choke on.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::batch::{Event, Metadata};

/// One row, as it is inserted and as it waits in the spool.
///
/// No text holds NUL: PostgreSQL refuses it in text and in jsonb, so that one hostile host would block
/// every batch. No value is NaN or infinite: PostgreSQL would take it and the dashboards would not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) event_type: String,
    pub(super) source: String,
    pub(super) value: Option<f64>,
    /// It reaches the database as it was written, by whatever way it went.
    pub(super) metadata: Metadata,
    /// Microseconds since 1970 in UTC.
    pub(super) created_at: i64,
}

impl Row {
    /// The rows of some events.
    pub(super) fn all(events: &[Event]) -> Vec<Self> {
        let mut rows: Vec<Self> = Vec::with_capacity(events.len());
        let mut before: Option<&Event> = None;
        for event in events {
            // What neighbours share is looked through once.
            let is_shared = before.is_some_and(|before| before.metadata.is_clone_of(&event.metadata));
            let metadata = match rows.last() {
                Some(row) if is_shared => row.metadata.clone(),
                _ => metadata_without_nul(&event.metadata),
            };
            rows.push(Self {
                event_type: without_nul(event.event_type),
                source: without_nul(&event.source),
                value: event.value.filter(|value| value.is_finite()),
                metadata,
                created_at: event.at.micros(),
            });
            before = Some(event);
        }
        rows
    }
}

fn metadata_without_nul(metadata: &Metadata) -> Metadata {
    // JSON has NUL in no other way; a text that only talks about `\u0000` is cleaned for nothing.
    if !metadata.text().contains("\\u0000") {
        return metadata.clone();
    }
    let object: Map<String, Value> = serde_json::from_str(metadata.text()).expect("metadata is an object");
    Metadata::of(&object_without_nul(&object))
}

fn object_without_nul(object: &Map<String, Value>) -> Map<String, Value> {
    object.iter().map(|(key, value)| (without_nul(key), value_without_nul(value))).collect()
}

fn value_without_nul(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_nul(text)),
        Value::Array(items) => Value::Array(items.iter().map(value_without_nul).collect()),
        Value::Object(object) => Value::Object(object_without_nul(object)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reading::Timestamp;

    #[test]
    fn nul_is_taken_out_at_any_depth_and_other_backslashes_stay() {
        let metadata = json!({"a\0": ["x\0y", {"b": "\0"}], "path": "C:\\u0000", "n": 1});
        let event = Event {
            event_type: "node_up",
            source: "node_a\0b".to_owned(),
            value: Some(f64::NAN),
            metadata: Metadata::of(&metadata),
            at: Timestamp::from_micros(7),
        };
        let rows = Row::all(&[event]);
        let row = &rows[0];
        assert_eq!((row.event_type.as_str(), row.source.as_str()), ("node_up", "node_ab"));
        assert_eq!((row.value, row.created_at), (None, 7));
        let read: Value = serde_json::from_str(row.metadata.text()).unwrap();
        assert_eq!(read, json!({"a": ["xy", {"b": ""}], "path": "C:\\u0000", "n": 1}));
    }
}
