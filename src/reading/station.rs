//! Readings of a battery station and of what hangs on it, its presence, and what follows from a reading: the runtime
//! of the battery, and the words for a person.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::table::table;
use super::{Absent, Device, Power, Quantity, SafeText, Share, Timestamp};

/// Beyond, a number says nothing: the draw changes sooner.
const MAX_RUNTIME: Duration = Duration::from_secs(1_000 * 60 * 60);

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The identity of a station, panel or solarbank.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Station {
    /// The serial number, which never changes: the identity.
    pub serial: SafeText,
    /// The product code, such as `A1790P`.
    pub model: SafeText,
    /// The owner's name for it, else the product's name.
    pub name: SafeText,
}

/// One message of a station.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationReading {
    /// The sender.
    pub station: Station,
    /// The time of measurement: when it was received, by the collector's clock, or what the cloud says.
    pub at: Timestamp,
    /// The way that it came.
    pub source: DataSource,
    /// The interval at which the station was being asked.
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

table! {
    /// The way that a reading came.
    DataSource;
    /// A short, stable label for a database column.
    pub label: &'static str;
    /// A frame of the device, over MQTT.
    Mqtt: "mqtt";
    /// An answer of the cloud's REST interface.
    RestApi: "rest_api";
}

table! {
    /// The interval at which stations are asked.
    #[derive(Default)]
    PollingMode;
    /// A short, stable label for a database column.
    pub label: &'static str;
    /// The normal interval.
    #[default]
    Normal: "normal";
    /// The fast interval, since the battery is low or the grid is gone.
    Fast: "FAST";
}

table! {
    /// Whether the grid is there.
    GridState;
    /// A short, stable label for a database column.
    pub label: &'static str;
    /// It is: power comes from it, or the device says so.
    Present: "present";
    /// It is not: the device says so, or there is output and nothing comes from the grid.
    Absent: "absent";
    /// Nothing tells.
    Unknown: "unknown";
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

/// A station at the end of a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StationStatus {
    /// Its identity.
    pub station: Station,
    /// Whether it is heard of.
    pub presence: Presence,
    /// Its last reading, however old.
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

/// The error that keeps a whole account from being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountTrouble {
    /// A short, stable label: `login_refused`, `login_blocked`, `mqtt_refused`, `unreachable`, …
    pub kind: &'static str,
    /// The error and its remedy, for a person. Foreign text in it is cleaned: it is shown and stored as it is.
    pub message: String,
    /// Whether it lasts until a person does something.
    pub needs_person: bool,
}

/// All that was learnt of an account between two cycles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountReport {
    /// The vendor of the account.
    pub vendor: &'static Vendor,
    /// The readings that came in, oldest first.
    pub readings: Vec<StationReading>,
    /// Every station that the account has, in the order of their serial numbers.
    pub stations: Vec<StationStatus>,
    /// The error that keeps the account from being read, if any does.
    pub trouble: Option<AccountTrouble>,
}

impl Station {
    /// Its name for a person: its own, else its model, else its serial number.
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

    /// The station's name for a person, with its serial number where another one has the same.
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

    /// The readings of this station since the last report, oldest first.
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

/// The time until a battery is empty at the present draw, and the draw that this follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runtime {
    /// The output less the input; above zero.
    pub net_draw: Power,
    /// The time until it is empty, at most a thousand hours.
    pub lasts: Duration,
    /// Whether it lasts longer than that.
    pub is_longer: bool,
}

