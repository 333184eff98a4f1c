//! What goes wrong between fleetwatt and a station, and what comes of it: never a lost GPU cycle.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::cloud::{Broken, Failure, Options, Refusal};
use crate::program::{Row, of_type};
use crate::solix_stage::{Daemon, Stage, alerts, values};

fn stage() -> Stage {
    let stage = Stage::new(Options::default());
    let serial = stage.serial();
    stage.cloud.station(&serial).set_soc(87).set_ac_input(200).set_solar(330, 310).set_output(435);
    stage
}

/// A daemon that has heard the station.
fn running<'a>(stage: &'a Stage, more: &str) -> Daemon<'a> {
    let daemon = stage.run(more);
    stage.wait_for("the first reading", |rows| !of_type(rows, "solix_heartbeat").is_empty());
    daemon
}

/// Every cycle has its host up, whatever the stations do.
fn gpus_are_untouched(rows: &[Row]) {
    let ups = values(rows, "node_up");
    assert!(ups.iter().all(|up| *up == Some(1.0)), "{ups:?}");
    assert_eq!(ups.len(), of_type(rows, "cluster_gpu_power_total").len());
    assert_eq!(ups.len(), of_type(rows, "solix_up").len(), "the session has an outcome in each cycle");
}

/// The kinds of trouble that were reported, but that of the beginning.
fn troubles(rows: &[Row]) -> BTreeSet<String> {
    let down = of_type(rows, "solix_up").into_iter().filter(|row| row.2 == Some(0.0));
    let kinds = down.map(|row| row.3["kind"].as_str().unwrap_or_default().to_owned());
    kinds.filter(|kind| kind != "connecting").collect()
}

#[test]
fn a_broker_that_is_killed_is_found_again_and_asked_anew() {
    let stage = stage();
    let daemon = running(&stage, "");
    stage.cloud.broker().kill().unwrap();
    stage.wait_for("the loss", |rows| troubles(rows).contains("mqtt_lost"));
    stage.cloud.broker().start().unwrap();
    stage.wait_for_more("solix_heartbeat", 2);
    let rows = stage.wait_for("all well", |rows| values(rows, "solix_up").last() == Some(&Some(1.0)));
    daemon.stop();
    gpus_are_untouched(&rows);
    assert_eq!(stage.cloud.logins(), 1);
    assert_eq!(stage.cloud.calls("get_user_mqtt_info"), 1, "a lost broker is no reason for a certificate");
}

#[test]
fn a_revoked_certificate_is_replaced_by_a_new_one() {
    let stage = stage();
    let daemon = running(&stage, "");
    stage.cloud.revoke_certificate().unwrap();
    stage.wait_for_more("solix_heartbeat", 2);
    daemon.stop();
    gpus_are_untouched(&stage.home.rows());
    assert_eq!((stage.cloud.calls("get_user_mqtt_info"), stage.cloud.logins()), (2, 1));
}

#[test]
fn a_certificate_that_has_ended_is_replaced_at_most_once_an_hour() {
    let stage = stage();
    stage.cloud.hand_out_expired_certificates(true).unwrap();
    let daemon = stage.run("");
    let rows = stage.wait_for("trouble", |rows| !troubles(rows).is_empty());
    stage.cloud.hand_out_expired_certificates(false).unwrap();
    daemon.stop();
    gpus_are_untouched(&rows);
    assert!(stage.cloud.calls("get_user_mqtt_info") <= 2, "at most one new one an hour");
}

#[test]
fn a_subscription_that_is_refused_is_asked_for_by_its_topics() {
    let stage = stage();
    stage.cloud.broker().refuse(Refusal::Wildcards).unwrap();
    let daemon = running(&stage, "");
    daemon.stop();
    gpus_are_untouched(&stage.home.rows());
    assert_eq!(stage.cloud.calls("get_user_mqtt_info"), 1);
}

