//! Sites ("systems") of the account, and what the phone app's home page shows of one.

use serde_json::Value;

use super::json;
use crate::reading::{Absent, Measured, Power, SafeText, Share, Station};

/// The product code of the home power panel.
pub(super) const PANEL_MODEL: &str = "A17B1";

/// The site type of a home power panel.
const PANEL_SITE: i64 = 4;

/// One site. Stations that stand alone belong to none, and those of a panel neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its identity in other calls.
    pub id: String,
    /// The owner's name for it.
    pub name: SafeText,
    /// `power_site_type`: 4 is a power panel; 2, 5, 10 to 12 and 18 to 20 are solarbanks.
    pub kind: Option<i64>,
    /// The devices that it lists.
    pub devices: Vec<Station>,
}

/// A site as `get_scen_info` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// Whether its numbers are to be shown; the cloud marks old ones (`is_display_data`).
    pub is_fresh: bool,
    /// When its solarbanks were heard last, as the cloud writes it: without a time zone. `None` where it says
    /// nothing.
    pub updated_time: Option<SafeText>,
    /// From the grid by the site's meter, negative into the grid; absent without a meter that is connected.
    pub grid_power: Measured<Power>,
    /// The power of the home by that meter.
    pub home_load_power: Measured<Power>,
    /// From the grid into its batteries.
    pub grid_to_battery_power: Measured<Power>,
    /// Its devices with what is known of each.
    pub devices: Vec<SceneDevice>,
}

impl Default for Scene {
    /// A scene that says nothing.
    fn default() -> Self {
        parse_scene(&Value::Null)
    }
}

/// One device of a scene. For a panel only `online` is real: its zeros are placeholders and are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SceneDevice {
    /// Its identity.
    pub station: Station,
    /// Its part in the site.
    pub role: Role,
    /// Whether the cloud has a connection to it.
    pub online: Option<bool>,
    /// The number of its expansion packs.
    pub n_packs: Option<u8>,
    /// The names of its fields.
    pub keys: Vec<String>,
    /// The state of charge.
    pub soc: Measured<Share>,
    /// From its solar panels.
    pub solar_power: Measured<Power>,
    /// To loads.
    pub output_power: Measured<Power>,
}

/// The part of a device in a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A home power panel.
    Panel,
    /// A solarbank.
    Solarbank,
    /// A station that is part of a solarbank system, such as an F3000.
    SolarbankStation,
}

impl Site {
    /// Its home power panel, if it has one.
    pub fn panel(&self) -> Option<&Station> {
        self.devices.iter().find(|device| device.model.as_str() == PANEL_MODEL)
    }

    /// Whether [`Cloud::panel_average`](super::Cloud::panel_average) has something to ask for.
    pub fn has_panel(&self) -> bool {
        self.kind == Some(PANEL_SITE) || self.panel().is_some()
    }
}

/// The sites in an answer, each with all of its fields.
pub(super) fn parse_list(data: &Value) -> impl Iterator<Item = (Site, &Value)> {
    json::list(data, "site_list").iter().filter_map(|fields| Some((site(fields)?, fields)))
}

fn site(fields: &Value) -> Option<Site> {
    let id = json::text(fields, "site_id")?;
    let devices = json::list(fields, "site_device_list").iter();
    Some(Site {
        name: json::clean(fields, "site_name").unwrap_or_else(|| SafeText::new(&id)),
        id,
        kind: json::integer(fields, "power_site_type"),
        devices: devices.filter_map(|device| station(device, "device_model")).collect(),
    })
}

fn station(fields: &Value, model_key: &str) -> Option<Station> {
    let serial = json::clean(fields, "device_sn")?;
    let model = json::clean(fields, model_key).unwrap_or_default();
    let name = json::clean(fields, "device_name").unwrap_or_else(|| serial.clone());
    Some(Station { serial, model, name })
}