impl StationReading {
    /// The runtime at the present draw. `None` where that cannot be said: something of it was not measured, the
    /// battery's size is not known, or it does not become emptier.
    pub fn runtime(&self) -> Option<Runtime> {
        let (soc, capacity) = (self.device.soc().ok()?, self.device.capacity().ok()?);
        let (power_input, power_output) = (self.device.power_input().ok()?, self.device.power_output().ok()?);
        let net_draw = power_output.milliwatts().checked_sub(power_input.milliwatts())?;
        let is_possible = (0..=100_000).contains(&soc.millipercent()) && capacity.millijoules() > 0;
        if net_draw <= 0 || !is_possible {
            return None;
        }
        let usable = i128::from(capacity.millijoules()) * i128::from(soc.millipercent()) / 100_000;
        let milliseconds = u64::try_from(usable * 1_000 / i128::from(net_draw)).unwrap_or(u64::MAX);
        let lasts = Duration::from_millis(milliseconds);
        Some(Runtime {
            net_draw: Power::from_milliwatts(net_draw),
            lasts: lasts.min(MAX_RUNTIME),
            is_longer: MAX_RUNTIME < lasts,
        })
    }

    /// One line for a log: `F3800 Plus: SOC 87 % in 640 W out 435 W grid 0 W`. What was not measured is a
    /// word, never a number.
    pub fn summary(&self) -> String {
        format!("{}: {}", self.station.called(), self.values_in_words())
    }

    /// The same without the name, and with the solar power: `SOC 62 % in 0 W out 435 W grid 0 W solar 0 W`.
    pub fn in_words(&self) -> String {
        format!("{} solar {}", self.values_in_words(), watts(self.device.solar_power()))
    }

    fn values_in_words(&self) -> String {
        let battery = &self.device;
        let soc = battery.soc().map_or_else(|absent| absent.reason.word().to_owned(), Share::to_string);
        let [input, output, grid] =
            [battery.power_input(), battery.power_output(), battery.grid_power()].map(watts);
        format!("SOC {soc} in {input} out {output} grid {grid}")
    }
}

impl Runtime {
    /// The runtime in hours.
    pub fn hours(&self) -> f64 {
        self.lasts.as_secs_f64() / HOUR.as_secs_f64()
    }
}

