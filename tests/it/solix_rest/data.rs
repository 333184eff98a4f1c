//! What is asked, and what is made of it.

use fleetwatt::battery::anker::rest::{Cloud, CloudError, Received, site_readings};
use fleetwatt::reading::{DataSource, Power, Share};
use serde_json::{Value, json};

use super::server::{DEVICES, ENERGY, LOGIN, MQTT, Reply, SCENE, SITES, Server};
use super::{HOUR, MINUTE, PACE, Stage, pass};

fn nothing() -> (Reply, Reply) {
    (Reply::data(&json!({"data": []})), Reply::data(&json!({"site_list": []})))
}

/// A stage whose own server has nothing, and the other server.
async fn elsewhere() -> (Stage, Server) {
    let mut stage = Stage::new().await;
    stage.config.settings.api_url = None;
    let (devices, sites) = nothing();
    stage.server.always(DEVICES, devices).always(SITES, sites);
    let other = Server::start(&stage.authority).await;
    (stage, other)
}

fn cloud(stage: &Stage, other: &Server) -> Cloud {
    let [home, other] = [&stage.server.url, &other.url].map(|url| url.parse().unwrap());
    let mut cloud = Cloud::open_at(&stage.config, home, Some(other)).unwrap();
    cloud.pace = PACE;
    cloud
}

#[tokio::test]
async fn an_account_at_the_other_server_is_found_there_and_stays_there() {
    let (stage, other) = elsewhere().await;
    other.take_any_token();
    assert_eq!(cloud(&stage, &other).devices().await.unwrap().len(), 3);
    let n_calls_at_home = stage.server.n(DEVICES);
    assert_eq!(cloud(&stage, &other).devices().await.unwrap().len(), 3);
    assert_eq!(stage.server.n(DEVICES), n_calls_at_home);
    assert_eq!(stage.server.n(LOGIN) + other.n(LOGIN), 1);
}

#[tokio::test]
async fn a_server_that_wants_a_login_of_its_own_gets_it_when_that_is_allowed() {
    let (stage, other) = elsewhere().await;
    let error = cloud(&stage, &other).devices().await.unwrap_err();
    assert!(matches!(error, CloudError::LoginPaused { .. }), "{error:?}");
    assert_eq!(other.n(LOGIN), 0);
    pass(10 * MINUTE);
    assert_eq!(cloud(&stage, &other).devices().await.unwrap().len(), 3);
    assert_eq!((stage.server.n(LOGIN), other.n(LOGIN)), (1, 1));
}

#[tokio::test]
async fn an_account_without_anything_looks_at_the_other_server_once() {
    for takes_any_token in [true, false] {
        let (stage, other) = elsewhere().await;
        let (devices, sites) = nothing();
        if takes_any_token {
            other.take_any_token().always(DEVICES, devices).always(SITES, sites);
        } else {
            other.once(DEVICES, Reply::status(401)).always(DEVICES, devices).always(SITES, sites);
        }
        for _ in 0..30 {
            let _may_have_to_wait = cloud(&stage, &other).devices().await;
            pass(11 * MINUTE);
        }
        assert!(cloud(&stage, &other).devices().await.unwrap().is_empty());
        assert!(other.n(DEVICES) <= 2, "{}", other.n(DEVICES));
        assert!(stage.server.n(LOGIN) + other.n(LOGIN) <= 3);
    }
}

#[tokio::test]
async fn a_member_who_sees_a_site_but_no_device_is_at_the_right_server() {
    let (stage, other) = elsewhere().await;
    stage.server.once(SITES, Reply::data(&json!({"site_list": [{"site_id": "s"}]})));
    assert!(cloud(&stage, &other).devices().await.unwrap().is_empty());
    assert_eq!(other.n(DEVICES), 0);
}

#[tokio::test]
async fn the_other_server_is_tried_again_when_it_did_not_answer() {
    let (stage, other) = elsewhere().await;
    other.take_any_token().once(DEVICES, Reply::status(502));
    assert!(cloud(&stage, &other).devices().await.unwrap().is_empty());
    assert_eq!(cloud(&stage, &other).devices().await.unwrap().len(), 3);
}

/// A day of a panel: `soc` is of the slot 00:10, and all later ones are empty.
fn day(soc: &str, powers: &[&str]) -> Reply {
    let infos =
        |values: &[&str]| -> Vec<Value> { values.iter().map(|value| json!({"value": value})).collect() };
    Reply::data(&json!({
        "powerUnit": "KW", "totalExportedEnergy": "0.00", "totalExportedEnergyUnit": "KWh",
        "power": [{"time": "00:10", "powerInfos": infos(powers)}, {"time": "00:15", "powerInfos": infos(&["0.00", "0.00"])}],
        "chargeLevel": [{"time": "00:10", "value": soc}, {"time": "00:15", "value": "0"}],
    }))
}

