//! The account's devices, as `get_relate_and_bind_devices` lists them. That list has no watts.

use serde_json::Value;

use super::json;
use crate::reading::{SafeText, Station};
use crate::support::secret::Secret;

/// One device of the account, or one that somebody shares with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundDevice {
    /// The serial number.
    pub serial: SafeText,
    /// The product code, such as `A1790P`; part of the MQTT topics. Empty where the cloud gives none.
    pub model: SafeText,
    /// The owner's name for it, else the name of the device, else the product code.
    pub name: SafeText,
    /// Whether the cloud has a connection to it. A panel's stations have none of their own.
    pub wifi_online: Option<bool>,
    /// Whether it belongs to this account; else it is shared with it.
    pub is_own: bool,
    /// Whose it is: the account of MQTT commands to a shared device.
    pub owner_user_id: Option<Secret>,
    /// The firmware, without a leading `v`.
    pub software: Option<SafeText>,
    /// The signal of its Wi-Fi, in dBm. A panel has a percentage in this field, which is left out.
    pub rssi_dbm: Option<i32>,
    /// Where it is, as a POSIX `TZ` string such as `EST5EDT,M3.2.0,M11.1.0`.
    pub time_zone: Option<SafeText>,
}

impl BoundDevice {
    /// The device as readings name it.
    pub fn station(&self) -> Station {
        Station { serial: self.serial.clone(), model: self.model.clone(), name: self.name.clone() }
    }
}

/// The devices in an answer, each with all of its fields. What has no serial number is none.
pub(super) fn parse(data: &Value) -> impl Iterator<Item = (BoundDevice, &Value)> {
    json::list(data, "data").iter().filter_map(|fields| Some((device(fields)?, fields)))
}

fn device(fields: &Value) -> Option<BoundDevice> {
    let serial = json::clean(fields, "device_sn")?;
    let model = json::clean(fields, "product_code").or_else(|| json::clean(fields, "device_pn"));
    let model = model.unwrap_or_default();
    let names = ["alias_name", "device_name"].into_iter().find_map(|key| json::clean(fields, key));
    let name = names.or_else(|| Some(model.clone()).filter(|model| !model.is_empty()));
    Some(BoundDevice {
        name: name.unwrap_or_else(|| serial.clone()),
        serial,
        model,
        wifi_online: json::switch(fields, "wifi_online"),
        // 0 and 1 are own; nothing is taken for own, since members see no list at all.
        is_own: json::integer(fields, "ms_device_type").is_none_or(|kind| matches!(kind, 0 | 1)),
        owner_user_id: json::text(fields, "owner_user_id").map(Secret::new),
        software: json::text(fields, "device_sw_version")
            .map(|text| SafeText::new(text.trim_start_matches('v'))),
        rssi_dbm: rssi(fields),
        time_zone: json::clean(fields, "time_zone"),
    })
}

fn rssi(fields: &Value) -> Option<i32> {
    let dbm = json::integer(fields, "rssi").and_then(|dbm| i32::try_from(dbm).ok());
    dbm.filter(|dbm| (-120..0).contains(dbm))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(fields: Value) -> BoundDevice {
        parse(&json!({"data": [fields]})).next().unwrap().0
    }

    #[test]
    fn the_recorded_list_of_a_panel_and_two_stations_is_read() {
        let answer = include_str!("../../../../fixtures/solix/rest/bind_devices.json");
        let answer: Value = serde_json::from_str(answer).unwrap();
        let devices: Vec<BoundDevice> = parse(&answer["data"]).map(|(device, _)| device).collect();
        assert_eq!(devices.len(), 3);
        let station = &devices[1];
        assert_eq!(station.serial.as_str(), "9DNBH3D0PLDBLX1Y");
        assert_eq!((station.model.as_str(), station.name.as_str()), ("A1790", "SOLIX F3800 2"));
        assert_eq!((station.wifi_online, station.is_own, station.rssi_dbm), (Some(false), true, Some(-54)));
        assert_eq!(station.software.as_ref().unwrap().as_str(), "2.6.5");
        assert_eq!(station.time_zone.as_ref().unwrap().as_str(), "EST5EDT,M3.2.0,M11.1.0");
        assert_eq!((devices[0].wifi_online, devices[0].rssi_dbm), (Some(true), None));
    }

    #[test]
    fn a_name_is_the_owners_else_the_devices_else_the_models_else_the_serial_number() {
        let name = |fields| one(fields).name.as_str().to_owned();
        assert_eq!(name(json!({"device_sn": "s", "alias_name": "", "device_name": "d"})), "d");
        assert_eq!(name(json!({"device_sn": "s", "product_code": "A1790P"})), "A1790P");
        assert_eq!(name(json!({"device_sn": "s"})), "s");
    }

    #[test]
    fn what_is_not_said_is_not_known() {
        let device = one(json!({"device_sn": "s", "wifi_online": null, "rssi": "", "device_sw_version": ""}));
        assert_eq!((device.wifi_online, device.rssi_dbm, device.software), (None, None, None));
    }

    #[test]
    fn a_percentage_is_no_dbm() {
        assert_eq!(one(json!({"device_sn": "s", "rssi": "100"})).rssi_dbm, None);
        assert_eq!(one(json!({"device_sn": "s", "rssi": -57})).rssi_dbm, Some(-57));
    }

    #[test]
    fn another_type_than_0_or_1_is_shared() {
        assert!(one(json!({"device_sn": "s", "ms_device_type": 0})).is_own);
        assert!(!one(json!({"device_sn": "s", "ms_device_type": "2"})).is_own);
    }

    #[test]
    fn what_is_no_list_has_no_devices() {
        for data in
            [json!(null), json!({"data": null}), json!({"data": {}}), json!({"data": [1, {}]}), json!([])]
        {
            assert_eq!(parse(&data).count(), 0, "{data}");
        }
    }
}
