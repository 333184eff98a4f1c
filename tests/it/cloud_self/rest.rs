//! The REST interface of the cloud.

use std::time::Duration;

use p256::SecretKey;
use serde_json::{Value, json};

use crate::cloud::{Cloud, Device, FOREVER, Failure, Options, Region};

use super::client::{Caller, closed, seconds, unhex};

const DEVICES: &str = "power_service/v1/app/get_relate_and_bind_devices";
const SITES: &str = "power_service/v1/site/get_site_list";

/// The vendor's public key, and what anker-solix-api 3.8.0 (commit 980d7c2, MIT, by thomluther) made with it
/// of five passwords and the private keys of four clients.
const VENDOR_KEY: &str = "04c5c00c4f8d1197cc7c3167c52bf7acb054d722f0ef08dcd7e0883236e0d72a38\
    68d9750cb47fa4619248f3d83f0f662671dadc6e2d31c2f41db0161651c7c076";
const PASSWORDS: [&str; 5] =
    ["password", "0123456789abcdef", "pässwörd€ 漢字", "a", "correct horse battery staple 1234567890!"];
const VECTORS: [(&str, [&str; 5]); 4] = [
    (
        "1111111111111111111111111111111111111111111111111111111111111111",
        [
            "Wx5e71NY71/9E7ThnZIZcQ==",
            "XuNY37jq5MhPcX2rQ3ASU3H+3kEz0wCOYHk88Wq9ruc=",
            "ZPx643seY93yJrcE4OiTD+lllgoIipw+B/dq/UwFPlk=",
            "AA8V8UkywaoAJ7qkBLRnyQ==",
            "KFl1O9YuuMCnaIyEW+UYjEf09iO87CkpdWxUbVA6J147jIDkVPywSqdRM3xpZf1q",
        ],
    ),
    (
        "26acfb9ca63df2245f1a8a8dd54647a73c00b4ed3f793c3f160b2a2dc649b0b5",
        [
            "H4YhLBHPyYUSWqEFQgXsSQ==",
            "rHngaCdISrbEhy/3cnjam8LNWvjiutl8b+Igo2kM8Vs=",
            "ZQ4OJyF/cCSkTlodkGMnL33SphSk0abqn7g6VN1LzbE=",
            "V9T5wctszPqxIfzmeIzOHg==",
            "ssropsklPBZ12lyU2wABhME3J1N/CW2ztXQ/b3csQmGcuinn1kP/4vFj6XKB4v73",
        ],
    ),
    (
        "c8bf61e8476dc80293cd4e5fa30952da8700281dfb7aebd5d4438a4c9d49bf63",
        [
            "owIvUkcmlA7ozyARD9iuSw==",
            "d+/elMwUKVa6w6dE70kNpusKsg5zoNejQxFup8ecs/E=",
            "95MzjPZtb7X9AwCKtWgub8z0B/XNS3m2PpQxFDHLfA4=",
            "MlVc8nrfPOC1qiwdYnO9DQ==",
            "5uwc5Vzmy10Kfk1QjgXxp4sN+ppNWlVhWQ1BhzqHfZK3JgpStyOr0Uloqjy+QQ/i",
        ],
    ),
    (
        "0000000000000000000000000000000000000000000000000000000000000001",
        [
            "8hx7gs2st0fpBDQQRce3NQ==",
            "MY3hgTn2+MQom6RwO/pBTL/e3flPdIuXB5NUsJ+Pan8=",
            "aMFdV0j5lnq8V2wK4yQVdqMPJldr0aEWEvuT6f+1SdA=",
            "AxTjYLsgKIo+UZp89Aq8Nw==",
            "KKK09QRmyTbHjfdXwUZi6tHgcnzZBjmv3jsnO+FggskT2OD9GJ4K/OHr4SFz1pyD",
        ],
    ),
];

/// A cloud where nobody is too quick.
async fn patient() -> Cloud {
    let options = Options { calls_per_minute: 1000, logins_per_hour: 1000, ..Options::default() };
    Cloud::start(options).await.unwrap()
}

