//! A decoded frame for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::vendor::wire::{self, Field, Frame, NamedValue};
use crate::cli::render;

/// The most bytes of a field that stand in a table. What is longer is text, and stands there as a value.
const MOST_BYTES: usize = 32;

/// The most characters of a value that stand in a table.
const MOST_CHARS: usize = 60;

const HEADER: [&str; 6] = ["tag", "type", "name", "value", "unit", "bytes"];

/// A frame with each of its fields: a line about it, and a table. Frames that it carries follow.
pub(super) fn text(model: &str, frame: &Frame<'_>) -> String {
    let named = wire::named_values(model, frame);
    let mut table = vec![HEADER.map(str::to_owned)];
    table.extend(frame.fields.iter().flat_map(|field| rows(field, &named)));
    let mut text = headline(model, frame) + &render::columns(&table, true);
    for carried in &wire::decode(model, frame).embedded {
        let carried_text = match wire::split(&carried.frame) {
            Ok(frame) => self::text(carried.model.as_str(), &frame),
            Err(error) => format!("{error}\n"),
        };
        // Writing to a String cannot fail.
        write!(text, "\ncarried for {}: {carried_text}", carried.serial).unwrap_or_default();
    }
    text
}

/// Values that came without a frame.
pub(super) fn text_of_json(model: &str, values: &BTreeMap<String, Value>) -> String {
    let width = values.keys().map(String::len).max().unwrap_or(0);
    let mut text = format!("{model} JSON, {} values\n", values.len());
    for (name, value) in values {
        writeln!(text, "{name:width$}  {}", shown(value)).unwrap_or_default();
    }
    text
}

/// A frame as a JSON object: what it is, its fields as they stand in it, and the values by name.
pub(super) fn json(model: &str, frame: &Frame<'_>) -> Value {
    let decoded = wire::decode(model, frame);
    let named = wire::named_values(model, frame);
    let fields: Vec<Value> = frame.fields.iter().map(|field| json_of_field(field, &named)).collect();
    let carried: Vec<Value> = decoded
        .embedded
        .iter()
        .map(|carried| {
            let frame = match wire::split(&carried.frame) {
                Ok(frame) => json(carried.model.as_str(), &frame),
                Err(error) => json!({ "error": error.to_string() }),
            };
            json!({ "serial": carried.serial.as_str(), "frame": frame })
        })
        .collect();
    json!({
        "model": model,
        "type": frame.msg_type.to_string(),
        "status": frame.status,
        "checksum_ok": frame.is_checksum_ok,
        "consistent": frame.is_consistent,
        "mapped": decoded.is_mapped,
        "fields": fields,
        "values": decoded.values,
        "carried": carried,
    })
}

fn json_of_field(field: &Field<'_>, named: &[NamedValue]) -> Value {
    let named = named.iter().filter(|named| named.tag == field.tag);
    let values: Vec<Value> = named
        .map(|named| json!({ "name": named.name, "value": named.value, "unit": unit_of(named) }))
        .collect();
    json!({
        "tag": format!("{:02x}", field.tag),
        "type": field.kind.map(|kind| kind.label()),
        "offset": field.offset,
        "bytes": wire::to_hex(field.value),
        "values": values,
    })
}

fn unit_of(named: &NamedValue) -> Option<&'static str> {
    Some(named.unit).filter(|unit| !unit.is_empty())
}

fn headline(model: &str, frame: &Frame<'_>) -> String {
    let mut message = vec![format!("{model} {}", frame.msg_type), format!("{} fields", frame.fields.len())];
    if let Some(status) = frame.status {
        message.push(format!("status {status:02x}"));
    }
    message.push(if frame.is_checksum_ok { "checksum ok" } else { "CHECKSUM WRONG" }.to_owned());
    if !frame.is_consistent {
        message.push("NOT CONSISTENT: only the beginning could be read".to_owned());
    }
    if !wire::decode(model, frame).is_mapped {
        message.push("no map for this type of message".to_owned());
    }
    message.join(", ") + "\n"
}

/// A row for each value of a field, and one for a field without any.
fn rows(field: &Field<'_>, named: &[NamedValue]) -> Vec<[String; 6]> {
    let kind = field.kind.map_or("", |kind| kind.label()).to_owned();
    let mut of_field = Some([format!("{:02x}", field.tag), kind, bytes_of(field)]);
    let mut row = |[name, value, unit]: [String; 3]| {
        let [tag, kind, bytes] = of_field.take().unwrap_or_default();
        [tag, kind, name, value, unit, bytes]
    };
    let values = named.iter().filter(|named| named.tag == field.tag);
    let cells = |named: &NamedValue| [named.name.clone(), shown(&named.value), named.unit.to_owned()];
    let rows: Vec<_> = values.map(|named| row(cells(named))).collect();
    if rows.is_empty() { vec![row(Default::default())] } else { rows }
}

fn bytes_of(field: &Field<'_>) -> String {
    match field.value.get(..MOST_BYTES) {
        Some(head) if field.value.len() > MOST_BYTES => {
            format!("{}… ({} bytes)", wire::to_hex(head), field.value.len())
        }
        _ => wire::to_hex(field.value),
    }
}

/// A value on one line. Texts have been cleaned when they were read.
pub(super) fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
