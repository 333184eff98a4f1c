//! Fields to named values, by the field map of the model.

use std::collections::BTreeMap;

use serde_json::Value;

use super::frame::{Field, Frame};
use super::map::{self, MessageMap, Place, ValueMap};
use super::{hex, json, value};
use crate::reading::Clean;

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded {
    /// The values, by the name and in the unit of the field map. A number is a JSON number.
    pub values: BTreeMap<String, Value>,
    /// Frames of other devices that this one carries: a panel speaks for its stations.
    pub embedded: Vec<Embedded>,
    /// Whether the field map knows this type of message of this model.
    pub is_mapped: bool,
}

/// A frame of another device, carried by a hub. It is to be split and decoded by its own model, and its
/// values belong to its own serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// Whose it is.
    pub serial: Clean,
    /// The product code of that device.
    pub model: Clean,
    /// The frame, whole.
    pub frame: Vec<u8>,
}

/// One value of one field.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedValue {
    /// The tag of the field that it stands in. A field can hold several values.
    pub tag: u8,
    /// Its name in the field map; a `?` at its end says that the name is a guess.
    pub name: String,
    /// The value: a number, a text, or what JSON holds. Bytes that nobody understands are a text of
    /// hexadecimal digits.
    pub value: Value,
    /// The unit, or nothing: `W`, `%`, `kWh`, `°C`, `unix_s`, …
    pub unit: &'static str,
}

/// What `frame`, sent by a device of this `model` (a product code), says. Fields that the map does not know
/// are left out; an unknown model or message gives no values.
///
/// The values of a frame that is not consistent, or whose checksum is wrong, may be wrong too.
pub fn decode(model: &str, frame: &Frame<'_>) -> Decoded {
    let Some(map) = map::message(model, frame.msg_type) else { return Decoded::default() };
    if map.is_embedding {
        return Decoded { embedded: embedded(map, frame), is_mapped: true, ..Decoded::default() };
    }
    Decoded { values: by_name(values_of_frame(map, frame)), is_mapped: true, ..Decoded::default() }
}

/// What JSON says that came from a device of this `model` without a frame.
pub fn decode_json(model: &str, message: &Value) -> Decoded {
    let Some(map) = map::message(model, super::MsgType::JSON) else { return Decoded::default() };
    let mut named = Vec::new();
    json::read(map.values_of(0), message, &mut named);
    Decoded { values: by_name(named), is_mapped: true, ..Decoded::default() }
}

/// The values of `frame` in the order of its fields, each with the field that it comes from: for a person
/// who looks at a frame.
pub fn named_values(model: &str, frame: &Frame<'_>) -> Vec<NamedValue> {
    map::message(model, frame.msg_type).map(|map| values_of_frame(map, frame)).unwrap_or_default()
}

fn by_name(named: Vec<NamedValue>) -> BTreeMap<String, Value> {
    named.into_iter().map(|named| (named.name, named.value)).collect()
}

fn values_of_frame(map: &MessageMap, frame: &Frame<'_>) -> Vec<NamedValue> {
    let mut named = Vec::with_capacity(frame.fields.len());
    for field in &frame.fields {
        read_field(map.values_of(field.tag), field, &mut named);
    }
    named
}

fn read_field(maps: &[ValueMap], field: &Field<'_>, named: &mut Vec<NamedValue>) {
    if maps.iter().any(|map| matches!(map.place, Place::Key(..))) {
        if let Some(message) = json_of(field.value) {
            json::read(maps, &message, named);
        }
        return;
    }
    let mut end_of_last = 0;
    for map in maps {
        let value = match map.place {
            Place::Whole => value::whole(map, field),
            Place::At(offset) => value::part(map, field.value, offset).and_then(|part| part.value),
            Place::Bits(offset, mask) => value::bits(field.value, offset, mask),
            Place::After(gap) => {
                let Some(part) = value::part(map, field.value, end_of_last + gap) else { return };
                end_of_last = part.end;
                part.value
            }
            Place::Key(..) => None,
        };
        if let Some(value) = value {
            named.push(NamedValue { tag: map.tag, name: map.name.to_owned(), value, unit: map.unit });
        }
    }
}

/// The JSON that a text field holds.
fn json_of(text: &[u8]) -> Option<Value> {
    let text = text.trim_ascii_end();
    let n_padding = text.iter().rev().take_while(|byte| **byte == 0).count();
    let text = text.get(..text.len() - n_padding)?;
    text.first().filter(|first| matches!(first, b'{' | b'['))?;
    serde_json::from_slice(text).ok()
}

/// The frames that a hub carries: as a JSON list in a field (0601 of the panel), or as one in fields of its
/// own (0666 of the dock).
fn embedded(map: &MessageMap, frame: &Frame<'_>) -> Vec<Embedded> {
    let in_json = frame.fields.iter().find_map(|field| json_of(field.value));
    if let Some(carried) = in_json {
        let carried = if let Value::Array(list) = carried { list } else { vec![carried] };
        return carried.iter().filter_map(embedded_in_json).collect();
    }
    let part = |name: &str| {
        let is_it = |field: &&Field<'_>| map.values_of(field.tag).iter().any(|map| map.name == name);
        frame.fields.iter().find(is_it).map(|field| field.value)
    };
    let (Some(serial), Some(model), Some(carried)) = (part("sn"), part("type"), part("tlv")) else {
        return Vec::new();
    };
    let as_digits = std::str::from_utf8(carried).ok().and_then(hex::from_hex);
    let carried = as_digits.unwrap_or_else(|| carried.to_vec());
    vec![Embedded { serial: Clean::from_bytes(serial), model: Clean::from_bytes(model), frame: carried }]
}

fn embedded_in_json(carried: &Value) -> Option<Embedded> {
    let text = |key: &str| carried.get(key).and_then(Value::as_str);
    let frame = hex::from_hex(text("tlv")?)?;
    Some(Embedded { serial: Clean::new(text("sn")?), model: Clean::new(text("type")?), frame })
}
