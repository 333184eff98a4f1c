//! The stations of the account: what each said, what it is asked, and which of what it says becomes a
//! reading. No I/O; the caller has the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::asking::{Asking, Send};
use super::kept::{Kept, KeptDevice};
use super::pace::{Condition, next_mode, presence};
use crate::reading::{
    Clean, DataSource, GridState, PollingMode, Presence, Share, Station, StationReading, StationStatus,
    Timestamp,
};
use crate::solix::rest::BoundDevice;
use crate::solix::wire::{self, Body, Decoded, DeviceState, ModelKind, MsgType};

/// Values that came this long before the newest one still belong to the same reading: some models spread
/// them over several messages.
const ONE_READING: Duration = Duration::from_secs(15);

/// How many devices can be known only through a panel: what a panel says is bounded like all else.
const MAX_PASSIVE: usize = 32;

/// One that no panel has spoken for in this long has left.
const PASSIVE_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many types of message are told of at most.
const MAX_TOLD: usize = 500;

/// One question that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) station: Station,
    pub(super) owner: Option<String>,
    pub(super) send: Send,
}

/// All stations.
#[derive(Debug)]
pub(super) struct Stations {
    tracked: BTreeMap<String, Tracked>,
    pub(super) mode: PollingMode,
    fast_below: Share,
    /// Which types of message were told of, by model: each is told once.
    told: BTreeSet<(String, MsgType)>,
    /// The same of those that are read in part.
    told_cut: BTreeSet<(String, MsgType)>,
    n_dropped: u64,
}

/// One station.
#[derive(Debug)]
struct Tracked {
    station: Station,
    device: KeptDevice,
    state: DeviceState,
    asking: Asking,
    /// Since when it is listened for.
    awaited_since: Timestamp,
    last: Option<StationReading>,
}

/// What is known of one station, for whoever reports it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    station: Station,
    last: Option<StationReading>,
    heard_at: Option<Timestamp>,
    awaited_since: Timestamp,
    online: Option<bool>,
}

impl Standing {
    pub(super) fn status(&self, interval: Duration, now: Timestamp) -> StationStatus {
        StationStatus {
            station: self.station.clone(),
            presence: self.presence(interval, now),
            last: self.last.clone(),
        }
    }

    fn presence(&self, interval: Duration, now: Timestamp) -> Presence {
        presence(self.heard_at, self.awaited_since, self.online, interval, now)
    }
}

impl Stations {
    pub(super) fn new(kept: &Kept, fast_below: Share, now: Timestamp) -> Self {
        let tracked = kept.devices.iter().map(|(serial, device)| {
            (serial.clone(), Tracked::new(device.station(serial), device.clone(), now))
        });
        Self {
            tracked: tracked.collect(),
            mode: kept.mode(),
            fast_below,
            told: BTreeSet::new(),
            told_cut: BTreeSet::new(),
            n_dropped: 0,
        }
    }

    /// What is to be kept of them.
    pub(super) fn keep(&self, kept: &mut Kept) {
        kept.is_fast = self.mode == PollingMode::Fast;
        kept.devices =
            self.tracked.iter().map(|(serial, tracked)| (serial.clone(), tracked.device.clone())).collect();
    }

    /// Makes them be what the account has. Says whether other topics are to be listened to now.
    pub(super) fn bind(&mut self, devices: &[BoundDevice], now: Timestamp) -> bool {
        let before = self.listened_to();
        let devices: BTreeMap<&str, &BoundDevice> = devices
            .iter()
            .filter(|device| is_of_interest(device.model.as_str()))
            .map(|device| (device.serial.as_str(), device))
            .collect();
        self.tracked.retain(|serial, tracked| {
            devices.contains_key(serial.as_str()) || (tracked.device.is_passive && tracked.is_recent(now))
        });
        for (serial, bound) in devices {
            let mut device =
                self.tracked.get(serial).map(|tracked| tracked.device.clone()).unwrap_or_default();
            device.model = bound.model.to_string();
            device.name = bound.name.to_string();
            device.owner = bound.owner_user_id.as_ref().map(|owner| owner.reveal().to_owned());
            device.online = bound.wifi_online;
            device.is_passive = false;
            let station = device.station(serial);
            match self.tracked.get_mut(serial) {
                Some(tracked) => (tracked.station, tracked.device) = (station, device),
                None => drop(self.tracked.insert(serial.to_owned(), Tracked::new(station, device, now))),
            }
        }
        before != self.listened_to()
    }