#[tokio::test]
async fn what_the_reference_makes_of_a_password_is_opened_with_the_clouds_own_key() {
    let cloud = patient().await;
    let caller = Caller::new(&cloud);
    for (private_key, texts) in VECTORS {
        let client = SecretKey::from_slice(&unhex(private_key)).unwrap();
        for (password, text) in PASSWORDS.into_iter().zip(texts) {
            assert_eq!(closed(&client, VENDOR_KEY, password), text);
            cloud.set_password(password);
            let mut body = caller.login_body(&cloud);
            body["client_secret_info"]["public_key"] =
                Value::from(super::client::hex(&client.public_key().to_sec1_bytes()));
            body["password"] = Value::from(closed(&client, &cloud.login_key(), password));
            assert_eq!(caller.post("passport/login", body).await.0, 0, "{password}");
        }
    }
    assert_eq!(cloud.logins(), 20);
}

#[tokio::test]
async fn a_login_with_a_fault_gets_the_code_of_that_fault() {
    let cloud = patient().await;
    let caller = Caller::new(&cloud);
    let right = caller.login_body(&cloud);
    let with = |path: &str, value: Value| {
        let mut body = right.clone();
        *body.pointer_mut(path).unwrap() = value;
        body
    };
    let without = |key: &str| {
        let mut body = right.clone();
        body.as_object_mut().unwrap().remove(key);
        body
    };
    let key = "/client_secret_info/public_key";
    let off_curve = right.pointer(key).unwrap().as_str().unwrap().replace("04", "05");
    let hours = |n: u64| Value::from(format!("{}000", seconds() - n * 3600));
    let faults = [
        (26108, with("/password", json!("Wx5e71NY71/9E7ThnZIZcQ=="))),
        (26108, with("/password", json!("no Base64"))),
        (26108, with("/password", json!(""))),
        (26156, with("/email", json!("another@example.com"))),
        (26070, with(key, json!(off_curve))),
        (26070, with(key, json!("04".to_owned() + &"11".repeat(64)))),
        (26070, with(key, json!(right.pointer(key).unwrap().as_str().unwrap().to_uppercase()))),
        (10003, with("/ab", json!("us"))),
        (10003, with("/enc", json!(1))),
        (10003, with("/time_zone", json!("0"))),
        (10003, with("/time_zone", json!(15 * 3_600_000))),
        (10003, with("/transaction", json!(seconds() * 1000))),
        (10003, with("/transaction", hours(2))),
        (10003, without("transaction")),
        (10003, with("/client_secret_info", json!({}))),
    ];
    for (code, body) in faults {
        assert_eq!(caller.post("passport/login", body.clone()).await.0, code, "{body}");
    }
    assert_eq!(caller.post("passport/login", right).await.0, 0);
}

#[tokio::test]
async fn a_call_without_the_right_headers_is_told_which() {
    let cloud = patient().await;
    let mut caller = Caller::new(&cloud);
    caller.login(&cloud).await;
    let right = caller.headers.clone();
    let faults = [
        ("content-type", Some("text/plain")),
        ("content-type", None),
        ("model-type", None),
        ("app-name", Some("anker")),
        ("os-type", Some("ios")),
        ("country", None),
        ("country", Some("us")),
        ("country", Some("USA")),
        ("timezone", None),
        ("timezone", Some("UTC")),
        ("timezone", Some("GMT+1:00")),
        ("timezone", Some("GMT+15:00")),
    ];
    for (name, value) in faults {
        caller.headers.clone_from(&right);
        caller.set_header(name, value);
        let (status, text) = caller.send("POST", DEVICES, "{}").await;
        assert_eq!(status, 400, "{name}: {value:?}");
        assert!(text.starts_with(&format!("header {name}: allowed are [")), "{text}");
    }
    caller.headers = right;
    assert_eq!(caller.send("GET", DEVICES, "").await, (400, "method: allowed are [POST]".to_owned()));
    assert_eq!(caller.post(DEVICES, json!([])).await.0, 10003);
    assert_eq!(caller.post(DEVICES, json!({"page": 1})).await.0, 10003);
    let unknown = caller.send("POST", "power_service/v1/app/no_such_thing", "{}").await;
    assert_eq!(unknown, (404, "404 page not found".to_owned()));
    assert_eq!(caller.post(DEVICES, json!({})).await.0, 0);
}