#[test]
fn a_broker_that_refuses_every_subscription_is_told_of_with_what_to_do() {
    let stage = stage();
    stage.cloud.broker().refuse(Refusal::All).unwrap();
    let daemon = stage.run("");
    let rows = stage.wait_for("the end of all remedies", |rows| {
        alerts(rows, "solix_login").contains(&1.0) && troubles(rows).contains("mqtt_subscription_refused")
    });
    daemon.stop();
    gpus_are_untouched(&rows);
    let told = of_type(&rows, "solix_up").last().unwrap().3["message"].as_str().unwrap().to_owned();
    assert!(told.contains("refuses the subscription") && told.contains("phone app"), "{told}");
    let names: BTreeSet<String> =
        stage.cloud.broker().connections().into_iter().map(|one| one.client_id).collect();
    assert!(names.iter().any(|name| name.starts_with("android-")), "the app's name was tried: {names:?}");
    assert_eq!(stage.cloud.calls("get_user_mqtt_info"), 2, "a new certificate was tried once");
}

#[test]
fn a_token_that_ends_in_the_middle_is_renewed_once() {
    // More than ten minutes must lie between two logins; so the first one is of an earlier life.
    let stage = stage();
    let daemon = running(&stage, "");
    stage.cloud.expire_tokens();
    stage.wait_for_more("solix_heartbeat", 3);
    daemon.stop();
    let rows = stage.home.rows();
    gpus_are_untouched(&rows);
    assert_eq!(stage.cloud.logins(), 1, "no second login within ten minutes");
    assert!(of_type(&rows, "solix_heartbeat").len() >= 4, "the broker does not need the token");
}

#[test]
fn being_kicked_out_does_not_start_a_fight() {
    let stage = stage();
    let daemon = running(&stage, "");
    stage.cloud.kick();
    stage.wait_for_more("solix_heartbeat", 3);
    daemon.stop();
    gpus_are_untouched(&stage.home.rows());
    assert_eq!(stage.cloud.logins(), 1);
}

#[test]
fn a_wrong_password_is_tried_once_and_a_person_is_called() {
    let stage = stage();
    stage.cloud.set_password("another");
    let daemon = stage.run("");
    let rows = stage.wait_for("the alert", |rows| alerts(rows, "solix_login") == [1.0]);
    gpus_are_untouched(&rows);
    assert_eq!(troubles(&rows), BTreeSet::from(["login_refused".to_owned()]));
    stage.wait_for_more("solix_up", 5);
    daemon.stop();
    let daemon = stage.run("");
    stage.wait_for_more("solix_up", 2);
    daemon.stop();
    assert_eq!(stage.cloud.logins(), 1, "neither again, nor after a restart");
    assert_eq!(alerts(&stage.home.rows(), "solix_login"), [1.0], "told once");
}

#[test]
fn a_locked_account_is_told_of_at_once_and_not_tried_again() {
    let stage = stage();
    let locked = Failure::CodeWithMessage(100_053, "Please try again in 1 hours.".to_owned());
    stage.cloud.fail("passport/login", locked, crate::cloud::FOREVER);
    let daemon = stage.run("");
    let rows = stage.wait_for("the alert", |rows| alerts(rows, "solix_login") == [1.0]);
    stage.wait_for_more("solix_up", 4);
    daemon.stop();
    gpus_are_untouched(&rows);
    assert_eq!(stage.cloud.logins(), 1);
    let told = of_type(&rows, "solix_up").last().unwrap().3["message"].as_str().unwrap().to_owned();
    assert!(told.contains("has locked the account") && told.contains("phone app"), "{told}");
}

#[test]
fn a_falling_charge_is_fast_and_an_alert_once_and_rising_again_neither() {
    let stage = stage();
    let serial = stage.serial();
    let daemon = running(&stage, "[alerts]\nbattery_below = \"30%\"\nbattery_critical_below = \"10%\"");
    let station = stage.cloud.station(&serial);
    let mode = |rows: &[Row]| {
        let last = of_type(rows, "solix_heartbeat").last().map(|row| row.3["polling_mode"].clone());
        last.and_then(|mode| Some(mode.as_str()?.to_owned())).unwrap_or_default()
    };
    let soc = |rows: &[Row]| values(rows, "solix_battery_soc").last().copied().flatten();
    assert_eq!(mode(&stage.home.rows()), "normal");
    station.set_soc(29);
    stage.wait_for("the fast mode", |rows| mode(rows) == "FAST" && alerts(rows, "battery_low") == [1.0]);
    station.set_soc(32);
    let rows = stage.wait_for("a little more charge", |rows| soc(rows) == Some(32.0));
    assert_eq!((mode(&rows).as_str(), alerts(&rows, "battery_low")), ("FAST", vec![1.0]));
    station.set_soc(9);
    stage.wait_for("the critical alert", |rows| alerts(rows, "battery_critical") == [1.0]);
    station.set_soc(60);
    let rows = stage
        .wait_for("all clear", |rows| mode(rows) == "normal" && alerts(rows, "battery_low") == [1.0, 0.0]);
    daemon.stop();
    assert_eq!(alerts(&rows, "battery_critical"), [1.0, 0.0]);
}

