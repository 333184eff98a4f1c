//! Records: what a batch can hold, by kind, free of everything that a database would choke on.
//!
//! Each kind has its own mapping to a table. In the spool a record is a JSON object; `record` names its kind, and an
//! object without it is an event, so that the spools of earlier versions replay. A kind that this version does not
//! know was written by a later one: its batch is not damaged, and stays in the spool ([`Unreadable::UnknownKind`]).
//!
//! To add a kind: a variant of [`Record`] with its tag, a list beside [`events`], and its insert in `sqlite` and
//! `postgres`. All kinds of a batch go in one transaction.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::batch::{Event, Metadata};
use crate::ledger::{EnergyRow, Entry};

/// One record of a batch.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// A row of the timeline.
    Event(EventRow),
    /// The figures of a series in a quarter-hour, which are added to those of its ledger.
    Energy(EnergyRecord),
}

/// The figures of a series in a quarter-hour, as they wait in the spool.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnergyRecord {
    record: EnergyTag,
    pub(super) series: String,
    pub(super) node: String,
    pub(super) model: String,
    /// The beginning of the quarter, in microseconds since 1970 in UTC.
    pub(super) quarter: i64,
    #[serde(flatten)]
    pub(super) entry: Entry,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EnergyTag {
    Energy,
}

/// A row of the timeline, as it is inserted and as it waits in the spool.
///
/// No text holds NUL: PostgreSQL refuses it in text and in jsonb, so that one hostile host would block
/// every batch. No value is NaN or infinite: PostgreSQL would take it and the dashboards would not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventRow {
    /// The type of the event.
    pub event_type: String,
    /// The thing that it is about.
    pub source: String,
    /// The value, if it has one.
    pub value: Option<f64>,
    /// It reaches the database as it was written, by whatever way it went.
    pub(super) metadata: Metadata,
    /// When it was measured, in microseconds since 1970 in UTC.
    pub created_at: i64,
}

/// Why the JSON of a record is not one of this version's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is damaged.
    Damaged,
    /// A later version wrote it; the name of its kind.
    UnknownKind(String),
}

/// The tag of a record; an event has none.
#[derive(Deserialize)]
struct Tag {
    record: Option<String>,
}

/// The events of a batch, which go to a table of their own.
pub(super) fn events(records: &[Record]) -> Vec<&EventRow> {
    records
        .iter()
        .filter_map(|record| if let Record::Event(row) = record { Some(row) } else { None })
        .collect()
}

/// The energies of a batch, which go to the ledger.
pub(super) fn energies(records: &[Record]) -> Vec<&EnergyRecord> {
    records
        .iter()
        .filter_map(|record| if let Record::Energy(row) = record { Some(row) } else { None })
        .collect()
}

impl Record {
    /// The records of some events.
    pub fn from_events(events: &[Event]) -> Vec<Self> {
        let mut records: Vec<Self> = Vec::with_capacity(events.len());
        let mut before: Option<&Event> = None;
        for event in events {
            // What neighbours share is looked through once.
            let is_shared = before.is_some_and(|before| before.metadata.is_clone_of(&event.metadata));
            let metadata = match records.last() {
                Some(Self::Event(row)) if is_shared => row.metadata.clone(),
                _ => metadata_without_nul(&event.metadata),
            };
            records.push(Self::Event(EventRow {
                event_type: without_nul(event.event_type),
                source: without_nul(&event.source),
                value: event.value.filter(|value| value.is_finite()),
                metadata,
                created_at: event.at.micros(),
            }));
            before = Some(event);
        }
        records
    }

    /// The records of a booking.
    pub fn from_energies(rows: &[EnergyRow]) -> Vec<Self> {
        let record = |row: &EnergyRow| {
            Self::Energy(EnergyRecord {
                record: EnergyTag::Energy,
                series: without_nul(&row.series),
                node: without_nul(&row.node),
                model: without_nul(&row.model),
                quarter: row.quarter.start().micros(),
                entry: row.entry,
            })
        };
        rows.iter().map(record).collect()
    }

