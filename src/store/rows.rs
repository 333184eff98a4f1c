//! Events as the columns of an insert, with everything taken out that a database would choke on.

use serde_json::{Map, Value};

use crate::batch::Event;

/// Some events, column by column.
///
/// No text holds NUL: PostgreSQL refuses it in text and in jsonb, so that one hostile host would block
/// every batch. No value is NaN or infinite: PostgreSQL would take it and the dashboards would not.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) event_types: Vec<String>,
    pub(super) sources: Vec<String>,
    pub(super) values: Vec<Option<f64>>,
    pub(super) metadata: Vec<String>,
    /// Microseconds since 1970 in UTC.
    pub(super) created_at: Vec<i64>,
}

impl Rows {
    pub(super) fn of(events: &[Event]) -> Self {
        let mut rows = Self::default();
        for event in events {
            rows.event_types.push(without_nul(event.event_type));
            rows.sources.push(without_nul(&event.source));
            rows.values.push(event.value.filter(|value| value.is_finite()));
            rows.metadata.push(metadata_text(&event.metadata));
            rows.created_at.push(event.at.micros());
        }
        rows
    }

    /// Row by row, in the order of [`super::COLUMNS`].
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str, Option<f64>, &str, i64)> {
        let texts = self.event_types.iter().zip(&self.sources).zip(&self.metadata);
        let numbers = self.values.iter().zip(&self.created_at);
        texts.zip(numbers).map(|(((event_type, source), metadata), (value, at))| {
            (event_type.as_str(), source.as_str(), *value, metadata.as_str(), *at)
        })
    }
}

fn metadata_text(metadata: &Map<String, Value>) -> String {
    let text = display(metadata);
    // serde_json writes NUL in no other way; a text that only talks about `\u0000` is cleaned for nothing.
    if !text.contains("\\u0000") {
        return text;
    }
    display(&object_without_nul(metadata))
}

fn display(metadata: &Map<String, Value>) -> String {
    serde_json::to_string(metadata).expect("a map with string keys is always JSON")
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
            metadata: metadata.as_object().unwrap().clone(),
            at: Timestamp::from_micros(7),
        };
        let rows = Rows::of(&[event]);
        let (event_type, source, value, metadata, at) = rows.iter().next().unwrap();
        assert_eq!((event_type, source, value, at), ("node_up", "node_ab", None, 7));
        let read: Value = serde_json::from_str(metadata).unwrap();
        assert_eq!(read, json!({"a": ["xy", {"b": ""}], "path": "C:\\u0000", "n": 1}));
    }
}
