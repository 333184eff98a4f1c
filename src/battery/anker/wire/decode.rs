//! Fields to named values, by the field map of the model.

use std::collections::BTreeMap;

use serde_json::Value;

use super::frame::{Field, Frame};
use super::map::{self, MessageMap, Place, ValueMap};
use super::value::{self, NamedValue};
use super::{hex, json};
use crate::reading::SafeText;

/// The content of a frame.
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
    pub serial: SafeText,
    /// The product code of that device.
    pub model: SafeText,
    /// The frame, whole.
    pub frame: Vec<u8>,
}

/// Decodes a `frame`, sent by a device of this `model` (a product code). Fields that the map does not know
/// are left out; an unknown model or message gives no values.
///
/// The values of a frame whose checksum is wrong may be wrong too.
pub fn decode(model: &str, frame: &Frame<'_>) -> Decoded {
    let Some(map) = map::message(model, frame.msg_type) else { return Decoded::default() };
    if map.is_embedding {
        return Decoded { embedded: embedded(map, frame), is_mapped: true, ..Decoded::default() };
    }
    Decoded { values: by_name(values_of_frame(map, frame)), is_mapped: true, ..Decoded::default() }
}

/// Decodes JSON that came from a device of this `model` without a frame.
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
            Place::At(offset) => value::part(map, field.value, offset).and_then(|(value, _)| value),
            Place::Bits(offset, mask) => value::bits(field.value, offset, mask),
            Place::After(gap) => {
                let Some((value, end)) = value::part(map, field.value, end_of_last + gap) else { return };
                end_of_last = end;
                value
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
    vec![Embedded {
        serial: SafeText::from_bytes(serial),
        model: SafeText::from_bytes(model),
        frame: carried,
    }]
}

