//! Readings of a battery station and of what hangs on it, and how its presence is told.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::{Device, Quantity, SafeText, Timestamp};

/// Who a station, panel or solarbank is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Station {
    /// The serial number, which never changes: the identity.
    pub serial: SafeText,
    /// The product code, such as `A1790P`.
    pub model: SafeText,
    /// What its owner calls it, else the product's name.
    pub name: SafeText,
}

/// One message of a station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationReading {
    /// Who said it.
    pub station: Station,
    /// When it was measured: that it was received, by the collector's clock, or what the cloud says.
    pub at: Timestamp,
    /// Which way it came.
    pub source: DataSource,
    /// How often the station was being asked.
    pub mode: PollingMode,
    /// Its figures, each measured or absent with its reason. Zero watts are a measurement, silence is not.
    pub device: Device,
    /// Whether the grid is there, as far as this reading tells.
    pub grid: GridState,
    /// All that was decoded, by the name of the field map, in the unit of the field map.
    pub fields: BTreeMap<String, Value>,
    /// The names that stood in the cloud's answer about the device, sorted; of a frame, which has none, those of
    /// the field map.
    pub raw_keys: Vec<String>,
}

/// Which way a reading came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataSource {
    /// A frame of the device, over MQTT.
    Mqtt,
    /// An answer of the cloud's REST interface.
    RestApi,
}

/// How often stations are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum PollingMode {
    /// At the normal interval.
    #[default]
    Normal,
    /// At the fast interval, since the battery is low or the grid is gone.
    Fast,
}

/// Whether the grid is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GridState {
    /// It is: power comes from it, or the device says so.
    Present,
    /// It is not: the device says so, or there is output and nothing comes from the grid.
    Absent,
    /// Nothing tells.
    Unknown,
}

/// Whether a station is heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Nothing has come yet, and not long enough to say more.
    Awaited,
    /// It answers.
    Live,
    /// Nothing for more than two intervals, since then.
    Stale(Timestamp),
    /// Nothing for more than ten minutes, or the cloud says so, since then.
    Offline(Timestamp),
}

/// What is known of a station at the end of a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationStatus {
    /// Who it is.
    pub station: Station,
    /// Whether it is heard of.
    pub presence: Presence,
    /// What it said last, however long ago.
    pub last: Option<StationReading>,
}

/// The names that a vendor's account and stations have in the timeline.
#[derive(Debug, PartialEq, Eq)]
pub struct Vendor {
    /// The vendor's name for a person.
    pub label: &'static str,
    /// The source of the account's own events, and with `_` the beginning of its stations'.
    pub source: &'static str,
    /// The event type of whether the account works.
    pub up: &'static str,
    /// The event type of a message with all that was decoded.
    pub heartbeat: &'static str,
    /// The event types of the figures.
    pub figures: &'static [(Quantity, &'static str)],
}

/// What keeps a whole account from being read, if anything does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountTrouble {
    /// A short, stable label: `login_refused`, `login_blocked`, `mqtt_refused`, `unreachable`, …
    pub kind: &'static str,
    /// What happened and what to do, for a person. Foreign text in it is cleaned: it is shown and stored as
    /// it is.
    pub message: String,
    /// Whether it lasts until a person does something.
    pub needs_person: bool,
}

/// All that was learnt of an account between two cycles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountReport {
    /// Whose account it is.
    pub vendor: &'static Vendor,
    /// What came in, oldest first.
    pub readings: Vec<StationReading>,
    /// Every station that the account has, in the order of their serial numbers.
    pub stations: Vec<StationStatus>,
    /// What keeps the account from being read.
    pub trouble: Option<AccountTrouble>,
}

impl Station {
    /// What a person calls it: its name, else its model, else its serial number.
    pub fn called(&self) -> &str {
        let names = [&self.name, &self.model, &self.serial];
        names.into_iter().find(|name| !name.is_empty()).map_or("a station without a name", SafeText::as_str)
    }
}

impl AccountReport {
    /// An account of which nothing is known yet.
    pub const fn new(vendor: &'static Vendor) -> Self {
        Self { vendor, readings: Vec::new(), stations: Vec::new(), trouble: None }
    }

    /// A station's name in the timeline.
    pub fn source_of(&self, station: &Station) -> String {
        format!("{}_{}", self.vendor.source, station.serial)
    }

    /// What a person calls this station: its name, with its serial number where another one has the same.
    pub fn name_of(&self, station: &Station) -> String {
        let called = station.called();
        let is_other = |other: &&StationStatus| other.station.serial != station.serial;
        if self.stations.iter().filter(is_other).any(|other| other.station.called() == called) {
            return format!("{called} ({})", station.serial);
        }
        called.to_owned()
    }

    /// Whether the session works and every station answers.
    pub fn is_well(&self) -> bool {
        self.trouble.is_none() && self.stations.iter().all(|status| status.presence == Presence::Live)
    }

    /// What came from this station since the last report, oldest first.
    pub fn readings_of<'a>(
        &'a self,
        station: &'a Station,
    ) -> impl DoubleEndedIterator<Item = &'a StationReading> {
        self.readings.iter().filter(|reading| reading.station.serial == station.serial)
    }
}

impl Presence {
    /// A short, stable label for a database column.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Awaited => "awaited",
            Self::Live => "live",
            Self::Stale(_) => "stale",
            Self::Offline(_) => "offline",
        }
    }

    /// Since when nothing has come, if nothing comes.
    pub const fn silent_since(self) -> Option<Timestamp> {
        match self {
            Self::Stale(since) | Self::Offline(since) => Some(since),
            Self::Awaited | Self::Live => None,
        }
    }
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Awaited => f.write_str("no answer yet"),
            Self::Live => f.write_str("it answers"),
            Self::Stale(since) => write!(f, "no answer: stale since {since}"),
            Self::Offline(since) => write!(f, "no answer: offline since {since}"),
        }
    }
}

impl GridState {
    /// A short, stable label for a database column.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        }
    }
}

impl DataSource {
    /// A short, stable label for a database column.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::RestApi => "rest_api",
        }
    }
}

impl PollingMode {
    /// A short, stable label for a database column.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Fast => "FAST",
        }
    }
}
