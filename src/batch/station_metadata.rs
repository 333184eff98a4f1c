//! The metadata of the rows about stations. The keys are a contract.

use serde_json::{Map, Value};

use crate::inventory::MetadataStyle;
use crate::reading::{
    AccountReport, Presence, Quantity, Reason, Role, Runtime, SafeText, Station, StationReading,
    StationStatus, Timestamp,
};

use super::entries::Entries;
use super::metadata::number;

/// The most decoded values that a row holds, and the most bytes of JSON that they take. A station has about
/// fifty, a home power panel about a hundred.
const MAX_FIELDS: usize = 200;
const MAX_FIELD_BYTES: usize = 16 << 10;

/// How deep a decoded value may be nested. Those that are known are flat.
const MAX_DEPTH: usize = 4;

/// Who said a value, and how it came: what stands beside each value.
pub(super) fn origin(reading: &StationReading, style: MetadataStyle) -> Entries<'_> {
    let mut origin = Entries::new();
    match style {
        MetadataStyle::Full => {
            put_identity(&mut origin, &reading.station);
            put_keys(&mut origin, reading);
        }
        MetadataStyle::Slim => origin.text("device_sn", reading.station.serial.as_str()),
    }
    origin.text("data_source", reading.source.label());
    origin.text("polling_mode", reading.mode.label());
    origin
}

/// The metadata of a heartbeat: all that was said.
pub(super) fn heartbeat(reading: &StationReading) -> Entries<'_> {
    let mut all = origin(reading, MetadataStyle::Full);
    all.device(&reading.device, &[Role::Sample]);
    let capacity = reading.device.get(Quantity::Capacity);
    let unknown = match &capacity {
        Err(absent) if absent.reason == Reason::NotReported => "packs_unknown",
        Ok(_) | Err(_) => "unknown_model",
    };
    all.known("capacity_wh", capacity.ok().map(|capacity| capacity.to_json()), unknown);
    all.text("grid", reading.grid.label());
    let (fields, n_left_out) = bounded_fields(reading);
    all.put("fields", fields);
    if n_left_out > 0 {
        all.put("fields_left_out", n_left_out);
    }
    all
}

/// The metadata of `battery_runtime_estimate`: what it follows from.
pub(super) fn runtime<'a>(reading: &'a StationReading, runtime: &Runtime) -> Entries<'a> {
    let mut inputs = Entries::new();
    put_identity(&mut inputs, &reading.station);
    for (key, quantity) in [
        ("soc_pct", Quantity::StateOfCharge),
        ("capacity_wh", Quantity::Capacity),
        ("power_input_w", Quantity::PowerInput),
        ("power_output_w", Quantity::PowerOutput),
    ] {
        inputs.quantity(key, reading.device.get(quantity));
    }
    inputs.put("net_draw_w", runtime.net_draw.watts());
    if runtime.is_longer {
        inputs.put("is_longer", true);
    }
    inputs
}

/// The metadata of `station_up`, as of `at`.
pub(super) fn station_up(status: &StationStatus, at: Timestamp) -> Entries<'_> {
    let mut metadata = Entries::new();
    put_identity(&mut metadata, &status.station);
    metadata.text("presence", status.presence.label());
    metadata.put("message", status.presence.to_string());
    metadata.put("since", status.presence.silent_since().map(|since| since.to_string()));
    let last = status.last.as_ref().map(|reading| reading.at);
    metadata.known("last_reading_at", last.map(|last| last.to_string()), "never_seen");
    let age = last.map(|last| number(at.since(last).as_secs_f64()));
    metadata.known("last_reading_age_s", age, "never_seen");
    metadata
}

/// The metadata of whether an account works.
pub(super) fn account_up(account: &AccountReport) -> Entries<'_> {
    let live = account.stations.iter().filter(|status| status.presence == Presence::Live);
    let trouble = account.trouble.as_ref();
    let mut metadata = Entries::new();
    metadata.put("kind", trouble.map(|trouble| trouble.kind));
    metadata.text("message", trouble.map_or("", |trouble| trouble.message.as_str()));
    metadata.put("needs_person", trouble.is_some_and(|trouble| trouble.needs_person));
    metadata.put("stations_live", live.count());
    metadata.put("stations_known", account.stations.len());
    metadata.put("readings", account.readings.len());
    metadata
}

/// The decoded values, made harmless and bounded, and how many had to be left out.
pub(crate) fn bounded_fields(reading: &StationReading) -> (Map<String, Value>, usize) {
    let mut fields = Map::new();
    let mut n_bytes = 0;
    for (key, value) in &reading.fields {
        let Some(value) = harmless(value, MAX_DEPTH) else { continue };
        let key = SafeText::new(key).to_string();
        let size = key.len() + value.to_string().len();
        if fields.len() < MAX_FIELDS && n_bytes + size <= MAX_FIELD_BYTES {
            n_bytes += size;
            fields.insert(key, value);
        }
    }
    let n_left_out = reading.fields.len().saturating_sub(fields.len());
    (fields, n_left_out)
}

