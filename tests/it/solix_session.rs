//! The Solix session against a simulated cloud: real TLS, a real broker, the program as it is run.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests are tests too")]

use crate::cloud::Options;
use crate::program::of_type;
use crate::solix_stage::{Daemon, Stage, batch_of, values};

fn stage() -> Stage {
    let stage = Stage::new(Options::default());
    let serial = stage.serial();
    stage.cloud.station(&serial).set_soc(87).set_ac_input(200).set_solar(330, 310).set_output(435);
    stage
}

#[test]
fn a_batch_has_gpus_and_stations_of_the_same_cycle() {
    let stage = stage();
    let daemon = stage.run("");
    let rows = stage.wait_for("a reading", |rows| !of_type(rows, "solix_heartbeat").is_empty());
    daemon.stop();
    assert_eq!(values(&rows, "solix_battery_soc")[0], Some(87.0));
    assert_eq!(values(&rows, "solix_power_input")[0], Some(840.0));
    assert_eq!(values(&rows, "solix_power_output")[0], Some(435.0));
    assert_eq!(values(&rows, "solix_grid_power")[0], Some(200.0));
    assert_eq!(values(&rows, "solix_solar_power")[0], Some(640.0));
    let soc = of_type(&rows, "solix_battery_soc")[0];
    assert_eq!(soc.1, format!("solix_{}", stage.serial()));
    assert_eq!(soc.3["data_source"], "mqtt");
    let first = of_type(&rows, "solix_up")[0];
    assert_eq!((first.2, &first.3["kind"]), (Some(0.0), &serde_json::json!("connecting")), "before it was");
    let of_batch = rows.iter().filter(|row| batch_of(row) == batch_of(soc));
    let types: Vec<&str> = of_batch.map(|row| row.0.as_str()).collect();
    assert!(types.contains(&"gpu_power_draw") && types.contains(&"station_up"), "{types:?}");
}

#[test]
fn a_daemon_logs_in_once_and_after_a_restart_not_at_all() {
    let stage = stage();
    for _ in 0..2 {
        let daemon = stage.run("");
        stage.wait_for_more("solix_heartbeat", 1);
        daemon.stop();
    }
    assert_eq!(stage.cloud.logins(), 1);
    assert_eq!(stage.cloud.calls("get_user_mqtt_info"), 1);
    let names: std::collections::BTreeSet<String> =
        stage.cloud.broker().connections().into_iter().map(|one| one.client_id).collect();
    assert_eq!(names.len(), 1, "one name at the broker: {names:?}");
}

#[test]
fn after_kills_the_energies_of_a_station_are_what_follows_from_the_timeline() {
    let stage = stage();
    for _ in 0..2 {
        let daemon = stage.run("");
        stage.wait_for_more("solix_power_output", 2);
        // Killed.
        drop(daemon);
    }
    let daemon = stage.run("");
    stage.wait_for_more("solix_power_output", 2);
    daemon.stop();
    let energies = stage.home.energies();
    assert_eq!(energies.differences(), Vec::<String>::new());
    let flow = format!("station:{}:out", stage.serial());
    let of_flow = energies.kept.iter().filter(|((series, ..), _)| *series == flow);
    let covered_ms: i64 = of_flow.map(|(_, figures)| figures.1).sum();
    assert!(covered_ms > 0, "{energies:?}");
}