fn embedded_in_json(carried: &Value) -> Option<Embedded> {
    let text = |key: &str| carried.get(key).and_then(Value::as_str);
    let frame = hex::from_hex(text("tlv")?)?;
    Some(Embedded { serial: SafeText::new(text("sn")?), model: SafeText::new(text("type")?), frame })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::battery::anker::wire::frame::{FieldKind, MsgType, build};
    use crate::battery::anker::wire::{models, split};

    type Part<'a> = (u8, Option<FieldKind>, &'a [u8]);

    fn decoded(model: &str, msg_type: &str, fields: &[Part<'_>]) -> Decoded {
        let bytes = build(MsgType::parse(msg_type).unwrap(), fields);
        decode(model, &split(&bytes).unwrap())
    }

    fn values(model: &str, msg_type: &str, field: Part<'_>) -> Value {
        json!(decoded(model, msg_type, &[(0xa1, None, &[0x34]), field]).values)
    }

    #[test]
    fn bytes_of_a_version_and_digits_of_a_version_are_parted_by_dots() {
        let var = Some(FieldKind::VAR);
        assert_eq!(values("A17C1", "0405", (0xa6, var, &[6, 1, 0, 12])), json!({"sw_version": "6.1.0.12"}));
        assert_eq!(values("A17C0", "0405", (0xa6, var, &[215, 0, 9, 9])), json!({"sw_version": "2.1.5"}));
        let digits = (0xb5, Some(FieldKind::I16), [9, 1].as_slice());
        assert_eq!(values("A1790P", "0405", digits), json!({"sw_version": "2.6.5"}));
    }

    #[test]
    fn times_of_day_are_hours_and_minutes_or_seconds() {
        let start = (0xb5, Some(FieldKind::I16), [30, 22].as_slice());
        assert_eq!(values("A5191", "0405", start), json!({"light_off_start_time": "22:30"}));
        let delay = (0xa2, Some(FieldKind::BIN), [5, 4, 3, 1, 0].as_slice());
        let expected =
            json!({"toggle_to_delay_time": "03:04:05", "toggle_to_switch": 1, "toggle_timer_mode": 0});
        // The elapsed time would stand beyond the end.
        assert_eq!(values("A17X8", "087f", delay), expected);
    }

    #[test]
    fn a_sign_is_taken_from_the_map() {
        let temperature = |byte| values("A1790P", "0405", (0xbe, Some(FieldKind::U8), &[byte]));
        assert_eq!(temperature(0xfd), json!({"temperature": -3}));
        let hours = (0xa4, Some(FieldKind::I16), [0xff, 0xff].as_slice());
        assert_eq!(values("A1790P", "0405", hours), json!({"remaining_time_hours": 6553.5}));
    }

    #[test]
    fn bits_of_one_byte_are_several_values() {
        let bits = (0xba, Some(FieldKind::BIN), [0x41].as_slice());
        let expected =
            json!({"light_mode": 1, "light_off_switch": 0, "ac_socket_switch": 0, "temp_unit_fahrenheit": 1});
        assert_eq!(values("A17C2", "0405", bits), expected);
    }

    #[test]
    fn values_follow_one_another_behind_texts_and_schedules_of_any_length() {
        let pack = [b"\x03PCK".as_slice(), &[0; 5], &[0xfe], &[0], &[77], &[0; 6], b"\x02BP"].concat();
        let expected =
            json!({"exp_1_sn": "PCK", "exp_1_temperature": -2, "exp_1_soc": 77, "exp_1_type": "BP"});
        assert_eq!(values("A1763", "0421", (0xc0, Some(FieldKind::BIN), &pack)), expected);
        let plan = [&[1, 2, 20, 90, 10][..], &[2, 1, 2, 3, 4, 5, 6], &[0, 1, 0]].concat();
        let read = values("AS220", "0421", (0xd9, Some(FieldKind::BIN), &plan));
        assert_eq!(
            (&read["tou_mode_schedule"], &read["storm_guard_switch"]),
            (&json!("02010203040506"), &json!(1))
        );
    }

    #[test]
    fn a_number_that_json_has_not_is_no_value() {
        let nan = [b"\x02SN".as_slice(), &[0; 15], &f32::NAN.to_le_bytes(), &[50]].concat();
        let read = values("A17C5", "0420", (0xb3, Some(FieldKind::BIN), &nan));
        assert_eq!(read, json!({"device_1_sn": "SN", "device_1_soc": 50}));
    }

    #[test]
    fn lists_in_json_become_numbered_names() {
        let json =
            json!({"data": {"dpp": [1, 2], "bds": [{"soc": 61}], "soc": null, "pe": 6293}}).to_string();
        let read = values("A17B1", "0500", (0xa2, Some(FieldKind::TEXT), json.as_bytes()));
        let expected = json!({
            "disaster_protection_plan_1": 1, "disaster_protection_plan_2": 2, "device_1_data": {"soc": 61},
            "pv_yield_today": 6.293,
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn json_without_a_frame_is_read_by_the_same_rules() {
        let message = json!({"sn": "X\u{1b}1", "ems_data": {"soc": 40, "bp": 500}, "pack_data": [{"t": 20}, {"t": 21}]});
        let expected = json!({"device_sn": "X1", "battery_soc": 40, "battery_power_signed": -500, "exp_1_temperature": 20, "exp_2_temperature": 21});
        assert_eq!(json!(decode_json("A5101", &message).values), expected);
    }

    #[test]
    fn a_dock_carries_one_frame_in_fields() {
        let carried = build(MsgType([0x04, 0x05]), &[(0xa1, None, &[0x34])]);
        let fields: [Part<'_>; 4] = [
            (0xa1, None, &[0x34]),
            (0xa2, Some(FieldKind::TEXT), b"SN1"),
            (0xa3, Some(FieldKind::TEXT), b"A17E1"),
            (0xa4, Some(FieldKind::BIN), &carried),
        ];
        let decoded = decoded("AX170", "0666", &fields);
        let expected =
            Embedded { serial: SafeText::new("SN1"), model: SafeText::new("A17E1"), frame: carried };
        assert_eq!(decoded.embedded, [expected]);
    }

    #[test]
    fn an_unknown_model_or_message_has_no_values_and_says_that_it_is_not_mapped() {
        let field = (0xad, Some(FieldKind::U8), [1].as_slice());
        assert_eq!(decoded("A9999", "0405", &[field]), Decoded::default());
        assert!(!decoded("A1790P", "0999", &[field]).is_mapped);
        assert!(decoded("A1790P", "0804", &[field]).is_mapped);
    }

    proptest! {
        #[test]
        fn no_content_of_any_field_of_any_model_makes_it_panic(
            contents in prop::collection::vec((0_u8..8, prop::collection::vec(any::<u8>(), 0..60)), 96),
            msg_type in prop::sample::select(vec!["0405", "0408", "0421", "0420", "0500", "0601", "0666", "0a00", "0830"]),
        ) {
            let fields: Vec<Field<'_>> = (0xa0..=0xff).zip(&contents).map(|(tag, (kind, value))| {
                Field { tag, kind: Some(FieldKind(*kind)), value, offset: 0 }
            }).collect();
            let msg_type = MsgType::parse(msg_type).unwrap();
            let frame = Frame { msg_type, status: None, fields, is_checksum_ok: true, is_consistent: true };
            for model in models() {
                drop(decode(model.code, &frame));
            }
        }
    }
}
