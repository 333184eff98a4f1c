//! The messages of a snapshot to the broker: the configuration of each device, and its state.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::device::{Device, FLEET, GPU, NODE, STATION, availability_topic, slug, unique_id};
use super::known::{Known, KnownBoard, KnownNode, KnownStation, Meter};
use crate::alert::Transition;
use crate::batch::{FLOWS, HostReport, Snapshot};
use crate::inventory::MqttSettings;
use crate::ledger::SeriesKey;
use crate::reading::{self, AccountReport, Energy, Power, Presence, Quantity, StationReading, StationStatus};

/// The most messages of alerts beside one entity: Home Assistant keeps no attributes of more than 16 KiB.
const MAX_MESSAGES: usize = 20;

/// The longest of those messages, in characters.
const MAX_MESSAGE_CHARS: usize = 200;

/// The rules of what is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// The topic under which Home Assistant looks for devices.
    pub(super) discovery_prefix: String,
    /// The topic under which all of our states are.
    pub(super) topic: String,
    /// Whether each GPU is a device too.
    gpus: bool,
}

impl From<&MqttSettings> for Choice {
    fn from(settings: &MqttSettings) -> Self {
        let MqttSettings { discovery_prefix, topic, gpus, .. } = settings;
        Self { discovery_prefix: discovery_prefix.clone(), topic: topic.clone(), gpus: *gpus }
    }
}

/// Something to be kept by the broker; one without a payload is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: String,
}

/// All that is to be said of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Picture {
    /// The topics that are to be forgotten, and the configuration of each device.
    pub(super) configs: Vec<Message>,
    /// The state of each device.
    pub(super) states: Vec<Message>,
}

/// Takes a snapshot into what is known, and gives what is to be said of it. `is_said` is whether all of the last picture was
/// said.
pub(super) fn picture(known: &mut Known, snapshot: &Snapshot, choice: &Choice, is_said: bool) -> Picture {
    known.take(snapshot);
    let mut picture = Picture::default();
    for device in Scene::new(known, snapshot).devices(choice) {
        let topic = device.config_topic(&choice.discovery_prefix, &choice.topic);
        picture.configs.push(Message { topic, payload: device.config(&choice.topic).to_string() });
        let topic = device.state_topic(&choice.topic);
        picture.states.push(Message { topic, payload: Json::Object(device.state).to_string() });
    }
    let told = picture.configs.iter().chain(&picture.states).map(|message| message.topic.clone());
    let topics: BTreeSet<String> = told.chain([availability_topic(&choice.topic)]).collect();
    let forgotten = known.give(topics, is_said).into_iter();
    let forgotten = forgotten.map(|topic| Message { topic, payload: String::new() });
    picture.configs.splice(0..0, forgotten);
    picture
}

/// A snapshot, with what is known beside it.
struct Scene<'a> {
    known: &'a Known,
    snapshot: &'a Snapshot,
    reports: BTreeMap<&'a str, &'a HostReport>,
    /// The GPUs of this cycle by their series.
    gpus: BTreeMap<String, &'a reading::Device>,
    /// The alerts that are active, by the node that they are about.
    of_node: BTreeMap<&'a str, Vec<&'a Transition>>,
}

