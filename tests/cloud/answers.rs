//! What the endpoints answer. Where nothing is known better, the placeholders are those of real answers
//! (anker-solix-api 3.8.0, commit 980d7c2, MIT, by thomluther: the recorded example `Powerpanel_Tou`).

use std::time::SystemTime;

use serde_json::{Value, json};

use super::envelope::with_keys;
use super::rest::Reply;
use super::state::{Account, State, StationState, millis};
use super::types::{Model, Region};
use super::{beside, panel, solarbanks};

/// Everything but the login, and what stands in `beside`.
const ENDPOINTS: &[&str] = &[
    "power_service/v1/app/get_relate_and_bind_devices",
    "power_service/v1/site/get_site_list",
    "power_service/v1/site/get_scen_info",
    "power_service/v1/site/get_site_detail",
    "power_service/v1/site/get_site_homepage",
    "power_service/v1/site/list_user_devices",
    "power_service/v1/app/device/get_device_attrs",
    "app/devicemanage/get_user_mqtt_info",
    "charging_energy_service/get_system_running_info",
    "charging_energy_service/energy_statistics",
    "charging_energy_service/get_device_infos",
];

/// Whether there is such an endpoint.
pub fn is_there(endpoint: &str) -> bool {
    ENDPOINTS.contains(&endpoint) || beside::ENDPOINTS.iter().any(|(path, _)| *path == endpoint)
}

/// Whether an endpoint is asked by GET.
pub fn is_read_by_get(endpoint: &str) -> bool {
    beside::BY_GET.contains(&endpoint)
}

const DAY: u64 = 86_400;

/// The answer to a call that has all it needs.
pub fn answer(
    account: &Account,
    state: &State,
    endpoint: &str,
    region: Region,
    body: &Value,
    now: SystemTime,
) -> Reply {
    let is_home = region == state.home;
    let asked = Asked { account, state, body, is_home, now };
    let name = endpoint.rsplit('/').next().unwrap_or_default();
    let result = match name {
        "get_relate_and_bind_devices" => asked.nothing().map(|()| asked.bound_devices()),
        "get_site_list" => asked.nothing().map(|()| json!({"site_list": asked.sites()})),
        "get_site_homepage" => asked.nothing().map(|()| asked.homepage()),
        "list_user_devices" => asked.nothing().map(|()| asked.by_kind()),
        "get_user_mqtt_info" => asked.nothing().map(|()| asked.mqtt_info()),
        "get_scen_info" => asked.site("site_id").map(|site| match site {
            Site::Panel(panel) => asked.scene(panel),
            Site::Solarbanks => solarbanks::scene(&asked.balcony(), |bank| asked.heard_at(bank)),
        }),
        "get_site_detail" => asked.site("site_id").map(|site| asked.site_detail(site)),
        "get_device_attrs" => asked.device_attributes(),
        "get_system_running_info" => asked.site("siteId").and_then(|site| match site {
            Site::Panel(panel) => Ok(panel::running_info(&panel.device.serial, !panel.is_silent)),
            Site::Solarbanks => Err((10000, "not for this kind of site".to_owned())),
        }),
        "energy_statistics" => asked.energy_statistics(),
        "get_device_infos" => asked.device_infos(),
        name => beside::answer(name, body, asked.stations())
            .unwrap_or_else(|| Err((10003, "nobody answers this".to_owned()))),
    };
    match result {
        Ok(data) => Reply::data(data),
        Err((code, why)) => Reply::code(code, "Failed to request.", &why),
    }
}

/// One of the account's sites.
#[derive(Clone, Copy)]
enum Site<'a> {
    /// That of this panel.
    Panel(&'a StationState),
    /// That of all solarbanks, and of what stands beside them.
    Solarbanks,
}

type Answer = Result<Value, (i64, String)>;

struct Asked<'a> {
    account: &'a Account,
    state: &'a State,
    body: &'a Value,
    is_home: bool,
    now: SystemTime,
}