/// Reads a scene, with the fields that anker-solix-api 3.8.0 knows.
pub(super) fn parse_scene(data: &Value) -> Scene {
    let solarbanks = data.get("solarbank_info").unwrap_or(&Value::Null);
    let stations = data.get("solarbank_pps_info").unwrap_or(&Value::Null);
    let of = |list, role, group| {
        let unit = json::text(group, "power_unit");
        json::list(group, list).iter().filter_map(move |fields| scene_device(fields, role, unit.as_deref()))
    };
    let panels = of("powerpanel_list", Role::Panel, data);
    let solarbanks_in = of("solarbank_list", Role::Solarbank, solarbanks);
    let stations_in = of("pps_list", Role::SolarbankStation, stations);
    let devices: Vec<SceneDevice> = panels.chain(solarbanks_in).chain(stations_in).collect();
    let has_stations = devices.iter().any(|device| device.role == Role::SolarbankStation);
    let (group, key) = if has_stations {
        (stations, "total_grid_to_battery")
    } else {
        (solarbanks, "grid_to_battery_power")
    };
    let meter = meter(data);
    Scene {
        is_fresh: json::switch(solarbanks, "is_display_data").unwrap_or(true),
        updated_time: json::clean(solarbanks, "updated_time"),
        grid_power: meter.map_or_else(not_reported, metered),
        home_load_power: meter.map_or_else(not_reported, |_| in_watts(data, "home_load_power")),
        grid_to_battery_power: in_watts(group, key),
        devices,
    }
}

fn not_reported<T>() -> Measured<T> {
    Err(Absent::not_reported())
}

/// The site's meter, if it has one that is connected: without it, the numbers are placeholders.
fn meter(data: &Value) -> Option<&Value> {
    let info = data.get("grid_info")?;
    let is_there = |meter: &Value| json::switch(meter, "status") == Some(true);
    json::list(info, "grid_list").iter().any(is_there).then_some(info)
}

/// From the grid, less what goes into it.
fn metered(info: &Value) -> Measured<Power> {
    let (from, into) = (in_watts(info, "grid_to_home_power")?, in_watts(info, "photovoltaic_to_grid_power")?);
    Ok(Power::from_milliwatts(from.milliwatts() - into.milliwatts()))
}

/// A power whose unit is W unless another one stands beside it.
fn in_watts(object: &Value, key: &str) -> Measured<Power> {
    let unit = json::text(object, "power_unit");
    json::power(object, key, Some(unit.as_deref().unwrap_or("W")))
}