impl<'a> Scene<'a> {
    fn new(known: &'a Known, snapshot: &'a Snapshot) -> Self {
        let reports = &snapshot.batch.reports;
        let counted = |report: &'a HostReport| {
            let series = |(key, gpu): (Option<SeriesKey>, _)| Some((key?.to_string(), gpu));
            report.series().into_iter().zip(&report.gpus).filter_map(series)
        };
        let mut of_node: BTreeMap<&str, Vec<&Transition>> = BTreeMap::new();
        for (node, alert) in snapshot.alerts.iter().filter_map(|alert| Some((alert.node.as_deref()?, alert)))
        {
            of_node.entry(node).or_default().push(alert);
        }
        Self {
            known,
            snapshot,
            reports: reports.iter().map(|report| (report.node.as_str(), report)).collect(),
            gpus: reports.iter().flat_map(counted).collect(),
            of_node,
        }
    }

    /// The fleet first, then its nodes, since the others are said to be connected through those.
    fn devices(&self, choice: &'a Choice) -> Vec<Device<'a>> {
        let ours = choice.topic.as_str();
        let mut devices = vec![self.fleet(ours)];
        devices.extend(self.known.nodes.iter().map(|(id, node)| self.node(ours, id, node)));
        for (id, node) in self.known.nodes.iter().filter(|_| choice.gpus) {
            devices
                .extend(node.boards.iter().map(|(series, board)| self.gpu(ours, id, node, (series, board))));
        }
        devices
            .extend(self.known.stations.iter().map(|(serial, station)| self.station(ours, serial, station)));
        devices
    }

    fn fleet(&self, ours: &'a str) -> Device<'a> {
        let mut state = Map::new();
        state.insert("power".to_owned(), watts(self.snapshot.batch.totals().power));
        state.insert("energy".to_owned(), kilowatt_hours(self.known.fleet.0));
        put_alerts(&mut state, &self.snapshot.alerts.iter().collect::<Vec<_>>());
        let facts = vec![
            ("manufacturer", json!("fleetwatt")),
            ("model", json!("Fleet")),
            ("sw_version", json!(env!("CARGO_PKG_VERSION"))),
        ];
        let (id, topic) = ("fleet".to_owned(), "fleet".to_owned());
        Device { id, topic, name: ours.into(), facts, entities: &FLEET, state }
    }

    fn node(&self, ours: &str, id: &str, node: &'a KnownNode) -> Device<'a> {
        let draws = || node.boards.keys().filter_map(|series| self.power(series));
        let power = draws().next().map(|_| draws().sum());
        let Meter(energy) = node.meter;
        let mut state = Map::new();
        state.insert("power".to_owned(), watts(power));
        state.insert("energy".to_owned(), kilowatt_hours(energy));
        let report = self.reports.get(node.name.as_str());
        state.insert("up".to_owned(), switch(report.map(|report| report.outcome.is_up())));
        let alerts = self.of_node.get(node.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        put_alerts(&mut state, alerts);
        let mut facts = vec![("via_device", json!(unique_id(ours, "fleet")))];
        facts.extend(models(node).map(|models| ("model", json!(models))));
        let (id, topic) = (format!("node_{id}"), format!("node/{id}"));
        Device { id, topic, name: node.name.as_str().into(), facts, entities: &NODE, state }
    }

    fn gpu(
        &self,
        ours: &str,
        node_id: &str,
        node: &'a KnownNode,
        (series, board): (&'a String, &'a KnownBoard),
    ) -> Device<'a> {
        let figure = |quantity| {
            let gpu = self.gpus.get(series)?;
            gpu.get(quantity).ok()?.number()
        };
        let mut state = Map::new();
        state.insert("power".to_owned(), watts(self.power(series)));
        state.insert("energy".to_owned(), self.energy(series));
        state.insert("temperature".to_owned(), number(figure(Quantity::Temperature)));
        state.insert("utilization".to_owned(), number(figure(Quantity::Utilization)));
        let mut facts = vec![("via_device", json!(unique_id(ours, &format!("node_{node_id}"))))];
        if !board.model.is_empty() {
            facts.push(("model", json!(board.model)));
        }
        let own = slug(SeriesKey::board_in(series).unwrap_or(series));
        let place = board.index.map_or_else(|| "GPU".to_owned(), |index| format!("GPU {index}"));
        let name = format!("{} {place}", node.name).into();
        Device { id: format!("gpu_{own}"), topic: format!("gpu/{own}"), name, facts, entities: &GPU, state }
    }

    fn station(&self, ours: &str, serial: &'a str, station: &'a KnownStation) -> Device<'a> {
        let account = self.snapshot.batch.account.as_ref();
        let status = account.and_then(|account| status_of(account, serial));
        let reading = account.zip(status).and_then(|(account, status)| last_heard(account, status));
        let figure = |quantity| reading.and_then(|reading| reading.device.get(quantity).ok()?.number());
        let mut state = Map::new();
        state.insert("charge".to_owned(), number(figure(Quantity::StateOfCharge)));
        for (quantity, flow) in FLOWS {
            let series = SeriesKey::Station { serial: serial.to_owned(), flow }.to_string();
            state.insert(format!("{}_power", flow.label()), number(figure(quantity)));
            state.insert(format!("{}_energy", flow.label()), self.energy(&series));
        }
        state.insert("up".to_owned(), switch(status.and_then(is_heard)));
        let source = account.zip(status).map(|(account, status)| account.source_of(&status.station));
        let is_its = |alert: &&Transition| Some(&alert.source) == source.as_ref();
        put_alerts(&mut state, &self.snapshot.alerts.iter().filter(is_its).collect::<Vec<_>>());
        let facts = vec![
            ("manufacturer", json!(station.vendor)),
            ("model", json!(station.model)),
            ("serial_number", json!(serial)),
            ("via_device", json!(unique_id(ours, "fleet"))),
        ];
        let own = slug(serial);
        let (id, topic) = (format!("station_{own}"), format!("station/{own}"));
        Device { id, topic, name: station.name.as_str().into(), facts, entities: &STATION, state }
    }

    /// The draw of a board in this cycle.
    fn power(&self, series: &String) -> Option<Power> {
        Some(self.gpus.get(series)?.power().ok()?.power)
    }

    /// All that was measured of a series.
    fn energy(&self, series: &String) -> Json {
        kilowatt_hours(self.snapshot.energy.get(series).map(|total| total.energy_mj))
    }
}

/// The models of a node's boards, with how many it has of each: `8 × H100 80GB HBM3`.
fn models(node: &KnownNode) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for board in node.boards.values().filter(|board| !board.model.is_empty()) {
        *counts.entry(&board.model).or_default() += 1;
    }
    let shown = |(model, n_boards)| match n_boards {
        1 => String::from(model),
        _ => format!("{n_boards} × {model}"),
    };
    (!counts.is_empty()).then(|| counts.into_iter().map(shown).collect::<Vec<_>>().join(", "))
}

