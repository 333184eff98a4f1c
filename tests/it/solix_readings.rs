//! Which of what the cloud and its stations say becomes a reading, against the simulated cloud.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::time::Duration;

use crate::cloud::{Asked, Device, Failure, Options};
use crate::program::{Row, of_type};
use crate::solix_stage::{Daemon, Stage, alerts, values};

const FIGURES: [&str; 5] =
    ["solix_battery_soc", "solix_power_input", "solix_power_output", "solix_grid_power", "solix_solar_power"];

fn stage_of(devices: Vec<Device>) -> Stage {
    Stage::new(Options { devices, ..Options::default() })
}

/// A device that says nothing over the broker for so long that REST has to do.
fn mute(device: Device) -> Device {
    Device { answers_status: false, first_frame_after: Some(Duration::from_secs(3_600)), ..device }
}

/// The rows with figures of one device.
fn figures<'a>(rows: &'a [Row], serial: &str) -> Vec<&'a Row> {
    let is_of = |row: &&Row| FIGURES.contains(&row.0.as_str()) && row.1 == format!("solix_{serial}");
    rows.iter().filter(is_of).collect()
}

fn ups(rows: &[Row]) -> Vec<(&str, Option<f64>)> {
    of_type(rows, "station_up").into_iter().map(|row| (row.1.as_str(), row.2)).collect()
}

#[test]
fn a_solarbank_whose_tags_do_not_ascend_is_read_over_the_broker() {
    let stage = stage_of(vec![Device::solarbank_2()]);
    let polled = stage.poll(&[]);
    assert_eq!(polled.code, Some(0), "{}{}", polled.stdout, polled.stderr);
    let rows = stage.home.rows();
    let soc = of_type(&rows, "solix_battery_soc").last().copied().unwrap();
    assert_eq!((soc.2, soc.3["data_source"].as_str()), (Some(93.0), Some("mqtt")));
    assert_eq!(values(&rows, "solix_solar_power").last(), Some(&Some(989.0)));
}

#[test]
fn a_solarbank_is_read_by_rest_with_what_its_meter_says() {
    let bank = mute(Device::solarbank_2());
    let serial = bank.serial.clone();
    let stage = stage_of(vec![bank, Device::meter()]);
    let station = stage.cloud.station(&serial);
    station.set_soc(41).set("grid_to_home_power", 212.0).heard_ago(Duration::from_secs(100));
    let polled = stage.poll(&[]);
    let rows = stage.home.rows();
    let soc = of_type(&rows, "solix_battery_soc")[0];
    assert_eq!((soc.2, soc.3["data_source"].as_str()), (Some(41.0), Some("rest_api")), "{}", polled.stderr);
    let keys = soc.3["raw_device_keys"].as_array().unwrap();
    assert!(keys.iter().any(|key| key == "battery_power") && !keys.iter().any(|key| key == "battery_soc"));
    assert_eq!(values(&rows, "solix_grid_power"), [Some(212.0)]);
    let age = of_type(&rows, "station_up")[0].3["last_reading_age_s"].as_f64().unwrap();
    assert!((95.0..160.0).contains(&age), "it is of when it was measured: {age} s");
    assert_eq!(ups(&rows), [(format!("solix_{serial}").as_str(), Some(1.0))]);
}

#[test]
fn what_the_cloud_has_not_heard_of_for_hours_is_down_and_no_reading() {
    let (bank, panel) = (mute(Device::solarbank_2()), mute(Device::panel()));
    let (bank_is, panel_is) = (bank.serial.clone(), panel.serial.clone());
    let stage = stage_of(vec![bank, panel]);
    for serial in [&bank_is, &panel_is] {
        stage.cloud.station(serial).set_soc(9).heard_ago(Duration::from_secs(2 * 60 * 60));
    }
    let alarmed = "[alerts]\nbattery_critical_below = \"10%\"";
    let inventory = stage.inventory(alarmed, "");
    let text =
        std::fs::read_to_string(&inventory).unwrap().replace("interval = \"2s\"", "interval = \"40s\"");
    std::fs::write(&inventory, text).unwrap();
    stage.home.poll(&inventory, &[]);
    let rows = stage.home.rows();
    for serial in [&bank_is, &panel_is] {
        assert!(figures(&rows, serial).is_empty(), "{:?}", figures(&rows, serial));
    }
    assert_eq!(ups(&rows).iter().map(|(_, up)| *up).collect::<Vec<_>>(), [Some(0.0), Some(0.0)]);
    assert!(alerts(&rows, "battery_critical").is_empty());
}

#[test]
fn what_the_cloud_calls_offline_is_down_and_no_reading() {
    let (bank, panel) = (Device::solarbank_2(), Device::panel());
    let serials = [bank.serial.clone(), panel.serial.clone()];
    let stage = stage_of(vec![bank, panel]);
    for serial in &serials {
        stage.cloud.station(serial).silence(true);
    }
    stage.poll(&[]);
    let rows = stage.home.rows();
    assert!(serials.iter().all(|serial| figures(&rows, serial).is_empty()));
    assert_eq!(ups(&rows).iter().map(|(_, up)| *up).collect::<Vec<_>>(), [Some(0.0), Some(0.0)]);
    assert_eq!(stage.cloud.calls("energy_statistics"), 0, "there is nothing to be had");
}

#[test]
fn zeros_that_the_app_is_told_not_to_show_are_absent() {
    let bank = mute(Device::solarbank_2());
    let serial = bank.serial.clone();
    let stage = stage_of(vec![bank]);
    stage.cloud.station(&serial).display(false);
    let polled = stage.poll(&[]);
    let rows = stage.home.rows();
    assert!(figures(&rows, &serial).is_empty(), "{}", polled.stdout);
    assert!(of_type(&rows, "alert").iter().all(|row| row.3["rule"] != "battery_critical"));
}

