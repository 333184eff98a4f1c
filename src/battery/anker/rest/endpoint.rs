//! The endpoints that are asked.

/// One endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Endpoint {
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

    /// The last part of the path, for a person.
    pub(super) fn name(self) -> &'static str {
        self.path().rsplit('/').next().unwrap_or_default()
    }

    /// Whether we can do without it for a day. The others are never remembered as missing: one strange answer
    /// would otherwise hide all stations until tomorrow.
    pub(super) const fn is_optional(self) -> bool {
        match self {
            Self::Login | Self::Devices | Self::Sites | Self::MqttCredentials => false,
            Self::Scene | Self::DeviceAttributes | Self::PanelEnergy | Self::PanelRunning => true,
        }
    }
}
