//! Sites ("systems") of the account, and what the phone app's home page shows of one.

use crate::reading::{Clean, Measured, Power, Share, Station};

/// One site. Stations that stand alone belong to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its identity in other calls.
    pub id: String,
    /// What its owner calls it.
    pub name: Clean,
    /// `power_site_type`: 4 is a power panel, 2, 5, 10 to 12 and 18 to 20 are solarbanks.
    pub kind: Option<i64>,
    /// The product codes of its devices.
    pub models: Vec<Clean>,
    /// Whether it belongs to this account; else it is shared with it.
    pub is_own: bool,
}

/// What `get_scen_info` says of a site.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scene {
    /// Whether its numbers are of now; the cloud marks old ones (`is_display_data`).
    pub is_fresh: bool,
    /// Its devices with what is known of each.
    pub devices: Vec<SceneDevice>,
}

/// One device of a scene. For a panel only `online` is real: its zeros are placeholders and are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SceneDevice {
    /// Who it is.
    pub station: Station,
    /// What it is.
    pub role: Role,
    /// Whether the cloud has a connection to it.
    pub online: Option<bool>,
    /// The state of charge.
    pub soc: Measured<Share>,
    /// From its solar panels.
    pub solar_power: Measured<Power>,
    /// To loads.
    pub output_power: Measured<Power>,
}

/// What a device of a scene is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A home power panel.
    Panel,
    /// A solarbank.
    Solarbank,
    /// A station that is part of a solarbank system.
    SolarbankStation,
}

/// What `get_system_running_info` says of a panel's site: totals of its life, no power.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PanelRunning {
    /// Whether the cloud has a connection to the panel.
    pub connected: Option<bool>,
    /// All that its solar panels have given, in watt-hours.
    pub generated_wh: Option<i64>,
}

impl Site {
    /// Whether a home power panel is part of it, so that [`Cloud::panel_average`](super::Cloud::panel_average)
    /// has something to ask for.
    pub fn has_panel(&self) -> bool {
        self.kind == Some(4) || self.models.iter().any(|model| model.as_str() == PANEL_MODEL)
    }
}

/// The product code of the home power panel.
pub(super) const PANEL_MODEL: &str = "A17B1";