#[test]
fn what_is_no_battery_is_named_once_and_never_missed() {
    let stage = stage_of(vec![Device::f3800_plus(), Device::inverter(), Device::meter(), Device::plug()]);
    let polled = stage.poll(&[]);
    assert_eq!(polled.code, Some(0), "{}{}", polled.stdout, polled.stderr);
    assert_eq!(ups(&stage.home.rows()), [("solix_9DNC2C0TEST00001", Some(1.0))]);
    let inventory = stage.inventory("", "");
    let listed = stage.home.run(&["solix", "devices", "--inventory", inventory.to_str().unwrap()]);
    let line = listed.stdout.lines().last().unwrap();
    for model in ["A5143", "A17X7", "A17X8"] {
        assert!(line.starts_with("not read") && line.contains(model), "{}", listed.stdout);
    }
    assert!(stage.cloud.requests().iter().all(|request| request.serial == "9DNC2C0TEST00001"));
}

#[test]
fn a_station_whose_first_frame_comes_eight_seconds_after_the_trigger_is_read_by_a_poll() {
    let slow = Device { answers_status: false, ..Device::f3800_plus() };
    let slow = Device { first_frame_after: Some(Duration::from_secs(8)), ..slow };
    let stage = stage_of(vec![slow]);
    let polled = stage.poll(&[]);
    assert_eq!(polled.code, Some(0), "{}{}", polled.stdout, polled.stderr);
    assert_eq!(values(&stage.home.rows(), "solix_heartbeat").len(), 1);
}

#[test]
fn packs_that_a_daemon_heard_of_are_known_to_a_poll() {
    let stage = stage_of(vec![Device::f3800_plus()]);
    let serial = stage.serial();
    stage.cloud.station(&serial).set_soc(80).set_ac_input(0).set_solar(0, 0).set_output(1_000);
    let hours = |rows: &[Row]| values(rows, "battery_runtime_estimate").last().copied().flatten();
    let daemon = stage.run("");
    let rows = stage.wait_for("a runtime", |rows| hours(rows).is_some());
    daemon.stop();
    // 80 % of three times 3,840 Wh, by 1,000 W.
    assert_eq!(hours(&rows), Some(9.216));
    let n_before = values(&rows, "battery_runtime_estimate").len();
    let polled = stage.poll(&[]);
    let rows = stage.home.rows();
    assert!(n_before < values(&rows, "battery_runtime_estimate").len(), "{}", polled.stdout);
    assert_eq!(hours(&rows), Some(9.216));
}

#[test]
fn an_answer_that_comes_while_rest_is_slow_needs_no_trigger() {
    let stage = stage_of(vec![Device::c1000_gen_2()]);
    let daemon = stage.run("");
    stage.wait_for_more("solix_heartbeat", 1);
    let slow = Failure::Slow(Duration::from_secs(3));
    stage.cloud.fail("get_relate_and_bind_devices", slow, crate::cloud::FOREVER);
    let n_calls = || stage.cloud.calls("get_relate_and_bind_devices");
    let n_before = n_calls();
    stage.wait_for("three slow answers", |_| n_before + 3 < n_calls());
    daemon.stop();
    let asked: Vec<Asked> = stage.cloud.requests().into_iter().filter_map(|one| one.asked.ok()).collect();
    assert!(asked.len() > 3 && asked.iter().all(|asked| *asked == Asked::Status), "{asked:?}");
}

#[test]
fn a_rest_poll_stands_in_the_journal_without_being_asked_for() {
    let stage = stage_of(vec![Device::f3800_plus(), Device::solarbank_2()]);
    let daemon = Daemon::start(&stage, &stage.hasty_inventory(""), &[]);
    stage.wait_for("two REST polls", |_| stage.cloud.calls("get_relate_and_bind_devices") > 2);
    let said = daemon.stop();
    let lines = |what: &str| said.lines().filter(|line| line.contains(what)).count();
    assert!(lines("REST API: SOLIX F3800 Plus SOC=?% In=?W") >= 2, "{said}");
    assert!(lines("REST API: Solarbank 2 E1600 Pro SOC=93% In=989W") >= 2, "{said}");
    for endpoint in ["get_relate_and_bind_devices", "get_device_attrs"] {
        let told = format!("REST API fields for SOLIX F3800 Plus ({endpoint}): ");
        assert_eq!(lines(&told), 1, "{told} in {said}");
    }
}

#[test]
fn a_failed_site_call_is_repeated_by_the_next_poll() {
    let stage = stage_of(vec![Device::solarbank_2()]);
    stage.cloud.fail("get_scen_info", Failure::Http(500), 1);
    let n_calls = || (stage.cloud.calls("get_scen_info"), stage.cloud.calls("get_relate_and_bind_devices"));
    assert_eq!(stage.poll(&[]).code, Some(0), "the broker is enough");
    assert_eq!(n_calls(), (1, 1));
    stage.poll(&[]);
    assert_eq!(n_calls(), (2, 2));
    stage.poll(&[]);
    assert_eq!(n_calls(), (2, 2), "it was answered");
}

#[test]
fn a_station_that_speaks_late_has_all_of_the_next_poll() {
    let late = Device { answers_status: false, ..Device::f3800_plus() };
    let late = Device { first_frame_after: Some(Duration::from_millis(9_300)), ..late };
    let stage = stage_of(vec![late]);
    stage.poll(&[]);
    assert!(values(&stage.home.rows(), "solix_heartbeat").is_empty(), "it came after the first poll");
    for n_read in 1..=2 {
        stage.poll(&[]);
        assert_eq!(values(&stage.home.rows(), "solix_heartbeat").len(), n_read);
    }
}