#[tokio::test]
async fn only_a_token_that_holds_is_good() {
    let cloud = patient().await;
    let mut caller = Caller::new(&cloud);
    assert_eq!(caller.send("POST", SITES, "{}").await.0, 401, "no token");
    caller.login(&cloud).await;
    let right = caller.headers.clone();
    for name in ["x-auth-token", "gtoken"] {
        for value in [None, Some("bd15705780c3275f9113287013455de2")] {
            caller.headers.clone_from(&right);
            caller.set_header(name, value);
            assert_eq!(caller.send("POST", SITES, "{}").await.0, 401, "{name}: {value:?}");
        }
    }
    caller.headers = right;
    assert_eq!(caller.post(SITES, json!({})).await.0, 0);
    cloud.kick();
    assert_eq!(caller.post(SITES, json!({})).await.0, 26084);
    caller.login(&cloud).await;
    assert_eq!(caller.post(SITES, json!({})).await.0, 0);
    cloud.expire_tokens();
    assert_eq!(caller.send("POST", SITES, "{}").await.0, 401, "expired");
}

#[tokio::test]
async fn a_second_login_takes_the_first_ones_token_only_in_the_old_days() {
    for single_session in [false, true] {
        let cloud = Cloud::start(Options { single_session, ..Options::default() }).await.unwrap();
        let mut first = Caller::new(&cloud);
        first.login(&cloud).await;
        Caller::new(&cloud).login(&cloud).await;
        let code = first.post(SITES, json!({})).await.0;
        assert_eq!(code, if single_session { 26084 } else { 0 });
    }
}

#[tokio::test]
async fn who_asks_too_often_is_refused() {
    let cloud = Cloud::start(Options { logins_per_hour: 2, ..Options::default() }).await.unwrap();
    let mut caller = Caller::new(&cloud);
    caller.login(&cloud).await;
    for _ in 0..10 {
        assert_eq!(caller.post(SITES, json!({})).await.0, 0);
    }
    let (status, text) = caller.send("POST", SITES, "{}").await;
    let message = r#"{"error_msg":"Request too soon. Your actions have been recorded."}"#;
    assert_eq!((status, &*text), (429, message));
    assert_eq!(caller.post(DEVICES, json!({})).await.0, 0, "each endpoint has its own limit");
    caller.login(&cloud).await;
    let (_, text) = caller.send("POST", "passport/login", &caller.login_body(&cloud).to_string()).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["code"], 100_053);
    assert!(answer["msg"].as_str().unwrap().ends_with("Please try again in 1 hours."));
    assert_eq!((cloud.logins(), cloud.calls("get_site_list")), (3, 11));
}

#[tokio::test]
async fn an_endpoint_fails_as_often_as_it_was_told_to() {
    let cloud = patient().await;
    let mut caller = Caller::new(&cloud);
    caller.login(&cloud).await;
    cloud.fail("get_site_list", Failure::Code(10000), 2);
    cloud.fail(DEVICES, Failure::Http(503), FOREVER);
    let codes = [caller.post(SITES, json!({})).await.0, caller.post(SITES, json!({})).await.0];
    assert_eq!((codes, caller.post(SITES, json!({})).await.0), ([10000, 10000], 0));
    let (status, text) = caller.send("POST", DEVICES, "{}").await;
    assert_eq!((status, text.contains("<html>")), (503, true));
    cloud.heal(DEVICES);
    assert_eq!(caller.post(DEVICES, json!({})).await.0, 0);
    cloud.fail("get_site_list", Failure::Body("{".to_owned()), 1);
    assert_eq!(caller.send("POST", SITES, "{}").await, (200, "{".to_owned()));
    cloud.fail("*", Failure::Http(401), FOREVER);
    caller.login(&cloud).await;
    assert_eq!(caller.send("POST", DEVICES, "{}").await.0, 401, "every call but the login");
    cloud.heal("*");
    cloud.fail("get_site_list", Failure::Hang, 1);
    let hung = tokio::time::timeout(Duration::from_millis(200), caller.send("POST", SITES, "{}")).await;
    assert!(hung.is_err(), "an answer came");
}