/// The names of the values as they came, as many as there is room for.
fn put_keys(to: &mut Entries<'_>, reading: &StationReading) {
    let mut n_bytes = 0;
    let keys = reading.raw_keys.iter().map(|key| SafeText::new(key).to_string()).take(MAX_FIELDS);
    let keys: Vec<String> = keys
        .take_while(|key| {
            n_bytes += key.len();
            n_bytes <= MAX_FIELD_BYTES
        })
        .collect();
    let n_left_out = reading.raw_keys.len().saturating_sub(keys.len());
    to.put("raw_device_keys", keys);
    if n_left_out > 0 {
        to.put("raw_device_keys_left_out", n_left_out);
    }
}

fn put_identity<'a>(to: &mut Entries<'a>, station: &'a Station) {
    to.text("device_sn", station.serial.as_str());
    to.text("device_name", station.name.as_str());
    to.text("device_model", station.model.as_str());
}

/// The value with every text in it cleaned; `None` where it is nested too deeply.
fn harmless(value: &Value, depth: usize) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.clone()),
        Value::String(text) => Some(Value::String(SafeText::new(text).to_string())),
        Value::Array(items) => {
            let depth = depth.checked_sub(1)?;
            items.iter().map(|item| harmless(item, depth)).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        Value::Object(entries) => {
            let depth = depth.checked_sub(1)?;
            let entry = |(key, value): (&String, &Value)| {
                Some((SafeText::new(key).to_string(), harmless(value, depth)?))
            };
            entries.iter().map(entry).collect::<Option<Map<_, _>>>().map(Value::Object)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::batch::fixtures;
    use crate::reading::Absent;

    fn with_fields(fields: impl IntoIterator<Item = (String, Value)>) -> StationReading {
        let fields: BTreeMap<String, Value> = fields.into_iter().collect();
        let raw_keys = fields.keys().cloned().collect();
        StationReading { fields, raw_keys, ..fixtures::station_reading() }
    }

    #[test]
    fn fields_keep_their_numbers_and_lose_what_could_harm() {
        let reading = with_fields([
            ("battery_soc".to_owned(), json!(87)),
            ("remaining_time_hours".to_owned(), json!(7.2)),
            ("wifi\u{0}_name".to_owned(), json!("\u{1b}[31mhome\u{0}\n2")),
            ("list".to_owned(), json!(["\u{0}a", { "k\u{7}": "v" }])),
        ]);
        let (fields, n_left_out) = bounded_fields(&reading);
        assert_eq!(
            Value::Object(fields),
            json!({
                "battery_soc": 87, "remaining_time_hours": 7.2, "wifi_name": "[31mhome 2",
                "list": ["a", { "k": "v" }],
            })
        );
        assert_eq!(n_left_out, 0);
    }

    #[test]
    fn more_fields_than_the_bound_are_counted() {
        let many = with_fields((0..MAX_FIELDS + 7).map(|n| (format!("field_{n:04}"), json!(n))));
        let heartbeat = heartbeat(&many).into_value();
        assert_eq!(heartbeat["fields"].as_object().map(Map::len), Some(MAX_FIELDS));
        assert_eq!(heartbeat["fields_left_out"], 7);
        assert_eq!(heartbeat["raw_device_keys_left_out"], 7);
    }

    #[test]
    fn fields_that_are_too_large_or_too_deep_are_left_out_and_the_others_stay() {
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        let reading = with_fields([
            ("a".to_owned(), json!(vec![123_456_789; 2_000])),
            ("b".to_owned(), deep),
            ("c".to_owned(), json!(1)),
        ]);
        let heartbeat = heartbeat(&reading).into_value();
        assert_eq!(heartbeat["fields"], json!({ "c": 1 }));
        assert_eq!(heartbeat["fields_left_out"], 2);
    }

    #[test]
    fn a_heartbeat_of_any_size_stays_within_its_bound() {
        let long = "ä".repeat(500);
        let reading = with_fields((0..400).map(|n| (format!("{n}{long}"), json!(long))));
        let size = heartbeat(&reading).into_metadata().text().len();
        assert!(size < 3 * MAX_FIELD_BYTES, "{size}");
    }

    #[test]
    fn a_battery_of_unknown_size_says_so() {
        for (reason, label) in
            [(Reason::NotSupported, "unknown_model"), (Reason::NotReported, "packs_unknown")]
        {
            let mut reading = fixtures::station_reading();
            reading.device = reading.device.without(Quantity::Capacity, Absent::new(reason, ""));
            let heartbeat = heartbeat(&reading).into_value();
            assert_eq!(heartbeat["capacity_wh"], Value::Null);
            assert_eq!(heartbeat["capacity_wh_absent"], label);
        }
        assert_eq!(super::heartbeat(&fixtures::station_reading()).into_value()["capacity_wh"], 3_840);
    }
}
