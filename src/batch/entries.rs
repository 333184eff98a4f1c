//! JSON objects that are written once, entry by entry. A fleet of 2,048 GPUs has some 50,000 entries in each
//! cycle; with a map for each object, a poll took a quarter more CPU time.

use std::borrow::Cow;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::reading::{Device, Known, Role, Value};

/// The metadata of an event: one JSON object, as text. Clones share it, since a GPU's events have the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(Arc<RawValue>);

impl Metadata {
    /// From a value that serialises to a JSON object.
    pub fn of(object: &impl Serialize) -> Self {
        let text = serde_json::value::to_raw_value(object);
        Self(Arc::from(text.expect("an object with string keys is always JSON")))
    }

    /// The same object with one more entry, which it does not have.
    #[must_use]
    pub fn with(&self, key: &'static str, value: bool) -> Self {
        let rest = self.text().trim_start_matches('{');
        let comma = if rest.starts_with('}') { "" } else { "," };
        let text = RawValue::from_string(format!("{{\"{key}\":{value}{comma}{rest}"));
        text.map_or_else(|_| self.clone(), |text| Self(Arc::from(text)))
    }

    /// The JSON.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// Whether these are clones of each other, which takes no comparing.
    pub fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl PartialEq for Metadata {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

/// The entries of an object that is still being put together, in the order in which they are written. Each
/// key is given once.
#[derive(Debug, Clone)]
pub(super) struct Entries<'a>(Vec<(&'static str, Entry<'a>)>);

#[derive(Debug, Clone)]
enum Entry<'a> {
    Text(&'a str),
    Value(Json),
    /// Null, and in an entry of its own the reason for it.
    Absent(&'static str),
}

impl<'a> Entries<'a> {
    /// No entries, and room for those of a GPU's row where nothing is absent, and some more.
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(32))
    }

    /// An entry that is always there.
    pub(super) fn put(&mut self, key: &'static str, value: impl Into<Json>) {
        self.push(key, Entry::Value(value.into()));
    }

    /// The same of a text, which is borrowed.
    pub(super) fn text(&mut self, key: &'static str, text: &'a str) {
        self.push(key, Entry::Text(text));
    }

    /// A quantity of a device.
    pub(super) fn quantity(&mut self, key: &'static str, known: Known<'a>) {
        match known {
            Ok(Cow::Borrowed(Value::Text(text))) => self.text(key, text.as_str()),
            Ok(Cow::Owned(Value::Label(label))) => self.text(key, label),
            Ok(value) => self.put(key, value.to_json()),
            Err(absent) => self.push(key, Entry::Absent(absent.reason.label())),
        }
    }

    /// Every quantity of a device that has one of these roles and a key.
    pub(super) fn device(&mut self, device: &'a Device, roles: &[Role]) {
        for quantity in device.quantities() {
            let columns = quantity.columns();
            let Some(key) = columns.metadata.filter(|_| roles.contains(&columns.role)) else { continue };
            let known = device.get(quantity);
            if known.is_ok() || columns.role != Role::Extra {
                self.quantity(key, known);
            }
        }
    }

    /// The value; or null, and this reason for it.
    pub(super) fn known(&mut self, key: &'static str, value: Option<impl Into<Json>>, or: &'static str) {
        match value {
            Some(value) => self.put(key, value),
            None => self.push(key, Entry::Absent(or)),
        }
    }

    /// The object alone, such as one within another.
    pub(super) fn into_value(self) -> Json {
        serde_json::to_value(&self).expect("an object with string keys is always JSON")
    }

    fn push(&mut self, key: &'static str, entry: Entry<'a>) {
        debug_assert!(self.0.iter().all(|(known, _)| *known != key), "{key} is given twice");
        self.0.push((key, entry));
    }
}

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, entry) in &self.0 {
            match entry {
                Entry::Text(text) => map.serialize_entry(key, text)?,
                Entry::Value(value) => map.serialize_entry(key, value)?,
                Entry::Absent(reason) => {
                    map.serialize_entry(key, &())?;
                    map.serialize_entry(&format_args!("{key}_absent"), reason)?;
                }
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::reading::{Absent, DeviceKind, Quantity, Reason, SafeText};

    #[test]
    fn an_absent_value_is_null_and_its_reason_stands_beside_it() {
        let gpu = Device::all_absent(DeviceKind::Gpu, &Absent::new(Reason::GpuLost, "?"))
            .with(Quantity::Model, SafeText::new("H \"100\""));
        let mut entries = Entries::new();
        entries.quantity("model", gpu.get(Quantity::Model));
        entries.quantity("draw_w", gpu.get(Quantity::PowerDraw));
        entries.put("index", 3);
        entries.known("gpus", None::<usize>, "never_seen");
        let text = r#"{"model":"H \"100\"","draw_w":null,"draw_w_absent":"gpu_lost","index":3,"gpus":null,"gpus_absent":"never_seen"}"#;
        assert_eq!(Metadata::of(&entries).text(), text);
        assert_eq!(entries.into_value()["index"], json!(3));
    }

    #[test]
    fn metadata_is_read_back_as_it_was_written() {
        let metadata = Metadata::of(&json!({"watts": 700.0, "text": "ä\n"}));
        let stored = serde_json::to_string(&metadata).unwrap();
        let read: Metadata = serde_json::from_str(&stored).unwrap();
        assert_eq!((read.text(), read.is_clone_of(&metadata)), (metadata.text(), false));
        assert!(metadata.clone().is_clone_of(&metadata));
    }

    #[test]
    fn an_entry_more_stands_before_the_others() {
        let with = |object: Json| Metadata::of(&object).with("ledger", false).text().to_owned();
        assert_eq!(with(json!({"watts": 7, "text": "{"})), r#"{"ledger":false,"text":"{","watts":7}"#);
        assert_eq!(with(json!({})), r#"{"ledger":false}"#);
    }
}
