//! The devices and entities of Home Assistant: what each is called, and which of its classes and units it has.
//!
//! A unit never changes under one `unique_id`: Home Assistant would read the old sums in the new one.

use std::borrow::Cow;

use serde_json::{Map, Value as Json, json};

/// A device: what it is, what can be seen of it, and its state.
pub(super) struct Device<'a> {
    /// Its identity among ours, such as `node_GPU-7f9a…`: letters, digits, `_` and `-`.
    pub(super) id: String,
    /// The topic of its state below ours, such as `node/GPU-7f9a…`.
    pub(super) topic: String,
    /// Its name for a person.
    pub(super) name: Cow<'a, str>,
    /// All else that is known of it, in the words of Home Assistant.
    pub(super) facts: Vec<(&'static str, Json)>,
    /// Its entities.
    pub(super) entities: &'static [Entity],
    /// A value for the key of each entity; `null` where it is absent.
    pub(super) state: Map<String, Json>,
}

/// Something that can be seen of a device.
pub(super) struct Entity {
    /// Its key in the state and in identities, which never changes.
    pub(super) key: &'static str,
    /// Its name for a person, behind that of its device.
    name: &'static str,
    kind: Kind,
}

/// The kinds of entity, each with its class and unit.
#[derive(Clone, Copy)]
enum Kind {
    Power,
    Energy,
    Charge,
    Temperature,
    Utilization,
    Connectivity,
    Problem,
}

const fn entity(key: &'static str, name: &'static str, kind: Kind) -> Entity {
    Entity { key, name, kind }
}

pub(super) static FLEET: [Entity; 3] = [
    entity("power", "Power", Kind::Power),
    entity("energy", "Energy", Kind::Energy),
    entity("problem", "Alerts", Kind::Problem),
];

pub(super) static NODE: [Entity; 4] = [
    entity("power", "Power", Kind::Power),
    entity("energy", "Energy", Kind::Energy),
    entity("up", "Connection", Kind::Connectivity),
    entity("problem", "Alerts", Kind::Problem),
];

pub(super) static GPU: [Entity; 4] = [
    entity("power", "Power", Kind::Power),
    entity("energy", "Energy", Kind::Energy),
    entity("temperature", "Temperature", Kind::Temperature),
    entity("utilization", "Utilization", Kind::Utilization),
];

pub(super) static STATION: [Entity; 11] = [
    entity("charge", "Battery", Kind::Charge),
    entity("in_power", "Input power", Kind::Power),
    entity("in_energy", "Input energy", Kind::Energy),
    entity("out_power", "Output power", Kind::Power),
    entity("out_energy", "Output energy", Kind::Energy),
    entity("grid_power", "Grid power", Kind::Power),
    entity("grid_energy", "Grid energy", Kind::Energy),
    entity("solar_power", "Solar power", Kind::Power),
    entity("solar_energy", "Solar energy", Kind::Energy),
    entity("up", "Connection", Kind::Connectivity),
    entity("problem", "Alerts", Kind::Problem),
];

impl Kind {
    /// The platform, the class, and what else an entity of this kind has of itself.
    fn options(self) -> Json {
        let sensor = |class: &str, state_class: &str, unit: &str, precision: u8| {
            json!({
                "platform": "sensor", "device_class": class, "state_class": state_class,
                "unit_of_measurement": unit, "suggested_display_precision": precision,
            })
        };
        match self {
            Self::Power => sensor("power", "measurement", "W", 0),
            Self::Energy => sensor("energy", "total_increasing", "kWh", 2),
            Self::Charge => sensor("battery", "measurement", "%", 0),
            Self::Temperature => sensor("temperature", "measurement", "°C", 0),
            Self::Utilization => json!({
                "platform": "sensor", "state_class": "measurement", "unit_of_measurement": "%",
                "suggested_display_precision": 0, "icon": "mdi:chip",
            }),
            Self::Connectivity => json!({
                "platform": "binary_sensor", "device_class": "connectivity", "entity_category": "diagnostic",
            }),
            Self::Problem => json!({
                "platform": "binary_sensor", "device_class": "problem", "entity_category": "diagnostic",
            }),
        }
    }
}

impl Device<'_> {
    /// The topic of its state.
    pub(super) fn state_topic(&self, ours: &str) -> String {
        format!("{ours}/{}/state", self.topic)
    }

    /// The topic on which Home Assistant is told of it.
    pub(super) fn config_topic(&self, discovery_prefix: &str, ours: &str) -> String {
        format!("{discovery_prefix}/device/{}/config", self.unique_id(ours))
    }

    /// Its identity among all devices.
    fn unique_id(&self, ours: &str) -> String {
        unique_id(ours, &self.id)
    }

    /// The configuration by which Home Assistant knows it.
    pub(super) fn config(&self, ours: &str) -> Json {
        let unique_id = self.unique_id(ours);
        let state_topic = self.state_topic(ours);
        let mut device = Map::new();
        device.insert("identifiers".to_owned(), json!([unique_id]));
        device.insert("name".to_owned(), json!(self.name));
        device.extend(self.facts.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let component = |entity: &Entity| {
            (entity.key.to_owned(), entity.config(&format!("{unique_id}_{}", entity.key), &state_topic))
        };
        let components: Map<String, Json> = self.entities.iter().map(component).collect();
        json!({
            "device": device,
            "origin": { "name": "fleetwatt", "sw_version": env!("CARGO_PKG_VERSION") },
            "availability": [{ "topic": availability_topic(ours) }],
            "state_topic": state_topic,
            "qos": 1,
            "components": components,
        })
    }
}

impl Entity {
    fn config(&self, unique_id: &str, state_topic: &str) -> Json {
        let mut config = self.kind.options();
        if let Some(config) = config.as_object_mut() {
            config.insert("name".to_owned(), json!(self.name));
            config.insert("unique_id".to_owned(), json!(unique_id));
            config.insert("value_template".to_owned(), json!(format!("{{{{ value_json.{} }}}}", self.key)));
            if matches!(self.kind, Kind::Problem) {
                config.insert("json_attributes_topic".to_owned(), json!(state_topic));
                let template = format!("{{{{ value_json.{}_attributes | tojson }}}}", self.key);
                config.insert("json_attributes_template".to_owned(), json!(template));
            }
        }
        config
    }
}

/// The identity of one of our devices among all devices.
pub(super) fn unique_id(ours: &str, id: &str) -> String {
    format!("{}_{id}", slug(ours))
}

/// The topic that says whether we are there.
pub(super) fn availability_topic(ours: &str) -> String {
    format!("{ours}/status")
}

/// A text as a part of a topic or an identity: letters, digits, `_` and `-`.
pub(super) fn slug(text: &str) -> String {
    let is_kept = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut slug = String::new();
    for c in text.chars() {
        if is_kept(c) {
            slug.push(c);
        } else {
            slug.push_str(&format!("_{:x}", u32::from(c)));
        }
    }
    slug
}
