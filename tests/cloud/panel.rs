//! The Home Power Panel: its JSON, the frames of the stations behind it, and its five-minute means.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::frame::text_frame;

/// What a panel can be told, with what it says if nothing was.
/// Watts; signed ones are positive into the house and out of the battery.
const VALUES: &[(&str, &str, f64)] = &[
    ("battery_soc", "soc", 62.0),
    ("photovoltaic_power", "pp", 120.0),
    ("grid_power_signed", "gp", 3705.0),
    ("ac_output_power", "lp", 1529.0),
    ("bat_charge_power", "bcp", 2296.0),
    ("bat_discharge_power", "bdcp", 0.0),
    ("grid_status", "gs", 0.0),
    ("battery_status", "bs", 2.0),
    ("backup_soc", "cp", 20.0),
    ("battery_1_temperature", "b1t", 27.0),
];

/// The messages with what the panel itself knows.
pub const OWN_MESSAGES: [u16; 4] = [0x0500, 0x0502, 0x0503, 0x0505];
/// The message with the frames of the stations behind it.
pub const EMBEDDED: u16 = 0x0601;

/// Names that the wire has with the other sign.
const FLIPPED: &str = "bat_charge_power";

/// Whether a panel has a value of this name.
pub fn knows(name: &str) -> bool {
    VALUES.iter().any(|(known, ..)| *known == name)
}

/// What a value is.
pub fn value(name: &str, values: &BTreeMap<String, f64>) -> Option<f64> {
    let (_, _, default) = VALUES.iter().find(|(known, ..)| *known == name)?;
    Some(values.get(name).copied().unwrap_or(*default))
}

/// A station behind the panel.
#[derive(Debug)]
pub struct Member {
    pub serial: String,
    pub code: &'static str,
    pub soc: f64,
    /// Its last frame of telemetry.
    pub frame: Vec<u8>,
}

/// One of [`OWN_MESSAGES`].
pub fn own_frame(
    message: u16,
    serial: &str,
    values: &BTreeMap<String, f64>,
    members: &[Member],
    localtime: &str,
) -> Vec<u8> {
    let mut all = json!({
        "sn": serial, "wf": "simulated", "mv": "v1.6.3", "mcp": 8000, "ws": 1, "m": 2, "ps": 1,
        "90s": members.len(), "dps": 0, "dpct": 0, "mpp": 0,
        "pe": 6293, "fge": 89220, "tge": 3, "le": 104_452, "bdce": 2853, "bdde": 11_794,
        "pae": 3_045_970, "bac": 12_286_143, "bad": 8_033_557,
    });
    for (name, key, default) in VALUES {
        let value = values.get(*name).copied().unwrap_or(*default);
        all[*key] = whole(if *name == FLIPPED { -value } else { value });
    }
    let get = |name| value(name, values).unwrap_or_default();
    all["bp"] = whole(get("bat_discharge_power") - get("bat_charge_power"));
    if message == 0x0502 {
        all["ws"] = json!(95);
    }
    let keys = [("90asn", "ppsapn", "90asoc"), ("90bsn", "ppsbpn", "90bsoc")];
    for (member, (serial, code, soc)) in members.iter().zip(keys) {
        all[serial] = json!(member.serial);
        all[code] = json!(member.code);
        all[soc] = whole(member.soc);
    }
    all["bds"] = members
        .iter()
        .map(|member| json!({"sn": member.serial, "soc": whole(member.soc), "power": 0, "error": 0}))
        .collect();
    text_frame(message, &json!({"localtime": localtime, "data": all}).to_string())
}

/// [`EMBEDDED`].
pub fn embedded_frame(members: &[Member]) -> Vec<u8> {
    let list: Vec<Value> = members
        .iter()
        .map(|member| {
            json!({"sn": member.serial, "type": member.code, "tlv": super::frame::hex(&member.frame)})
        })
        .collect();
    text_frame(EMBEDDED, &Value::from(list).to_string())
}

/// `get_system_running_info`.
pub fn running_info(serial: &str, is_connected: bool) -> Value {
    json!({
        "connect_infos": {serial: is_connected}, "connected": is_connected,
        "total_system_savings": 592.4, "system_savings_price_unit": "$",
        "save_carbon_footprint": 0.13, "save_carbon_unit": "kg", "save_carbon_c": 0.997,
        "total_system_power_generation": 0.13, "system_power_generation_unit": "KWh",
    })
}

/// `energy_statistics` of one day: slots of five minutes, those before `n_past` filled with what is now.
pub fn energy_statistics(source: &str, n_past: usize, values: &BTreeMap<String, f64>) -> Value {
    let get = |name| value(name, values).unwrap_or_default();
    let kilowatts = |watts: f64| format!("{:.2}", watts / 1000.0);
    let now: Vec<String> = match source {
        "hes" | "pps" => {
            vec![kilowatts(-get("bat_charge_power")), kilowatts(get("bat_discharge_power"))]
        }
        "solar" => vec![kilowatts(get("photovoltaic_power"))],
        "home" => vec![kilowatts(get("ac_output_power"))],
        "grid" => vec![kilowatts(get("grid_power_signed"))],
        _ => vec![kilowatts(0.0)],
    };
    let power: Vec<Value> = slots()
        .enumerate()
        .map(|(number, time)| {
            let value = |now: &String| if number < n_past { now.clone() } else { "0.00".to_owned() };
            let infos: Vec<_> = now.iter().map(|now| json!({"type": source, "value": value(now)})).collect();
            json!({"time": time, "powerInfos": infos})
        })
        .collect();
    let mut answer = json!({
        "totalEnergy": "10.44", "totalEnergyUnit": "KWh",
        "totalImportedEnergy": "10.32", "totalImportedEnergyUnit": "KWh",
        "totalExportedEnergy": "10.44", "totalExportedEnergyUnit": "KWh",
        "power": power, "powerUnit": "KW",
        "energy": [{"value": "10.44", "negValue": "0",
                    "rods": [{"from": "0", "to": "10.44", "sourceType": source}]}],
        "energyUnit": "KWh",
        "aggregates": [
            {"title": "Photovoltaic power supply", "value": "0.00", "unit": "KWh", "type": "solar",
             "percent": "0%", "imported": true},
            {"title": "Grid power consumption", "value": "10.32", "unit": "KWh", "type": "grid",
             "percent": "100%", "imported": true},
        ],
        "hasDiesel": false,
    });
    if source == "hes" {
        let soc = format!("{:.0}", get("battery_soc"));
        let level = |number: usize| if number < n_past { soc.as_str() } else { "0" };
        answer["chargeLevel"] =
            slots().enumerate().map(|(number, time)| json!({"value": level(number), "time": time})).collect();
    }
    answer
}

/// The 288 slots of a day.
fn slots() -> impl Iterator<Item = String> {
    (0..24).flat_map(|hour| (0..12).map(move |part| format!("{hour:02}:{:02}", part * 5)))
}

/// As the wire has numbers: without a fraction.
fn whole(value: f64) -> Value {
    format!("{value:.0}").parse::<i64>().map_or(Value::Null, Value::from)
}
