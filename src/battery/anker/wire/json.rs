//! JSON texts to named values: the panel and the X1 systems speak so.

use serde_json::Value;

use super::map::{Factor, Place, ValueMap};
use super::value::{NamedValue, float, scaled};
use crate::reading::SafeText;

/// The mark in a name for the number of an element.
const NUMBER: &str = "{x}";

/// Names what `message` holds under the keys of the map.
pub(super) fn read(maps: &[ValueMap], message: &Value, named: &mut Vec<NamedValue>) {
    for map in maps {
        let Place::Key(outer, inner) = map.place else { continue };
        let Some(value) = message.get(outer) else { continue };
        match (inner, value) {
            (None, value) => name(map, map.name, value, named),
            (Some(key), Value::Array(list)) => {
                for (nth, value) in list.iter().enumerate() {
                    if let Some(value) = value.get(key) {
                        name(map, &numbered(map.name, nth), value, named);
                    }
                }
            }
            (Some(key), value) => {
                if let Some(value) = value.get(key) {
                    name(map, map.name, value, named);
                }
            }
        }
    }
}

/// One value, or those of a list, each with its number. `null` is no value.
fn name(map: &ValueMap, name: &str, value: &Value, named: &mut Vec<NamedValue>) {
    let mut push = |name: String, value: &Value| {
        if let Some(value) = cleaned(value, map.form.factor) {
            named.push(NamedValue { tag: map.tag, name, value, unit: map.unit });
        }
    };
    let Value::Array(list) = value else { return push(name.replace(NUMBER, "1"), value) };
    for (nth, value) in list.iter().enumerate() {
        push(numbered(name, nth), value);
    }
}

/// The name of the element `nth`, counted from 0; in names they count from 1.
fn numbered(name: &str, nth: usize) -> String {
    let number = nth + 1;
    if name.contains(NUMBER) { name.replace(NUMBER, &number.to_string()) } else { format!("{name}_{number}") }
}

/// A value in the unit of the map, and without anything that a terminal or a database could take amiss.
fn cleaned(value: &Value, factor: Option<Factor>) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some(value.clone()),
        Value::Number(number) => {
            let Some(factor) = factor else { return Some(value.clone()) };
            match number.as_i64() {
                Some(whole) => Some(scaled(whole, Some(factor))).filter(|value| !value.is_null()),
                None => rounded(number.as_f64()? * factor.value, factor.n_decimals),
            }
        }
        Value::String(text) => Some(Value::from(SafeText::new(text).as_str())),
        Value::Array(list) => Some(list.iter().filter_map(|value| cleaned(value, factor)).collect()),
        Value::Object(object) => {
            let pairs = object.iter().filter_map(|(key, value)| {
                Some((SafeText::new(key).as_str().to_owned(), cleaned(value, None)?))
            });
            Some(pairs.collect())
        }
    }
}

/// A number to so many decimals. Formatting rounds the decimal number, which arithmetic does not.
fn rounded(number: f64, n_decimals: u8) -> Option<Value> {
    float(format!("{number:.*}", usize::from(n_decimals)).parse().ok()?)
}
