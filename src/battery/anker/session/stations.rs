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

/// So many devices can be known only through a panel: its words are bounded like all else.
const MAX_PASSIVE: usize = 32;

/// A station is made to speak so often, so that it says how many packs it has: packs come and go.
const PACKS_SOUGHT_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// One that no panel has spoken for in this long has left.
const PASSIVE_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// So many types of message are told of at most.
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
    /// Which types of message were told of, by model: each is told once, and once more if it is read in part.
    logged: BTreeSet<(String, MsgType, bool)>,
    n_dropped: u64,
}

/// One station.
#[derive(Debug)]
struct Tracked {
    view: StationView,
    state: DeviceState,
    requests: RequestState,
    /// It was made to speak in this round, so that it says how many packs it has.
    seeks_packs: bool,
}

/// The part of a station from which its status follows at any later time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StationView {
    station: Station,
    device: PersistedDevice,
    /// The pace at which stations were asked when it was heard last.
    heard_pace: Option<Pace>,
    last: Option<StationReading>,
}

impl StationView {
    pub(super) fn status(&self, pace: Pace, now: Timestamp) -> StationStatus {
        let (station, last) = (self.station.clone(), self.last.clone());
        StationStatus { station, presence: self.presence(pace, now), last }
    }

    fn presence(&self, pace: Pace, now: Timestamp) -> Presence {
        // Who was heard at a slower pace could not be heard again any sooner.
        let heard = self.heard_pace.map_or(pace.interval, |heard| heard.interval);
        let pace = Pace { interval: pace.interval.max(heard), ..pace };
        let PersistedDevice { heard_at, awaited_since, online, .. } = self.device;
        presence(heard_at, awaited_since.unwrap_or(now), online, (self.device.way(), pace), now)
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
            n_dropped: 0,
        }
    }

    /// Notes what is to be kept of them.
    pub(super) fn keep(&self, persisted: &mut PersistedSession) {
        let device = |tracked: &Tracked| PersistedDevice {
            learnt: tracked.requests.learnt,
            ..tracked.view.device.clone()
        };
        persisted.is_fast = self.mode == PollingMode::Fast;
        persisted.devices =
            self.tracked.iter().map(|(serial, tracked)| (serial.clone(), device(tracked))).collect();
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
            devices.contains_key(serial.as_str())
                || (tracked.view.device.is_passive && tracked.is_recent(now))
        });
        for (serial, bound) in devices {
            let mut device =
                self.tracked.get(serial).map(|tracked| tracked.view.device.clone()).unwrap_or_default();
            device.model = bound.model.to_string();
            device.name = bound.name.to_string();
            device.owner = bound.owner_user_id.as_ref().map(|owner| owner.expose().to_owned());
            // Behind a panel a station leaves the cloud, and is heard nevertheless.
            let may_be_behind = is_panel_there && is_kind(device.model.as_str(), ModelKind::Station);
            device.online = bound.wifi_online.filter(|online| *online || !may_be_behind);
            device.is_passive = false;
            let station = device.station(serial);
            match self.tracked.get_mut(serial) {
                Some(tracked) => (tracked.view.station, tracked.view.device) = (station, device),
                None => drop(self.tracked.insert(serial.to_owned(), Tracked::new(station, device, now))),
            }
        }
        before != self.listened_to()
    }

    /// The parts of the topics that are listened to: another name is no other topic.
    fn listened_to(&self) -> Vec<(SafeText, SafeText)> {
        self.subscribed().into_iter().map(|station| (station.serial, station.model)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tracked.is_empty()
    }

    /// Those that speak for themselves, so that their topics are to be listened to.
    pub(super) fn subscribed(&self) -> Vec<Station> {
        let own = self.tracked.values().filter(|tracked| !tracked.view.device.is_passive);
        own.map(|tracked| tracked.view.station.clone()).collect()
    }

    /// Whether some may belong to a site, of which the REST interface knows more: all but portable stations, and
    /// the one of these that can be part of a home.
    pub(super) fn may_have_site(&self) -> bool {
        self.tracked.values().any(|tracked| {
            let model = tracked.view.station.model.as_str();
            !is_kind(model, ModelKind::Station) || model == STATION_OF_A_SITE
        })
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Station> {
        self.tracked.values().map(|tracked| &tracked.view.station)
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
        let own = self.tracked.values_mut().filter(|tracked| !tracked.view.device.is_passive);
        own.flat_map(|tracked| tracked.begin(now, wall, timeout)).collect()
    }

    /// The messages to those that have not answered in time.
    pub(super) fn take_overdue(
        &mut self,
        now: Instant,
        wall: Timestamp,
        timeout: AnswerTimeout,
    ) -> Vec<StationRequest> {
        let overdue = |tracked: &mut Tracked| {
            let send = tracked.requests.take_overdue(now, wall, timeout)?;
            Some(tracked.request(send))
        };
        self.tracked.values_mut().filter_map(overdue).collect()
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
                self.log_new_fields(&model, MsgType::JSON, &decoded, false);
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

    /// Decodes a frame. One of which only the beginning could be read is told of once.
    fn decoded(&mut self, model: &str, bytes: &[u8]) -> Option<Decoded> {
        match wire::split(bytes) {
            Ok(frame) if frame.is_checksum_ok => {
                let decoded = wire::decode(model, &frame);
                self.log_new_fields(model, frame.msg_type, &decoded, !frame.is_consistent);
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
            tracked.state.is_behind_hub = true;
            return true;
        }
        let n_passive = self.tracked.values().filter(|tracked| tracked.view.device.is_passive).count();
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
        tracked.state.is_behind_hub = true;
        self.tracked.insert(serial.to_owned(), tracked);
        true
    }

    /// Chooses the mode anew. Only stations that are heard of count: one that is gone must not keep the
    /// others in fast mode for ever.
    pub(super) fn judge_mode(&mut self, pace: Pace, now: Timestamp) {
        let views = self.tracked.values().map(|tracked| &tracked.view);
        let live = views.filter(|view| view.presence(pace, now) == Presence::Live);
        let conditions =
            live.filter_map(|view| Some(Condition::from_reading(view.last.as_ref()?, view.device.grid_seen)));
        let mode = next_mode(self.mode, self.fast_below, conditions);
        if mode != self.mode {
            tracing::info!(from = self.mode.label(), to = mode.label(), "stations are asked at another pace");
        }
        self.mode = mode;
    }

    pub(super) fn views(&self) -> Vec<StationView> {
        self.tracked.values().map(|tracked| tracked.view.clone()).collect()
    }

    /// Tells once of each type of message of a model what is in it, and once that frames of it are read in part.
    fn log_new_fields(&mut self, model: &str, msg_type: MsgType, decoded: &Decoded, is_partial: bool) {
        let mut is_new = |is_partial| {
            self.logged.len() < MAX_LOGGED && self.logged.insert((model.to_owned(), msg_type, is_partial))
        };
        let name = SafeText::new(model);
        if is_partial && is_new(true) {
            tracing::warn!(
                "frames {msg_type} of {name} are read in part: the fields in them are of an unknown form; \
                 please report one, as `solix listen --raw` shows it"
            );
        }
        if !is_new(false) {
            return;
        }
        if decoded.is_mapped {
            let names: Vec<&str> = decoded.values.keys().map(String::as_str).collect();
            tracing::info!("MQTT fields for {name} ({msg_type}): {}", names.join(", "));
        } else {
            tracing::info!(
                "MQTT message {msg_type} of {name} has no field map; `solix listen --raw` shows it"
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
        device.awaited_since = device.awaited_since.filter(|since| *since <= now).or(Some(now));
        let requests = RequestState::new(device.learnt);
        let mut state = DeviceState::default();
        if let Some(packs) = device.packs {
            state.set_packs(packs);
        }
        let view = StationView { station, device, heard_pace: None, last: None };
        Self { view, state, requests, seeks_packs: false }
    }

    /// The questions now. A station that has not said of late how many packs it has is made to speak, as it says that
    /// only then.
    fn begin(&mut self, now: Instant, wall: Timestamp, timeout: AnswerTimeout) -> Vec<StationRequest> {
        let send = self.requests.begin(now, wall, timeout);
        let sought_at = self.view.device.packs_sought_at;
        self.seeks_packs = wire::counts_packs_apart(self.view.station.model.as_str())
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
        self.view.device.online = site_reading.online.or(self.view.device.online);
        if let Some(packs) = site_reading.n_packs {
            self.state.set_packs(packs);
            self.view.device.packs = self.state.n_packs();
        }
        let is_live = matches!(self.view.presence(pace, now), Presence::Live);
        if is_live && self.view.device.way() == DataSource::Mqtt {
            return None;
        }
        let heard_at =
            site_reading.reading.as_ref().map(|reading| reading.at).ok().or(site_reading.measured_at);
        let heard_at = heard_at.map(|at| at.min(now));
        if self.view.device.heard_at < heard_at {
            self.view.device.heard_at = heard_at;
            self.view.device.by_rest = true;
            self.view.heard_pace = Some(pace);
        }
        let mut reading = site_reading.reading.clone().ok()?;
        if self.view.last.as_ref().is_some_and(|last| reading.at <= last.at) {
            return None;
        }
        reading.station = self.view.station.clone();
        reading.mode = mode;
        let capacity = wire::capacity(&self.view.station, &self.state);
        reading.device.set(Quantity::Capacity, capacity.map(Into::into));
        self.view.device.grid_seen |= reading.grid == GridState::Present;
        self.view.last = Some(reading.clone());
        Some(reading)
    }

    fn is_recent(&self, now: Timestamp) -> bool {
        self.view.device.heard_at.is_some_and(|heard_at| now.since(heard_at) < PASSIVE_FOR)
    }

    fn request(&self, kind: RequestKind) -> StationRequest {
        StationRequest { station: self.view.station.clone(), owner: self.view.device.owner.clone(), kind }
    }

    /// Takes new values. Gives a reading, if they are worth one: the answer to a question; anything, if half an interval
    /// has passed; a grid that went or came back, at once.
    fn take(
        &mut self,
        values: &BTreeMap<String, serde_json::Value>,
        at: Timestamp,
        mode: PollingMode,
        pace: Pace,
    ) -> Option<StationReading> {
        self.view.device.heard_at = Some(at);
        self.state.merge(values, at);
        self.view.heard_pace = Some(pace);
        self.view.device.packs = self.state.n_packs();
        if values.contains_key(wire::PACKS) {
            self.seeks_packs = false;
            self.view.device.packs_sought_at = Some(at);
        }
        // An acknowledgement that comes soon after figures must not make these a reading once more.
        wire::reading(&self.view.station, &self.state, at, mode).filter(says_something)?;
        let reading = wire::reading(&self.view.station, &self.state, at.minus(ONE_READING), mode)?;
        self.view.device.grid_seen |= reading.grid == GridState::Present;
        let is_answer = self.requests.is_open();
        let last = self.view.last.as_ref();
        let is_due = last.is_none_or(|last| pace.interval / 2 <= at.since(last.at));
        let is_turn =
            last.is_some_and(|last| last.grid != reading.grid && reading.grid != GridState::Unknown);
        self.requests.answered(at);
        self.view.device.by_rest = false;
        if self.seeks_packs {
            self.view.device.packs_sought_at = Some(at);
        }
        if !(is_answer || is_due || is_turn) {
            return None;
        }
        self.view.last = Some(reading.clone());
        Some(reading)
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
