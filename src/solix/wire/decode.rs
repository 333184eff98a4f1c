//! Fields to named values, by the field map of the model.

use std::collections::BTreeMap;

use serde_json::Value;

use super::frame::Frame;
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
    /// Its name in the field map.
    pub name: String,
    /// The value, in the unit of the field map.
    pub value: Value,
}

/// What `frame`, sent by a device of this `model` (a product code), says. Fields that the map does not know
/// are left out; an unknown model or message gives no values.
pub fn decode(model: &str, frame: &Frame<'_>) -> Decoded {
    let values = named_values(model, frame).into_iter().map(|named| (named.name, named.value)).collect();
    Decoded { values, embedded: Vec::new(), is_mapped: false }
}

/// The values of `frame` in the order of its fields, each with the field that it comes from: for a person
/// who looks at a frame.
pub fn named_values(_model: &str, _frame: &Frame<'_>) -> Vec<NamedValue> {
    Vec::new()
}
