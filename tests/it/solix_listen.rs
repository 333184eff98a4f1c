//! `solix listen` against the simulated cloud.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use serde_json::Value;

use crate::cloud::{Options, Refusal};
use crate::program::Ran;
use crate::solix_stage::Stage;

fn listened(stage: &Stage, args: &[&str]) -> Ran {
    // The same that a daemon beside it has, which would take another one for an edit.
    let inventory = stage.hasty_inventory("");
    let base = ["solix", "listen", "--for", "2s", "--inventory", inventory.to_str().unwrap()];
    stage.home.run(&[&base[..], args].concat())
}

#[test]
fn what_stations_say_is_a_line_each_and_comes_as_long_as_one_listens() {
    let stage = Stage::new(Options::default());
    stage.cloud.station(&stage.serial()).set_soc(41);
    let ran = listened(&stage, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let telemetry =
        ran.stdout.lines().filter(|line| line.contains(" 0405 ") && line.contains("battery_soc=41"));
    assert!(telemetry.count() > 5, "{}", ran.stdout);
    assert_eq!(stage.cloud.wrong_requests(), Vec::<String>::new());
}

#[test]
fn json_is_one_object_a_line_and_raw_has_the_bytes() {
    let stage = Stage::new(Options::default());
    let serial = stage.serial();
    let ran = listened(&stage, &["--format", "json", "--raw", &serial]);
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let telemetry = lines.iter().find(|line| line["type"] == "0405").unwrap();
    assert_eq!(telemetry["serial"], serial.as_str());
    assert!(telemetry["values"]["output_power_total"].is_number());
    let field = telemetry["fields"].as_array().unwrap().iter().find(|field| field["tag"] == "ad").unwrap();
    assert_eq!(field["bytes"].as_str().unwrap().len(), 2, "{field}");
}

#[test]
fn a_passive_listener_makes_nobody_speak() {
    let stage = Stage::new(Options::default());
    let ran = listened(&stage, &["--passive"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    assert!(stage.cloud.requests().is_empty());
}

#[test]
fn a_listener_does_not_take_the_place_of_a_daemon() {
    let stage = Stage::new(Options::default());
    let daemon = stage.run("");
    stage.wait_for_more("solix_heartbeat", 1);
    assert_eq!(listened(&stage, &[]).code, Some(0));
    stage.wait_for_more("solix_heartbeat", 1);
    let said = daemon.stop();
    assert!(!said.contains("closed the connection"), "{said}");
}

#[test]
fn a_serial_number_that_nobody_has_is_told_of() {
    let stage = Stage::new(Options::default());
    let ran = listened(&stage, &["NOBODY"]);
    assert_eq!(ran.code, Some(3));
    assert!(
        ran.stderr.contains("no device NOBODY") && ran.stderr.contains("solix devices"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_broker_that_lets_nobody_hear_is_no_silence() {
    let stage = Stage::new(Options::default());
    stage.cloud.broker().refuse(Refusal::All).unwrap();
    let ran = listened(&stage, &[]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("refuses the subscription"), "{}", ran.stderr);
    stage.cloud.broker().kill().unwrap();
    let ran = listened(&stage, &[]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
}