#[tokio::test]
async fn a_panels_last_five_minutes_become_a_reading() {
    let stage = Stage::new().await;
    let mut cloud = stage.cloud();
    let devices = cloud.devices().await.unwrap();
    let site = cloud.sites().await.unwrap().remove(0);
    let scene = cloud.scene(&site).await.unwrap();
    for powers in [&["-2.63", "0.00"][..], &["0.50"], &["4.11"], &["3.61"]] {
        stage.server.once(ENERGY, day("17", powers));
    }
    let average = cloud.panel_average(&site).await.unwrap().unwrap();
    // The clock says 07:00 in UTC, which is 02:00 of the same day where the panel is.
    assert_eq!(average.slot.as_str(), "2026-11-24 00:10");
    assert_eq!(average.valid_at.unwrap().to_string(), "2026-11-24T05:14:55.000000Z");
    let sources: Vec<Value> =
        stage.server.calls(ENERGY).iter().map(|call| call.body["sourceType"].clone()).collect();
    assert_eq!(sources, ["hes", "solar", "home", "grid"]);

    let received = Received { at: average.valid_at.unwrap().plus(MINUTE), max_age: 15 * MINUTE };
    let message = site_readings(&devices, &scene, Some(&average), received);
    assert_eq!(message.len(), 1);
    let reading = message[0].reading.clone().unwrap();
    assert_eq!(reading.station.name.as_str(), "SOLIX Home Power Panel");
    assert_eq!(reading.source, DataSource::RestApi);
    assert_eq!(reading.device.soc(), Ok(&Share::from_millipercent(17_000)));
    assert_eq!(reading.device.power_input(), Ok(&Power::from_milliwatts(4_110_000)));
    assert_eq!(reading.device.power_output(), Ok(&Power::from_milliwatts(4_110_000)));
}

#[tokio::test]
async fn a_panel_is_asked_at_most_every_five_minutes_by_all_processes() {
    let stage = Stage::new().await;
    let site = stage.cloud().sites().await.unwrap().remove(0);
    stage.server.always(ENERGY, day("17", &["0.00", "0.00"]));
    assert!(stage.cloud().panel_average(&site).await.unwrap().is_some());
    pass(4 * MINUTE);
    assert!(stage.cloud().panel_average(&site).await.unwrap().is_none());
    assert_eq!(stage.server.n(ENERGY), 4);
    pass(MINUTE);
    assert!(stage.cloud().panel_average(&site).await.unwrap().is_some());
    assert_eq!(stage.server.n(ENERGY), 8);
}

#[tokio::test]
async fn a_day_that_has_just_begun_is_looked_up_in_yesterdays() {
    let stage = Stage::new().await;
    let site = stage.cloud().sites().await.unwrap().remove(0);
    stage.server.once(ENERGY, day("0", &["0.00", "0.00"])).always(ENERGY, day("17", &["0.00", "0.00"]));
    let average = stage.cloud().panel_average(&site).await.unwrap().unwrap();
    assert_eq!(average.slot.as_str(), "2026-11-23 00:10");
    // Nobody has asked for the devices, so that the time zone is not known.
    assert_eq!(average.valid_at, None);
    let days: Vec<Value> = stage.server.calls(ENERGY).iter().map(|call| call.body["start"].clone()).collect();
    assert_eq!(days, ["2026-11-24", "2026-11-23", "2026-11-23", "2026-11-23", "2026-11-23"]);
}

#[tokio::test]
async fn a_site_without_numbers_has_no_average() {
    let stage = Stage::new().await;
    let site = stage.cloud().sites().await.unwrap().remove(0);
    stage.server.always(ENERGY, day("0", &["0.00", "0.00"]));
    assert_eq!(stage.cloud().panel_average(&site).await.unwrap(), None);
}

fn credentials(certificate_id: &str) -> Reply {
    Reply::data(&json!({
        "user_id": "u", "app_name": "anker_power", "thing_name": "u-anker_power",
        "certificate_id": certificate_id, "certificate_pem": "p", "private_key": "k", "aws_root_ca1_pem": "c",
        "endpoint_addr": "mqtt.example",
    }))
}

#[tokio::test]
async fn mqtt_credentials_are_kept_and_replaced_at_most_once_an_hour() {
    let stage = Stage::new().await;
    for id in ["1", "2", "3"] {
        stage.server.once(MQTT, credentials(id));
    }
    let first = stage.cloud().mqtt_credentials().await.unwrap();
    assert_eq!(stage.cloud().mqtt_credentials().await.unwrap(), first);
    let second = stage.cloud().new_mqtt_credentials().await.unwrap();
    assert_ne!(first, second);
    assert_eq!(stage.cloud().mqtt_credentials().await.unwrap(), second);
    pass(59 * MINUTE);
    let error = stage.cloud().new_mqtt_credentials().await.unwrap_err();
    assert!(matches!(error, CloudError::CredentialsTooSoon { .. }), "{error:?}");
    assert_eq!(stage.server.n(MQTT), 2);
    pass(2 * MINUTE);
    assert_ne!(stage.cloud().new_mqtt_credentials().await.unwrap(), second);
    assert!(super::files(stage.state()).contains(&("solix-mqtt.json".to_owned(), 0o600)));
}

#[tokio::test]
async fn mqtt_credentials_outlive_the_login() {
    let stage = Stage::new().await;
    stage.server.once(MQTT, credentials("1"));
    let first = stage.cloud().mqtt_credentials().await.unwrap();
    pass(30 * 24 * HOUR);
    stage.server.always(LOGIN, Reply::code(100_053));
    assert_eq!(stage.cloud().mqtt_credentials().await.unwrap(), first);
}

#[tokio::test]
async fn a_scene_names_its_site() {
    let stage = Stage::new().await;
    let mut cloud = stage.cloud();
    let site = cloud.sites().await.unwrap().remove(0);
    let scene = cloud.scene(&site).await.unwrap();
    assert_eq!(scene.devices.len(), 1);
    assert_eq!(stage.server.calls(SCENE)[0].body, json!({"site_id": site.id}));
}
