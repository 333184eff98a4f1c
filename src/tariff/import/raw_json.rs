//! JSON whose numbers keep their digits: no float in between.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::ImportError;
use crate::tariff::number;

/// Parses a text.
pub(super) fn parse<'a, T: serde::Deserialize<'a>>(text: &'a str, format: &str) -> Result<T, ImportError> {
    serde_json::from_str(text).map_err(|error| {
        let hint = format!("give the JSON of {format} as it was downloaded");
        ImportError::new(format!("is not JSON of {format}: {error}"), hint)
    })
}

/// The value of a key of an object.
pub(super) fn member<'a>(value: &'a RawValue, key: &str) -> Option<&'a RawValue> {
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(value.get()).ok()?;
    members.remove(key).filter(|value| value.get() != "null")
}

/// The value behind a row of keys, of which those that are not there are passed over.
pub(super) fn within<'a>(value: &'a RawValue, keys: &[&str]) -> &'a RawValue {
    keys.iter().fold(value, |value, key| member(value, key).unwrap_or(value))
}

/// The value of a key, if it has the type that is wanted.
pub(super) fn typed<T: DeserializeOwned>(value: &RawValue, key: &str) -> Option<T> {
    serde_json::from_str(member(value, key)?.get()).ok()
}

/// A number in millionths of a unit `10^shift` times as large. It may be in quotes.
pub(super) fn micros(value: &RawValue, shift: i32) -> Result<i64, ImportError> {
    let text = value.get().trim_matches('"');
    number::micros(text, shift).ok_or_else(|| {
        let message = format!("has \"{}\" in place of a price", crate::reading::SafeText::new(text));
        ImportError::new(message, "give the text as it was downloaded")
    })
}