    /// Says in an event that no ledger has its reading: it was kept without the energies of its batch.
    pub fn leave_out_of_ledger(&mut self) {
        if let Self::Event(row) = self {
            row.metadata = row.metadata.with("ledger", false);
        }
    }

    /// Reads a record of the spool.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, Unreadable> {
        let damaged = |_| Unreadable::Damaged;
        match serde_json::from_slice(json).map_err(damaged)? {
            Tag { record: None } => serde_json::from_slice(json).map(Self::Event).map_err(damaged),
            Tag { record: Some(kind) } if kind == "energy" => {
                serde_json::from_slice(json).map(Self::Energy).map_err(damaged)
            }
            Tag { record: Some(kind) } => Err(Unreadable::UnknownKind(kind)),
        }
    }

    /// Microseconds since 1970 in UTC.
    pub(super) const fn created_at(&self) -> i64 {
        match self {
            Self::Event(row) => row.created_at,
            Self::Energy(row) => row.quarter,
        }
    }

    /// Whether it is an event of this type.
    pub(super) fn is_event(&self, event_type: &str) -> bool {
        matches!(self, Self::Event(row) if row.event_type == event_type)
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
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::ledger::{Book, Booking, EnergyReading, SeriesKey, SeriesReading};
    use crate::reading::Power;
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
        let records = Record::from_events(&[event]);
        let Record::Event(row) = &records[0] else { unreachable!() };
        assert_eq!((row.event_type.as_str(), row.source.as_str()), ("node_up", "node_ab"));
        assert_eq!((row.value, row.created_at), (None, 7));
        let read: Value = serde_json::from_str(row.metadata.text()).unwrap();
        assert_eq!(read, json!({"a": ["xy", {"b": ""}], "path": "C:\\u0000", "n": 1}));
    }

    #[test]
    fn an_energy_comes_out_of_the_spool_as_it_went_in() {
        let mut book = Booking::default();
        let key = SeriesKey::Gpu { uuid: "GPU-\0 1".to_owned() };
        let reading = |at, milliwatts| EnergyReading {
            at: Timestamp::from_micros(at),
            power: Power::from_milliwatts(milliwatts),
            busy: None,
            samples: None,
        };
        let of = |reading| SeriesReading {
            key: key.clone(),
            node: "n".to_owned(),
            model: "H100".to_owned(),
            reading,
        };
        let readings = [of(reading(0, 123_457)), of(reading(1_234_567, 98_765))];
        book.rows.extend(Book::default().book(&readings, Some(Duration::from_secs(2))).rows);
        let records = Record::from_energies(&book.rows);
        let json = serde_json::to_string(&records[0]).unwrap();
        assert!(
            json.starts_with(
                r#"{"record":"energy","series":"gpu:GPU- 1","node":"n","model":"H100","quarter":0,"#
            ),
            "{json}"
        );
        let Record::Energy(read) = Record::from_json(json.as_bytes()).unwrap() else { unreachable!() };
        assert_eq!(read.entry, book.rows[0].entry);
    }

    #[test]
    fn a_record_without_a_tag_is_an_event_and_one_of_another_kind_is_named() {
        let event = br#"{"event_type":"node_up","source":"s","value":1.0,"metadata":{},"created_at":7}"#;
        let Record::Event(row) = Record::from_json(event).unwrap() else { unreachable!() };
        assert_eq!((row.event_type.as_str(), row.created_at), ("node_up", 7));
        assert_eq!(serde_json::to_string(&Record::Event(row)).unwrap().as_bytes(), event);
        // It is not misread, even if it has all that an event has.
        let later =
            br#"{"record":"curve","event_type":"x","source":"s","value":1.0,"metadata":{},"created_at":7}"#;
        let unknown = Unreadable::UnknownKind("curve".to_owned());
        assert_eq!(Record::from_json(later).unwrap_err(), unknown);
        assert_eq!(Record::from_json(br#"{"record":"curve","series":1}"#).unwrap_err(), unknown);
        for damaged in [&br#"{"event_type":"x"}"#[..], b"{}", b"[]", br#"{"record":1}"#, b"{"] {
            assert_eq!(Record::from_json(damaged).unwrap_err(), Unreadable::Damaged);
        }
    }
}
