//! Recorded and synthetic frames of Solix devices are read as the reference reads them, and requests are
//! byte for byte what it sends.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a recording that is not as expected fails its test"
)]

use std::collections::BTreeMap;

use fleetwatt::solix::wire::{Decoded, Field, decode, from_hex, split, to_hex};
use serde_json::Value;

type Values = BTreeMap<String, Value>;

fn fixture(name: &str) -> String {
    let path = format!("{}/fixtures/solix/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_str(&fixture(name)).unwrap()
}

fn lines(name: &str) -> Vec<Value> {
    fixture(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A recorded frame, and all that is known of it.
struct Recording {
    topic: String,
    model: String,
    /// Unix seconds of each message that brought this very frame.
    at: Vec<i64>,
    frame: Vec<u8>,
    fields: Vec<FieldText>,
    values: Values,
}

/// A field with its bytes in hexadecimal digits.
#[derive(Debug, PartialEq)]
struct FieldText {
    offset: usize,
    tag: String,
    kind: String,
    value: String,
}

/// The values of a line are what differs from the line before of the same topic and message type.
fn recordings() -> Vec<Recording> {
    let mut last: BTreeMap<String, Values> = BTreeMap::new();
    lines("recordings.jsonl")
        .iter()
        .map(|line| {
            let parts: Vec<&str> = text(&line["frame"]).split('/').collect();
            let msg_type = parts[0].split(' ').nth(3).unwrap();
            let values = last.entry(format!("{} {msg_type}", line["topic"])).or_default();
            for gone in line.get("gone").and_then(Value::as_array).into_iter().flatten() {
                values.remove(text(gone)).unwrap();
            }
            values.extend(serde_json::from_value::<Values>(line["values"].clone()).unwrap());
            Recording {
                topic: text(&line["topic"]).to_owned(),
                model: text(&line["model"]).to_owned(),
                at: serde_json::from_value(line["at"].clone()).unwrap(),
                frame: from_hex(&parts.concat().replace('.', "")).unwrap(),
                fields: field_texts(parts[0], parts[1]),
                values: values.clone(),
            }
        })
        .collect()
}

/// Fields as they stand in a recording: `a3.03.02.9100` is tag, length, type and value.
fn field_texts(header: &str, fields: &str) -> Vec<FieldText> {
    let n_bytes = |text: &str| text.chars().filter(char::is_ascii_hexdigit).count() / 2;
    let mut offset = n_bytes(header);
    let mut texts = Vec::new();
    for field in fields.split_whitespace() {
        let [tag, _, kind, value] = field.split('.').collect::<Vec<_>>().try_into().unwrap();
        texts.push(FieldText { offset, tag: tag.into(), kind: kind.into(), value: value.into() });
        offset += n_bytes(field);
    }
    texts
}

/// JSON with every number as a float, since the reference writes 100.0 and 0 where we write 100 and 0.
fn numbers_alike(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64().unwrap()),
        Value::Object(object) => {
            object.iter().map(|(key, value)| (key.clone(), numbers_alike(value))).collect()
        }
        Value::Array(list) => list.iter().map(numbers_alike).collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

fn assert_same(read: &Values, golden: &Values, of: &str) {
    for name in read.keys().chain(golden.keys()) {
        let (read, golden) = (read.get(name).map(numbers_alike), golden.get(name).map(numbers_alike));
        assert_eq!(read, golden, "{name} of {of}");
    }
}

fn decoded(model: &str, bytes: &[u8]) -> Decoded {
    let frame = split(bytes).unwrap();
    assert!(frame.is_checksum_ok && frame.is_consistent, "{model} {}", frame.msg_type);
    decode(model, &frame)
}

#[test]
fn every_recorded_frame_is_cut_into_the_same_fields() {
    let recordings = recordings();
    assert_eq!(recordings.iter().map(|recording| recording.at.len()).sum::<usize>(), 432);
    for recording in recordings {
        let frame = split(&recording.frame).unwrap();
        let fields: Vec<FieldText> = frame
            .fields
            .iter()
            .map(|Field { tag, kind, value, offset }| FieldText {
                offset: *offset,
                tag: to_hex(&[*tag]),
                kind: kind.map(|kind| to_hex(&[kind.byte()])).unwrap_or_default(),
                value: to_hex(value),
            })
            .collect();
        assert_eq!(fields, recording.fields, "{}", recording.topic);
    }
}

#[test]
fn every_recorded_frame_has_the_same_values() {
    for recording in recordings() {
        let decoded = decoded(&recording.model, &recording.frame);
        assert_same(&decoded.values, &recording.values, &recording.topic);
    }
}
