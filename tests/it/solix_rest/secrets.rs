//! No secret is in any log line at any level, in any error, or in the `Debug` of anything. The names of fields
//! are logged, once.

use std::io::Write;
use std::sync::{Arc, Mutex};

use fleetwatt::battery::anker::rest::{Cloud, CloudError};
use serde_json::json;
use tracing_subscriber::util::SubscriberInitExt;

use super::server::{DEVICES, GTOKEN, LOGIN, MQTT, Reply, SCENE, TOKEN, USER_ID};
use super::{HOUR, Stage, hidden, pass};

/// All that is logged while it lives.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// Listens at the lowest level, to what libraries log too.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
        subscriber.with_writer(move || log.clone()).finish().set_default()
    }
}

const PASSWORD: &str = "canary-password";
const EMAIL: &str = "canary-mail@example.com";
const KEY: &str = "canary-key";
const CERTIFICATE: &str = "canary-certificate";

const CANARIES: &[&str] = &[PASSWORD, EMAIL, KEY, CERTIFICATE, TOKEN, USER_ID, GTOKEN, "canary"];

/// Goes every way that a call can go, and gives all errors and all that has a `Debug`.
async fn go_everywhere(stage: &Stage) -> Vec<String> {
    let mut said = Vec::new();
    let note = |said: &mut Vec<String>, error: Option<CloudError>| {
        if let Some(error) = error {
            said.push(format!("{error} {error:?} {:?}", error.trouble()));
        }
    };
    let mut cloud = stage.cloud();
    said.push(format!("{:?}", cloud.devices().await));
    let site = cloud.sites().await.unwrap().remove(0);
    said.push(format!("{:?} {:?}", cloud.scene(&site).await, cloud.discover_panel(&site).await));
    note(&mut said, cloud.panel_average(&site).await.err());
    said.push(format!("{:?}", cloud.mqtt_credentials().await.unwrap()));
    said.push(format!("{cloud:?} {:?}", stage.config));

    let statuses = [302, 400, 401, 403, 404, 429, 500, 502, 503].map(|status| {
        Reply::Body(status, json!({"msg": CANARIES.concat(), "data": {"canary": "canary"}}).to_string())
    });
    let codes = [-1, 10_000, 10_003, 21_105, 26_052, 26_070, 26_084, 26_108, 100_053, 160_003];
    let codes = codes.map(|code| Reply::said(code, "canary"));
    for reply in statuses.into_iter().chain(codes) {
        for endpoint in [LOGIN, DEVICES, SCENE] {
            pass(25 * HOUR);
            stage.server.once(endpoint, reply.clone());
            if endpoint == LOGIN {
                let _gone = std::fs::remove_file(stage.state().join("solix-login.json"));
            }
            let mut cloud = stage.cloud();
            note(&mut said, cloud.devices().await.err());
            note(&mut said, cloud.scene(&site).await.err());
            said.push(format!("{cloud:?}"));
            note(&mut said, cloud.log_in(EMAIL, &hidden(PASSWORD)).await.err());
        }
    }
    for body in [r#"{"code":0,"data":{"auth_token":"canary"}}"#, r#"{"code":"canary""#, "canary"] {
        pass(25 * HOUR);
        stage.server.once(LOGIN, Reply::Body(200, body.to_owned()));
        note(&mut said, stage.cloud().log_in(EMAIL, &hidden(PASSWORD)).await.err());
    }
    said
}

/// Files that cannot be understood, and addresses that cannot be used.
fn break_everything(stage: &Stage) -> Vec<String> {
    for entry in std::fs::read_dir(stage.state()).unwrap() {
        std::fs::write(entry.unwrap().path(), r#"{"version": "canary", "token": "canary"#).unwrap();
    }
    let mut config = stage.config.clone();
    let mut said = vec![format!("{:?}", Cloud::open(&config))];
    config.settings.api_url = Some("https://canary:canary@h/canary".to_owned());
    said.push(format!("{:?}", Cloud::open(&config)));
    config.settings.api_url = Some("canary".to_owned());
    said.push(format!("{:?}", Cloud::open(&config)));
    // The settings are not secret, and are shown.
    said.iter().map(|said| said.replace("canary:canary@h/canary", "")).collect()
}

#[tokio::test]
async fn no_secret_is_logged_or_shown() {
    let log = Log::default();
    let _listening = log.listen();
    let mut stage = Stage::new().await;
    stage.config.email = Some(hidden(EMAIL));
    stage.set_password(PASSWORD);
    let credentials = json!({
        "user_id": USER_ID, "app_name": "anker_power", "thing_name": format!("{USER_ID}-anker_power"),
        "certificate_id": "canary", "certificate_pem": CERTIFICATE, "private_key": KEY,
        "aws_root_ca1_pem": "canary", "endpoint_addr": "mqtt.example",
    });
    stage.server.always(MQTT, Reply::data(&credentials));
    let said = [go_everywhere(&stage).await, break_everything(&stage)].concat();
    assert!(said.len() > 50, "{}", said.len());
    let logged = log.text();
    assert!(logged.contains("logged in to the Solix cloud") && logged.contains("hyper"), "{logged}");
    for canary in CANARIES {
        for text in said.iter().map(String::as_str).chain(logged.lines()) {
            assert!(!text.contains(canary), "{canary} in: {text}");
        }
    }
}

#[tokio::test]
async fn the_names_of_fields_are_logged_once_a_start_for_each_device_and_endpoint() {
    let log = Log::default();
    let _listening = log.listen();
    let stage = Stage::new().await;
    let mut cloud = stage.cloud();
    for _ in 0..2 {
        cloud.devices().await.unwrap();
        let site = cloud.sites().await.unwrap().remove(0);
        cloud.scene(&site).await.unwrap();
    }
    let logged = log.text();
    let lines: Vec<&str> = logged.lines().filter(|line| line.contains("REST API fields for")).collect();
    assert_eq!(lines.len(), 5, "{lines:#?}");
    let is_there = |start: &str, names: &[&str]| {
        lines.iter().any(|line| line.contains(start) && names.iter().all(|name| line.contains(name)))
    };
    assert!(is_there(
        "INFO fleetwatt::battery::anker::rest::cloud: REST API fields for SOLIX F3800 2 (get_relate_and_bind_devices): alias_name, ",
        &["wifi_online", "device_sw_version"]
    ));
    assert!(is_there(
        "16 Saville (get_scen_info): ",
        &["solarbank_info.is_display_data", "powerpanel_list.status"]
    ));
    assert!(
        !logged.contains("9DNBH3D0PLDBLX1Y") || !lines.iter().any(|line| line.contains("9DNBH3D0PLDBLX1Y"))
    );
}