fn watts(power: Result<&Power, &Absent>) -> String {
    match power {
        Ok(power) => format!("{} W", power.milliwatts().saturating_add(500).div_euclid(1_000)),
        Err(absent) => absent.reason.word().to_owned(),
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.lasts.as_secs();
        if self.is_longer {
            write!(f, "more than {} h", seconds / HOUR.as_secs())?;
        } else if self.lasts < HOUR {
            write!(f, "about {} min", (seconds + 30) / 60)?;
        } else {
            let tenths = (seconds + 180) / 360;
            write!(f, "about {}.{} h", tenths / 10, tenths % 10)?;
        }
        f.write_str(" at the present draw")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::reading::{DeviceKind, Energy, Reason};

    fn station(name: &str, serial: &str) -> Station {
        Station { serial: SafeText::new(serial), model: SafeText::new("A1790P"), name: SafeText::new(name) }
    }

    /// 3.84 kWh at 62 %, with 435 W out and nothing in.
    fn discharging() -> Device {
        Device::all_absent(DeviceKind::Battery, &Absent::not_reported())
            .with(Quantity::StateOfCharge, Share::from_millipercent(62_000))
            .with(Quantity::PowerInput, Power::from_watts(0))
            .with(Quantity::PowerOutput, Power::from_watts(435))
            .with(Quantity::GridPower, Power::from_watts(0))
            .with(Quantity::SolarPower, Power::from_watts(0))
            .with(Quantity::Capacity, Energy::from_millijoules(3_840 * 3_600_000))
    }

    fn reading(device: Device) -> StationReading {
        StationReading {
            station: station("F3800 Plus", "9DNBH3D0PLDBLX1Y"),
            at: Timestamp::from_micros(0),
            source: DataSource::Mqtt,
            mode: PollingMode::Normal,
            device,
            grid: GridState::Unknown,
            fields: BTreeMap::new(),
            raw_keys: Vec::new(),
        }
    }

    fn lasting(seconds: u64) -> String {
        let lasts = Duration::from_secs(seconds);
        let runtime = reading(discharging()).runtime().unwrap();
        Runtime { lasts, ..runtime }.to_string()
    }

    #[test]
    fn a_summary_is_one_line_with_a_word_for_what_is_not_there() {
        let told = reading(
            discharging()
                .without(Quantity::GridPower, Absent::not_reported())
                .without(Quantity::StateOfCharge, Absent::new(Reason::Implausible, "255")),
        );
        assert_eq!(told.summary(), "F3800 Plus: SOC implausible in 0 W out 435 W grid not reported");
        assert_eq!(reading(discharging()).in_words(), "SOC 62 % in 0 W out 435 W grid 0 W solar 0 W");
    }

    #[test]
    fn watts_are_whole_and_never_minus_zero() {
        let of = |milliwatts| watts(Ok(&Power::from_milliwatts(milliwatts)));
        assert_eq!([of(-400), of(-600), of(499), of(500)], ["0 W", "-1 W", "0 W", "1 W"]);
    }

    #[test]
    fn a_runtime_is_told_in_minutes_below_an_hour() {
        assert_eq!(lasting(0), "about 0 min at the present draw");
        assert_eq!(lasting(24 * 60 + 31), "about 25 min at the present draw");
        assert_eq!(lasting(3_600), "about 1.0 h at the present draw");
        assert_eq!(lasting(7 * 3_600 + 42 * 60), "about 7.7 h at the present draw");
    }

    #[test]
    fn a_runtime_is_bounded_and_says_so() {
        let idle = discharging().with(Quantity::PowerOutput, Power::from_milliwatts(1));
        let runtime = reading(idle).runtime().unwrap();
        assert_eq!((runtime.lasts, runtime.is_longer), (MAX_RUNTIME, true));
        assert_eq!(runtime.to_string(), "more than 1000 h at the present draw");
    }

    #[test]
    fn a_battery_that_is_charged_or_of_unknown_size_has_no_runtime() {
        let charged = discharging().with(Quantity::PowerInput, Power::from_watts(435));
        let unknown = discharging().without(Quantity::Capacity, Absent::not_reported());
        let silent = discharging().without(Quantity::PowerInput, Absent::not_reported());
        for battery in [charged, unknown, silent] {
            assert_eq!(reading(battery).runtime(), None);
        }
    }

    static VENDOR: Vendor = Vendor { label: "", source: "", up: "", heartbeat: "", figures: &[] };

    #[test]
    fn stations_of_the_same_name_are_told_apart_by_their_serial_numbers() {
        let status = |name, serial| StationStatus {
            station: station(name, serial),
            presence: Presence::Live,
            last: None,
        };
        let mut report = AccountReport {
            stations: vec![status("F3800 Plus", "A"), status("F3800 Plus", "B"), status("Shed", "C")],
            ..AccountReport::new(&VENDOR)
        };
        let names = |report: &AccountReport| -> Vec<String> {
            report.stations.iter().map(|status| report.name_of(&status.station)).collect()
        };
        assert_eq!(names(&report), ["F3800 Plus (A)", "F3800 Plus (B)", "Shed"]);
        report.stations.remove(0);
        assert_eq!(names(&report), ["F3800 Plus", "Shed"]);
    }

    #[test]
    fn a_station_without_a_name_is_called_by_its_model_or_serial_number() {
        let nameless = station("", "A");
        assert_eq!(nameless.called(), "A1790P");
        assert_eq!(Station { model: SafeText::default(), ..nameless }.called(), "A");
    }

    proptest! {
        #[test]
        fn a_runtime_is_only_there_while_the_battery_becomes_emptier(
            soc in any::<i64>(), capacity in any::<i64>(), input in any::<i64>(), output in any::<i64>(),
        ) {
            let battery = discharging()
                .with(Quantity::StateOfCharge, Share::from_millipercent(soc))
                .with(Quantity::Capacity, Energy::from_millijoules(capacity))
                .with(Quantity::PowerInput, Power::from_milliwatts(input))
                .with(Quantity::PowerOutput, Power::from_milliwatts(output));
            if let Some(runtime) = reading(battery).runtime() {
                prop_assert!(input < output && (0..=100_000).contains(&soc) && capacity > 0);
                prop_assert!(runtime.lasts <= MAX_RUNTIME);
            }
        }
    }
}
