//! The account's devices, as `get_relate_and_bind_devices` lists them. That list has no watts.

use crate::reading::{Clean, Station};
use crate::solix::Hidden;

/// One device of the account, or one that somebody shares with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundDevice {
    /// The serial number.
    pub serial: Clean,
    /// The product code, such as `A1790P`; part of the MQTT topics. Empty where the cloud gives none.
    pub model: Clean,
    /// What its owner calls it, else the name of the device, else the product code.
    pub name: Clean,
    /// Whether the cloud has a connection to it. A panel's stations are not connected themselves.
    pub wifi_online: Option<bool>,
    /// Whether it belongs to this account; else it is shared with it.
    pub is_own: bool,
    /// Whose it is: the account of MQTT commands to a shared device.
    pub owner_user_id: Option<Hidden>,
    /// The firmware, without a leading `v`.
    pub software: Option<Clean>,
    /// How well it receives its Wi-Fi, in dBm. A panel gives a percentage in this field, which is left out.
    pub rssi_dbm: Option<i32>,
    /// Where it is, as a POSIX `TZ` string such as `EST5EDT,M3.2.0,M11.1.0`.
    pub time_zone: Option<Clean>,
}

/// What `get_device_attrs` gives of a device. The power limits that it also lists are placeholders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceAttributes {
    /// How well it receives its Wi-Fi, in dBm.
    pub rssi_dbm: Option<i32>,
    /// The names of all attributes in the answer, for discovery.
    pub names: Vec<String>,
}

impl BoundDevice {
    /// The device as readings name it.
    pub fn station(&self) -> Station {
        Station { serial: self.serial.clone(), model: self.model.clone(), name: self.name.clone() }
    }
}
