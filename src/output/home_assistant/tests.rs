//! The words on a fleet, cycle by cycle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::known::{Known, Meter};
use super::picture::{Choice, Picture, picture};
use super::schema;
use crate::alert::{Rule, Severity, Transition};
use crate::batch::{HostReport, Snapshot, fixtures};
use crate::inventory::MqttSettings;
use crate::ledger::EnergyTotal;
use crate::reading::{Device, Failure, FailureKind, Outcome, Quantity, SafeText, Timestamp};

/// The millijoules of a kilowatt-hour.
const KWH: i64 = 3_600_000_000;

fn choice(gpus: bool) -> Choice {
    Choice::from(&MqttSettings { gpus, ..MqttSettings::default() })
}

/// A board of this number.
fn board(number: u32) -> Device {
    fixtures::gpu(number, 100_000).with(Quantity::Uuid, SafeText::new(&uuid(number)))
}

fn uuid(number: u32) -> String {
    format!("GPU-{number:04}")
}

fn host(node: &str, boards: &[u32]) -> HostReport {
    HostReport { gpus: boards.iter().copied().map(board).collect(), ..fixtures::host(node, boards.len()) }
}

fn down(node: &str) -> HostReport {
    let outcome = Outcome::Failed(Failure::new(FailureKind::ConnectTimeout, ""));
    HostReport { outcome, ..fixtures::host(node, 1) }
}

/// A cycle of these hosts at this minute, with counters in millijoules.
fn cycle(minute: u64, reports: Vec<HostReport>, counters: &[(u32, i64)]) -> Snapshot {
    let mut batch = fixtures::fleet();
    batch.started_at = fixtures::STARTED_AT.plus(Duration::from_secs(60 * minute));
    batch.reports = reports;
    let mut snapshot = Snapshot::from(batch);
    let total = |(number, energy_mj): &(u32, i64)| {
        (format!("gpu:{}", uuid(*number)), EnergyTotal { energy_mj: *energy_mj, covered_ms: 0 })
    };
    snapshot.energy = counters.iter().map(total).collect();
    snapshot
}

/// The payload on a topic.
fn said(picture: &Picture, topic: &str) -> Value {
    let all = picture.configs.iter().chain(&picture.states);
    let found = all.rev().find(|message| message.topic == topic);
    found.map_or(Value::Null, |found| serde_json::from_str(&found.payload).unwrap_or(json!("")))
}

fn topics(picture: &Picture) -> Vec<&str> {
    picture.states.iter().map(|state| state.topic.trim_start_matches("fleetwatt/")).collect()
}

/// The topics that the broker is asked to forget.
fn forgotten(picture: &Picture) -> Vec<&str> {
    let empty = picture.configs.iter().filter(|config| config.payload.is_empty());
    empty.map(|config| config.topic.as_str()).collect()
}

fn check(picture: &Picture) -> Result<(), String> {
    let configs = picture.configs.iter().filter(|config| !config.payload.is_empty());
    for config in configs {
        let config: Value = serde_json::from_str(&config.payload).map_err(|error| error.to_string())?;
        let topic = config["state_topic"].as_str().unwrap_or_default();
        schema::check(&config, &said(picture, topic)).map_err(|wrong| format!("{topic}: {wrong}"))?;
    }
    Ok(())
}

fn fleet_with_a_station() -> Snapshot {
    let mut snapshot = Snapshot::from(fixtures::fleet());
    Arc::make_mut(&mut snapshot.batch).account = Some(fixtures::station_report());
    snapshot
}

#[test]
fn a_node_says_this() {
    let mut known = Known::default();
    let first = cycle(0, vec![host("redfin", &[2, 1])], &[(1, KWH), (2, KWH / 2)]);
    let picture = picture(&mut known, &first, &choice(false), false);
    let unique_id = "fleetwatt_node_GPU-0001";
    let state = said(&picture, "fleetwatt/node/GPU-0001/state");
    assert_eq!(
        state,
        json!({
            "power": 200.0, "energy": 1.5, "up": "ON", "problem": "OFF",
            "problem_attributes": { "n_alerts": 0, "alerts": [] },
        })
    );
    let config = said(&picture, &format!("homeassistant/device/{unique_id}/config"));
    assert_eq!(
        config["device"],
        json!({
            "identifiers": [unique_id], "name": "redfin", "model": "2 × H100 80GB HBM3", "via_device": "fleetwatt_fleet",
        })
    );
    assert_eq!(
        config["components"]["energy"],
        json!({
            "platform": "sensor", "name": "Energy", "unique_id": "fleetwatt_node_GPU-0001_energy",
            "device_class": "energy", "state_class": "total_increasing", "unit_of_measurement": "kWh",
            "suggested_display_precision": 2, "value_template": "{{ value_json.energy }}",
        })
    );
}

