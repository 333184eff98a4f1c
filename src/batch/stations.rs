//! From the news of a vendor's account to rows of the timeline. The keys of their metadata are a contract.
//!
//! A reading gives a row for each value that was measured, at the time of the reading, and a heartbeat
//! always. A station and the session have one outcome in every cycle, so that silence is told and never
//! looks like 0 W.

use serde_json::{Map, Number, Value};

use crate::inventory::MetadataStyle;
use crate::reading::{
    AccountReport, Presence, Quantity, Reason, Role, Runtime, SafeText, Station, StationReading,
    StationStatus, event_type,
};

use super::entries::Entries;
use super::{Batch, Event};

/// The most decoded values that a row holds, and the most bytes of JSON that they take. A station has about
/// fifty, a home power panel about a hundred.
const MAX_FIELDS: usize = 200;
const MAX_FIELD_BYTES: usize = 16 << 10;

/// The most levels of a decoded value. Those that are known are flat.
const MAX_DEPTH: usize = 4;

impl Batch {
    /// The rows of the account alone, which may end between two cycles.
    pub fn station_events(&self, style: MetadataStyle) -> Vec<Event> {
        let mut events = Vec::new();
        let Some(account) = &self.account else { return events };
        for reading in &account.readings {
            self.push_reading(&mut events, account, reading, style);
        }
        events.extend(account.stations.iter().map(|status| self.station_up(account, status)));
        events.push(self.account_up(account));
        events
    }

    fn push_reading(
        &self,
        events: &mut Vec<Event>,
        account: &AccountReport,
        reading: &StationReading,
        style: MetadataStyle,
    ) {
        let (vendor, source, at) = (account.vendor, account.source_of(&reading.station), reading.at);
        let origin = self.stamped(origin(reading, style));
        for &(quantity, event_type) in vendor.figures {
            let value = reading.device.get(quantity).ok().and_then(|value| value.number());
            if value.is_some() {
                let (source, metadata) = (source.clone(), origin.clone());
                events.push(Event { event_type, source, value, metadata, at });
            }
        }
        if let Some(runtime) = reading.runtime() {
            let (event_type, inputs) = (event_type::BATTERY_RUNTIME, runtime_inputs(reading, &runtime));
            events.push(self.event(event_type, source.clone(), Some(runtime.hours()), inputs, at));
        }
        events.push(self.event(vendor.heartbeat, source, Some(1.0), heartbeat(reading), at));
    }

    /// The row for a station in every cycle. A station that could not be heard yet is neither up nor down.
    fn station_up(&self, account: &AccountReport, status: &StationStatus) -> Event {
        let (at, presence) = (self.closed_at(), status.presence);
        let mut metadata = Entries::new();
        put_identity(&mut metadata, &status.station);
        metadata.text("presence", presence.label());
        metadata.put("message", presence.to_string());
        metadata.put("since", presence.silent_since().map(|since| since.to_string()));
        let last = status.last.as_ref().map(|reading| reading.at);
        metadata.known("last_reading_at", last.map(|last| last.to_string()), "never_seen");
        let age = last.map(|last| at.since(last).as_secs_f64());
        // A whole number is written without a point.
        let age = age.and_then(|age| age.to_string().parse::<Number>().ok());
        metadata.known("last_reading_age_s", age.map(Value::Number), "never_seen");
        let up = (presence != Presence::Awaited).then_some(f64::from(presence == Presence::Live));
        self.event("station_up", account.source_of(&status.station), up, metadata, at)
    }

    /// The row for the session in every cycle.
    fn account_up(&self, account: &AccountReport) -> Event {
        let live = account.stations.iter().filter(|status| status.presence == Presence::Live);
        let (vendor, trouble) = (account.vendor, account.trouble.as_ref());
        let mut metadata = Entries::new();
        metadata.put("kind", trouble.map(|trouble| trouble.kind));
        metadata.text("message", trouble.map_or("", |trouble| trouble.message.as_str()));
        metadata.put("needs_person", trouble.is_some_and(|trouble| trouble.needs_person));
        metadata.put("stations_live", live.count());
        metadata.put("stations_known", account.stations.len());
        metadata.put("readings", account.readings.len());
        let up = Some(f64::from(trouble.is_none()));
        self.event(vendor.up, vendor.source.to_owned(), up, metadata, self.closed_at())
    }
}

/// The sender of a value, and the way that it came: the metadata of each value.
fn origin(reading: &StationReading, style: MetadataStyle) -> Entries<'_> {
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
fn heartbeat(reading: &StationReading) -> Entries<'_> {
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
fn runtime_inputs<'a>(reading: &'a StationReading, runtime: &Runtime) -> Entries<'a> {
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
#[path = "stations_tests.rs"]
mod tests;
