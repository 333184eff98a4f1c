//! The site of the account's solarbanks: what the phone app's home page shows of them, and of what stands beside
//! them. In the form of the recorded sites of anker-solix-api (MIT, by thomluther).

use serde_json::{Value, json};

use super::state::StationState;
use super::types::Model;

/// Its identity.
pub const SITE: &str = "cfdb1fbc-d51e-c39f-13b3-597acb1ab7c5";

/// The site in the list of sites.
pub fn site_info(members: &[&StationState]) -> Value {
    let models: Vec<&str> = members.iter().map(|member| member.device.model.code()).collect();
    let listed: Vec<Value> = members
        .iter()
        .map(|member| {
            json!({
                "device_model": member.device.model.code(), "device_sn": member.device.serial,
                "device_name": member.device.alias, "device_img": "", "device_type": 3,
                "status": i32::from(!member.is_silent), "init_status": 0, "create_time": 0,
                "update_time": 0, "feature": null,
            })
        })
        .collect();
    json!({
        "site_id": SITE, "site_name": "A balcony", "site_img": "", "device_type_list": [6, 3], "ms_type": 1,
        "power_site_type": 5, "is_allow_delete": true, "support_device_models": ["A17C1", "A17X7", "A17X8"],
        "current_site_device_models": models, "init_status": 1, "site_device_list": listed,
        "is_site_created_by_installer": false,
    })
}

/// What the home page shows. `updated` is when a device was heard, as the cloud writes it.
pub fn scene(members: &[&StationState], updated: impl Fn(&StationState) -> String) -> Value {
    let of =
        |is_it: fn(Model) -> bool| members.iter().copied().filter(move |member| is_it(member.device.model));
    let solarbanks: Vec<&StationState> = of(Model::is_solarbank).collect();
    let total = |name: &str| solarbanks.iter().map(|bank| shown(bank, name)).sum::<f64>();
    let newest = solarbanks.iter().map(|bank| updated(bank)).max().unwrap_or_default();
    let meters: Vec<&StationState> = of(|model| model == Model::Meter).collect();
    let meter = solarbanks.first().filter(|_| !meters.is_empty());
    let flow = |name: &str| number(meter.and_then(|bank| bank.value(name)).unwrap_or_default());
    json!({
        "home_info": {"home_name": "Home", "home_img": "", "charging_power": "0.00", "power_unit": "W"},
        "solar_list": of(|model| model == Model::Inverter).map(inverter).collect::<Vec<_>>(),
        "pps_info": {"pps_list": [], "total_charging_power": "0.00", "power_unit": "W",
                     "total_battery_power": "0.00", "updated_time": "", "pps_status": 0},
        "statistics": [{"type": "1", "total": "77.23", "unit": "kWh"}, {"type": "2", "total": "77.00", "unit": "kg"},
                       {"type": "3", "total": "23.17", "unit": "€"}],
        "topology_type": "1",
        "solarbank_info": {
            "solarbank_list": solarbanks.iter().map(|bank| solarbank(bank)).collect::<Vec<_>>(),
            "total_charging_power": "0", "power_unit": "W", "charging_status": "0",
            "total_battery_power": format!("{:.2}", total("battery_soc") / 100.0 / solarbanks.len().max(1) as f64),
            "updated_time": newest, "total_photovoltaic_power": number(total("photovoltaic_power")),
            "total_output_power": format!("{:.2}", total("output_power")), "display_set_power": false,
            "battery_discharge_power": "0", "ac_power": "0", "to_home_load": number(total("output_power")),
            "is_display_data": true, "solar_power_1": "0", "solar_power_2": "0", "solar_power_3": "0",
            "solar_power_4": "0", "other_input_power": "0", "micro_inverter_power": "0",
            "grid_to_battery_power": "0", "pei_heating_power": "0",
        },
        "retain_load": "200W", "scene_mode": 0, "home_load_power": flow("home_demand"),
        "updated_time": "01-01-0001 00:00:00", "power_site_type": 5, "site_id": SITE, "powerpanel_list": [],
        "grid_info": {
            "grid_list": meters.iter().map(|meter| beside(meter)).collect::<Vec<_>>(),
            "photovoltaic_to_grid_power": flow("pv_to_grid_power"),
            "grid_to_home_power": flow("grid_to_home_power"), "grid_status": 0, "has_history_data": true,
        },
        "smart_plug_info": {
            "smartplug_list": of(|model| model == Model::Plug).map(beside).collect::<Vec<_>>(),
            "total_power": "0",
        },
        "is_downgrade": false, "error_code": 0, "feature_switch": null, "other_loads_power": "0",
        "third_party_pv": "0",
    })
}

fn solarbank(bank: &StationState) -> Value {
    json!({
        "device_pn": bank.device.model.code(), "device_sn": bank.device.serial,
        "device_name": bank.device.alias, "device_img": "",
        "battery_power": number(shown(bank, "battery_soc")), "bind_site_status": "", "charging_power": "0",
        "power_unit": "W", "charging_status": "0", "status": status(bank), "wireless_type": "1",
        "main_version": "", "photovoltaic_power": number(shown(bank, "photovoltaic_power")),
        "output_power": number(shown(bank, "output_power")), "create_time": 1_718_909_497,
        "set_load_power": "", "sub_package_num": bank.n_packs, "output_cutoff_data": 10,
        "is_display": bank.is_displayed,
    })
}

fn inverter(inverter: &StationState) -> Value {
    json!({
        "device_sn": inverter.device.serial, "device_name": inverter.device.alias, "device_img": "",
        "bind_site_status": "", "generate_power": "0.00", "power_unit": "W", "status": "1",
        "wireless_type": "2", "device_pn": inverter.device.model.code(), "main_version": "",
    })
}

fn beside(device: &StationState) -> Value {
    json!({
        "device_pn": device.device.model.code(), "device_sn": device.device.serial,
        "device_name": device.device.alias, "device_img": "", "create_time": 1_719_137_035,
        "status": status(device), "bind_site_status": "", "wireless_type": "",
    })
}

fn status(device: &StationState) -> &'static str {
    if device.is_silent { "0" } else { "1" }
}

/// A value, or the zero that the cloud has in its place where the app is told not to show it.
fn shown(bank: &StationState, name: &str) -> f64 {
    bank.value(name).filter(|_| bank.is_displayed).unwrap_or_default()
}

fn number(value: f64) -> String {
    format!("{value:.0}")
}