#[test]
fn a_station_says_this_and_what_it_does_not_know_is_null() {
    let mut snapshot = fleet_with_a_station();
    let total = EnergyTotal { energy_mj: KWH, covered_ms: 0 };
    snapshot.energy = BTreeMap::from([("station:9DNBH3D0PLDBLX1Y:out".to_owned(), total)]);
    let picture = picture(&mut Known::default(), &snapshot, &choice(false), false);
    assert_eq!(
        said(&picture, "fleetwatt/station/9DNBH3D0PLDBLX1Y/state"),
        json!({
            "charge": 87.0, "in_power": 412.0, "out_power": 835.5, "grid_power": 0.0, "solar_power": 412.0,
            "in_energy": null, "out_energy": 1.0, "grid_energy": null, "solar_energy": null,
            "up": "ON", "problem": "OFF", "problem_attributes": { "n_alerts": 0, "alerts": [] },
        })
    );
}

#[test]
fn all_that_is_said_of_a_mixed_fleet_is_what_home_assistant_takes() {
    let picture = picture(&mut Known::default(), &fleet_with_a_station(), &choice(true), false);
    assert_eq!(check(&picture), Ok(()));
    // The host of the changed key has never shown a board, and those numbered 0 are one.
    assert_eq!(picture.states.len(), 1 + 4 + 8 + 1);
}

#[test]
fn an_alert_turns_its_node_and_the_fleet_on_and_says_why() {
    let mut first = cycle(0, vec![host("a", &[1]), host("b", &[2])], &[]);
    let at = Timestamp::from_micros(0);
    first.alerts = vec![Transition {
        key: "k".to_owned(),
        rule: Rule::GpuTemperature,
        severity: Severity::Warning,
        source: "gpu_a".to_owned(),
        node: Some("a".to_owned()),
        message: "a is hot".to_owned(),
        raised: true,
        at,
        raised_at: at,
    }];
    let picture = picture(&mut Known::default(), &first, &choice(false), false);
    let [fleet, a, b] = ["fleet", "node/GPU-0001", "node/GPU-0002"]
        .map(|device| said(&picture, &format!("fleetwatt/{device}/state")));
    assert_eq!([&fleet["problem"], &a["problem"], &b["problem"]], ["ON", "ON", "OFF"]);
    assert_eq!(a["problem_attributes"], json!({ "n_alerts": 1, "alerts": ["a is hot"] }));
}

#[test]
fn a_counter_is_null_until_it_is_known_of_each_board_that_is_measured() {
    let mut known = Known::default();
    let hosts = || vec![host("a", &[1, 2])];
    let energy = |known: &mut Known, counters: &[(u32, i64)]| {
        let picture = picture(known, &cycle(0, hosts(), counters), &choice(false), false);
        said(&picture, "fleetwatt/node/GPU-0001/state")["energy"].clone()
    };
    assert_eq!(energy(&mut known, &[(1, KWH)]), Value::Null);
    assert_eq!(energy(&mut known, &[(1, 2 * KWH), (2, KWH)]), 3.0);
    assert_eq!(energy(&mut known, &[]), 3.0);
    assert_eq!(energy(&mut known, &[(1, 2 * KWH), (2, 2 * KWH)]), 4.0);
}

#[test]
fn a_node_that_is_down_keeps_its_devices_and_counter_and_has_no_power() {
    let mut known = Known::default();
    picture(&mut known, &cycle(0, vec![host("a", &[1])], &[(1, KWH)]), &choice(true), false);
    let silent = picture(&mut known, &cycle(1, vec![down("a")], &[(1, KWH)]), &choice(true), true);
    let state = said(&silent, "fleetwatt/node/GPU-0001/state");
    assert_eq!([&state["power"], &state["energy"], &state["up"]], [&Value::Null, &json!(1.0), &json!("OFF")]);
    assert_eq!(topics(&silent), ["fleet/state", "node/GPU-0001/state", "gpu/GPU-0001/state"]);
}

