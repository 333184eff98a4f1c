//! The sections that hold for the whole fleet, while they are read.

use std::time::Duration;

use super::location::Location;
use super::model::{
    AlertSettings, CycleSettings, EnergySettings, MqttSettings, PrometheusSettings, StationAccount,
    StoreSettings,
};

/// `[cycle]`, `[store]`, `[alerts]`, the section of the account and those of energy, each with its defaults until it
/// is read.
#[derive(Debug, Default)]
pub(super) struct Sections {
    pub(super) cycle: Cycle,
    pub(super) store: StoreSettings,
    pub(super) alerts: AlertSettings,
    pub(super) account: StationAccount,
    /// Whether there is an account of stations, and whether it is enabled.
    pub(super) stations: Stations,
    pub(super) energy: EnergySettings,
    pub(super) prometheus: PrometheusSettings,
    pub(super) mqtt: MqttSettings,
}

/// `[cycle]` as read.
#[derive(Debug)]
pub(super) struct Cycle {
    pub(super) settings: CycleSettings,
    /// The interval that timeouts are compared with; `None` if its value cannot be read.
    pub(super) interval: Option<Duration>,
    /// Where the interval is written, if it is.
    pub(super) interval_location: Option<Location>,
}

impl Default for Cycle {
    fn default() -> Self {
        let settings = CycleSettings::default();
        Self { interval: Some(settings.interval), settings, interval_location: None }
    }
}

/// Whether there are stations to watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stations {
    /// Their account is there and enabled.
    Watched,
    /// It is there, but not enabled: alert rules about stations are checked and not used.
    SwitchedOff,
    /// There is no account.
    #[default]
    Missing,
}
