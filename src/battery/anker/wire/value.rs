//! The bytes of one value to a number or a text, by the rules that the field map has for it.

use serde_json::{Number, Value};

use super::frame::{Field, FieldKind};
use super::hex::to_hex;
use super::map::{Factor, Form, Length, ValueMap};
use crate::reading::SafeText;

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

/// The value of a whole field. The map's type goes before that of the frame, but for structures and floats,
/// which are what they say. Content without a type byte means nothing, unless the map knows its type.
pub(super) fn whole(map: &ValueMap, field: &Field<'_>) -> Option<Value> {
    let said = map.form.kind.filter(|kind| *kind != FieldKind::F32);
    let kind = said.filter(|_| field.kind != Some(FieldKind::STRUCT)).or(field.kind)?;
    read(map, kind, field.value)
}

/// The value that begins at `offset`, unless its bytes mean none, and where the bytes after it begin. `None` if the
/// field ends before it does.
pub(super) fn part(map: &ValueMap, field: &[u8], offset: usize) -> Option<(Option<Value>, usize)> {
    let kind = map.form.kind?;
    let bytes = field.get(offset..)?;
    let (start, length) = match (map.form.length, kind) {
        (Some(Length::Bytes(length)), _) => (0, length),
        (Some(Length::Schedule), _) => (0, 1 + 3 * usize::from(*bytes.first()?)),
        (None, FieldKind::TEXT) => (1, usize::from(*bytes.first()?)),
        (None, FieldKind::U8) => (0, 1),
        (None, FieldKind::I16) => (0, 2),
        (None, FieldKind::VAR | FieldKind::F32) => (0, 4),
        (None, _) => (0, bytes.len()),
    };
    let value = read(map, kind, bytes.get(start..start + length)?);
    Some((value, offset + start + length))
}

/// The bits of one byte, moved to the right end.
pub(super) fn bits(field: &[u8], offset: usize, mask: u8) -> Option<Value> {
    let byte = field.get(offset)? & mask;
    Some(Value::from(byte.checked_shr(mask.trailing_zeros())?))
}

/// A number, multiplied as the map says. What has decimals then is the decimal number itself, as near as a
/// float comes to it: 145 times 0.1 is 14.5 and not 14.500000000000002.
pub(super) fn scaled(number: i64, factor: Option<Factor>) -> Value {
    let Some(factor) = factor else { return Value::from(number) };
    let Some(product) = number.checked_mul(factor.digits) else { return Value::Null };
    if factor.n_decimals == 0 {
        return Value::from(product);
    }
    #[allow(clippy::cast_precision_loss, reason = "what devices count is far below 2^53")]
    let product = product as f64;
    float(product / 10_f64.powi(i32::from(factor.n_decimals))).unwrap_or(Value::Null)
}

/// A float, if JSON has it: there is no NaN and no infinity.
pub(super) fn float(number: f64) -> Option<Value> {
    Number::from_f64(number).map(Value::Number)
}

fn read(map: &ValueMap, kind: FieldKind, bytes: &[u8]) -> Option<Value> {
    match kind {
        FieldKind::TEXT => Some(text(map.name, bytes)),
        FieldKind::U8 => number(map, integer(bytes, map.form.is_signed.unwrap_or(false))?),
        FieldKind::I16 => {
            time(map.name, bytes).or_else(|| number(map, integer(bytes, map.form.is_signed.unwrap_or(true))?))
        }
        FieldKind::VAR => time(map.name, bytes).or_else(|| several(map, bytes)),
        FieldKind::F32 => {
            let number = f64::from(f32::from_le_bytes(bytes.try_into().ok()?));
            float(number * map.form.factor.map_or(1.0, |factor| factor.value))
        }
        FieldKind::BIN | FieldKind::STRUCT => Some(Value::from(to_hex(bytes))),
        _ => None,
    }
}

/// Four bytes, which are one number or several.
fn several(map: &ValueMap, bytes: &[u8]) -> Option<Value> {
    let Form { n_values, is_signed, factor, .. } = map.form;
    match n_values {
        Some(4) if is_version(map.name) => {
            let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
            Some(Value::from(numbers.join(".")))
        }
        Some(4) => Some(bytes.iter().map(|byte| scaled(i64::from(*byte), factor)).collect()),
        Some(2) => number(map, integer(bytes.get(..2)?, is_signed.unwrap_or(true))?),
        Some(_) => number(map, integer(bytes.get(..1)?, is_signed.unwrap_or(false))?),
        None => number(map, integer(bytes, is_signed.unwrap_or(true))?),
    }
}

/// Little endian, of at most seven bytes, so that it fits with and without a sign.
fn integer(bytes: &[u8], is_signed: bool) -> Option<i64> {
    let n_bits = u32::try_from(bytes.len()).ok().filter(|n_bytes| (1..=7).contains(n_bytes))? * 8;
    let unsigned = bytes.iter().rev().fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
    let is_negative = is_signed && unsigned >> (n_bits - 1) == 1;
    Some(if is_negative { unsigned - (1 << n_bits) } else { unsigned })
}

/// Versions are shown by their decimal digits with dots between them: 265 is 2.6.5.
fn number(map: &ValueMap, number: i64) -> Option<Value> {
    if is_version(map.name) {
        let digits: Vec<String> = number.to_string().chars().map(String::from).collect();
        return Some(Value::from(digits.join(".")));
    }
    Some(scaled(number, map.form.factor)).filter(|value| !value.is_null())
}

fn is_version(name: &str) -> bool {
    name.contains("version") || name.contains("sw_")
}

/// A time of day or a span: [second,] minute, hour.
fn time(name: &str, bytes: &[u8]) -> Option<Value> {
    if !name.trim_end_matches('?').ends_with("_time") {
        return None;
    }
    match *bytes {
        [minute, hour] => Some(Value::from(format!("{hour:02}:{minute:02}"))),
        [second, minute, hour] => Some(Value::from(format!("{hour:02}:{minute:02}:{second:02}"))),
        _ => None,
    }
}

/// Text without what cannot be shown: padding with NUL, first of all. A timestamp as text is in milliseconds.
fn text(name: &str, bytes: &[u8]) -> Value {
    let text = SafeText::from_bytes(bytes);
    if name.contains("timestamp")
        && let Ok(millis) = text.as_str().parse::<i64>()
    {
        return scaled(millis, Some(Factor { value: 0.001, digits: 1, n_decimals: 3 }));
    }
    Value::from(text.as_str())
}