fn status_of<'a>(account: &'a AccountReport, serial: &str) -> Option<&'a StationStatus> {
    account.stations.iter().find(|status| status.station.serial.as_str() == serial)
}

/// The last reading of a station that answers.
fn last_heard<'a>(account: &'a AccountReport, status: &'a StationStatus) -> Option<&'a StationReading> {
    let fresh = account.readings_of(&status.station).next_back();
    fresh.or(status.last.as_ref()).filter(|_| status.presence == Presence::Live)
}

const fn is_heard(status: &StationStatus) -> Option<bool> {
    match status.presence {
        Presence::Awaited => None,
        Presence::Live => Some(true),
        Presence::Stale(_) | Presence::Offline(_) => Some(false),
    }
}

fn number(value: Option<f64>) -> Json {
    value.map_or(Json::Null, Json::from)
}

fn watts(power: Option<Power>) -> Json {
    number(power.map(Power::watts))
}

/// Kilowatt-hours with six decimals, rounded down, so that they rise as what they are of does.
fn kilowatt_hours(millijoules: Option<i64>) -> Json {
    let in_micro = |mj| (Energy::from_millijoules(mj).watt_hours() * 1e3).floor();
    number(millijoules.map(|mj| in_micro(mj) / 1e6))
}

fn switch(is_on: Option<bool>) -> Json {
    is_on.map_or(Json::Null, |is_on| json!(if is_on { "ON" } else { "OFF" }))
}

/// Whether there are alerts, and which.
fn put_alerts(state: &mut Map<String, Json>, alerts: &[&Transition]) {
    let message = |alert: &&Transition| alert.message.chars().take(MAX_MESSAGE_CHARS).collect::<String>();
    let messages: Vec<String> = alerts.iter().take(MAX_MESSAGES).map(message).collect();
    state.insert("problem".to_owned(), switch(Some(!alerts.is_empty())));
    let attributes = json!({ "n_alerts": alerts.len(), "alerts": messages });
    state.insert("problem_attributes".to_owned(), attributes);
}