impl<'a> Asked<'a> {
    /// The body of an endpoint without parameters.
    fn nothing(&self) -> Result<(), (i64, String)> {
        self.keys(&[])
    }

    fn keys(&self, keys: &[&str]) -> Result<(), (i64, String)> {
        with_keys(self.body, "the body", keys).map(drop).map_err(|why| (10003, why))
    }

    /// The site that is asked for.
    fn site(&self, key: &str) -> Result<Site<'a>, (i64, String)> {
        self.keys(&[key])?;
        self.site_of(key)
    }

    fn site_of(&self, key: &str) -> Result<Site<'a>, (i64, String)> {
        let asked = self.body[key].as_str().unwrap_or_default();
        if asked == solarbanks::SITE && self.has_balcony() {
            return Ok(Site::Solarbanks);
        }
        let panel = self.panel().filter(|_| asked == self.account.site_id);
        panel.map(Site::Panel).ok_or_else(|| (10004, "no such site".to_owned()))
    }

    fn has_balcony(&self) -> bool {
        self.stations().any(|station| station.device.model.is_solarbank())
    }

    /// What belongs to the site of the solarbanks.
    fn balcony(&self) -> Vec<&'a StationState> {
        let is_there = |model: Model| {
            model.is_solarbank() || matches!(model, Model::Inverter | Model::Meter | Model::Plug)
        };
        self.stations().filter(|station| is_there(station.device.model)).collect()
    }

    /// When a device was heard, as the cloud writes it: in the time zone of the call's header, which is UTC.
    fn heard_at(&self, station: &StationState) -> String {
        let at = self.now.checked_sub(station.is_heard_ago).unwrap_or(self.now);
        jiff::Timestamp::try_from(at)
            .map(|at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
            .unwrap_or_default()
    }

    fn panel(&self) -> Option<&'a StationState> {
        self.state.panel().filter(|_| self.is_home)
    }

    fn stations(&self) -> impl Iterator<Item = &'a StationState> {
        self.state.stations.iter().filter(|_| self.is_home)
    }

    fn bound_devices(&self) -> Value {
        let devices: Vec<_> = self.stations().map(|station| self.bound_device(station)).collect();
        json!({"data": devices})
    }

    fn bound_device(&self, station: &StationState) -> Value {
        let device = &station.device;
        json!({
            "device_sn": device.serial, "product_code": device.model.code(),
            "bt_ble_id": "34:FB:A7:17:2E:9E", "bt_ble_mac": "34FBA7172E9E",
            "device_name": device.model.name(), "alias_name": device.alias, "img_url": "",
            "link_time": 1_706_303_294,
            // Behind a panel a station leaves the cloud.
            "wifi_online": station.is_on_broker() && !station.is_silent,
            "wifi_name": "simulated", "relate_type": ["ble", "wifi"], "charge": false, "bws_surplus": 0,
            "device_sw_version": "v2.6.5", "has_manual": true, "hes_data": null,
            "tag": "", "tag_img": "", "tag_alias": "", "tag_id": 0,
            "type_tag": "", "type_tag_img": "", "type_tag_id": 0, "platform_tag": "", "platform_logo": "",
            "rssi": if device.model == Model::Panel { "" } else { "-54" },
            "intgr_device": null, "blue_password": "", "wifi_mac": "8FDFADABFCD2",
            "time_zone": "UTC0", "ms_device_type": 1, "owner_user_id": self.account.user_id,
            "group_info": null, "init_status": 0, "ocpp_connect_status": 0, "link_info": null,
        })
    }

    fn sites(&self) -> Vec<Value> {
        let balcony = self.has_balcony().then(|| solarbanks::site_info(&self.balcony()));
        self.panel().map(|panel| self.site_info(panel)).into_iter().chain(balcony).collect()
    }

    fn site_info(&self, panel: &StationState) -> Value {
        json!({
            "site_id": self.account.site_id, "site_name": "A house", "site_img": "",
            "device_type_list": [5], "ms_type": 1, "power_site_type": 4, "is_allow_delete": true,
            "support_device_models": ["A17B1"], "current_site_device_models": ["A17B1"], "init_status": 1,
            "site_device_list": [{
                "device_model": "A17B1", "device_sn": panel.device.serial,
                "device_name": panel.device.alias, "device_img": "", "device_type": 5,
                "status": i32::from(!panel.is_silent), "init_status": 0,
                "create_time": 0, "update_time": 0, "feature": null,
            }],
            "is_site_created_by_installer": false,
        })
    }

    fn panel_entry(&self, panel: &StationState) -> Value {
        json!({
            "device_pn": "A17B1", "device_sn": panel.device.serial, "device_name": panel.device.alias,
            "device_img": "", "create_time": 1_758_513_230, "bind_site_status": "",
            "status": if panel.is_silent { "0" } else { "1" }, "wireless_type": "1", "initial_process": 0,
        })
    }

    fn by_kind(&self) -> Value {
        let panels: Vec<_> = self.panel().map(|panel| self.panel_entry(panel)).into_iter().collect();
        json!({
            "solar_list": [], "pps_list": [], "solarbank_list": [], "powerpanel_list": panels,
            "grid_list": [], "smartplug_list": [], "solarbank_pps_list": [], "combiner_box_list": [],
            "charging_pile_list": [], "home_backup_system_list": [],
        })
    }

    fn homepage(&self) -> Value {
        json!({
            "site_list": self.sites(), "solar_list": [], "pps_list": [], "solarbank_list": [],
            "powerpanel_list": [], "solarbank_pps_list": [], "combiner_box_list": [], "charging_pile_list": [],
        })
    }

    fn site_detail(&self, site: Site<'_>) -> Value {
        let mut detail = self.by_kind();
        detail["site_info"] = match site {
            Site::Panel(panel) => self.site_info(panel),
            Site::Solarbanks => solarbanks::site_info(&self.balcony()),
        };
        detail
    }

    /// Every power in it is a placeholder, as in the real one: only the panel's status is true.
    fn scene(&self, panel: &StationState) -> Value {
        json!({
            "home_info": {"home_name": "Home", "home_img": "", "charging_power": "0.00", "power_unit": "W"},
            "solar_list": [],
            "pps_info": {"pps_list": [], "total_charging_power": "0.00", "power_unit": "W",
                         "total_battery_power": "0.00", "updated_time": "", "pps_status": 0},
            "statistics": [{"type": "1", "total": "0.00", "unit": "kwh"},
                           {"type": "2", "total": "0.00", "unit": "kg"},
                           {"type": "3", "total": "0.00", "unit": "$"}],
            "topology_type": "1",
            "solarbank_info": {
                "solarbank_list": [], "total_charging_power": "0", "power_unit": "W", "charging_status": "0",
                "total_battery_power": "0.00", "updated_time": "", "total_photovoltaic_power": "0",
                "total_output_power": "0.00", "battery_discharge_power": "0", "to_home_load": "0",
                "is_display_data": false,
            },
            "retain_load": "0W", "scene_mode": 0, "home_load_power": "0",
            "updated_time": "01-01-0001 00:00:00", "power_site_type": 4, "site_id": self.account.site_id,
            "powerpanel_list": [self.panel_entry(panel)],
            "grid_info": null, "smart_plug_info": null, "other_loads_power": "0", "third_party_pv": "0",
        })
    }

    fn mqtt_info(&self) -> Value {
        let certificate = self.state.expired.as_ref().unwrap_or(&self.state.certificate);
        let authorities = &self.account.authorities;
        let is_wrong = self.state.hands_out_wrong_root;
        let root = if is_wrong { authorities.web_pem() } else { authorities.iot_pem() };
        json!({
            "user_id": self.account.user_id, "app_name": "anker_power",
            "thing_name": self.account.thing_name,
            "certificate_id": certificate.id, "certificate_pem": certificate.pem,
            "private_key": certificate.key_pem, "public_key": "", "pkcs12": "",
            "aws_root_ca1_pem": root,
            "endpoint_addr": "localhost", "origin": "",
        })
    }

    fn device_attributes(&self) -> Answer {
        self.keys(&["device_sn", "attributes"])?;
        let station = self.stations().find(|it| self.body["device_sn"].as_str() == Some(&it.device.serial));
        let station = station.ok_or_else(|| (10004, "no such device".to_owned()))?;
        let wanted = self.body["attributes"].as_array();
        let wanted = wanted.ok_or_else(|| (10003, "attributes is no list".to_owned()))?;
        let all = json!({"rssi": "-54", "currency": "$", "ip_region": "UNKNOWN", "pv_power_limit": 3600});
        let mut attributes = json!({});
        for name in wanted.iter().filter_map(Value::as_str) {
            if let Some(value) = all.get(name) {
                attributes[name] = value.clone();
            }
        }
        Ok(json!({"device_sn": station.device.serial, "attributes": attributes}))
    }

    fn device_infos(&self) -> Answer {
        self.keys(&["sns"])?;
        let wanted = self.body["sns"].as_array().ok_or_else(|| (10003, "sns is no list".to_owned()))?;
        let infos: Vec<_> = self
            .stations()
            .filter(|station| wanted.iter().any(|sn| sn.as_str() == Some(&station.device.serial)))
            .map(|station| {
                json!({
                    "sn": station.device.serial, "device_type": station.device.model.code(),
                    "ble_bind_type": 2, "ble_mac": "FFB7B7D7A1D6", "wifi_bind_type": 2,
                    "connect": station.is_on_broker() && !station.is_silent,
                    "site_id": self.panel().map(|_| &self.account.site_id),
                })
            })
            .collect();
        Ok(json!({"device_infos": infos}))
    }

    fn energy_statistics(&self) -> Answer {
        const SOURCES: [&str; 6] = ["hes", "solar", "home", "grid", "pps", "diesel"];
        self.keys(&["siteId", "sourceType", "dateType", "start", "end", "global", "productCode"])?;
        let Site::Panel(panel) = self.site_of("siteId")? else {
            return Err((10000, "not for this kind of site".to_owned()));
        };
        let wrong = |why: &str| (10003, why.to_owned());
        let text = |key: &str| self.body[key].as_str().unwrap_or_default();
        let source = SOURCES.iter().find(|known| **known == text("sourceType"));
        let source = source.ok_or_else(|| wrong("sourceType: no such source"))?;
        if !["day", "week", "year"].contains(&text("dateType")) {
            return Err(wrong("dateType: no such span"));
        }
        let date = |key| text(key).parse::<jiff::civil::Date>().map_err(|_| wrong("start, end: YYYY-MM-DD"));
        let (start, end) = (date("start")?, date("end")?);
        if end < start {
            return Err(wrong("end is before start"));
        }
        // The site's clock is UTC.
        let seconds = millis(self.now) / 1000;
        let today = jiff::Timestamp::try_from(self.now).map_err(|error| wrong(&error.to_string()))?;
        let today = jiff::tz::TimeZone::UTC.to_datetime(today).date();
        let days = start.since(today).map_err(|error| wrong(&error.to_string()))?.get_days();
        // From the start of that day to when the panel was heard last.
        let since = i64::try_from(seconds % DAY).unwrap_or_default()
            - i64::from(days) * 86_400
            - i64::try_from(panel.is_heard_ago.as_secs()).unwrap_or_default();
        let n_past = usize::try_from((since / 300).clamp(0, 288)).unwrap_or_default();
        let mut statistics = panel::energy_statistics(source, n_past, &panel.values);
        if text("dateType") != "day" {
            // Only days have slots.
            statistics["power"] = json!([]);
            statistics["chargeLevel"] = json!([]);
        }
        Ok(statistics)
    }
}