#[test]
fn a_node_with_a_new_name_keeps_its_identity_and_its_counter() {
    let mut known = Known::default();
    picture(&mut known, &cycle(0, vec![host("old", &[1, 2])], &[(1, KWH), (2, KWH)]), &choice(false), false);
    // It does not answer at once under its new name.
    let waiting = picture(&mut known, &cycle(1, vec![down("new")], &[]), &choice(false), true);
    assert_eq!(topics(&waiting), ["fleet/state", "node/GPU-0001/state"]);
    let renamed = picture(
        &mut known,
        &cycle(2, vec![host("new", &[2, 1])], &[(1, KWH), (2, 2 * KWH)]),
        &choice(false),
        true,
    );
    assert_eq!(forgotten(&renamed), Vec::<&str>::new());
    let config = said(&renamed, "homeassistant/device/fleetwatt_node_GPU-0001/config");
    assert_eq!(config["device"]["name"], "new");
    assert_eq!(said(&renamed, "fleetwatt/node/GPU-0001/state")["energy"], 3.0);
}

#[test]
fn a_board_that_moves_takes_its_device_along_and_leaves_its_past_behind() {
    let mut known = Known::default();
    let all = choice(true);
    let before = vec![host("a", &[1, 2]), host("b", &[3])];
    picture(&mut known, &cycle(0, before, &[(1, KWH), (2, 5 * KWH), (3, KWH)]), &all, false);
    let after = vec![host("a", &[1]), host("b", &[2, 3])];
    let moved =
        picture(&mut known, &cycle(1, after, &[(1, 2 * KWH), (2, 6 * KWH), (3, 2 * KWH)]), &all, true);
    let energy = |id: &str| said(&moved, &format!("fleetwatt/{id}/state"))["energy"].clone();
    assert_eq!([energy("node/GPU-0001"), energy("node/GPU-0003")], [7.0, 3.0]);
    assert_eq!([energy("gpu/GPU-0002"), energy("fleet")], [6.0, 10.0]);
    let config = said(&moved, "homeassistant/device/fleetwatt_gpu_GPU-0002/config");
    assert_eq!(config["device"]["via_device"], "fleetwatt_node_GPU-0003");
    assert_eq!(forgotten(&moved), Vec::<&str>::new());
}

#[test]
fn a_node_that_left_is_forgotten_first_its_configuration_and_then_its_state() {
    let mut known = Known::default();
    let all = choice(false);
    picture(&mut known, &cycle(0, vec![host("a", &[1]), host("b", &[2])], &[]), &all, false);
    let left = |minute| cycle(minute, vec![host("b", &[2])], &[]);
    let config = "homeassistant/device/fleetwatt_node_GPU-0001/config";
    assert_eq!(forgotten(&picture(&mut known, &left(1), &all, true)), [config]);
    // The broker was away: it is asked once more.
    assert_eq!(forgotten(&picture(&mut known, &left(2), &all, false)), [config]);
    assert_eq!(forgotten(&picture(&mut known, &left(3), &all, true)), ["fleetwatt/node/GPU-0001/state"]);
    assert_eq!(forgotten(&picture(&mut known, &left(4), &all, true)), Vec::<&str>::new());
}

#[test]
fn gpus_that_are_not_wanted_any_more_are_forgotten() {
    let mut known = Known::default();
    let snapshot = cycle(0, vec![host("a", &[1])], &[]);
    picture(&mut known, &snapshot, &choice(true), false);
    let without = picture(&mut known, &snapshot, &choice(false), true);
    assert_eq!(forgotten(&without), ["homeassistant/device/fleetwatt_gpu_GPU-0001/config"]);
}

#[test]
fn a_second_node_does_not_get_the_identity_of_the_first() {
    let mut known = Known::default();
    picture(&mut known, &cycle(0, vec![host("a", &[1])], &[]), &choice(false), false);
    // The board moved to a node that is new, and the old one is still there without a board.
    let moved = picture(&mut known, &cycle(1, vec![down("a"), host("b", &[1])], &[]), &choice(false), true);
    assert_eq!(topics(&moved), ["fleet/state", "node/GPU-0001/state", "node/name-b/state"]);
    assert_eq!(said(&moved, "fleetwatt/node/name-b/state")["power"], 100.0);
    assert_eq!(said(&moved, "fleetwatt/node/GPU-0001/state")["power"], Value::Null);
}

