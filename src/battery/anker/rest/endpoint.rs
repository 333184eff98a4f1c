//! The endpoints that are asked.

use std::fmt;

/// One endpoint. It is shown as the last part of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    Login,
    Devices,
    Sites,
    Scene,
    DeviceAttributes,
    MqttCredentials,
    PanelEnergy,
    PanelRunning,
}

impl Endpoint {
    /// Below the base URL.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Login => "/passport/login",
            Self::Devices => "/power_service/v1/app/get_relate_and_bind_devices",
            Self::Sites => "/power_service/v1/site/get_site_list",
            // As the vendor spells it.
            Self::Scene => "/power_service/v1/site/get_scen_info",
            Self::DeviceAttributes => "/power_service/v1/app/device/get_device_attrs",
            Self::MqttCredentials => "/app/devicemanage/get_user_mqtt_info",
            Self::PanelEnergy => "/charging_energy_service/energy_statistics",
            Self::PanelRunning => "/charging_energy_service/get_system_running_info",
        }
    }

    /// Whether we can do without it for a day. The others are never remembered as missing: one strange answer
    /// would otherwise hide all stations until tomorrow.
    pub(super) const fn is_optional(self) -> bool {
        matches!(self, Self::Scene | Self::DeviceAttributes | Self::PanelEnergy | Self::PanelRunning)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path().rsplit('/').next().unwrap_or_default())
    }
}
