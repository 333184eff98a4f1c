//! The payloads that Home Assistant takes, as strictly as it can be said: it passes over typing errors without a word.

#![allow(clippy::indexing_slicing, reason = "a missing key is told before, or fails the test")]

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Device class, state class and unit of the sensors that there may be.
const SENSORS: [(Option<&str>, &str, &str); 5] = [
    (Some("power"), "measurement", "W"),
    (Some("energy"), "total_increasing", "kWh"),
    (Some("battery"), "measurement", "%"),
    (Some("temperature"), "measurement", "°C"),
    (None, "measurement", "%"),
];

/// Checks the configuration of a device and its state against each other.
pub(crate) fn check(config: &Value, state: &Value) -> Result<(), String> {
    let root = object(config, "the configuration")?;
    let all = ["device", "origin", "availability", "state_topic", "qos", "components"];
    has_keys(root, &all, &[])?;
    let device = object(&root["device"], "device")?;
    let facts = ["manufacturer", "model", "sw_version", "serial_number", "via_device"];
    has_keys(device, &["identifiers", "name"], &facts)?;
    let [id] = device["identifiers"].as_array().map(Vec::as_slice).unwrap_or_default() else {
        return Err("a device has one identity".to_owned());
    };
    let id = word(id)?;
    for fact in device.iter().filter(|(key, _)| *key != "identifiers") {
        text(fact.1)?;
    }
    has_keys(object(&root["origin"], "origin")?, &["name", "sw_version"], &[])?;
    text(&root["availability"][0]["topic"])?;
    let state_topic = text(&root["state_topic"])?;
    if state_topic.contains(['+', '#', ' ']) || root["qos"] != 1 {
        return Err(format!("{state_topic}, {}", root["qos"]));
    }
    let components = object(&root["components"], "components")?;
    let state = object(state, "the state")?;
    let mut used = BTreeSet::new();
    for (key, component) in components {
        let component = object(component, key)?;
        check_component(key, component, id, state_topic)?;
        let value = state.get(key).ok_or_else(|| format!("{key} is not in the state"))?;
        check_value(component, value).map_err(|wrong| format!("{key}: {wrong}"))?;
        used.insert(key.clone());
        if component.contains_key("json_attributes_template") {
            let attributes = format!("{key}_attributes");
            object(state.get(&attributes).unwrap_or(&Value::Null), &attributes)?;
            used.insert(attributes);
        }
    }
    match state.keys().find(|key| !used.contains(*key)) {
        Some(key) => Err(format!("nobody reads {key}")),
        None => Ok(()),
    }
}

fn check_component(
    key: &str,
    component: &Map<String, Value>,
    id: &str,
    state_topic: &str,
) -> Result<(), String> {
    let own = ["platform", "name", "unique_id", "value_template"];
    if component["unique_id"] != format!("{id}_{key}").as_str() {
        return Err(format!("{} of {id}", component["unique_id"]));
    }
    if component["value_template"] != format!("{{{{ value_json.{key} }}}}").as_str() {
        return Err(format!("{} of {key}", component["value_template"]));
    }
    text(&component["name"])?;
    match component["platform"].as_str() {
        Some("sensor") => {
            let of_sensor = ["state_class", "unit_of_measurement", "suggested_display_precision"];
            has_keys(component, &[&own[..], &of_sensor].concat(), &["device_class", "icon"])?;
            let class = component.get("device_class").and_then(Value::as_str);
            let (kind, unit) = (text(&component["state_class"])?, text(&component["unit_of_measurement"])?);
            let is_one = SENSORS.contains(&(class, kind, unit));
            is_one.then_some(()).ok_or_else(|| format!("{class:?} as {kind} in {unit}"))
        }
        Some("binary_sensor") => {
            let attributes = ["json_attributes_topic", "json_attributes_template"];
            has_keys(component, &[&own[..], &["device_class", "entity_category"]].concat(), &attributes)?;
            let topic = component.get("json_attributes_topic");
            let is_one = ["problem", "connectivity"].contains(&text(&component["device_class"])?)
                && component["entity_category"] == "diagnostic"
                && topic.is_none_or(|topic| topic == state_topic)
                && topic.is_some() == component.contains_key("json_attributes_template");
            is_one.then_some(()).ok_or_else(|| format!("{component:?}"))
        }
        other => Err(format!("{other:?} is no platform")),
    }
}

/// An absent value is `null`; a text in a sensor of numbers would be an error in the log of Home Assistant.
fn check_value(component: &Map<String, Value>, value: &Value) -> Result<(), String> {
    let is_good = match component["platform"].as_str() {
        Some("sensor") => value.as_f64().is_some_and(f64::is_finite),
        _ => value == "ON" || value == "OFF",
    };
    (is_good || value.is_null()).then_some(()).ok_or_else(|| value.to_string())
}

fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, String> {
    value.as_object().ok_or_else(|| format!("{what} is no object: {value}"))
}

fn has_keys(object: &Map<String, Value>, needed: &[&str], allowed: &[&str]) -> Result<(), String> {
    if let Some(missing) = needed.iter().find(|key| !object.contains_key(**key)) {
        return Err(format!("{missing} is missing"));
    }
    let is_known = |key: &&String| needed.contains(&key.as_str()) || allowed.contains(&key.as_str());
    object.keys().find(|key| !is_known(key)).map_or(Ok(()), |key| Err(format!("{key} is not known")))
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().filter(|text| !text.is_empty()).ok_or_else(|| format!("no text: {value}"))
}

/// Letters, digits, `_` and `-`.
fn word(value: &Value) -> Result<&str, String> {
    let is_word = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    text(value).ok().filter(|text| is_word(text)).ok_or_else(|| format!("no identity: {value}"))
}