#[tokio::test]
async fn the_devices_are_listed_where_they_live() {
    let cloud = Cloud::start(Options::with_panel()).await.unwrap();
    let (mut com, mut eu) = (Caller::at(&cloud, Region::Com), Caller::at(&cloud, Region::Eu));
    com.login(&cloud).await;
    eu.login(&cloud).await;
    let listed = com.ask(DEVICES, json!({})).await;
    let devices: Vec<_> = listed["data"].as_array().unwrap().iter().collect();
    let of = |key: &str| devices.iter().map(|device| device[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("product_code"), ["A17B1", "A1790P", "A1790P"]);
    assert_eq!(of("wifi_online"), [true, false, false], "behind a panel a station leaves the cloud");
    assert_eq!(com.ask(SITES, json!({})).await["site_list"][0]["power_site_type"], 4);
    assert_eq!(eu.ask(DEVICES, json!({})).await, json!({"data": []}));
    assert_eq!(eu.ask(SITES, json!({})).await, json!({"site_list": []}));
    let (status, text) = eu.send("POST", "charging_energy_service/energy_statistics", "{}").await;
    assert_eq!((status, text.contains("<html>")), (503, true));
    cloud.move_devices(Region::Eu);
    assert_eq!(eu.ask(DEVICES, json!({})).await["data"].as_array().unwrap().len(), 3);
    assert_eq!(com.ask(DEVICES, json!({})).await, json!({"data": []}));
}

#[tokio::test]
async fn a_panel_has_five_minute_means_up_to_now_and_zeros_behind() {
    let cloud = Cloud::start(Options::with_panel()).await.unwrap();
    cloud.station("UUBABYTEST000001").set_soc(17).set("bat_discharge_power", 4110.0);
    let mut caller = Caller::new(&cloud);
    caller.login(&cloud).await;
    let site = caller.ask(SITES, json!({})).await["site_list"][0]["site_id"].clone();
    let day = |days: i64| {
        let start = jiff::Timestamp::from_second(i64::try_from(seconds()).unwrap() + days * 86_400).unwrap();
        let date = start.strftime("%Y-%m-%d").to_string();
        json!({"siteId": site, "sourceType": "hes", "dateType": "day", "start": date, "end": date,
               "global": false, "productCode": ""})
    };
    let endpoint = "charging_energy_service/energy_statistics";
    for (days, at_noon) in [(-1, "17"), (1, "0")] {
        let data = caller.ask(endpoint, day(days)).await;
        assert_eq!(data["power"].as_array().unwrap().len(), 288);
        assert_eq!(data["chargeLevel"][144], json!({"time": "12:00", "value": at_noon}));
    }
    let data = caller.ask(endpoint, day(-1)).await;
    assert_eq!(data["power"][0]["powerInfos"][1], json!({"type": "hes", "value": "4.11"}));
    let mut other = day(0);
    other["siteId"] = json!("another");
    assert_eq!(caller.post(endpoint, other).await.0, 10004);
    let running = "charging_energy_service/get_system_running_info";
    assert_eq!(caller.ask(running, json!({"siteId": site})).await["connected"], true);
}

#[tokio::test]
async fn no_secret_is_in_the_clouds_log() {
    let options = Options { devices: vec![Device::f3800_plus()], ..Options::default() };
    let cloud = Cloud::start(options).await.unwrap();
    let mut caller = Caller::new(&cloud);
    let mut wrong = caller.login_body(&cloud);
    wrong["email"] = json!("canary@example.com");
    caller.post("passport/login", wrong).await;
    caller.login(&cloud).await;
    caller.ask("app/devicemanage/get_user_mqtt_info", json!({})).await;
    let log = format!("{:?}\n{}", cloud.call_log(), cloud.log());
    assert!(log.contains("no such account"), "{log}");
    for secret in cloud.secrets().iter().map(String::as_str).chain(["canary"]) {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}

/// Every endpoint that anker-solix-api asks in an update of an account like this, as its `poll_sites`,
/// `poll_site_details`, `poll_device_details` and the same of its power panels call them (main branch of 2026).
fn calls_of_the_reference(site: &str, serial: &str) -> Vec<(&'static str, &'static str, Value)> {
    let of_site = json!({"site_id": site});
    let of_device = json!({"site_id": site, "device_sn": serial});
    vec![
        ("POST", "power_service/v1/site/get_site_list", json!({})),
        ("POST", "power_service/v1/currency/get_list", json!({})),
        ("POST", "power_service/v1/site/get_scen_info", of_site.clone()),
        ("GET", "power_service/v1/get_message_unread", Value::Null),
        ("POST", "power_service/v1/site/get_site_price", of_site.clone()),
        ("POST", "power_service/v1/site/get_power_limit", of_site.clone()),
        ("POST", "power_service/v1/site/co2_ranking", of_site.clone()),
        ("POST", "power_service/v1/app/get_relate_and_bind_devices", json!({})),
        ("POST", "power_service/v1/app/get_auto_upgrade", json!({})),
        (
            "POST",
            "app/ota/batch/check_update",
            json!({"device_list": [{"device_sn": serial, "version": ""}]}),
        ),
        ("POST", "power_service/v1/app/get_brand_list", json!({})),
        ("POST", "power_service/v1/app/vehicle/get_vehicle_list", json!({})),
        ("POST", "power_service/v1/site/get_wifi_info_list", of_site.clone()),
        ("POST", "power_service/v1/app/compatible/get_power_cutoff", of_device.clone()),
        (
            "POST",
            "power_service/v1/app/compatible/get_compatible_solar_info",
            json!({"solarbank_sn": serial}),
        ),
        ("POST", "power_service/v1/app/device/get_device_home_load", of_device.clone()),
        ("POST", "power_service/v1/app/get_relate_device_fittings", of_device),
        ("POST", "power_service/v1/site/get_site_device_param", json!({"site_id": site, "param_type": "6"})),
        (
            "POST",
            "power_service/v1/app/device/get_device_attrs",
            json!({"device_sn": serial, "attributes": ["pv_power_limit", "switch_0w"]}),
        ),
        (
            "POST",
            "power_service/v1/site/energy_analysis",
            json!({"site_id": site, "device_sn": serial, "device_type": "solar_production", "type": "week",
                   "start_time": "2026-11-24", "end_time": "2026-11-24"}),
        ),
        ("POST", "charging_energy_service/get_utility_rate_plan", json!({"siteId": site, "sn": serial})),
        ("POST", "app/devicemanage/get_user_mqtt_info", json!({})),
    ]
}

#[tokio::test]
async fn every_call_that_the_reference_always_makes_is_answered() {
    let devices = vec![Device::solarbank_2(), Device::solarbank(), Device::meter(), Device::inverter()];
    let cloud = Cloud::start(Options { devices, ..Options::default() }).await.unwrap();
    let mut caller = Caller::new(&cloud);
    caller.login(&cloud).await;
    let site = "cfdb1fbc-d51e-c39f-13b3-597acb1ab7c5";
    for (method, endpoint, body) in calls_of_the_reference(site, "ATBC2C1TEST00001") {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, text) = caller.send(method, endpoint, &body).await;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!((status, &answer["code"]), (200, &json!(0)), "{endpoint}: {text}");
    }
}

#[tokio::test]
async fn solarbanks_have_a_site_with_what_stands_beside_them() {
    let (bank, meter, inverter) = (Device::solarbank_2(), Device::meter(), Device::inverter());
    let serial = bank.serial.clone();
    let devices = vec![bank, meter, inverter, Device::f3800_plus()];
    let cloud = Cloud::start(Options { devices, ..Options::default() }).await.unwrap();
    let mut caller = Caller::new(&cloud);
    caller.login(&cloud).await;
    let site = caller.ask(SITES, json!({})).await["site_list"][0].clone();
    assert_eq!(site["current_site_device_models"], json!(["A17C1", "A17X7", "A5143"]));
    let scene_of = json!({"site_id": site["site_id"]});
    let shown = |scene: &Value| {
        let bank = &scene["solarbank_info"]["solarbank_list"][0];
        (bank["battery_power"].clone(), bank["is_display"].clone(), bank["status"].clone())
    };
    let scene = caller.ask("power_service/v1/site/get_scen_info", scene_of.clone()).await;
    assert_eq!(shown(&scene), (json!("93"), json!(true), json!("1")));
    assert_eq!(scene["grid_info"]["grid_list"][0]["device_pn"], "A17X7");
    cloud.station(&serial).display(false).silence(true);
    let scene = caller.ask("power_service/v1/site/get_scen_info", scene_of).await;
    assert_eq!(shown(&scene), (json!("0"), json!(false), json!("0")));
}