    /// What makes up the topics that are listened to: another name is no other topic.
    fn listened_to(&self) -> Vec<(Clean, Clean)> {
        self.heard().into_iter().map(|station| (station.serial, station.model)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tracked.is_empty()
    }

    /// Those that speak for themselves, so that their topics are to be listened to.
    pub(super) fn heard(&self) -> Vec<Station> {
        let own = self.tracked.values().filter(|tracked| !tracked.device.is_passive);
        own.map(|tracked| tracked.station.clone()).collect()
    }

    /// Whether some belong to a site, of which the REST interface knows more.
    pub(super) fn have_site(&self) -> bool {
        self.tracked.values().any(|tracked| {
            let model = wire::model(tracked.station.model.as_str());
            model.is_some_and(|model| matches!(model.kind, ModelKind::Panel | ModelKind::Solarbank))
        })
    }

    /// Takes a reading of the REST interface. Gives it back if nothing better is heard of that station.
    pub(super) fn take_rest(
        &mut self,
        mut reading: StationReading,
        interval: Duration,
    ) -> Option<StationReading> {
        let now = reading.at;
        let tracked = self.tracked.get_mut(reading.station.serial.as_str())?;
        let is_live = matches!(tracked.standing().presence(interval, now), Presence::Live);
        let is_of_broker = tracked.last.as_ref().is_some_and(|last| last.source == DataSource::Mqtt);
        if (is_live && is_of_broker) || tracked.last.as_ref().is_some_and(|last| reading.at <= last.at) {
            return None;
        }
        reading.mode = self.mode;
        tracked.device.grid_seen |= reading.grid == GridState::Present;
        tracked.device.heard_at = Some(tracked.device.heard_at.unwrap_or_default().max(now.micros()));
        tracked.last = Some(reading.clone());
        self.judge_mode(interval, now);
        Some(reading)
    }

    /// Begins a new round of questions.
    pub(super) fn begin(&mut self, now: Instant, wall: Timestamp, answer_within: Duration) -> Vec<Question> {
        let own = self.tracked.values_mut().filter(|tracked| !tracked.device.is_passive);
        own.map(|tracked| {
            let send = tracked.asking.begin(now, wall, answer_within);
            tracked.question(send)
        })
        .collect()
    }

    /// What to send to those that have not answered in time.
    pub(super) fn expire(&mut self, now: Instant, answer_within: Duration) -> Vec<Question> {
        let mut questions = Vec::new();
        for tracked in self.tracked.values_mut() {
            if let Some(send) = tracked.asking.expire(now, answer_within) {
                questions.push(tracked.question(send));
            }
        }
        questions
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.tracked.values().filter_map(|tracked| tracked.asking.due()).min()
    }

    /// Whether an answer is waited for.
    pub(super) fn are_asked(&self) -> bool {
        self.tracked.values().any(|tracked| tracked.asking.is_open())
    }

    /// Takes a message that came at `at`. Gives the readings that follow from it; a message that cannot be
    /// read is told of and counted, and harms nothing.
    pub(super) fn take(
        &mut self,
        topic: &str,
        payload: &[u8],
        at: Timestamp,
        interval: Duration,
    ) -> Vec<StationReading> {
        let message = match wire::read_message(topic, payload) {
            Ok(message) => message,
            Err(error) => {
                self.dropped(&error.to_string());
                return Vec::new();
            }
        };
        let (serial, model) = (message.serial.to_string(), message.model.to_string());
        if !self.tracked.contains_key(&serial) {
            return Vec::new();
        }
        let readings = match &message.body {
            Body::Frame(frame) => self.take_frame(&serial, &model, frame, at, interval),
            Body::Json(value) => {
                let decoded = wire::decode_json(&model, value);
                self.tell_fields(&model, MsgType::JSON, &decoded);
                self.take_values(&serial, &decoded, at, interval).into_iter().collect()
            }
        };
        if !readings.is_empty() {
            self.judge_mode(interval, at);
        }
        readings
    }

    /// A frame, and those that it carries.
    fn take_frame(
        &mut self,
        serial: &str,
        model: &str,
        bytes: &[u8],
        at: Timestamp,
        interval: Duration,
    ) -> Vec<StationReading> {
        let Some(decoded) = self.decoded(model, bytes) else { return Vec::new() };
        let mut readings: Vec<_> = self.take_values(serial, &decoded, at, interval).into_iter().collect();
        for embedded in &decoded.embedded {
            let (serial, model) = (embedded.serial.as_str(), embedded.model.as_str());
            if self.knows_embedded(serial, model, at)
                && let Some(decoded) = self.decoded(model, &embedded.frame)
            {
                readings.extend(self.take_values(serial, &decoded, at, interval));
            }
        }
        readings
    }

    /// What a frame says. One of which only the beginning could be read says that, and is told of once.
    fn decoded(&mut self, model: &str, bytes: &[u8]) -> Option<Decoded> {
        match wire::split(bytes) {
            Ok(frame) if frame.is_checksum_ok => {
                let decoded = wire::decode(model, &frame);
                if !frame.is_consistent {
                    self.tell_cut(model, frame.msg_type);
                }
                self.tell_fields(model, frame.msg_type, &decoded);
                Some(decoded)
            }
            Ok(frame) => {
                self.dropped(&format!("a frame {} of {model} has a wrong checksum", frame.msg_type));
                None
            }
            Err(error) => {
                self.dropped(&error.to_string());
                None
            }
        }
    }

    fn take_values(
        &mut self,
        serial: &str,
        decoded: &Decoded,
        at: Timestamp,
        interval: Duration,
    ) -> Option<StationReading> {
        let mode = self.mode;
        self.tracked.get_mut(serial)?.take(&decoded.values, at, mode, interval)
    }

    /// A device that a panel speaks for is tracked from its first word on. What comes in from the grid is the
    /// panel's to say then.
    fn knows_embedded(&mut self, serial: &str, model: &str, at: Timestamp) -> bool {
        if let Some(tracked) = self.tracked.get_mut(serial) {
            tracked.state.set_behind_hub();
            return true;
        }
        let n_passive = self.tracked.values().filter(|tracked| tracked.device.is_passive).count();
        if serial.is_empty() || !is_of_interest(model) || MAX_PASSIVE <= n_passive {
            return false;
        }
        let name = wire::model(model).map_or(model, |model| model.name);
        let device = KeptDevice {
            model: model.to_owned(),
            name: name.to_owned(),
            is_passive: true,
            ..KeptDevice::default()
        };
        let mut tracked = Tracked::new(device.station(serial), device, at);
        tracked.state.set_behind_hub();
        self.tracked.insert(serial.to_owned(), tracked);
        true
    }

    /// Chooses the mode anew. Only stations that are heard of count: one that is gone must not keep the
    /// others in fast mode for ever.
    pub(super) fn judge_mode(&mut self, interval: Duration, now: Timestamp) {
        let live = self
            .tracked
            .values()
            .filter(|tracked| matches!(tracked.standing().presence(interval, now), Presence::Live));
        let conditions =
            live.filter_map(|tracked| Some(Condition::of(tracked.last.as_ref()?, tracked.device.grid_seen)));
        let mode = next_mode(self.mode, self.fast_below, conditions);
        if mode != self.mode {
            tracing::info!(from = self.mode.label(), to = mode.label(), "stations are asked at another pace");
        }
        self.mode = mode;
    }

    pub(super) fn standing(&self) -> Vec<Standing> {
        self.tracked.values().map(Tracked::standing).collect()
    }

    /// Tells once of each type of message of a model what is in it.
    fn tell_fields(&mut self, model: &str, msg_type: MsgType, decoded: &Decoded) {
        if MAX_TOLD <= self.told.len() || !self.told.insert((model.to_owned(), msg_type)) {
            return;
        }
        let model = Clean::new(model);
        if decoded.is_mapped {
            let names: Vec<&str> = decoded.values.keys().map(String::as_str).collect();
            tracing::info!("MQTT fields for {model} ({msg_type}): {}", names.join(", "));
        } else {
            tracing::info!(
                "MQTT message {msg_type} of {model} has no field map; `solix listen --raw` shows it"
            );
        }
    }

    /// Tells once of each type of message of a model that frames of it are read in part.
    fn tell_cut(&mut self, model: &str, msg_type: MsgType) {
        if self.told_cut.len() < MAX_TOLD && self.told_cut.insert((model.to_owned(), msg_type)) {
            let model = Clean::new(model);
            tracing::warn!(
                "frames {msg_type} of {model} are read in part: the fields in them are of an unknown form; \
                 please report one, as `solix listen --raw` shows it"
            );
        }
    }

    /// Told at the first, the second, the fourth, …: a broken device must not fill the log.
    fn dropped(&mut self, why: &str) {
        self.n_dropped += 1;
        if self.n_dropped.is_power_of_two() {
            tracing::warn!(so_far = self.n_dropped, "a message cannot be read and is dropped: {why}");
        }
    }
}

/// Whether a device has a battery or speaks for some; others, such as meters and chargers, are no matter of
/// a battery station. One that is not known yet may have one.
fn is_of_interest(model: &str) -> bool {
    wire::model(model).is_none_or(|model| {
        matches!(
            model.kind,
            ModelKind::Station | ModelKind::Panel | ModelKind::Solarbank | ModelKind::HomeSystem
        )
    })
}

impl Tracked {
    fn new(station: Station, device: KeptDevice, now: Timestamp) -> Self {
        let asking = Asking::new(device.habit);
        Self { station, device, state: DeviceState::default(), asking, awaited_since: now, last: None }
    }