#[test]
fn a_station_stays_while_its_account_is_not_read_and_goes_with_it() {
    let mut known = Known::default();
    let mut snapshot = fleet_with_a_station();
    picture(&mut known, &snapshot, &choice(false), false);
    Arc::make_mut(&mut snapshot.batch).account = Some(fixtures::no_stations());
    let unread = picture(&mut known, &snapshot, &choice(false), true);
    let state = said(&unread, "fleetwatt/station/9DNBH3D0PLDBLX1Y/state");
    assert_eq!([&state["charge"], &state["up"]], [&Value::Null, &Value::Null]);
    Arc::make_mut(&mut snapshot.batch).account = None;
    let without = picture(&mut known, &snapshot, &choice(false), true);
    assert_eq!(forgotten(&without), ["homeassistant/device/fleetwatt_station_9DNBH3D0PLDBLX1Y/config"]);
}

/// A cycle of a played fleet: where each board is (or nowhere), what it draws, and what else happens.
#[derive(Debug, Clone)]
struct Played {
    /// The node of each board.
    places: Vec<Option<usize>>,
    /// The energy of each board meanwhile.
    draws: Vec<i64>,
    /// Whether the counter of each board is known.
    is_known: Vec<bool>,
    /// The number in the names of all nodes.
    names: usize,
    /// Whether we are killed and start again before it.
    is_restart: bool,
}

const N_NODES: usize = 3;
const N_BOARDS: usize = 5;

fn played() -> impl Strategy<Value = Vec<Played>> {
    let one = (
        prop::collection::vec(prop::option::weighted(0.8, 0..N_NODES), N_BOARDS),
        prop::collection::vec(0..2 * KWH, N_BOARDS),
        prop::collection::vec(prop::bool::weighted(0.8), N_BOARDS),
        0..2_usize,
        any::<bool>(),
    );
    let one = one.prop_map(|(places, draws, is_known, names, is_restart)| Played {
        places,
        draws,
        is_known,
        names,
        is_restart,
    });
    prop::collection::vec(one, 1..12)
}

impl Played {
    fn snapshot(&self, minute: u64, counters: &[i64]) -> Snapshot {
        let boards_of = |node: usize| -> Vec<u32> {
            (0_u32..)
                .zip(&self.places)
                .filter(|(_, place)| **place == Some(node))
                .map(|(board, _)| board)
                .collect()
        };
        let report = |node: usize| {
            let name = format!("n{node}-{}", self.names);
            let boards = boards_of(node);
            if boards.is_empty() { down(&name) } else { host(&name, &boards) }
        };
        let known: Vec<(u32, i64)> = (0_u32..)
            .zip(counters.iter().zip(&self.is_known))
            .filter(|(_, (_, is_known))| **is_known)
            .map(|(board, (counter, _))| (board, *counter))
            .collect();
        cycle(minute, (0..N_NODES).map(report).collect(), &known)
    }
}

proptest! {
    /// Whatever boards, names, the ledger and we ourselves do.
    #[test]
    fn no_counter_falls_and_that_of_the_fleet_is_never_more_than_was_drawn(cycles in played()) {
        let mut known = Known::default();
        let mut counters = vec![0; N_BOARDS];
        let mut fleet = Meter::default();
        let mut nodes: BTreeMap<String, Meter> = BTreeMap::new();
        let mut drawn = 0;
        for (minute, played) in (0..).zip(&cycles) {
            for (counter, draw) in counters.iter_mut().zip(&played.draws) {
                *counter += draw;
                drawn += draw;
            }
            if played.is_restart {
                known = serde_json::from_value(json!(known)).unwrap();
            }
            let picture = picture(&mut known, &played.snapshot(minute, &counters), &choice(true), true);
            prop_assert_eq!(check(&picture), Ok(()));
            for (id, node) in &known.nodes {
                let Some(earlier) = nodes.insert(id.clone(), node.meter) else { continue };
                prop_assert!(earlier.0 <= node.meter.0, "{} of {:?}", id, node);
            }
            nodes.retain(|id, _| known.nodes.contains_key(id));
            prop_assert!(fleet.0 <= known.fleet.0 && known.fleet.0.unwrap_or(0) <= drawn);
            fleet = known.fleet;
        }
    }

    #[test]
    fn any_gpu_is_said_as_home_assistant_takes_it(gpu in fixtures::any_gpu()) {
        let report = HostReport { gpus: vec![gpu], ..fixtures::host("a", 1) };
        let picture = picture(&mut Known::default(), &cycle(0, vec![report], &[]), &choice(true), false);
        prop_assert_eq!(check(&picture), Ok(()));
    }
}
