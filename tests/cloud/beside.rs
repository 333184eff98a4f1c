//! What nobody needs for a reading, and what anker-solix-api (MIT, by thomluther) asks for nevertheless in every
//! update of its caches. The answers are such as an account has that set nothing.

use serde_json::{Value, json};

use super::state::StationState;

/// Asked for by GET.
pub const BY_GET: [&str; 3] = [
    "power_service/v1/get_message_unread",
    "power_service/v1/product_categories",
    "power_service/v1/product_accessories",
];

/// The endpoints, with the keys that their bodies must have at least.
pub const ENDPOINTS: &[(&str, &[&str])] = &[
    (BY_GET[0], &[]),
    (BY_GET[1], &[]),
    (BY_GET[2], &[]),
    ("power_service/v1/currency/get_list", &[]),
    ("power_service/v1/app/get_auto_upgrade", &[]),
    ("power_service/v1/app/get_brand_list", &[]),
    ("power_service/v1/app/vehicle/get_vehicle_list", &[]),
    ("app/ota/batch/check_update", &["device_list"]),
    ("power_service/v1/site/get_wifi_info_list", &["site_id"]),
    ("power_service/v1/site/get_site_price", &["site_id"]),
    ("power_service/v1/site/get_power_limit", &["site_id"]),
    ("power_service/v1/site/co2_ranking", &["site_id"]),
    ("power_service/v1/site/get_site_device_param", &["site_id", "param_type"]),
    ("power_service/v1/site/energy_analysis", &["site_id", "device_type", "type", "start_time", "end_time"]),
    ("power_service/v1/app/compatible/get_power_cutoff", &["site_id", "device_sn"]),
    ("power_service/v1/app/compatible/get_compatible_solar_info", &["solarbank_sn"]),
    ("power_service/v1/app/device/get_device_home_load", &["site_id", "device_sn"]),
    ("power_service/v1/app/get_relate_device_fittings", &["site_id", "device_sn"]),
    ("charging_energy_service/get_utility_rate_plan", &["siteId", "sn"]),
    ("charging_energy_service/get_wifi_info", &["sn"]),
    ("charging_energy_service/get_error_infos", &[]),
    ("charging_energy_service/get_configs", &["siteId", "sn"]),
    ("charging_energy_service/get_installation_inspection", &["siteId", "sn"]),
    ("charging_disaster_prepared/get_site_device_disaster", &["identifier_id", "type"]),
    ("charging_disaster_prepared/get_site_device_disaster_status", &["identifier_id", "type"]),
    ("charging_disaster_prepared/get_support_func", &["identifier_id", "type"]),
];

/// The answer of one of them, if it is one; an error names what is wrong with the body.
pub fn answer<'a>(
    name: &str,
    body: &Value,
    stations: impl Iterator<Item = &'a StationState>,
) -> Option<Result<Value, (i64, String)>> {
    let (_, keys) = ENDPOINTS.iter().find(|(path, _)| path.rsplit('/').next() == Some(name))?;
    if let Some(missing) = keys.iter().find(|key| body.get(**key).is_none()) {
        return Some(Err((10003, format!("the body has no {missing}"))));
    }
    let devices: Vec<&StationState> = stations.collect();
    let site = &body["site_id"];
    Some(Ok(match name {
        "get_message_unread" => json!({"has_unread_msg": false, "system_msg": false, "device_msg": false}),
        "product_categories" | "product_accessories" => json!([]),
        "get_list" => json!({
            "currency_list": [{"symbol": "€", "name": "EUR"}, {"symbol": "$", "name": "USD"}],
            "default_currency": {"symbol": "$", "name": "USD"},
        }),
        "get_auto_upgrade" => json!({
            "main_switch": false,
            "device_list": devices.iter().map(|it| json!({"device_sn": it.device.serial,
                "device_name": it.device.model.name(), "alias_name": it.device.alias, "auto_upgrade": false,
                "icon": ""})).collect::<Vec<_>>(),
        }),
        "get_brand_list" => json!({"brand_list": []}),
        "get_vehicle_list" => json!({"vehicle_list": []}),
        "check_update" => json!({
            "update_infos": devices.iter().map(|it| json!({"device_sn": it.device.serial, "need_update": false,
                "upgrade_type": 0, "lastPackage": {"product_code": "", "product_component": "", "version": "",
                "is_forced": false, "md5": "", "url": "", "size": 0}, "change_log": "",
                "current_version": "v2.6.5", "children": null})).collect::<Vec<_>>(),
        }),
        "get_wifi_info_list" => json!({"wifi_info_list": [{"wifi_name": "simulated", "wifi_signal": "48"}]}),
        "get_site_price" => json!({"site_id": site, "price": 0.4, "site_co2": 0, "site_price_unit": "$",
            "price_type": "fixed", "current_mode": 0, "use_time": null, "dynamic_price": null,
            "time_price_info": null, "accuracy": 2}),
        "get_power_limit" => json!({"site_id": site, "power_unit": "W", "legal_power_limit": 800,
            "device_info": [], "current_power": 0, "all_power_limit": 0, "ae100_info": null}),
        "co2_ranking" => json!({"show": false, "co2": "", "tree": "", "content": "", "level": ""}),
        "get_site_device_param" => json!({"param_data": "{}"}),
        "energy_analysis" => {
            json!({"power": [], "charge_trend": null, "charge_level": [], "power_unit": "wh",
            "charge_total": "0.00", "charge_unit": "kwh", "discharge_total": "0.00", "discharge_unit": "kwh",
            "charging_pre": "0", "electricity_pre": "0", "others_pre": "0", "statistics": []})
        }
        "get_power_cutoff" => json!({"power_cutoff_data": [{"id": 1, "is_selected": 1,
            "output_cutoff_data": 10, "lowpower_input_data": 5, "input_cutoff_data": 10}]}),
        "get_compatible_solar_info" => json!({"brand_id": "", "solar_brand": "", "solar_model": "",
            "solar_sn": "", "solar_model_name": ""}),
        "get_device_home_load" => json!({"site_id": site, "home_load_data": "{}", "current_home_load": "0W",
            "parallel_home_load": "", "parallel_display": false}),
        "get_relate_device_fittings" => json!({"data": []}),
        "get_wifi_info" => json!({"ssid": "simulated", "rssi": 100}),
        "get_error_infos" => json!({"infos": []}),
        "get_configs" => json!({"configs": []}),
        // Rate plan, inspection, backup plan: an account that set none has none.
        _ => Value::Null,
    }))
}