    fn is_recent(&self, now: Timestamp) -> bool {
        self.device.heard_at().is_some_and(|heard_at| now.since(heard_at) < PASSIVE_FOR)
    }

    fn question(&self, send: Send) -> Question {
        Question { station: self.station.clone(), owner: self.device.owner.clone(), send }
    }

    /// What it says now, if that is worth a reading: the answer to a question; anything, if half an interval
    /// has passed; a grid that went or came back, at once.
    fn take(
        &mut self,
        values: &BTreeMap<String, serde_json::Value>,
        at: Timestamp,
        mode: PollingMode,
        interval: Duration,
    ) -> Option<StationReading> {
        self.device.heard_at = Some(at.micros());
        self.state.merge(values, at);
        // An acknowledgement that comes soon after figures must not make these a reading once more.
        wire::reading(&self.station, &self.state, at, mode).filter(says_something)?;
        let reading = wire::reading(&self.station, &self.state, at.minus(ONE_READING), mode)?;
        self.device.grid_seen |= reading.grid == GridState::Present;
        let is_answer = self.asking.is_open();
        let is_due = self.last.as_ref().is_none_or(|last| interval / 2 <= at.since(last.at));
        let is_turn = self
            .last
            .as_ref()
            .is_some_and(|last| last.grid != reading.grid && reading.grid != GridState::Unknown);
        self.asking.answered(at);
        self.device.habit = self.asking.habit;
        if !(is_answer || is_due || is_turn) {
            return None;
        }
        self.last = Some(reading.clone());
        Some(reading)
    }

    fn standing(&self) -> Standing {
        Standing {
            station: self.station.clone(),
            last: self.last.clone(),
            heard_at: self.device.heard_at(),
            awaited_since: self.awaited_since,
            online: self.device.online,
        }
    }
}

/// Whether at least one figure was measured: a Wi-Fi report is a sign of life and no reading.
fn says_something(reading: &StationReading) -> bool {
    reading.soc.is_ok()
        || [&reading.power_input, &reading.power_output, &reading.grid_power, &reading.solar_power]
            .iter()
            .any(|figure| figure.is_ok())
}

#[cfg(test)]
#[path = "stations_tests.rs"]
mod tests;
