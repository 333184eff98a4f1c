//! The stations of the account: what each said, what it is asked, and which of what it says becomes a
//! reading. No I/O; the caller has the clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::pace::{Condition, Pace, next_mode, presence};
use super::persisted::{PersistedDevice, PersistedSession};
use super::requests::{AnswerTimeout, RequestKind, RequestState};
use crate::battery::anker::rest::{BoundDevice, SiteReading};
use crate::battery::anker::wire::{self, Body, Decoded, DeviceState, ModelKind, MsgType};
use crate::reading::{
    DataSource, GridState, PollingMode, Presence, Quantity, SafeText, Share, Station, StationReading,
    StationStatus, Timestamp,
};

/// Values that came this long before the newest one still belong to the same reading: some models spread
/// them over several messages.
const ONE_READING: Duration = Duration::from_secs(15);

/// How many devices can be known only through a panel: what a panel says is bounded like all else.
const MAX_PASSIVE: usize = 32;

/// A station is made to speak so often, so that it says how many packs it has: packs come and go.
const PACKS_SOUGHT_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// One that no panel has spoken for in this long has left.
const PASSIVE_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How many types of message are told of at most.
const MAX_LOGGED: usize = 500;

/// One question that is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StationRequest {
    pub(super) station: Station,
    pub(super) owner: Option<String>,
    pub(super) kind: RequestKind,
}

/// All stations.
#[derive(Debug)]
pub(super) struct Stations {
    tracked: BTreeMap<String, Tracked>,
    pub(super) mode: PollingMode,
    fast_below: Share,
    /// Which types of message were told of, by model: each is told once.
    logged: BTreeSet<(String, MsgType)>,
    /// The same of those that are read in part.
    logged_partial: BTreeSet<(String, MsgType)>,
    n_dropped: u64,
}

/// One station.
#[derive(Debug)]
struct Tracked {
    station: Station,
    device: PersistedDevice,
    state: DeviceState,
    requests: RequestState,
    /// It was made to speak in this round, so that it says how many packs it has.
    seeks_packs: bool,
    /// How often stations were asked when it was heard last.
    heard_pace: Option<Pace>,
    last: Option<StationReading>,
}

/// What is known of one station, for whoever reports it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StationView {
    station: Station,
    last: Option<StationReading>,
    heard_at: Option<Timestamp>,
    awaited_since: Timestamp,
    online: Option<bool>,
    way: DataSource,
    heard_pace: Option<Pace>,
}

impl StationView {
    pub(super) fn status(&self, pace: Pace, now: Timestamp) -> StationStatus {
        StationStatus {
            station: self.station.clone(),
            presence: self.presence(pace, now),
            last: self.last.clone(),
        }
    }

    fn presence(&self, pace: Pace, now: Timestamp) -> Presence {
        // Who was heard at a slower pace could not be heard again any sooner.
        let heard = self.heard_pace.map_or(pace.interval, |heard| heard.interval);
        let pace = Pace { interval: pace.interval.max(heard), ..pace };
        presence(self.heard_at, self.awaited_since, self.online, (self.way, pace), now)
    }
}

impl Stations {
    pub(super) fn new(persisted: &PersistedSession, fast_below: Share, now: Timestamp) -> Self {
        let read = persisted.devices.iter().filter(|(_, device)| wire::is_read(&device.model));
        let tracked = read.map(|(serial, device)| {
            (serial.clone(), Tracked::new(device.station(serial), device.clone(), now))
        });
        Self {
            tracked: tracked.collect(),
            mode: persisted.mode(),
            fast_below,
            logged: BTreeSet::new(),
            logged_partial: BTreeSet::new(),
            n_dropped: 0,
        }
    }

    /// What is to be kept of them.
    pub(super) fn keep(&self, persisted: &mut PersistedSession) {
        persisted.is_fast = self.mode == PollingMode::Fast;
        persisted.devices =
            self.tracked.iter().map(|(serial, tracked)| (serial.clone(), tracked.device.clone())).collect();
    }

