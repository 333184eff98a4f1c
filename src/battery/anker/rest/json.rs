//! Fields of an answer, read with tolerance: numbers come as numbers or as text, and `""`, `null` and missing
//! all mean that it is not known. None of them is ever 0.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::reading::{Absent, Measured, Power, Reason, SafeText, Share};
use crate::support::decimal;

/// More than any home has; what is above is no measurement.
const MOST_POWER: Power = Power::from_watts(1_000_000);

/// The depth to which names are looked for.
const MAX_DEPTH: usize = 3;

/// So many names are kept of one answer.
const MAX_NAMES: usize = 200;

/// A field's text, if it has one: a text that is not empty, or a number as text.
pub(super) fn text(object: &Value, key: &str) -> Option<String> {
    let text = match object.get(key)? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// The same, for a person.
pub(super) fn clean(object: &Value, key: &str) -> Option<SafeText> {
    text(object, key).map(|text| SafeText::new(&text)).filter(|text| !text.is_empty())
}

/// A whole number.
pub(super) fn integer(object: &Value, key: &str) -> Option<i64> {
    text(object, key)?.parse().ok()
}

/// A switch: `true`, 1, `"1"`, `"true"` and their opposites.
pub(super) fn switch(object: &Value, key: &str) -> Option<bool> {
    if let Value::Bool(switch) = object.get(key)? {
        return Some(*switch);
    }
    match text(object, key)?.as_str() {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

/// The names of an object's fields, sorted, without those that hold content; none where it is no object.
pub(super) fn keys(object: &Value) -> Vec<String> {
    let fields = object.as_object().into_iter().flatten();
    fields.map(|(key, _)| key.clone()).filter(|key| is_name(key)).collect()
}

/// A list; an empty one where there is none.
pub(super) fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    object.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A power in `unit`, which stands in a field beside it. Without a unit it is not known: some answers are in W,
/// some in kW.
pub(super) fn power(object: &Value, key: &str, unit: Option<&str>) -> Measured<Power> {
    let text = text(object, key).ok_or_else(Absent::not_reported)?;
    let places = match unit.map(str::to_ascii_lowercase).as_deref() {
        Some("w") => 3,
        Some("kw") => 6,
        _ => return Err(Absent::new(Reason::Garbled, &text)),
    };
    let milliwatts = decimal::scaled(&text, places).ok_or_else(|| Absent::new(Reason::Garbled, &text))?;
    if milliwatts.saturating_abs() > MOST_POWER.milliwatts() {
        return Err(Absent::new(Reason::Implausible, &text));
    }
    Ok(Power::from_milliwatts(milliwatts))
}

/// A state of charge in percent.
pub(super) fn percent(object: &Value, key: &str) -> Measured<Share> {
    let text = text(object, key).ok_or_else(Absent::not_reported)?;
    let millipercent = decimal::scaled(&text, 3).ok_or_else(|| Absent::new(Reason::Garbled, &text))?;
    if !(0..=100_000).contains(&millipercent) {
        return Err(Absent::new(Reason::Implausible, &text));
    }
    Ok(Share::from_millipercent(millipercent))
}

/// An energy in watt-hours, whose unit is `unit`.
pub(super) fn watt_hours(object: &Value, key: &str, unit: Option<&str>) -> Option<i64> {
    let places = match unit?.to_ascii_lowercase().as_str() {
        "wh" => 0,
        "kwh" => 3,
        "mwh" => 6,
        "gwh" => 9,
        _ => return None,
    };
    decimal::scaled(&text(object, key)?, places)
}

/// The names of an answer's fields, which are logged for whoever wants to know what could be read of a device that
/// we do not have; their contents are not. Those of inner objects behind a point. Of a list, those of its first object.
pub(super) fn field_names(value: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    gather(value, "", MAX_DEPTH, &mut names);
    names
}

fn gather(value: &Value, before: &str, depth: usize, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields.iter().filter(|(name, _)| is_name(name)) {
                if names.len() >= MAX_NAMES {
                    return;
                }
                let name = format!("{before}{name}");
                if depth > 1 {
                    gather(inner, &format!("{name}."), depth - 1, names);
                }
                names.insert(name);
            }
        }
        Value::Array(items) => {
            if let Some(first) = items.iter().find(|item| item.is_object()) {
                gather(first, before, depth, names);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

/// Whether a key is the name of a field, and not content: some answers have serial numbers for keys, and an
/// account or a token would look alike. Names are short and have small letters, and are not hex.
fn is_name(key: &str) -> bool {
    let is_hex = key.len() >= 8 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
    key.len() <= 40
        && !is_hex
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && key.bytes().any(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_power_is_read_in_the_unit_that_stands_beside_it() {
        let object = json!({"a": "4.11", "b": 212, "c": "-2.63"});
        let milliwatts = |key, unit| power(&object, key, Some(unit)).map(Power::milliwatts);
        assert_eq!(milliwatts("a", "KW"), Ok(4_110_000));
        assert_eq!(milliwatts("b", "W"), Ok(212_000));
        assert_eq!(milliwatts("c", "kW"), Ok(-2_630_000));
        assert_eq!(power(&object, "a", None).unwrap_err().reason, Reason::Garbled);
    }

    #[test]
    fn what_is_empty_null_or_missing_is_absent_and_not_zero() {
        let object = json!({"empty": "", "blank": " ", "null": null, "list": []});
        for key in ["empty", "blank", "null", "list", "missing"] {
            assert_eq!(power(&object, key, Some("W")).unwrap_err().reason, Reason::NotReported, "{key}");
            assert_eq!(percent(&object, key).unwrap_err().reason, Reason::NotReported, "{key}");
            assert_eq!((text(&object, key), switch(&object, key), integer(&object, key)), (None, None, None));
        }
    }

    #[test]
    fn a_state_of_charge_above_a_hundred_is_implausible() {
        assert_eq!(percent(&json!({"a": "101"}), "a").unwrap_err().reason, Reason::Implausible);
        assert_eq!(percent(&json!({"a": 100}), "a"), Ok(Share::from_millipercent(100_000)));
    }

    #[test]
    fn energies_are_watt_hours() {
        let object = json!({"a": "0.13", "b": 1234});
        assert_eq!(watt_hours(&object, "a", Some("KWh")), Some(130));
        assert_eq!(watt_hours(&object, "b", Some("wh")), Some(1_234));
        assert_eq!(watt_hours(&object, "a", None), None);
    }

    #[test]
    fn names_of_inner_objects_stand_behind_a_point() {
        let answer = json!({"a": 1, "info": {"list": [{"power": "0"}], "b": null}});
        let names: Vec<String> = field_names(&answer).into_iter().collect();
        assert_eq!(names, ["a", "info", "info.b", "info.list", "info.list.power"]);
    }

    #[test]
    fn a_key_that_is_content_is_no_name() {
        let keys = [
            "UUBABYAH2ONIAPD4",
            "34bab2a5fbc5bef03fc7a66aec41f3ee3ef7dbe0",
            "me@example.com",
            "with blank",
            "a\u{1b}[31m",
            "a_name_that_is_longer_than_any_field_has_been_seen_to_be",
        ];
        for key in keys {
            assert!(field_names(&json!({ key: 1 })).is_empty(), "{key}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_value_or_absent(value in ".*", unit in "(kw|W|.*)") {
            let object = json!({"a": value});
            let read = power(&object, "a", Some(&unit));
            prop_assert!(read.is_err() || read.is_ok_and(|power| power.milliwatts().abs() <= 1_000_000_000));
        }
    }
}