#[test]
fn two_polls_log_in_once_and_read_twice() {
    let stage = stage();
    let first = stage.poll(&[]);
    assert_eq!(first.code, Some(0), "{}\n{}", first.stderr, stage.cloud.log());
    assert!(first.stdout.contains("SOC 87 % in 840 W out 435 W grid 200 W"), "{}", first.stdout);
    let second = stage.poll(&["--format", "json"]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert_eq!(stage.cloud.logins(), 1);
    assert_eq!(stage.cloud.calls("get_relate_and_bind_devices"), 1, "the second poll asks the broker only");
    assert_eq!(values(&stage.home.rows(), "solix_battery_soc"), [Some(87.0), Some(87.0)]);
}

#[test]
fn a_dry_run_reads_over_the_kept_login_and_leaves_no_trace() {
    let stage = stage();
    assert_eq!(stage.poll(&[]).code, Some(0));
    let before = stage.home.everything();
    let dry = stage.poll(&["--dry-run"]);
    assert!(dry.stdout.contains("SOC 87 %"), "{}{}", dry.stdout, dry.stderr);
    assert_eq!(stage.home.everything(), before);
    assert_eq!(stage.cloud.logins(), 1);
}

#[test]
fn a_dry_run_without_a_login_does_not_log_in() {
    let stage = stage();
    let dry = stage.poll(&["--dry-run"]);
    assert!(dry.stdout.contains("solix login"), "{}{}", dry.stdout, dry.stderr);
    assert_eq!((dry.code, stage.cloud.logins()), (Some(3), 0));
}

#[test]
fn a_poll_of_one_host_does_not_ask_stations() {
    let stage = stage();
    let polled = stage.poll(&["--host", "redfin"]);
    assert_eq!((polled.code, stage.cloud.logins()), (Some(0), 0), "{}", polled.stderr);
    assert!(values(&stage.home.rows(), "solix_up").is_empty());
}

#[test]
fn a_cloud_that_is_away_costs_no_gpu_reading() {
    let stage = stage();
    stage.cloud.fail("passport/login", crate::cloud::Failure::Hang, crate::cloud::FOREVER);
    let polled = stage.poll(&[]);
    assert_eq!(polled.code, Some(3), "{}", polled.stderr);
    let rows = stage.home.rows();
    assert_eq!(values(&rows, "node_up"), [Some(1.0)]);
    assert_eq!(values(&rows, "solix_up"), [Some(0.0)]);
    assert!(values(&rows, "solix_battery_soc").is_empty());
}

#[test]
fn a_station_that_knows_no_status_request_is_triggered() {
    let stage = stage();
    let serial = stage.serial();
    stage.cloud.station(&serial).answer_status(false);
    let polled = stage.poll(&[]);
    assert!(polled.stdout.contains("SOC 87 %"), "{}{}", polled.stdout, polled.stderr);
    assert_eq!(stage.cloud.wrong_requests(), Vec::<String>::new());
}

#[test]
fn an_account_without_a_station_is_told_of() {
    let stage = Stage::new(Options { devices: Vec::new(), ..Options::default() });
    let polled = stage.poll(&[]);
    assert_eq!(polled.code, Some(3), "{}", polled.stderr);
    assert!(polled.stdout.contains("has no power station"), "{}", polled.stdout);
}

#[test]
fn stations_behind_a_panel_are_read_through_it() {
    let stage = Stage::new(Options::with_panel());
    let daemon = stage.run("");
    let rows = stage.wait_for("a station behind the panel", |rows| {
        of_type(rows, "solix_heartbeat").iter().any(|row| row.3["device_sn"] != "UUBABYTEST000001")
            && of_type(rows, "solix_heartbeat").iter().any(|row| row.3["device_model"] == "A17B1")
    });
    let said = daemon.stop();
    assert!(of_type(&rows, "solix_battery_soc").len() >= 2);
    for endpoint in ["get_scen_info", "energy_statistics", "get_system_running_info", "get_device_attrs"] {
        let told = said.matches(&format!("({endpoint}):")).count();
        assert!(said.contains("REST API fields for ") && told > 0, "{endpoint} in {said}");
    }
}

#[test]
fn a_cloud_without_sites_keeps_nobody_from_the_broker() {
    let stage = Stage::new(Options::with_panel());
    stage.cloud.fail("get_site_list", crate::cloud::Failure::Http(500), crate::cloud::FOREVER);
    let daemon = stage.run("");
    let rows = stage.wait_for("the panel", |rows| {
        of_type(rows, "solix_heartbeat").iter().any(|row| row.3["data_source"] == "mqtt")
    });
    daemon.stop();
    assert_eq!(values(&rows, "solix_up").last(), Some(&Some(1.0)));
}

#[test]
fn check_says_of_each_station_whether_it_answers() {
    let stage = stage();
    assert_eq!(stage.poll(&[]).code, Some(0));
    let inventory = stage.inventory("", "");
    let checked = stage.home.run(&["check", "--connect", "--inventory", inventory.to_str().unwrap()]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    let is_well = |line: &str| line.split_whitespace().take(2).eq(["solix", "ok"]);
    assert!(checked.stdout.lines().any(is_well), "{}", checked.stdout);
    assert!(checked.stdout.contains("SOC 87 % in 840 W out 435 W grid 200 W"), "{}", checked.stdout);
}

#[test]
fn an_edit_of_the_section_begins_anew_without_a_login_and_every_reading_is_kept() {
    let stage = stage();
    let daemon = stage.run("");
    stage.wait_for("a reading", |rows| !of_type(rows, "solix_heartbeat").is_empty());
    stage.inventory("", "interval = \"6s\"\nfast_interval = \"5s\"\n");
    stage.wait_for_more("solix_heartbeat", 2);
    let said = daemon.stop();
    assert!(said.contains("restarting its session"), "{said}");
    assert_eq!(stage.cloud.logins(), 1);
    // Each reading is told when it comes, also the last one.
    assert_eq!(said.matches(": SOC 87 %").count(), of_type(&stage.home.rows(), "solix_heartbeat").len());
}

/// The account alone.
fn without_a_host(stage: &Stage) -> std::path::PathBuf {
    stage.home.inventory(&format!("[cycle]\ninterval = \"40s\"\n{}", stage.cloud.inventory_section()))
}

#[test]
fn an_inventory_without_a_host_reads_its_stations() {
    let stage = stage();
    let inventory = without_a_host(&stage);
    let path = inventory.to_str().unwrap();
    let login = stage.home.run(&["solix", "login", "--inventory", path]);
    assert_eq!(login.code, Some(0), "{}", login.stderr);
    let devices = stage.home.run(&["solix", "devices", "--inventory", path]);
    assert_eq!(devices.code, Some(0), "{}", devices.stderr);
    let polled = stage.home.poll(&inventory, &[]);
    assert_eq!(polled.code, Some(0), "{}{}", polled.stdout, polled.stderr);
    assert!(polled.stdout.starts_with("SOLIX F3800 Plus: SOC 87 %"), "{}", polled.stdout);
    let rows = stage.home.rows();
    assert_eq!(values(&rows, "solix_battery_soc"), [Some(87.0)]);
    assert_eq!(values(&rows, "solix_up"), [Some(1.0)]);
    assert_eq!(values(&rows, "cluster_gpu_power_total"), [None]);
}

#[test]
fn a_daemon_without_a_host_reads_its_stations_in_each_cycle() {
    let stage = stage();
    let section = format!("[cycle]\ninterval = \"2s\"\n{}", stage.cloud.inventory_section());
    let inventory = stage.home.inventory(&section);
    let daemon = Daemon::start(&stage, &inventory, &[]);
    stage.wait_for("a reading", |rows| !of_type(rows, "solix_heartbeat").is_empty());
    let rows = stage.wait_for_more("station_up", 2);
    daemon.stop();
    assert_eq!(values(&rows, "station_up").last(), Some(&Some(1.0)));
    assert!(values(&rows, "node_up").is_empty());
}