    /// Makes them be what the account has. Says whether other topics are to be listened to now.
    pub(super) fn bind(&mut self, devices: &[BoundDevice], now: Timestamp) -> bool {
        let before = self.listened_to();
        let devices: BTreeMap<&str, &BoundDevice> = devices
            .iter()
            .filter(|device| wire::is_read(device.model.as_str()))
            .map(|device| (device.serial.as_str(), device))
            .collect();
        let is_panel_there = devices.values().any(|device| {
            is_kind(device.model.as_str(), ModelKind::Panel) && device.wifi_online != Some(false)
        });
        self.tracked.retain(|serial, tracked| {
            devices.contains_key(serial.as_str()) || (tracked.device.is_passive && tracked.is_recent(now))
        });
        for (serial, bound) in devices {
            let mut device =
                self.tracked.get(serial).map(|tracked| tracked.device.clone()).unwrap_or_default();
            device.model = bound.model.to_string();
            device.name = bound.name.to_string();
            device.owner = bound.owner_user_id.as_ref().map(|owner| owner.expose().to_owned());
            // Behind a panel a station leaves the cloud, and is heard nevertheless.
            let may_be_behind = is_panel_there && is_kind(device.model.as_str(), ModelKind::Station);
            device.online = bound.wifi_online.filter(|online| *online || !may_be_behind);
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
    fn listened_to(&self) -> Vec<(SafeText, SafeText)> {
        self.subscribed().into_iter().map(|station| (station.serial, station.model)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tracked.is_empty()
    }

    /// Those that speak for themselves, so that their topics are to be listened to.
    pub(super) fn subscribed(&self) -> Vec<Station> {
        let own = self.tracked.values().filter(|tracked| !tracked.device.is_passive);
        own.map(|tracked| tracked.station.clone()).collect()
    }

    /// Whether some may belong to a site, of which the REST interface knows more: all but portable stations, and
    /// the one of these that can be part of a home.
    pub(super) fn may_have_site(&self) -> bool {
        self.tracked.values().any(|tracked| {
            let model = tracked.station.model.as_str();
            !is_kind(model, ModelKind::Station) || model == STATION_OF_A_SITE
        })
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Station> {
        self.tracked.values().map(|tracked| &tracked.station)
    }

    /// Takes what the REST interface says of a station. Gives a reading if nothing better is heard of it.
    pub(super) fn take_rest(
        &mut self,
        site_reading: &SiteReading,
        pace: Pace,
        now: Timestamp,
    ) -> Option<StationReading> {
        let mode = self.mode;
        let tracked = self.tracked.get_mut(site_reading.station.serial.as_str())?;
        let reading = tracked.take_rest(site_reading, mode, pace, now)?;
        self.judge_mode(pace, now);
        Some(reading)
    }

    /// Begins a new round of questions.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        wall: Timestamp,
        timeout: AnswerTimeout,
    ) -> Vec<StationRequest> {
        let own = self.tracked.values_mut().filter(|tracked| !tracked.device.is_passive);
        own.flat_map(|tracked| tracked.begin(now, wall, timeout)).collect()
    }

    /// What to send to those that have not answered in time.
    pub(super) fn take_overdue(
        &mut self,
        now: Instant,
        wall: Timestamp,
        timeout: AnswerTimeout,
    ) -> Vec<StationRequest> {
        let mut requests = Vec::new();
        for tracked in self.tracked.values_mut() {
            if let Some(send) = tracked.requests.take_overdue(now, wall, timeout) {
                requests.push(tracked.request(send));
            }
        }
        requests
    }

    /// When [`Self::take_overdue`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.tracked.values().filter_map(|tracked| tracked.requests.due()).min()
    }

    /// Whether an answer is waited for.
    pub(super) fn are_asked(&self) -> bool {
        self.tracked.values().any(|tracked| tracked.requests.is_open() || tracked.seeks_packs)
    }

    /// Takes a message that came at `at`. Gives the readings that follow from it; a message that cannot be
    /// read is told of and counted, and harms nothing.
    pub(super) fn take(
        &mut self,
        topic: &str,
        payload: &[u8],
        at: Timestamp,
        pace: Pace,
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
            Body::Frame(frame) => self.take_frame(&serial, &model, frame, at, pace),
            Body::Json(value) => {
                let decoded = wire::decode_json(&model, value);
                self.log_new_fields(&model, MsgType::JSON, &decoded);
                self.take_values(&serial, &decoded, at, pace).into_iter().collect()
            }
        };
        if !readings.is_empty() {
            self.judge_mode(pace, at);
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
        pace: Pace,
    ) -> Vec<StationReading> {
        let Some(decoded) = self.decoded(model, bytes) else { return Vec::new() };
        let mut readings: Vec<_> = self.take_values(serial, &decoded, at, pace).into_iter().collect();
        for embedded in &decoded.embedded {
            let (serial, model) = (embedded.serial.as_str(), embedded.model.as_str());
            if self.knows_embedded(serial, model, at)
                && let Some(decoded) = self.decoded(model, &embedded.frame)
            {
                readings.extend(self.take_values(serial, &decoded, at, pace));
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
                    self.log_partial(model, frame.msg_type);
                }
                self.log_new_fields(model, frame.msg_type, &decoded);
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
        pace: Pace,
    ) -> Option<StationReading> {
        let mode = self.mode;
        self.tracked.get_mut(serial)?.take(&decoded.values, at, mode, pace)
    }

    /// A device that a panel speaks for is tracked from its first word on. What comes in from the grid is the
    /// panel's to say then.
    fn knows_embedded(&mut self, serial: &str, model: &str, at: Timestamp) -> bool {
        if let Some(tracked) = self.tracked.get_mut(serial) {
            tracked.state.set_behind_hub();
            return true;
        }
        let n_passive = self.tracked.values().filter(|tracked| tracked.device.is_passive).count();
        if serial.is_empty() || !wire::is_read(model) || n_passive >= MAX_PASSIVE {
            return false;
        }
        let name = wire::model(model).map_or(model, |model| model.name);
        let device = PersistedDevice {
            model: model.to_owned(),
            name: name.to_owned(),
            is_passive: true,
            ..PersistedDevice::default()
        };
        let mut tracked = Tracked::new(device.station(serial), device, at);
        tracked.state.set_behind_hub();
        self.tracked.insert(serial.to_owned(), tracked);
        true
    }

    /// Chooses the mode anew. Only stations that are heard of count: one that is gone must not keep the
    /// others in fast mode for ever.
    pub(super) fn judge_mode(&mut self, pace: Pace, now: Timestamp) {
        let live = self
            .tracked
            .values()
            .filter(|tracked| matches!(tracked.view().presence(pace, now), Presence::Live));
        let conditions = live.filter_map(|tracked| {
            Some(Condition::from_reading(tracked.last.as_ref()?, tracked.device.grid_seen))
        });
        let mode = next_mode(self.mode, self.fast_below, conditions);
        if mode != self.mode {
            tracing::info!(from = self.mode.label(), to = mode.label(), "stations are asked at another pace");
        }
        self.mode = mode;
    }

    pub(super) fn views(&self) -> Vec<StationView> {
        self.tracked.values().map(Tracked::view).collect()
    }

    /// Tells once of each type of message of a model what is in it.
    fn log_new_fields(&mut self, model: &str, msg_type: MsgType, decoded: &Decoded) {
        if self.logged.len() >= MAX_LOGGED || !self.logged.insert((model.to_owned(), msg_type)) {
            return;
        }
        let model = SafeText::new(model);
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
    fn log_partial(&mut self, model: &str, msg_type: MsgType) {
        if self.logged_partial.len() < MAX_LOGGED && self.logged_partial.insert((model.to_owned(), msg_type))
        {
            let model = SafeText::new(model);
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

/// The station that can be part of a home: F3000.
const STATION_OF_A_SITE: &str = "A1782";

fn is_kind(model: &str, kind: ModelKind) -> bool {
    wire::model(model).is_some_and(|model| model.kind == kind)
}

impl Tracked {
    fn new(station: Station, mut device: PersistedDevice, now: Timestamp) -> Self {
        device.awaited_since =
            device.awaited_since.filter(|since| *since <= now.micros()).or(Some(now.micros()));
        let requests = RequestState::new(device.learnt);
        let mut state = DeviceState::default();
        if let Some(packs) = device.packs {
            state.set_packs(packs);
        }
        Self { station, device, state, requests, seeks_packs: false, heard_pace: None, last: None }
    }

    /// What to ask now. A station that has not said of late how many packs it has is made to speak, as it says that
    /// only then.
    fn begin(&mut self, now: Instant, wall: Timestamp, timeout: AnswerTimeout) -> Vec<StationRequest> {
        let send = self.requests.begin(now, wall, timeout);
        self.device.learnt = self.requests.learnt;
        let sought_at = self.device.packs_sought_at.map(Timestamp::from_micros);
        self.seeks_packs = wire::counts_packs_apart(self.station.model.as_str())
            && sought_at.is_none_or(|at| wall.since(at) >= PACKS_SOUGHT_EVERY);
        let mut requests = vec![self.request(send)];
        if self.seeks_packs && send != RequestKind::Trigger {
            requests.push(self.request(RequestKind::Trigger));
        }
        requests
    }

    fn take_rest(
        &mut self,
        site_reading: &SiteReading,
        mode: PollingMode,
        pace: Pace,
        now: Timestamp,
    ) -> Option<StationReading> {
        self.device.online = site_reading.online.or(self.device.online);
        if let Some(packs) = site_reading.n_packs {
            self.state.set_packs(packs);
            self.device.packs = self.state.n_packs();
        }
        let is_live = matches!(self.view().presence(pace, now), Presence::Live);
        if is_live && self.device.way() == DataSource::Mqtt {
            return None;
        }
        let heard_at =
            site_reading.reading.as_ref().map(|reading| reading.at).ok().or(site_reading.measured_at);
        let heard_at = heard_at.map(|at| at.min(now).micros());
        if self.device.heard_at < heard_at {
            self.device.heard_at = heard_at;
            self.device.by_rest = true;
            self.heard_pace = Some(pace);
        }
        let mut reading = site_reading.reading.clone().ok()?;
        if self.last.as_ref().is_some_and(|last| reading.at <= last.at) {
            return None;
        }
        reading.station = self.station.clone();
        reading.mode = mode;
        let capacity = wire::capacity(&self.station, &self.state);
        reading.device.set(Quantity::Capacity, capacity.map(Into::into));
        self.device.grid_seen |= reading.grid == GridState::Present;
        self.last = Some(reading.clone());
        Some(reading)
    }

    fn is_recent(&self, now: Timestamp) -> bool {
        self.device.heard_at().is_some_and(|heard_at| now.since(heard_at) < PASSIVE_FOR)
    }

    fn request(&self, kind: RequestKind) -> StationRequest {
        StationRequest { station: self.station.clone(), owner: self.device.owner.clone(), kind }
    }

    /// What it says now, if that is worth a reading: the answer to a question; anything, if half an interval
    /// has passed; a grid that went or came back, at once.
    fn take(
        &mut self,
        values: &BTreeMap<String, serde_json::Value>,
        at: Timestamp,
        mode: PollingMode,
        pace: Pace,
    ) -> Option<StationReading> {
        self.device.heard_at = Some(at.micros());
        self.state.merge(values, at);
        self.heard_pace = Some(pace);
        self.device.packs = self.state.n_packs();
        if values.contains_key(wire::PACKS) {
            self.seeks_packs = false;
            self.device.packs_sought_at = Some(at.micros());
        }
        // An acknowledgement that comes soon after figures must not make these a reading once more.
        wire::reading(&self.station, &self.state, at, mode).filter(says_something)?;
        let reading = wire::reading(&self.station, &self.state, at.minus(ONE_READING), mode)?;
        self.device.grid_seen |= reading.grid == GridState::Present;
        let is_answer = self.requests.is_open();
        let is_due = self.last.as_ref().is_none_or(|last| pace.interval / 2 <= at.since(last.at));
        let is_turn = self
            .last
            .as_ref()
            .is_some_and(|last| last.grid != reading.grid && reading.grid != GridState::Unknown);
        self.requests.answered(at);
        self.device.learnt = self.requests.learnt;
        self.device.by_rest = false;
        if self.seeks_packs {
            self.device.packs_sought_at = Some(at.micros());
        }
        if !(is_answer || is_due || is_turn) {
            return None;
        }
        self.last = Some(reading.clone());
        Some(reading)
    }

    fn view(&self) -> StationView {
        StationView {
            station: self.station.clone(),
            last: self.last.clone(),
            heard_at: self.device.heard_at(),
            awaited_since: Timestamp::from_micros(self.device.awaited_since.unwrap_or_default()),
            online: self.device.online,
            way: self.device.way(),
            heard_pace: self.heard_pace,
        }
    }
}

/// Whether at least one figure was measured: a Wi-Fi report is a sign of life and no reading.
fn says_something(reading: &StationReading) -> bool {
    let figures = reading.device.quantities().filter(|quantity| *quantity != Quantity::Capacity);
    figures.into_iter().any(|quantity| reading.device.get(quantity).is_ok())
}

#[cfg(test)]
#[path = "stations_tests.rs"]
mod tests;
