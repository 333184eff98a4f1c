//! A home power panel's means of five minutes: with a panel, the only watts that REST gives.

use crate::reading::{Clean, Measured, Power, Share, Timestamp};

/// The last five minutes that `energy_statistics` knows of a site with a panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PanelAverage {
    /// The day and the beginning of these five minutes by the site's clock, as `2026-06-09 21:25`.
    pub slot: Clean,
    /// The end of these five minutes (less five seconds, as the phone app counts), if the site's time zone
    /// is known: [`Cloud::devices`](super::Cloud::devices) learns it.
    pub valid_at: Option<Timestamp>,
    /// The state of charge of the batteries.
    pub soc: Measured<Share>,
    /// Into the batteries. Never negative.
    pub charge_power: Measured<Power>,
    /// Out of the batteries. Never negative.
    pub discharge_power: Measured<Power>,
    /// From solar panels. Never negative.
    pub solar_power: Measured<Power>,
    /// What the home uses. Never negative.
    pub home_power: Measured<Power>,
    /// From the grid; zero is known only where nothing went into the grid on that day, as the cloud has no
    /// power into the grid.
    pub grid_power: Measured<Power>,
}
