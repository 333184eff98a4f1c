//! `[mqtt]`: what it means, and what is told of a wrong one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use fleetwatt::inventory::{BrokerUrl, MqttSettings, SecretSource};

use crate::inventory::{faults_of, good, loaded};

const HOST: &str = "[[host]]\nname = \"a\"\n";

/// `line:column message` of the faults of the section, whose first line is 3.
fn told(section: &str) -> Vec<String> {
    faults_of(loaded(&format!("{HOST}[mqtt]\n{section}")))
}

fn settings(section: &str) -> MqttSettings {
    good(&format!("{HOST}[mqtt]\n{section}")).mqtt
}

#[test]
fn everything_of_the_section_is_taken() {
    let settings = settings(
        "url = \"mqtts://broker.example\"\nuser_env = \"U\"\npassword_file = \"/p\"\nca = \"/ca.pem\"\n\
         discovery_prefix = \"ha\"\ntopic = \"home/fleetwatt\"\ngpus = true\n",
    );
    assert_eq!(
        settings,
        MqttSettings {
            url: Some(BrokerUrl { host: "broker.example".to_owned(), port: 8883, is_tls: true }),
            user: Some(SecretSource::Env("U".to_owned())),
            password: Some(SecretSource::File("/p".into())),
            ca: Some("/ca.pem".into()),
            discovery_prefix: "ha".to_owned(),
            topic: "home/fleetwatt".to_owned(),
            gpus: true,
        }
    );
}

#[test]
fn a_url_has_the_usual_port_where_it_says_none() {
    let url = |text: &str| settings(&format!("url = \"{text}\"")).url.unwrap().to_string();
    assert_eq!(url("mqtt://10.0.0.1/"), "mqtt://10.0.0.1:1883");
    assert_eq!(url("mqtts://[fd00::1]"), "mqtts://[fd00::1]:8883");
    assert_eq!(url("mqtt://[::1]:11883"), "mqtt://[::1]:11883");
}

#[test]
fn what_is_no_broker_is_told() {
    for wrong in ["10.0.0.1:1883", "http://10.0.0.1", "MQTT://h", ""] {
        assert_eq!(told(&format!("url = \"{wrong}\"")), ["4:7 `url` is not the URL of a broker"], "{wrong}");
    }
    for wrong in ["mqtt://", "mqtt://h:0", "mqtt://h:x", "mqtt://h/path", "mqtt://a b", "mqtt://-h"] {
        let told = told(&format!("url = \"{wrong}\""));
        assert_eq!(told, ["4:7 `url` has no host, or a port that is none"], "{wrong}");
    }
}

#[test]
fn a_login_in_the_url_is_refused_and_not_shown() {
    let faults = loaded(&format!("{HOST}[mqtt]\nurl = \"mqtt://me:canary@h\"")).unwrap_err().to_string();
    assert!(faults.contains("`url` has a login in it") && faults.contains("password_file"), "{faults}");
    assert!(!faults.contains("canary"), "{faults}");
}

#[test]
fn a_password_in_the_file_is_told_to_be_named_in_this_section() {
    let section = "url = \"mqtt://h\"\npassword = \"canary\"";
    let faults = loaded(&format!("{HOST}[mqtt]\n{section}")).unwrap_err().to_string();
    assert!(faults.contains("in [mqtt]") && !faults.contains("canary"), "{faults}");
}

#[test]
fn a_section_without_a_broker_is_told() {
    assert_eq!(told("gpus = true"), ["3:2 [mqtt] without a `url`"]);
}

#[test]
fn what_is_of_no_use_there_is_told() {
    let url = "url = \"mqtt://h\"\n";
    assert_eq!(told(&format!("{url}password_env = \"P\"")), ["5:1 a password without a user name"]);
    assert_eq!(told(&format!("{url}ca = \"/ca.pem\"")), ["5:1 `ca` without TLS"]);
}

#[test]
fn a_topic_is_one_that_others_can_begin_with() {
    for wrong in ["", "/a", "a/", "a//b", "a/#", "+", "a b", "ä", &"a".repeat(65)] {
        for key in ["topic", "discovery_prefix"] {
            let told = told(&format!("url = \"mqtt://h\"\n{key} = \"{wrong}\""));
            let message = format!("`{key}` is not a topic that others can begin with");
            assert_eq!(told.len(), 1, "{wrong}: {told:?}");
            assert!(told.iter().all(|one| one.ends_with(&message)), "{told:?}");
        }
    }
}

#[test]
fn a_topic_is_none_of_home_assistants() {
    for own in ["topic = \"homeassistant\"", "discovery_prefix = \"fleetwatt\""] {
        assert_eq!(
            told(&format!("url = \"mqtt://h\"\n{own}")),
            ["5:1 `topic` is Home Assistant's own"],
            "{own}"
        );
    }
}