#[test]
fn a_lost_grid_is_an_alert_and_its_return_ends_it() {
    let stage = stage();
    let serial = stage.serial();
    let daemon = running(&stage, "");
    stage.cloud.station(&serial).set_ac_input(0);
    stage.wait_for("the alert", |rows| alerts(rows, "grid_lost") == [1.0]);
    stage.cloud.station(&serial).set_ac_input(300);
    stage.wait_for("its end", |rows| alerts(rows, "grid_lost") == [1.0, 0.0]);
    daemon.stop();
}

#[test]
fn silence_is_stale_and_then_offline_and_never_zero_watts() {
    let stage = stage();
    let serial = stage.serial();
    let daemon = running(&stage, "");
    stage.cloud.station(&serial).silence(true);
    let presence = |rows: &[Row]| {
        of_type(rows, "station_up").last().map(|row| row.3["presence"].as_str().unwrap().to_owned())
    };
    // The cloud says that it is gone, so that ten minutes need not pass.
    let rows = stage.wait_for("offline", |rows| presence(rows).as_deref() == Some("offline"));
    daemon.stop();
    gpus_are_untouched(&rows);
    let watts = ["solix_power_input", "solix_power_output", "solix_grid_power", "solix_solar_power"];
    assert!(watts.iter().all(|event_type| !values(&rows, event_type).contains(&Some(0.0))));
    assert_eq!(of_type(&rows, "station_up").last().unwrap().2, Some(0.0));
}

#[test]
fn broken_messages_are_dropped_and_good_ones_still_read() {
    let stage = stage();
    let serial = stage.serial();
    let daemon = running(&stage, "");
    for broken in [Broken::Checksum, Broken::Garbage, Broken::TooLong(300_000), Broken::WrongModel] {
        stage.cloud.station(&serial).publish_broken(broken);
    }
    stage.wait_for_more("solix_heartbeat", 2);
    let said = daemon.stop();
    assert!(said.contains("is dropped"), "{said}");
    gpus_are_untouched(&stage.home.rows());
}

#[test]
fn a_code_in_the_body_counts_like_a_status() {
    let stage = stage();
    stage.cloud.fail("get_relate_and_bind_devices", Failure::Code(10_000), 1);
    let polled = stage.poll(&[]);
    assert_eq!(polled.code, Some(3), "{}", polled.stderr);
    assert_eq!(values(&stage.home.rows(), "node_up"), [Some(1.0)]);
}

/// Every file below a folder that others than its owner can read.
fn open_files(dir: &Path, open: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            open_files(&entry.path(), open);
        } else if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
            open.push(entry.path());
        }
    }
}

#[test]
fn no_secret_is_in_a_log_an_argument_or_a_file_that_others_can_read() {
    let mut stage = stage();
    stage.home =
        std::mem::replace(&mut stage.home, crate::program::Home::new()).with("FLEETWATT_LOG", "trace");
    let daemon = running(&stage, "");
    stage.cloud.broker().kill().unwrap();
    stage.cloud.broker().start().unwrap();
    stage.cloud.expire_tokens();
    stage.wait_for_more("solix_heartbeat", 2);
    let arguments = std::fs::read(format!("/proc/{}/cmdline", daemon.pid())).unwrap();
    let arguments = String::from_utf8_lossy(&arguments).into_owned();
    let said = daemon.stop();
    assert!(said.contains("TRACE"), "the log is as chatty as it can be");
    let mut open = Vec::new();
    open_files(&stage.home.path("s"), &mut open);
    let kept: String =
        open.iter().map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()).collect();
    for secret in stage.cloud.secrets() {
        assert!(!said.contains(&secret), "{secret} is in the log");
        assert!(!arguments.contains(&secret), "{secret} is in the arguments");
        assert!(!kept.contains(&secret), "{secret} is in one of {open:?}");
    }
}