/// `unit` is that of the group, for devices that name none of their own.
fn scene_device(fields: &Value, role: Role, unit: Option<&str>) -> Option<SceneDevice> {
    let own_unit = json::text(fields, "power_unit");
    let unit = own_unit.as_deref().or(unit);
    let power = |key| json::power(fields, key, unit);
    let absent = || (Err(Absent::not_reported()), Err(Absent::not_reported()), Err(Absent::not_reported()));
    // Numbers that the app is told not to show are placeholders.
    let is_shown = json::switch(fields, "is_display").unwrap_or(true);
    let (soc, solar_power, output_power) = match role {
        Role::Panel => absent(),
        Role::Solarbank | Role::SolarbankStation if !is_shown => absent(),
        // `battery_power` is a percentage, whatever its name says.
        Role::Solarbank => {
            (json::percent(fields, "battery_power"), power("photovoltaic_power"), power("output_power"))
        }
        Role::SolarbankStation => {
            (json::percent(fields, "battery_power"), power("pv_power"), power("home_load_power"))
        }
    };
    let online = json::switch(fields, "status");
    let n_packs = json::integer(fields, "sub_package_num").and_then(|packs| u8::try_from(packs).ok());
    let station = station(fields, "device_pn")?;
    let keys = json::keys(fields);
    Some(SceneDevice { station, role, online, n_packs, keys, soc, solar_power, output_power })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn recorded(text: &str) -> Value {
        serde_json::from_str::<Value>(text).unwrap()["data"].take()
    }

    #[test]
    fn the_recorded_site_of_a_panel_is_read() {
        let data = recorded(include_str!("../../../../fixtures/solix/rest/site_list.json"));
        let sites: Vec<Site> = parse_list(&data).map(|(site, _)| site).collect();
        assert_eq!(sites.len(), 1);
        assert_eq!(sites[0].id, "492cbe8c-e2a9-b6c4-c7ee-45b3ef4260e0");
        assert!(sites[0].has_panel());
        assert_eq!(sites[0].panel().unwrap().serial.as_str(), "UUBABYAH2ONIAPD4");
    }

    #[test]
    fn the_zeros_of_a_panels_recorded_scene_are_no_readings() {
        let data = recorded(include_str!("../../../../fixtures/solix/rest/scene_panel.json"));
        let scene = parse_scene(&data);
        assert_eq!(scene.devices.len(), 1);
        let panel = &scene.devices[0];
        assert_eq!((panel.role, panel.online), (Role::Panel, Some(true)));
        assert!(panel.soc.is_err() && panel.solar_power.is_err() && panel.output_power.is_err());
    }

    /// A solarbank as anker-solix-api describes it.
    fn solarbank(is_fresh: Value) -> Scene {
        parse_scene(&json!({"solarbank_info": {
            "power_unit": "W", "total_battery_power": "0.69", "is_display_data": is_fresh,
            "solarbank_list": [{
                "device_sn": "CUTUTT17MUSXAJ4R", "device_pn": "A17C0", "device_name": "Solarbank E1600",
                "status": "1", "battery_power": "69", "photovoltaic_power": "0", "output_power": "",
            }],
        }}))
    }

    #[test]
    fn a_solarbanks_battery_power_is_its_state_of_charge() {
        let scene = solarbank(json!(true));
        let solarbank = &scene.devices[0];
        assert!(scene.is_fresh);
        assert_eq!(solarbank.soc, Ok(Share::from_millipercent(69_000)));
        assert_eq!(solarbank.solar_power, Ok(Power::from_watts(0)));
        assert_eq!(solarbank.output_power, Err(Absent::not_reported()));
    }

    #[test]
    fn zeros_that_the_app_is_told_not_to_show_are_no_readings() {
        let data = recorded(include_str!("../../../../fixtures/solix/rest/scene_undisplayed.json"));
        let scene = parse_scene(&data);
        let solarbank = &scene.devices[0];
        assert!(scene.is_fresh);
        assert!(solarbank.soc.is_err() && solarbank.solar_power.is_err() && solarbank.output_power.is_err());
        assert_eq!(solarbank.n_packs, Some(0));
    }

    fn with_meter(meters: Value) -> Scene {
        parse_scene(&json!({
            "grid_info": {"grid_list": meters, "grid_to_home_power": "212", "photovoltaic_to_grid_power": "8"},
            "home_load_power": "300", "solarbank_info": {"grid_to_battery_power": "40", "power_unit": "W"},
        }))
    }

    #[test]
    fn a_meter_that_is_connected_says_what_the_grid_gives() {
        let scene = with_meter(json!([{"device_sn": "m", "status": "1"}]));
        assert_eq!(scene.grid_power, Ok(Power::from_watts(204)));
        assert_eq!(scene.home_load_power, Ok(Power::from_watts(300)));
        assert_eq!(scene.grid_to_battery_power, Ok(Power::from_watts(40)));
    }

    #[test]
    fn without_a_meter_that_is_connected_its_numbers_are_placeholders() {
        for meters in [json!(null), json!([]), json!([{"device_sn": "m", "status": "0"}])] {
            let scene = with_meter(meters);
            assert!(scene.grid_power.is_err() && scene.home_load_power.is_err());
        }
    }

    #[test]
    fn what_the_cloud_calls_old_is_not_fresh() {
        assert!(!solarbank(json!(false)).is_fresh);
        assert!(solarbank(json!(null)).is_fresh);
    }
}
